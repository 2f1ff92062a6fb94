// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <vector>

#include "kernels/ops/recurrent.h"
#include "nn/dropout.h"
#include "nn/module.h"

namespace fovea::nn {

struct RecurrentOptions {
  int layers = 1;              ///< the second one reads the results of the first
  bool bidirectional = false;  ///< a second set of weights goes from the last step to the first
  bool bias = true;
  float dropout = 0;      ///< of the results of each layer but the last, in training; see Dropout
  float forget_bias = 0;  ///< LSTM: added to the starting values of the forget gate's bias, 1 in many papers
};

/// h and, of an LSTM, c: [B, hidden] for each layer and direction, in PyTorch's order: layer 0, layer 0 reversed,
/// layer 1, … An empty list, or a Var() in it, stands for zeros.
struct RecurrentState {
  std::vector<Var> h = {}, c = {};
};

struct RecurrentRun {
  Var y;                 ///< [T, B, hidden], or [T, B, 2·hidden]: forward and reversed side by side
  RecurrentState state;  ///< after the last step of each sample
};

/// Layers of LSTM or GRU cells over a sequence; the formulas stand at the ops lstm and gru.
///
/// x           [T, B, input] f32, T ≥ 1
/// returns     [T, B, hidden], or [T, B, 2·hidden] of two directions
/// parameters  of layer k: weight_ih_lk [G, input], weight_hh_lk [G, hidden], bias_ih_lk and bias_hh_lk [G], with
///             _reverse behind them for the second direction; G = 4·hidden in the order i, f, g, o (LSTM) or
///             3·hidden in the order r, z, n (GRU), inputs of the later layers the width of a result. All start in
///             U(±1/√hidden), to which forget_bias is added in bias_ih
/// throws      ShapeError naming the layer if x is not [T, B, input]; ValueError (options, number of states)
/// source      Hochreiter and Schmidhuber 1997 (LSTM), Gers et al. 2000 (its forget gate), Cho et al. 2014 (GRU)
template <Cell kCell>
class RecurrentLayers final : public Module {
 public:
  RecurrentLayers(std::int64_t input, std::int64_t hidden, const Device& device,
                  RecurrentOptions options = {});
  Var forward(const Var& x) override { return run(x).y; }

  /// The same with the states.
  ///
  /// lengths  [B] i64 or i32 on x's device: steps of each sample, the rest of its y is 0; Tensor() for all
  /// initial  states before the first step (of the second direction: before the last one)
  RecurrentRun run(const Var& x, const Tensor& lengths = Tensor(), const RecurrentState& initial = {});

  /// Of one layer and direction; biases have undefined values if options.bias is false.
  struct Weights {
    Parameter weight_ih, weight_hh, bias_ih, bias_hh;
  };
  Weights& weights(int layer, bool reverse = false);

 private:
  std::int64_t input_, hidden_;
  RecurrentOptions options_;
  std::vector<std::unique_ptr<Dropout>> dropouts_;  // behind each layer but the last
  std::vector<Weights> weights_;  // by layer and direction; never resized, as modules point at parameters
};

using LSTM = RecurrentLayers<Cell::lstm>;
using GRU = RecurrentLayers<Cell::gru>;

}  // namespace fovea::nn

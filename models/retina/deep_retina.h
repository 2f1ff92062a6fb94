// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "models/retina/rate_model.h"
#include "nn/batch_norm.h"
#include "nn/conv2d.h"
#include "nn/linear.h"
#include "nn/noise.h"
#include "nn/selection.h"
#include "nn/stacked_conv2d.h"

namespace fovea::retina {

/// What stands between a convolution of Deep Retina and its noise.
enum class Norm {
  per_unit,     ///< batch norm of each unit
  per_channel,  ///< batch norm of each channel
  scale_shift,  ///< a learned scale and shift of each unit
  none,
};

/// How maps become one number a cell.
enum class Readout {
  dense,    ///< a weight from every unit to every cell
  fixed,    ///< a third convolution, of which each cell takes the value at its receptive field ("convgc")
  one_hot,  ///< a third convolution, of which each cell learns to take the value at one position
};

enum class Output {
  softplus,     ///< log(1 + eˣ)
  parametric,   ///< alpha·log(1 + e^(beta·x)), alpha from 0.2 and beta from 5 learned for each cell
  exponential,  ///< eˣ
};

/// Starting values of weights and biases.
enum class Start {
  keras,   ///< Xavier-uniform, biases 0
  torch,   ///< U(±1/√fan_in), biases too
  normal,  ///< N(0, 0.05²), biases 0
};

struct DeepRetinaOptions {
  std::int64_t cells = 5;
  std::int64_t history = 40;  ///< stimulus frames of 10 ms that a response sees: the channels of the input
  std::int64_t size = 50;     ///< stimulus height and width, checkers
  std::array<std::int64_t, 2> channels{8, 8};
  std::array<std::int64_t, 2> kernels{15, 11};
  Norm norm = Norm::per_unit;
  bool absolute_scale = false;  ///< batch norm multiplies by |weight|: no channel flips its sign ("AbsBN")
  bool conv_bias = true;
  float noise = 0.05f;  ///< standard deviation, before each ReLU, in training only

  bool stacked = false;         ///< the two convolutions are chains of 3×3 ones (nn::StackedConv2d)
  float stack_dropout = 0.05f;  ///< between the pieces of a chain
  bool stack_one_to_one = false;

  Readout readout = Readout::dense;
  std::int64_t readout_kernel = 11;    ///< side of the third convolution's filters
  std::vector<Position> centres = {};  ///< receptive field of each cell, for Readout::fixed
  std::vector<std::int64_t> filter_of_cell =
      {};                  ///< of Readout::one_hot: which filter a cell uses; empty: its own
  float semantic = 10.0f;  ///< of Readout::one_hot: weight of the loss that makes it choose

  Output output = Output::softplus;
  Start start = Start::keras;
};

/// Deep Retina: predicts the firing rates of retinal ganglion cells from the last 400 ms of a movie.
///
///   conv1 → [bn1] → noise → ReLU → conv2 → [bn2] → noise → ReLU → readout → [bn3] → softplus
///
/// Convolutions are "valid", stride 1. The 40 frames of history are the input channels, oldest first: there is no
/// convolution over time. The readout is one of three:
///
///   dense    flatten → linear, without bias if bn3 is there, whose shift takes its place
///   fixed    conv3 without bias → the value at place_of(centre) of each cell
///   one_hot  conv3 → bn3 → softplus → Σ over the map with learned weights that settle on one position (nn::Selection);
///            penalty() is the semantic loss that makes them. Several cells may share a filter.
///
/// bn3 belongs to models with batch norm, one mean and variance a cell. With `fixed` and `one_hot` the readout can be
/// left out after training: maps() gives the same cells at every position of frames of any size.
///
/// x           [B, history, size, size] f32, contrast with mean 0 and standard deviation 1
/// returns     [B, cells] f32, rate of the bin after the newest frame, Hz
/// parameters  5 cells: 138 362 (bn_cnn), 185 757 (nips_2016), 14 114 (convgc)
/// throws      ShapeError if x does not fit; ValueError if the kernels do not fit into the stimulus, or the options
///             contradict each other
/// source      McIntosh et al. 2016 (NIPS); Maheswaranathan et al. 2023 (Neuron) and its published code
class DeepRetina final : public RateModel {
 public:
  DeepRetina(const DeepRetinaOptions& options, const Device& device);

  /// With Readout::one_hot it is the rate already, which rate() passes on.
  Var drive(const Var& x) override;
  Var rate(const Var& drive) override;
  Var penalty(const Var& x) override;

  bool has_maps() const override;
  Var maps(const Var& x) override;
  std::int64_t reach() const override;

  const DeepRetinaOptions& options() const { return options_; }
  /// The filters of the first convolution, a chain as the one filter it is: [channels, history, K, K].
  Tensor first_filters() const;
  /// Of Readout::one_hot: the weights of each cell's positions, [cells, map²], rows of sum 1. throws ValueError else
  Tensor selection();
  /// The same model with each chain of convolutions as the one filter it is; itself if there are none. It is for use,
  /// not for training: what a chain leaves out by dropout has no counterpart. In the mode of this one, train or eval.
  std::unique_ptr<DeepRetina> collapsed() const;

 private:
  struct Layer {
    std::unique_ptr<nn::Module> conv, norm;  // norm may be null
    std::unique_ptr<nn::GaussianNoise> noise;
  };
  Layer make_layer(int k, const Device& device) const;
  Var features(const Var& x);
  Var filter_maps(const Var& x);
  void set_start();

  DeepRetinaOptions options_;
  std::array<Layer, 2> layers_;
  std::unique_ptr<nn::Linear> dense_;
  std::unique_ptr<nn::Conv2d> conv3_;
  std::unique_ptr<nn::BatchNorm> bn3_;
  std::unique_ptr<nn::Selection> selection_;
  Tensor places_;          // fixed: [cells, map, map], 1 at each cell's place; a buffer
  Tensor filter_of_cell_;  // one_hot with shared filters: [cells] i64; a buffer
  nn::Parameter alpha_, beta_;
};

/// Where on a map a cell's receptive field is seen: centre − reach/2, moved into the map.
Position place_of(const Position& centre, std::int64_t reach, std::int64_t size);

/// The networks as published: batch-normalised per unit (Maheswaranathan et al. 2023, as a dense network), …
DeepRetinaOptions bn_cnn(std::int64_t cells);
/// … the first one, 16 filters of 15×15, 8 of 9×9, noise of 0.1 and no normalisation (McIntosh et al. 2016), …
DeepRetinaOptions nips_2016(std::int64_t cells);
/// … chains of 3×3 convolutions with a dense readout, …
DeepRetinaOptions stacked_bn_cnn(std::int64_t cells);
/// … chains, norms per channel and cells at fixed positions, …
DeepRetinaOptions convgc(std::vector<Position> centres);
/// … cells that learn their position, kernels of 15, 12 and 9, …
DeepRetinaOptions one_hot(std::int64_t cells);
/// … without norms and biases, …
DeepRetinaOptions simple_cnn(std::int64_t cells);
/// … and with a learned scale and shift in the place of norms.
DeepRetinaOptions ss_cnn(std::int64_t cells);

}  // namespace fovea::retina

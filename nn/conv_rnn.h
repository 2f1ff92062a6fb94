// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "kernels/geometry.h"
#include "nn/module.h"

namespace fovea::nn {

/// What a cell remembers from one step to the next: maps [B, …, H, W], in the order that the cell says.
struct CellState {
  std::vector<Var> maps;
};

/// What comes into a step; all but x only for cells that use it.
struct CellInputs {
  Var x;              ///< [B, in, H, W]
  Var residual = {};  ///< [B, …, H, W]: the node's input before its own convolution
  Var feedback = {};  ///< [B, …, H, W]: from later layers, already on this map
};

struct CellResult {
  Var output;  ///< [B, channels, H, W]
  CellState state;
};

/// What all cells can be told.
struct ConvCellShape {
  Size2d kernel = 3;
  Size2d map = 0;           ///< a kernel that is larger is cut to it; 0: any size, nothing is cut
  bool fused = true;        ///< a step is one op; false: plain ops, to compare with
  bool keep_gates = false;  ///< of the fused op: gates stay for backward instead of being computed again
};

/// A recurrent cell of a convolutional net, one step at a time; stride 1 and SAME padding, so maps keep their
/// size.
///
///     CellState state = cell.initial_state(x.shape());
///     for (const Var& x : movie) {
///       const CellResult result = cell.step({x}, state);
///       state = result.state;
///     }
class ConvCell : public Module {
 public:
  /// Zeros for inputs of this shape [B, in, H, W], where the cell's parameters are.
  /// throws ShapeError naming the layer if x is not of rank 4
  CellState initial_state(const Shape& x) const;
  /// throws ShapeError, ValueError naming the layer (another number of maps) or the op
  CellResult step(const CellInputs& inputs, const CellState& state);
  /// The output of one step from zeros.
  Var forward(const Var& x) override { return step({x}, initial_state(x.shape())).output; }

 protected:
  explicit ConvCell(const char* kind) : kind_(kind) {}
  /// Channels of each map of the state, for `in` channels of x.
  virtual std::vector<std::int64_t> state_channels(std::int64_t in) const = 0;
  virtual CellResult next(const CellInputs& inputs, const CellState& state) = 0;
  /// The kernel, cut to the map.
  static Size2d fit(Size2d kernel, Size2d map);
  const char* kind() const { return kind_; }

 private:
  const char* kind_;
};

/// y = tau·state + x: a leaky sum, the memory of nodes without a cell. With tau 0 and frozen it is a plain
/// delay.
///
/// x           [B, C, H, W] f32
/// returns     [B, C, H, W], which is the state, too
/// parameters  tau, a scalar, starts at `start`
/// throws      in a step ShapeError, DTypeError, DeviceError naming the op
/// source      Nayebi et al. 2018, Task-driven convolutional recurrent models of the visual system
class TimeDecay final : public ConvCell {
 public:
  explicit TimeDecay(const Device& device, float start = 0.0f, bool trainable = true, bool fused = true);
  Parameter tau;

 private:
  std::vector<std::int64_t> state_channels(std::int64_t in) const override { return {in}; }
  CellResult next(const CellInputs& inputs, const CellState& state) override;
  bool fused_;
};

/// h' = elu(weight_x ⋆ x + weight_h ⋆ h + bias), with layer norm before the ELU if asked for: then the
/// convolutions are one op and the norm is ops of its own.
///
/// x           [B, in, H, W] f32
/// returns     h' [B, channels, H, W], which is the state, too
/// parameters  weight_x [channels, in, R, S] and weight_h [channels, channels, R, S], Glorot uniform; bias
///             [channels] from 0; with layer norm norm_weight [channels] from 1 and norm_bias [channels] from
///             0. The statistics are those of a whole sample, eps 1e-12
/// throws      in a step ShapeError, DTypeError, DeviceError naming the op and the operand
/// source      Nayebi et al. 2018 (SimpleRNN)
class SimpleConvRNN final : public ConvCell {
 public:
  SimpleConvRNN(std::int64_t in, std::int64_t channels, const Device& device, ConvCellShape shape = {},
                bool layer_norm = false);
  Parameter weight_x, weight_h, bias;
  Parameter norm_weight, norm_bias;  ///< undefined values without layer norm

 private:
  std::vector<std::int64_t> state_channels(std::int64_t) const override { return {bias.value.numel()}; }
  CellResult next(const CellInputs& inputs, const CellState& state) override;
  ConvCellShape shape_;
};

/// What an LSTM may have beside gates; a cell with any of it runs as plain ops.
struct ConvLstmExtraOptions {
  bool peepholes = false;   ///< c is seen by i, f and o, with a weight for each place: needs shape.map
  bool layer_norm = false;  ///< of i, j, f, o and c', statistics of a whole sample
};

/// Convolutional LSTM; conv_lstm_step has the formula. The state is h, c.
///
/// x           [B, in, H, W] f32
/// returns     h' [B, channels, H, W]
/// parameters  weight [4·channels, in + channels, R, S], Glorot uniform; bias [4·channels] from 0, the forget
///             bias of 1 is beside it. With peepholes peephole_i, peephole_f, peephole_o [channels, H, W]
///             from 0; with layer norm norm_weight [5·channels] from 1 and norm_bias from 0, in the order i,
///             j, f, o, c'
/// throws      ValueError if peepholes have no map; in a step ShapeError, DTypeError, DeviceError naming the op
///             and the operand
/// source      Shi et al. 2015, Convolutional LSTM network
class ConvLSTM final : public ConvCell {
 public:
  ConvLSTM(std::int64_t in, std::int64_t channels, const Device& device, ConvCellShape shape = {},
           ConvLstmExtraOptions extras = {});
  Parameter weight, bias;
  Parameter peephole_i, peephole_f, peephole_o, norm_weight,
      norm_bias;  ///< undefined values where not asked for

 private:
  std::vector<std::int64_t> state_channels(std::int64_t) const override;
  CellResult next(const CellInputs& inputs, const CellState& state) override;
  ConvCellShape shape_;
  ConvLstmExtraOptions extras_;
};

/// Convolutional GRU; conv_gru_step has the formula.
///
/// x           [B, in, H, W] f32
/// returns     h' [B, channels, H, W], which is the state, too
/// parameters  gates_weight [2·channels, in + channels, R, S] and candidate_weight [channels, in + channels,
///             R, S], Glorot uniform; gates_bias [2·channels] from 1, candidate_bias [channels] from 0
/// throws      in a step ShapeError, DTypeError, DeviceError naming the op and the operand
/// source      Ballas et al. 2016, Delving deeper into convolutional networks
class ConvGRU final : public ConvCell {
 public:
  ConvGRU(std::int64_t in, std::int64_t channels, const Device& device, ConvCellShape shape = {});
  Parameter gates_weight, gates_bias, candidate_weight, candidate_bias;

 private:
  std::vector<std::int64_t> state_channels(std::int64_t) const override {
    return {candidate_bias.value.numel()};
  }
  CellResult next(const CellInputs& inputs, const CellState& state) override;
  ConvCellShape shape_;
};

/// Update gate recurrent network, convolutional; conv_ugrnn_step has the formula.
///
/// x           [B, in, H, W] f32
/// returns     h' [B, channels, H, W], which is the state, too
/// parameters  weight [2·channels, in + channels, R, S], Glorot uniform; bias [2·channels] from 0
/// throws      in a step ShapeError, DTypeError, DeviceError naming the op and the operand
/// source      Collins, Sohl-Dickstein, Sussillo 2017, Capacity and trainability in recurrent neural networks
class ConvUGRNN final : public ConvCell {
 public:
  ConvUGRNN(std::int64_t in, std::int64_t channels, const Device& device, ConvCellShape shape = {});
  Parameter weight, bias;

 private:
  std::vector<std::int64_t> state_channels(std::int64_t) const override { return {bias.value.numel() / 2}; }
  CellResult next(const CellInputs& inputs, const CellState& state) override;
  ConvCellShape shape_;
};

/// Intersection RNN, convolutional; intersection_rnn_step has the formula. As many channels out as in.
///
/// x           [B, channels, H, W] f32
/// returns     y [B, channels, H, W]; the state is h
/// parameters  weight [4·channels, 2·channels, R, S], Glorot uniform; bias [4·channels] from 0
/// throws      in a step ShapeError, DTypeError, DeviceError naming the op and the operand
/// source      Collins, Sohl-Dickstein, Sussillo 2017, Capacity and trainability in recurrent neural networks
class IntersectionRNN final : public ConvCell {
 public:
  IntersectionRNN(std::int64_t channels, const Device& device, ConvCellShape shape = {});
  Parameter weight, bias;

 private:
  std::vector<std::int64_t> state_channels(std::int64_t) const override { return {bias.value.numel() / 4}; }
  CellResult next(const CellInputs& inputs, const CellState& state) override;
  ConvCellShape shape_;
};

}  // namespace fovea::nn

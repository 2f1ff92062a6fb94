// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "autograd/ops/conv_rnn_composed.h"
#include "nn/conv_rnn.h"

namespace fovea::nn {

/// Where feedback enters a reciprocal gated cell.
enum class FeedbackEntry {
  input,  ///< added to x before the step, by plain ops: launches and kept maps beside those of the step
  cell,   ///< added to what goes into c
  output  ///< added to what goes into h
};

/// Every choice of the reciprocal gated cell. The names are those of the released search, the letters those
/// of reciprocal_gated_step. Not offered: batch norm, crelu, repeated depthwise kernels and dropout.
///
/// c needs a source: input_to_cell, input_into_cell, residual_to_cell, or feedback that enters at the cell.
/// h takes in x as it is unless input_to_output is set.
struct ReciprocalConfig {
  std::int64_t in = 0;        ///< channels of x
  std::int64_t cell = 0;      ///< of c; 0: no c, one state
  std::int64_t out = 0;       ///< of h
  std::int64_t residual = 0;  ///< of the residual, 0: none
  std::int64_t feedback = 0;  ///< of the feedback, 0: none

  Size2d decay_kernel = 3;       ///< of τ, also where x and the residual enter it
  Size2d cell_decay_kernel = 0;  ///< of c's τ, if it has another; 0: decay_kernel
  Size2d gate_kernel = 3;        ///< of γ, also where x and the residual enter it, and of c into h
  Size2d input_kernel = 3;       ///< of what goes into c
  Size2d output_kernel = 3;      ///< of x into h
  Size2d feedback_kernel = 3;
  /// A depthwise kernel, then 1×1, wherever the kernel of that name is.
  bool decay_separable = false, gate_separable = false, input_separable = false, output_separable = false,
       feedback_separable = false;

  bool input_to_cell = false;                          ///< x goes into c through a convolution
  bool input_into_cell = false;                        ///< x itself goes into c
  bool residual_to_cell = false;                       ///< the residual goes into c through a convolution
  bool input_to_decay = false, input_to_gate = false;  ///< of c and of h
  bool residual_to_decay = false, residual_to_gate = false;                ///< of c
  bool residual_to_output_decay = false, residual_to_output_gate = false;  ///< of h
  bool input_to_output = false;     ///< x goes into h through a convolution, else as it is
  bool cell_to_output = false;      ///< c goes into h, and then not into h's gate
  bool residual_to_output = false;  ///< as it is, or through 1×1 without bias if it has other channels

  Function decay = Function::tanh, gate = Function::tanh;  ///< φ_τ, φ_γ
  Function cell_activation = Function::elu, output_activation = Function::elu;
  Function input_activation = Function::identity, feedback_activation = Function::identity;
  float decay_offset = 1.0f, decay_scale = -1.0f;
  float gate_offset = 1.0f, gate_scale = -1.0f;
  FeedbackEntry feedback_entry = FeedbackEntry::output;
  bool layer_norm = false;  ///< before φ_c and φ_h; then the step runs as plain ops

  bool bias = true;                           ///< of all convolutions but the residual's 1×1
  float decay_bias = 0.0f, gate_bias = 0.0f;  ///< starting values in τ and γ; not 0 only with bias
  /// 0: Glorot uniform; else truncated normal of variance init_scale/fan-in, where a depthwise kernel [I, 1,
  /// R, S] has fan-in I·R·S, as TensorFlow counts.
  float init_scale = 0.0f;
  Size2d map = 0;           ///< kernels that are larger are cut to it; 0: nothing is cut
  bool fused = true;        ///< false: plain ops, to compare with
  bool keep_gates = false;  ///< see ConvCellShape
};

/// The cell of the first paper's equations: sigmoid gates by four convolutions, and x itself goes into both
/// states. A gate bias of −2 lets 0.88 of x pass at the start instead of one half; it is the starting bias of
/// all four gates, so 0.88 of the old states stay, too.
/// source  Nayebi et al. 2018, Task-driven convolutional recurrent models of the visual system
ReciprocalConfig rgc_paper(std::int64_t channels, float gate_bias = 0.0f);

/// The cell as released with the shallow network: six convolutions without bias, x through one of them into
/// c, and the residual in h's gate. x is to be the ELU of the node's convolution.
/// source  Nayebi et al. 2018
ReciprocalConfig rgc_shallow(std::int64_t channels, std::int64_t residual);

/// The median of the best cells of the architecture search, as in the released network of ten layers: gates
/// are depthwise 7×7 and 1×1, c has 64 channels, the residual goes into h, and feedback through 1×1, too.
/// Weights begin with variance 0.639/fan-in, of depthwise kernels 0.639/(49·channels).
/// source  Nayebi et al. 2022, Recurrent connections in the primate ventral visual stream
ReciprocalConfig rgc_median(std::int64_t channels, std::int64_t residual, std::int64_t feedback = 0,
                            std::int64_t cell = 64);

/// Reciprocal gated cell; reciprocal_gated_step has the formula. The state is c, h.
///
/// x           [B, config.in, H, W] f32; with it residual and feedback, if the config has them
/// returns     h' [B, config.out, H, W]
/// parameters  named as the fields of ReciprocalWeights, those that the config asks for, depthwise kernels with
///             "depthwise_" before the name; with layer norm c_gamma, c_beta, h_gamma, h_beta. Without a
///             bias of its own, a convolution shares that of its sum
/// throws      ValueError for a config that contradicts itself; in a step ShapeError, DTypeError,
///             DeviceError, ValueError naming the op
/// source      Nayebi et al. 2018, Task-driven convolutional recurrent models of the visual system; Nayebi et
///             al. 2022, Recurrent connections in the primate ventral visual stream
class ReciprocalGatedCell final : public ConvCell {
 public:
  ReciprocalGatedCell(const ReciprocalConfig& config, const Device& device);
  const ReciprocalConfig& config() const { return config_; }

 private:
  std::vector<std::int64_t> state_channels(std::int64_t) const override {
    return {config_.cell, config_.out};
  }
  CellResult next(const CellInputs& inputs, const CellState& state) override;

  struct Slot {
    Parameter parameter;
    int operand;  // of reciprocal_gated_step
  };
  ReciprocalConfig config_;
  std::vector<Slot> slots_;  // its place is reserved: the module points at the parameters
  Parameter c_gamma_, c_beta_, h_gamma_, h_beta_;
};

}  // namespace fovea::nn

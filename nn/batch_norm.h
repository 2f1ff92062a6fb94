// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "nn/module.h"

namespace fovea::nn {

/// What one mean and one variance belong to.
enum class Statistics {
  per_channel,  ///< all positions of a channel share them: PyTorch's BatchNorm2d
  per_unit,     ///< each position of each channel has its own: BatchNorm1d on flattened maps
};

/// Whose mean and variance normalise. gamma and beta are trained in every mode.
enum class BatchNormMode {
  follow,  ///< the batch's in training, which also move the running ones; the running ones after eval()
  batch,   ///< always the batch's; they move the running ones in training
  frozen,  ///< always the running ones, which nothing moves: train() and eval() give equal bits
  calibrate,  ///< always the batch's; the running ones become the averages over all batches since the mode was set
};

struct BatchNormOptions {
  Statistics statistics = Statistics::per_channel;
  float eps = 1e-3f;            ///< of the retina models; PyTorch's default is 1e-5
  float momentum = 0.01f;       ///< of the retina models; PyTorch's default is 0.1
  bool affine = true;           ///< learn scale and shift
  float initial_weight = 1.0f;  ///< 0 where a branch is to begin without effect
  bool absolute_scale = false;  ///< multiply by |weight|: a channel cannot flip its sign ("AbsBN")
  BatchNormMode mode = BatchNormMode::follow;
};

/// y = weight·(x - mean)/√(variance + eps) + bias.
///
/// In training, mean and (biased) variance are those of the batch, and the running values move:
/// running ← (1 - momentum)·running + momentum·batch, with the unbiased variance. After eval() the running
/// values take their place. Other choices are modes. A mode is a setting, as train() is: no part of the state. Nor
/// is the count of a calibration, whose result is the running values: one that was interrupted is begun again.
///
/// x           [B, C, …] f32; features = C per channel, or C·H·W per unit
/// returns     as x
/// parameters  weight [features] starts at options.initial_weight, bias [features] at 0 (if options.affine)
/// buffers     running_mean [features] from 0, running_var [features] from 1
/// throws      ShapeError naming the layer if x does not have `features` channels (or units)
/// source      Ioffe and Szegedy 2015; |weight| as in torch-deep-retina's AbsBatchNorm
class BatchNorm final : public Module {
 public:
  BatchNorm(std::int64_t features, const Device& device, BatchNormOptions options = {});
  Var forward(const Var& x) override;

  /// `calibrate` begins at its first batch anew, also if it was the mode before. Batches count equally, of whatever
  /// size; float sums, so k batches cost some k roundings.
  void set_mode(BatchNormMode mode);
  BatchNormMode mode() const { return options_.mode; }
  /// Batches averaged since the mode was set to `calibrate`; 0 in other modes.
  std::int64_t batches() const { return batches_; }
  const BatchNormOptions& options() const { return options_; }

  Parameter weight, bias;  ///< undefined values if options.affine is false
  Tensor running_mean, running_var;

 private:
  Var with_batch_statistics(const Var& x, const Var& scale, const Var& shift);

  BatchNormOptions options_;
  std::int64_t batches_ = 0;
};

/// Each BatchNorm in the subtree of `module`.
std::vector<BatchNorm*> batch_norms(Module& module);
/// Sets the mode of all of them.
void set_mode(Module& module, BatchNormMode mode);

}  // namespace fovea::nn

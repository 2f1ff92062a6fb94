// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "nn/module.h"

namespace fovea::nn {

/// What one mean and one variance belong to.
enum class Statistics {
  per_channel,  ///< all positions of a channel share them: PyTorch's BatchNorm2d
  per_unit,     ///< each position of each channel has its own: BatchNorm1d on flattened maps
};

struct BatchNormOptions {
  Statistics statistics = Statistics::per_channel;
  float eps = 1e-3f;            ///< of the retina models; PyTorch's default is 1e-5
  float momentum = 0.01f;       ///< of the retina models; PyTorch's default is 0.1
  bool affine = true;           ///< learn scale and shift
  bool absolute_scale = false;  ///< multiply by |weight|: a channel cannot flip its sign ("AbsBN")
};

/// y = weight·(x - mean)/√(variance + eps) + bias.
///
/// In training, mean and (biased) variance are those of the batch, and the running values move:
/// running ← (1 - momentum)·running + momentum·batch, with the unbiased variance. After eval() the running
/// values take their place; eval() on this layer alone trains a model with frozen statistics.
///
/// x           [B, C, …] f32; features = C per channel, or C·H·W per unit
/// returns     as x
/// parameters  weight [features] starts at 1, bias [features] at 0 (if options.affine)
/// buffers     running_mean [features] from 0, running_var [features] from 1
/// throws      ShapeError naming the layer if x does not have `features` channels (or units)
/// source      Ioffe and Szegedy 2015; |weight| as in torch-deep-retina's AbsBatchNorm
class BatchNorm final : public Module {
 public:
  BatchNorm(std::int64_t features, const Device& device, BatchNormOptions options = {});
  Var forward(const Var& x) override;

  /// 1/k at the k-th batch makes the running values plain averages, for a calibration pass.
  void set_momentum(float momentum) { options_.momentum = momentum; }
  const BatchNormOptions& options() const { return options_; }

  Parameter weight, bias;  ///< undefined values if options.affine is false
  Tensor running_mean, running_var;

 private:
  BatchNormOptions options_;
};

}  // namespace fovea::nn

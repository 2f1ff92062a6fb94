// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "nn/module.h"

namespace fovea::nn {

/// x and −x, both rectified, one after the other: what follows sees twice as many channels.
///
/// x        [B, C, …] f32 or f64
/// returns  [B, 2·C, …] with another dim, that one's extent doubles
/// throws   ShapeError, DTypeError
/// source   Shang et al. 2016, Understanding and improving CNNs via concatenated rectified linear units
class CReLU final : public Module {
 public:
  explicit CReLU(int dim = 1) : dim_(dim) {}
  Var forward(const Var& x) override;

 private:
  int dim_;
};

}  // namespace fovea::nn

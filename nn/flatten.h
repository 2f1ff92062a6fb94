// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "nn/module.h"

namespace fovea::nn {

/// All dimensions but the batch become one.
///
/// x        [B, …]
/// returns  [B, F], F the product of the rest; row-major, as a Linear after a convolution expects
class Flatten final : public Module {
 public:
  Var forward(const Var& x) override;
};

}  // namespace fovea::nn

// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "nn/optim/optimizer.h"

namespace fovea::nn {

/// buffer ← momentum·buffer + g,  value ← value - lr·buffer; with momentum 0: value ← value - lr·g.
/// source  Robbins and Monro 1951; momentum: Polyak 1964, in PyTorch's form
Optimizer sgd(std::vector<ParameterGroup> groups, double lr, SgdOptions options = {});

}  // namespace fovea::nn

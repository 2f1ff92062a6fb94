// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "nn/optim/optimizer.h"

namespace fovea::nn {

/// buffer ← momentum·buffer + g,  value ← value - lr·buffer; with momentum 0: value ← value - lr·g.
/// Nesterov: value ← value - lr·(g + momentum·buffer), with the new buffer.
/// source  Robbins and Monro 1951; momentum: Polyak 1964; Nesterov 1983; both in PyTorch's form
/// throws  ValueError if momentum is not in [0, 1), or 0 with Nesterov's form
Optimizer sgd(std::vector<ParameterGroup> groups, double lr, SgdOptions options = {});

}  // namespace fovea::nn

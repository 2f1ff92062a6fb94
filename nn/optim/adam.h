// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "nn/optim/optimizer.h"

namespace fovea::nn {

/// m ← β1·m + (1 - β1)·g,  v ← β2·v + (1 - β2)·g²,
/// value ← value - lr·m̂/(√v̂ + eps),  m̂ = m/(1 - β1ᵗ),  v̂ = v/(1 - β2ᵗ), t = 1 at the first step.
///
/// weight decay of a group is coupled: it enters g, as in PyTorch's Adam (not AdamW)
/// source  Kingma and Ba 2015
Optimizer adam(std::vector<ParameterGroup> groups, double lr = 1e-3, AdamOptions options = {});

/// Adam with decoupled weight decay: value ← value·(1 − lr·weight_decay), then Adam's step by the gradient
/// alone.
/// source  Loshchilov and Hutter 2019, Decoupled weight decay regularization; lr times decay as in PyTorch
Optimizer adamw(std::vector<ParameterGroup> groups, double lr = 1e-3, AdamOptions options = {});

}  // namespace fovea::nn

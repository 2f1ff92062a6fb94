// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "nn/optim/optimizer.h"

namespace fovea::nn {

/// v ← α·v + (1 − α)·g²,  s = g/(√v + eps),  value ← value - lr·s; with momentum buffer ← momentum·buffer +
/// s, value ← value - lr·buffer. Centered: the variance v − a² in the place of v, with a ← α·a + (1 − α)·g.
///
/// source  Tieleman and Hinton 2012, Lecture 6.5; centered: Graves 2013; both in PyTorch's form
/// throws  ValueError if alpha or momentum is not in [0, 1), or eps not above 0
Optimizer rmsprop(std::vector<ParameterGroup> groups, double lr = 1e-2, RmspropOptions options = {});

}  // namespace fovea::nn

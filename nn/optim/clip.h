// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>

#include "nn/module.h"

namespace fovea::nn {

/// Between backward and the optimizer's step: the gradients of some parameters, taken as one long vector.
/// Nothing is read back from the device, so that a step with clipping can be captured. Parameters without a
/// gradient count as 0.
///
/// All three throw ValueError if there is no parameter or one is given twice, DeviceError if they are on
/// several devices.

/// √Σg², a scalar in device memory, added in double and in a fixed order.
Tensor gradient_norm(std::span<const NamedParameter> parameters);

/// g ← g·min(1, max_norm/(norm + 1e-6)). A norm that is not finite makes every gradient NaN, so that it
/// shows.
///
/// returns  the norm before
/// throws   ValueError also if max_norm is not above 0
/// source   Pascanu, Mikolov, Bengio 2013, On the difficulty of training recurrent neural networks; in
///          PyTorch's form
Tensor clip_gradients_by_norm(std::span<const NamedParameter> parameters, double max_norm);

/// Each number of a gradient into −limit..limit; NaN stays NaN.
///
/// throws  ValueError also if limit is not above 0
void clip_gradients_by_value(std::span<const NamedParameter> parameters, double limit);

}  // namespace fovea::nn

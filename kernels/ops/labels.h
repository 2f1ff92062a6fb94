// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/dtype.h"
#include "kernels/geometry.h"
#include "kernels/host_device.h"
#include "kernels/queues.h"

namespace fovea {

/// Whether x takes the place of the greatest value before it: equal values leave the first, and a NaN wins.
template <class T>
FOVEA_HOST_DEVICE bool exceeds(T x, T best) {
  return x > best || (x != x && best == best);
}

}  // namespace fovea

namespace fovea::kernels {

/// y[outer, inner] = the place of the greatest of x[outer, width, inner], see exceeds; f32 or f64, width ≥ 1.
FOVEA_KERNEL(argmax, const Reduce& shape, DType dtype, const void* x, std::int64_t* y);

/// y[n, c] = 1 where labels[n] is c, else 0, for n < count and c < classes; a label outside of 0..classes-1
/// gives a row of NaN.
FOVEA_KERNEL(one_hot, std::int64_t count, std::int64_t classes, const std::int64_t* labels, float* y);

}  // namespace fovea::kernels

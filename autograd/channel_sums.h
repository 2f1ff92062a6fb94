// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "autograd/tape.h"
#include "kernels/ops/reduce.h"

namespace fovea {

/// The slope of a bias [C] that was added to maps or rows: Σ of dy [N, C, …] over all dimensions but C; contiguous.
inline Tensor channel_sums(const char* op, const Tensor& dy) {
  std::int64_t inner = 1;
  for (int k = 2; k < dy.rank(); ++k) inner *= dy.size(k);
  const Tensor sums = Tensor::empty({dy.size(1)}, DType::f32, dy.device(), op);
  on(dy.queue(),
     [&](auto& q) { kernels::channel_sum(q, dy.size(0), dy.size(1), inner, dy.data(), sums.data()); });
  return sums;
}

}  // namespace fovea

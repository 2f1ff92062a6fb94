// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>

#include "autograd/op_info.h"
#include "autograd/tape.h"
#include "kernels/ops/dropout.h"

namespace fovea {

inline constexpr OpInfo dropout_info{.name = "dropout",
                                     .signature = "x[n...] -> y[n...]",
                                     .flops = "15·n",
                                     .bytes = "E·2·n",
                                     .gradient = "dx = dy/(1 − p) where kept, else 0",
                                     .gradient_flops = "15·n"};

/// Leaves elements out at random and scales the others, so that their mean stays. The mask is drawn where it
/// is used and never stored: backward draws it again.
///
/// formula     y = x/(1 − p) where u ≥ p, else 0; u uniform in [0, 1)
/// x           [...] f32; per_sample: [N, ...]
/// p           in [0, 1), the share that is left out
/// key         names the draw, see Tape::key: equal keys give equal masks, on every device. If the step is
///             read on the device, it is read forward and backward, and must not change between the two
/// per_sample  whether samples (the elements of dimension 0) are kept or left out as a whole: stochastic
///             depth, dropout of a recurrent state
/// returns     [...]
/// keeps       nothing: dx = dy/(1 − p) where u ≥ p, else 0
/// throws      ValueError with p, DTypeError, ShapeError (per_sample, but x has no dimensions)
/// order       element i, or sample i, takes uniform i of the key, whichever thread computes it
/// source      Srivastava et al. 2014, Dropout; per sample: Huang et al. 2016, Deep networks with stochastic
///             depth
inline Var dropout(const Var& x, float p, const philox::Key& key, bool per_sample = false) {
  constexpr const char* op = "dropout";
  check_dtype(op, "x", x.value(), DType::f32);
  if (!(p >= 0.0f && p < 1.0f)) reject<ValueError>(op, "p is {} for x {}, expected [0, 1)", p, x.shape());
  if (per_sample && x.shape().rank() == 0) reject(op, "x {} has no samples, expected [N, ...]", x.shape());
  std::int64_t group = 1;
  for (int d = 1; per_sample && d < x.shape().rank(); ++d) group *= x.shape()[d];
  group = std::max<std::int64_t>(group, 1);
  const auto run = [=](const Tensor& from) {
    const Tensor in = from.contiguous(op);
    const Tensor out = Tensor::empty_like(in, op);
    on(out.queue(), [&](auto& q) { kernels::dropout(q, in.numel(), group, key, p, in.data(), out.data()); });
    return out;
  };
  return record(dropout_info, run(x.value()), {x}, {},
                [run](const Tensor& dy, Needs, Kept) -> Grads { return {run(dy)}; });
}

}  // namespace fovea

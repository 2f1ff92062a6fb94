// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "autograd/op_info.h"
#include "autograd/tape.h"
#include "kernels/ops/noise.h"

namespace fovea {

inline constexpr OpInfo gaussian_noise_info{.name = "gaussian_noise",
                                            .signature = "x[n...] -> y[n...]",
                                            .flops = "60·n",
                                            .bytes = "E·2·n",
                                            .gradient = "dx = dy"};

/// Adds independent standard normals n times sigma; the noise is drawn where it is used and never stored.
///
/// formula  y = x + sigma·n
/// x        [...] f32
/// sigma    ≥ 0, in units of x
/// key      names the draw, see Tape::key: equal keys give equal noise, on every device
/// returns  [...]
/// keeps    nothing: dx = dy
/// throws   ValueError if sigma is negative or not finite, DTypeError
/// order    element i takes normal i of the key, whichever thread computes it
/// source   normals from Philox: Salmon et al. 2011; Box and Muller 1958
inline Var gaussian_noise(const Var& x, float sigma, const philox::Key& key) {
  check_dtype("gaussian_noise", "x", x.value(), DType::f32);
  if (!(sigma >= 0.0f) || sigma - sigma != 0.0f)
    reject<ValueError>("gaussian_noise", "sigma is {}, expected a finite number of at least 0", sigma);
  const Tensor in = x.value().contiguous("gaussian_noise");
  const Tensor y = Tensor::empty_like(in, "gaussian_noise");
  on(y.queue(), [&](auto& q) { kernels::gaussian_noise(q, in.numel(), key, sigma, in.data(), y.data()); });
  return record(gaussian_noise_info, y, {x}, {}, [](const Tensor& dy, Needs, Kept) -> Grads { return {dy}; });
}

}  // namespace fovea

// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "autograd/op_info.h"
#include "autograd/tape.h"
#include "kernels/ops/loss.h"

namespace fovea {

inline constexpr OpInfo poisson_loss_info{.name = "poisson_loss",
                                          .signature = "rate[n...] target[n...] -> loss[]",
                                          .flops = "19·n",
                                          .bytes = "E·2·n",
                                          .gradient = "drate = dloss/n·(1 − target/(rate + eps))",
                                          .gradient_flops = "4·n",
                                          .keeps = "rate target"};
inline constexpr OpInfo mse_loss_info{.name = "mse_loss",
                                      .signature = "x[n...] target[n...] -> loss[]",
                                      .flops = "3·n",
                                      .bytes = "E·2·n",
                                      .gradient = "dx = dloss·2/n·(x − target)",
                                      .gradient_flops = "2·n",
                                      .keeps = "x target"};

namespace loss_detail {

inline void check(const char* op, const char* operand, const Var& x, const Var& target) {
  check_dtype(op, operand, x.value(), DType::f32);
  check_dtype(op, "target", target.value(), DType::f32);
  if (x.shape() != target.shape())
    reject(op, "{} {} and target {} must have the same shape", operand, x.shape(), target.shape());
  if (x.value().numel() == 0) reject(op, "{} {} is empty and has no mean", operand, x.shape());
  if (target.needs_grad())
    reject<ValueError>(op, "target {} needs a gradient, but is taken as a constant; detach() it",
                       target.shape());
  check_same_device(op, {x, target});
}

}  // namespace loss_detail

/// Poisson negative log-likelihood without its constant, as a mean over all elements.
///
/// formula  loss = 1/n·Σ (rate − target·log(rate + eps))
/// rate     any shape, f32, ≥ 0, at least one element; in the units of target (spikes per bin, or Hz: the
///          least is at rate = target - eps in either). A negative rate gives NaN, which is not hidden
/// target   shape of rate, f32, ≥ 0; a constant
/// eps      > 0, in the units of rate: keeps log finite at rate 0. PyTorch has 1e-8, Keras 1e-7
/// returns  scalar; may be negative
/// keeps    rate, target: drate = dloss/n·(1 − target/(rate + eps))
/// throws   ShapeError, DTypeError, DeviceError, ValueError (eps; target needs a gradient)
/// order    deterministic, summed in double
/// source   McIntosh et al. 2016, Deep learning models of the retinal response to natural scenes
inline Var poisson_loss(const Var& rate, const Var& target, float eps = 1e-8f) {
  constexpr const char* op = "poisson_loss";
  loss_detail::check(op, "rate", rate, target);
  if (!(eps > 0.0f)) reject<ValueError>(op, "eps is {}, expected more than 0", eps);
  const Tensor in = rate.value().contiguous(op), wanted = target.value().contiguous(op);
  Tensor loss = Tensor::empty({}, DType::f32, rate.device(), op);
  on(rate.queue(),
     [&](auto& q) { kernels::poisson_loss(q, in.numel(), eps, in.data(), wanted.data(), loss.data()); });
  return record(poisson_loss_info, loss, {rate, target}, {in, wanted},
                [=](const Tensor& dloss, Needs, Kept kept) -> Grads {
                  const Tensor &kept_rate = kept[0], &kept_target = kept[1];
                  Tensor drate = Tensor::empty(kept_rate.shape(), DType::f32, kept_rate.device(), op);
                  on(kept_rate.queue(), [&](auto& q) {
                    kernels::poisson_loss_grad(q, kept_rate.numel(), eps, kept_rate.data(),
                                               kept_target.data(), dloss.data(), drate.data());
                  });
                  return {drate};
                });
}

/// Mean squared error over all elements.
///
/// formula  loss = 1/n·Σ (x − target)²
/// x        any shape, f32, at least one element
/// target   shape of x, f32; a constant
/// returns  scalar, in units of x²
/// keeps    x, target: dx = dloss·2/n·(x − target)
/// throws   ShapeError, DTypeError, DeviceError, ValueError (target needs a gradient)
/// order    deterministic, summed in double
/// source   Gauss 1809 (least squares)
inline Var mse_loss(const Var& x, const Var& target) {
  constexpr const char* op = "mse_loss";
  loss_detail::check(op, "x", x, target);
  const Tensor in = x.value().contiguous(op), wanted = target.value().contiguous(op);
  Tensor loss = Tensor::empty({}, DType::f32, x.device(), op);
  on(x.queue(), [&](auto& q) { kernels::mse_loss(q, in.numel(), in.data(), wanted.data(), loss.data()); });
  return record(mse_loss_info, loss, {x, target}, {in, wanted},
                [](const Tensor& dloss, Needs, Kept kept) -> Grads {
                  const Tensor &kept_x = kept[0], &kept_target = kept[1];
                  Tensor dx = Tensor::empty(kept_x.shape(), DType::f32, kept_x.device(), op);
                  on(kept_x.queue(), [&](auto& q) {
                    kernels::mse_loss_grad(q, kept_x.numel(), kept_x.data(), kept_target.data(), dloss.data(),
                                           dx.data());
                  });
                  return {dx};
                });
}

}  // namespace fovea

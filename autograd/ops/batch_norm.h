// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "autograd/op_info.h"
#include "autograd/optional.h"
#include "autograd/tape.h"
#include "kernels/ops/batch_norm.h"

namespace fovea {

inline constexpr OpInfo batch_norm_train_info{
    .name = "batch_norm_train",
    .signature = "x[N, C, S...] gamma[C]? beta[C]? -> y[N, C, S...]",
    .flops = "7·N·C·S",
    .bytes = "E·(2·N·C·S + C·(gamma + beta + 6))",
    .gradient = "dx = gamma/sd·(dy − Σdy/M − x̂·Σ(dy·x̂)/M), dgamma = Σdy·x̂, dbeta = Σdy",
    .gradient_flops = "5·N·C·S + dx·6·N·C·S",
    .keeps = "x gamma mean inv_sd"};
inline constexpr OpInfo batch_norm_inference_info{
    .name = "batch_norm_inference",
    .signature = "x[N, C, S...] gamma[C]? beta[C]? -> y[N, C, S...]",
    .flops = "2·N·C·S",
    .bytes = "E·(2·N·C·S + C·(gamma + beta + 2))",
    .gradient = "dx = dy·gamma/√(running_var + eps), dgamma = Σdy·x̂, dbeta = Σdy",
    .gradient_flops = "dx·N·C·S + dgamma·4·N·C·S + dbeta·N·C·S",
    .keeps = "x gamma mean variance"};

namespace batch_norm_detail {

/// Checks what both forms share; S is the product of the extents after C.
inline BatchNorm checked(const char* op, const Var& x, const Var& gamma, const Var& beta,
                         const Tensor& running_mean, const Tensor& running_var, float eps) {
  check_dtype(op, "x", x.value(), DType::f32);
  if (x.shape().rank() < 2) reject(op, "x {} has rank {}, expected [N, C, ...]", x.shape(), x.shape().rank());
  BatchNorm shape{.batch = x.shape()[0], .channels = x.shape()[1]};
  for (int d = 2; d < x.shape().rank(); ++d) shape.inner *= x.shape()[d];
  const auto per_channel = [&](const char* operand, const Tensor& t) {
    check_dtype(op, operand, t, DType::f32);
    if (t.shape() != Shape{shape.channels})
      reject(op, "x {} has {} channels, {} {} expects [{}]", x.shape(), shape.channels, operand, t.shape(),
             shape.channels);
  };
  if (gamma.value().defined()) per_channel("gamma", gamma.value());
  if (beta.value().defined()) per_channel("beta", beta.value());
  for (const auto& [operand, running] :
       {std::pair{"running_mean", &running_mean}, {"running_var", &running_var}}) {
    if (!running->defined())
      reject<ValueError>(op, "{} is undefined; give it zeros or ones of [{}]", operand, shape.channels);
    per_channel(operand, *running);
    if (!running->is_contiguous())
      reject<ValueError>(op, "{} {} is a strided view; give it contiguous", operand, running->shape());
  }
  check_same_device(op, {x, gamma, beta, running_mean, running_var});
  if (!(eps > 0.0f)) reject<ValueError>(op, "eps is {}, expected more than 0", eps);
  return shape;
}

}  // namespace batch_norm_detail

/// Batch normalisation with the statistics of this batch, per channel over N and the S positions that follow;
/// var is the biased one, Σ(x − mean)²/M with M = N·S. For statistics per unit flatten x to [N, C·H·W].
///
/// formula       y = gamma·(x − mean)/√(var + eps) + beta
/// x             [N, C, ...] f32, any layout, at least one element
/// gamma, beta   [C] f32, or Var() for 1 and 0
/// running_mean, running_var  [C] f32, contiguous, changed in place: r ← (1 − momentum)·r + momentum·batch,
///               the batch's variance unbiased here (M − 1; for M = 1 the biased one, 0)
/// eps           > 0, in units of x²; Deep Retina 1e-3
/// momentum      0..1, share of the new batch (Keras calls 1 − momentum by that name); Deep Retina 0.01. With 1/k at
///               the k-th batch the running values are averages of the batches' values
/// returns       [N, C, ...] contiguous. With M = 1 or constant input, y = beta
/// keeps         x, gamma, mean and 1/sd: dx = gamma/sd·(dy − Σdy/M − x̂·Σ(dy·x̂)/M), dgamma = Σdy·x̂,
///               dbeta = Σdy
/// throws        ShapeError, DTypeError, DeviceError, ValueError (undefined or strided running values, eps,
///               momentum)
/// order         deterministic: same input, device and build give the same bits
/// source        Ioffe and Szegedy 2015, Batch Normalization, Algorithm 1
inline Var batch_norm_train(const Var& x, const Var& gamma, const Var& beta, const Tensor& running_mean,
                            const Tensor& running_var, float eps = 1e-3f, float momentum = 0.01f) {
  using namespace batch_norm_detail;
  constexpr const char* op = "batch_norm_train";
  const BatchNorm shape = checked(op, x, gamma, beta, running_mean, running_var, eps);
  if (!(momentum >= 0.0f && momentum <= 1.0f))
    reject<ValueError>(op, "momentum is {}, expected 0..1", momentum);
  if (shape.count() == 0) reject(op, "x {} is empty and has no statistics", x.shape());
  const Tensor in = x.value().contiguous(op);
  const Tensor scale = contiguous_or_undefined(op, gamma), shift = contiguous_or_undefined(op, beta);
  Tensor y = Tensor::empty(x.shape(), DType::f32, x.device(), op);
  const Tensor mean = Tensor::empty({shape.channels}, DType::f32, x.device(), op);
  const Tensor inv_sd = Tensor::empty_like(mean, op);
  // A checkpoint that is computed again moved them the first time.
  const bool again = x.tape() != nullptr && x.tape()->replaying();
  const Tensor moving_mean = again ? running_mean.clone(op) : running_mean;
  const Tensor moving_var = again ? running_var.clone(op) : running_var;
  on(x.queue(), [&](auto& q) {
    kernels::batch_norm_train(q, shape, eps, momentum, in.data(), data_or_null(scale), data_or_null(shift),
                              moving_mean.data(), moving_var.data(), y.data(), mean.data(), inv_sd.data());
  });
  return record(
      batch_norm_train_info, y, {x, gamma, beta}, {in, scale, mean, inv_sd},
      [=](const Tensor& dy, Needs needs, Kept kept) -> Grads {
        const Tensor &kept_x = kept[0], &kept_gamma = kept[1], &kept_mean = kept[2], &kept_inv_sd = kept[3];
        const Tensor slope = dy.contiguous(op);
        const Tensor dx = empty_if(needs[0], kept_x.shape(), kept_x, op),
                     dgamma = empty_if(needs[1], kept_mean.shape(), kept_x, op),
                     dbeta = empty_if(needs[2], kept_mean.shape(), kept_x, op);
        on(kept_x.queue(), [&](auto& q) {
          kernels::batch_norm_train_grad(q, shape, kept_x.data(), data_or_null(kept_gamma), kept_mean.data(),
                                         kept_inv_sd.data(), slope.data(), data_or_null(dx),
                                         data_or_null(dgamma), data_or_null(dbeta));
        });
        return {dx, dgamma, dbeta};
      });
}

/// Batch normalisation with stored statistics.
///
/// formula       y = gamma·(x − running_mean)/√(running_var + eps) + beta
/// x             [N, C, ...] f32, any layout; may be empty
/// gamma, beta   [C] f32, or Var() for 1 and 0
/// running_mean, running_var  [C] f32, contiguous; constants, not changed here
/// eps           > 0, in units of x²
/// returns       [N, C, ...] contiguous
/// keeps         x, gamma and copies of the running values, which a later training step may change in place:
///               dx = dy·gamma/√(running_var + eps), dgamma = Σdy·x̂, dbeta = Σdy
/// throws        ShapeError, DTypeError, DeviceError, ValueError (undefined or strided running values, eps)
/// order         deterministic: same input, device and build give the same bits
/// source        Ioffe and Szegedy 2015, Batch Normalization, Algorithm 2
inline Var batch_norm_inference(const Var& x, const Var& gamma, const Var& beta, const Tensor& running_mean,
                                const Tensor& running_var, float eps = 1e-3f) {
  using namespace batch_norm_detail;
  constexpr const char* op = "batch_norm_inference";
  const BatchNorm shape = checked(op, x, gamma, beta, running_mean, running_var, eps);
  const Tensor in = x.value().contiguous(op);
  const Tensor scale = contiguous_or_undefined(op, gamma), shift = contiguous_or_undefined(op, beta);
  Tensor y = Tensor::empty(x.shape(), DType::f32, x.device(), op);
  on(x.queue(), [&](auto& q) {
    kernels::batch_norm_inference(q, shape, eps, in.data(), data_or_null(scale), data_or_null(shift),
                                  running_mean.data(), running_var.data(), y.data());
  });
  const bool recorded = x.needs_grad() || gamma.needs_grad() || beta.needs_grad();
  const Tensor mean = recorded ? running_mean.clone(op) : running_mean;
  const Tensor variance = recorded ? running_var.clone(op) : running_var;
  return record(
      batch_norm_inference_info, y, {x, gamma, beta}, {in, scale, mean, variance},
      [=](const Tensor& dy, Needs needs, Kept kept) -> Grads {
        const Tensor &kept_x = kept[0], &kept_gamma = kept[1], &kept_mean = kept[2], &kept_variance = kept[3];
        const Tensor slope = dy.contiguous(op);
        const Tensor dx = empty_if(needs[0], kept_x.shape(), kept_x, op),
                     dgamma = empty_if(needs[1], kept_mean.shape(), kept_x, op),
                     dbeta = empty_if(needs[2], kept_mean.shape(), kept_x, op);
        on(kept_x.queue(), [&](auto& q) {
          kernels::batch_norm_inference_grad(q, shape, eps, kept_x.data(), data_or_null(kept_gamma),
                                             kept_mean.data(), kept_variance.data(), slope.data(),
                                             data_or_null(dx), data_or_null(dgamma), data_or_null(dbeta));
        });
        return {dx, dgamma, dbeta};
      });
}

}  // namespace fovea

// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "autograd/op_info.h"
#include "autograd/optional.h"
#include "autograd/tape.h"
#include "kernels/ops/group_norm.h"
#include "kernels/ops/layer_norm_channels.h"

namespace fovea {

inline constexpr OpInfo group_norm_info{
    .name = "group_norm",
    .signature = "x[N, C, S...] gamma[C]? beta[C]? -> y[N, C, S...]",
    .flops = "7·N·C·S",
    .bytes = "E·(2·N·C·S + 2·N + C·(gamma + beta))",
    .gradient = "dx = (g − Σg/M − x̂·Σ(g·x̂)/M)/sd with g = dy·gamma, dgamma = Σdy·x̂, dbeta = Σdy",
    .gradient_flops = "5·N·C·S + dx·6·N·C·S",
    .keeps = "x gamma mean inv_sd"};
inline constexpr OpInfo layer_norm_info{
    .name = "layer_norm",
    .signature = "x[n...] gamma[F]? beta[F]? -> y[n...]",
    .flops = "7·n",
    .bytes = "E·2·n",
    .gradient = "dx = (g − Σg/F − x̂·Σ(g·x̂)/F)/sd with g = dy·gamma, dgamma = Σdy·x̂, dbeta = Σdy",
    .gradient_flops = "5·n + dx·6·n",
    .keeps = "x gamma mean inv_sd"};
inline constexpr OpInfo layer_norm_channels_info{
    .name = "layer_norm_channels",
    .signature = "x[N, C, S...] gamma[C]? beta[C]? -> y[N, C, S...]",
    .flops = "7·N·C·S",
    .bytes = "E·(2·N·C·S + 2·N·S + C·(gamma + beta))",
    .gradient = "dx = (g − Σg/C − x̂·Σ(g·x̂)/C)/sd with g = dy·gamma, dgamma = Σdy·x̂, dbeta = Σdy",
    .gradient_flops = "5·N·C·S + dx·6·N·C·S",
    .keeps = "x gamma mean inv_sd"};

namespace group_norm_detail {

/// Checks what the three share: gamma and beta belong to `width` things called `what`.
inline void check(const char* op, const Var& x, const Var& gamma, const Var& beta, std::int64_t width,
                  const char* what, float eps) {
  for (const auto& [operand, v] : {std::pair{"gamma", &gamma}, {"beta", &beta}}) {
    if (!v->value().defined()) continue;
    check_dtype(op, operand, v->value(), DType::f32);
    if (v->shape() != Shape{width})
      reject(op, "x {} has {} {}, {} {} expects [{}]", x.shape(), width, what, operand, v->shape(), width);
  }
  check_same_device(op, {x, gamma, beta});
  if (!(eps > 0.0f)) reject<ValueError>(op, "eps is {}, expected more than 0", eps);
}

inline void check_rank(const char* op, const Var& x) {
  check_dtype(op, "x", x.value(), DType::f32);
  if (x.shape().rank() < 2) reject(op, "x {} has rank {}, expected [N, C, ...]", x.shape(), x.shape().rank());
}
inline std::int64_t positions(const Shape& shape) {
  std::int64_t count = 1;
  for (int d = 2; d < shape.rank(); ++d) count *= shape[d];
  return count;
}

/// The kernels of a geometry: contiguous slabs, or columns.
template <class Queue, class... P>
void forward(Queue& q, const GroupNorm& shape, P... operands) {
  kernels::group_norm(q, shape, operands...);
}
template <class Queue, class... P>
void forward(Queue& q, const Reduce& shape, P... operands) {
  kernels::layer_norm_channels(q, shape, operands...);
}
template <class Queue, class... P>
void backward(Queue& q, const GroupNorm& shape, P... operands) {
  kernels::group_norm_grad(q, shape, operands...);
}
template <class Queue, class... P>
void backward(Queue& q, const Reduce& shape, P... operands) {
  kernels::layer_norm_channels_grad(q, shape, operands...);
}

/// Forward and gradient; statistics are kept in tensors of `statistics` elements.
template <class Geometry>
Var normalized(const OpInfo& info, const Geometry& geometry, std::int64_t statistics, std::int64_t width,
               const Var& x, const Var& gamma, const Var& beta, float eps) {
  const char* op = info.name;
  const Tensor in = x.value().contiguous(op);
  const Tensor scale = contiguous_or_undefined(op, gamma), shift = contiguous_or_undefined(op, beta);
  Tensor y = Tensor::empty(x.shape(), DType::f32, x.device(), op);
  const Tensor mean = Tensor::empty({statistics}, DType::f32, x.device(), op);
  const Tensor inv_sd = Tensor::empty_like(mean, op);
  if (in.numel() > 0)
    on(x.queue(), [&](auto& q) {
      forward(q, geometry, eps, in.data(), data_or_null(scale), data_or_null(shift), y.data(), mean.data(),
              inv_sd.data());
    });
  return record(
      info, y, {x, gamma, beta}, {in, scale, mean, inv_sd},
      [=](const Tensor& dy, Needs needs, Kept kept) -> Grads {
        const Tensor &kept_x = kept[0], &kept_gamma = kept[1], &kept_mean = kept[2], &kept_inv_sd = kept[3];
        const Tensor slope = dy.contiguous(op);
        const Tensor dx = empty_if(needs[0], kept_x.shape(), kept_x, op),
                     dgamma = empty_if(needs[1], {width}, kept_x, op),
                     dbeta = empty_if(needs[2], {width}, kept_x, op);
        if (kept_x.numel() == 0) {
          if (needs[1]) dgamma.fill(0.0);
          if (needs[2]) dbeta.fill(0.0);
          return {dx, dgamma, dbeta};
        }
        on(kept_x.queue(), [&](auto& q) {
          backward(q, geometry, kept_x.data(), data_or_null(kept_gamma), kept_mean.data(), kept_inv_sd.data(),
                   slope.data(), data_or_null(dx), data_or_null(dgamma), data_or_null(dbeta));
        });
        return {dx, dgamma, dbeta};
      });
}

}  // namespace group_norm_detail

/// Group normalisation: each sample and group of channels has statistics of its own, over the M = C/groups·S
/// elements of the group; var is the biased one, Σ(x − mean)²/M. One group is layer normalisation over channels and
/// positions together, with gamma and beta by channel; as many groups as channels are instance normalisation.
///
/// formula       y = gamma·(x − mean)/√(var + eps) + beta
/// x             [N, C, ...] f32, any layout; may be empty
/// gamma, beta   [C] f32, or Var() for 1 and 0
/// groups        at least 1, a divisor of C: group g has the channels g·C/groups and those that follow
/// eps           > 0, in units of x²; PyTorch 1e-5, TensorFlow's contrib layer_norm 1e-12
/// returns       [N, C, ...] contiguous. Where a group is constant, y = beta
/// keeps         x, gamma, mean and 1/sd: dx = (g − Σg/M − x̂·Σ(g·x̂)/M)/sd with g = dy·gamma, dgamma = Σdy·x̂,
///               dbeta = Σdy. Where a group is constant, x̂ = 0 and 1/sd = 1/√eps: finite
/// throws        ShapeError, DTypeError, DeviceError, ValueError (groups, eps)
/// order         deterministic: same input, device and build give the same bits
/// source        Wu and He 2018, Group Normalization; one group: Ba, Kiros, Hinton 2016, Layer Normalization
inline Var group_norm(const Var& x, const Var& gamma, const Var& beta, std::int64_t groups,
                      float eps = 1e-5f) {
  using namespace group_norm_detail;
  constexpr const char* op = "group_norm";
  check_rank(op, x);
  const std::int64_t batch = x.shape()[0], channels = x.shape()[1];
  if (groups < 1 || channels % groups != 0)
    reject<ValueError>(op, "groups is {}, expected a divisor of the {} channels of x {}", groups, channels,
                       x.shape());
  check(op, x, gamma, beta, channels, "channels", eps);
  const GroupNorm shape{
      .batch = batch, .groups = groups, .channels = channels / groups, .inner = positions(x.shape())};
  return normalized(group_norm_info, shape, shape.slabs(), channels, x, gamma, beta, eps);
}

/// Layer normalisation over the last dimension: each row has statistics of its own.
///
/// formula       y = gamma·(x − mean)/√(var + eps) + beta, var = Σ(x − mean)²/F
/// x             [..., F] f32, rank 1 or more, any layout; may be empty
/// gamma, beta   [F] f32, or Var() for 1 and 0
/// eps           > 0, in units of x²
/// returns       shape of x, contiguous. Where a row is constant, y = beta
/// keeps         x, gamma, mean and 1/sd: dx = (g − Σg/F − x̂·Σ(g·x̂)/F)/sd with g = dy·gamma, dgamma = Σdy·x̂,
///               dbeta = Σdy
/// throws        ShapeError, DTypeError, DeviceError, ValueError (eps)
/// order         deterministic: same input, device and build give the same bits
/// source        Ba, Kiros, Hinton 2016, Layer Normalization
inline Var layer_norm(const Var& x, const Var& gamma, const Var& beta, float eps = 1e-5f) {
  using namespace group_norm_detail;
  constexpr const char* op = "layer_norm";
  check_dtype(op, "x", x.value(), DType::f32);
  if (x.shape().rank() < 1) reject(op, "x {} has rank 0, expected [..., F]", x.shape());
  const std::int64_t width = x.shape().back();
  check(op, x, gamma, beta, width, "columns", eps);
  std::int64_t rows = 1;
  for (int d = 0; d < x.shape().rank() - 1; ++d) rows *= x.shape()[d];
  return normalized(layer_norm_info, GroupNorm{.batch = rows, .channels = width}, rows, width, x, gamma, beta,
                    eps);
}

/// Layer normalisation over the channels: each position of each sample has statistics of its own.
///
/// formula       y = gamma·(x − mean)/√(var + eps) + beta, var = Σ(x − mean)²/C
/// x             [N, C, ...] f32, any layout; may be empty
/// gamma, beta   [C] f32, or Var() for 1 and 0
/// eps           > 0, in units of x²
/// returns       [N, C, ...] contiguous. Where all channels are equal, y = beta
/// keeps         x, gamma, mean and 1/sd: dx = (g − Σg/C − x̂·Σ(g·x̂)/C)/sd with g = dy·gamma, dgamma = Σdy·x̂,
///               dbeta = Σdy
/// throws        ShapeError, DTypeError, DeviceError, ValueError (eps)
/// order         deterministic: same input, device and build give the same bits
/// source        Ba, Kiros, Hinton 2016, Layer Normalization, applied at each position
inline Var layer_norm_channels(const Var& x, const Var& gamma, const Var& beta, float eps = 1e-5f) {
  using namespace group_norm_detail;
  constexpr const char* op = "layer_norm_channels";
  check_rank(op, x);
  const std::int64_t batch = x.shape()[0], channels = x.shape()[1], inner = positions(x.shape());
  check(op, x, gamma, beta, channels, "channels", eps);
  if (inner == 1)  // columns of one are rows
    return normalized(layer_norm_channels_info, GroupNorm{.batch = batch, .channels = channels}, batch,
                      channels, x, gamma, beta, eps);
  return normalized(layer_norm_channels_info, Reduce{batch, channels, inner}, batch * inner, channels, x,
                    gamma, beta, eps);
}

}  // namespace fovea

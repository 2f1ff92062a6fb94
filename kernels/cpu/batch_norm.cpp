// SPDX-License-Identifier: Apache-2.0
#include "kernels/ops/batch_norm.h"

#include "kernels/arena.h"
#include "kernels/cpu/batch_norm_columns.h"
#include "kernels/cpu/batch_norm_planes.h"
#include "kernels/cpu/queue.h"

/// Two layouts, two loops. Per unit (inner = 1): lanes run along the channels, each channel walks down its
/// column. Per channel (inner > 1): lanes run along a plane. Either way a first sweep sums and a second one
/// writes; sums are taken in short runs and then merged, in an order that the shape alone decides.
namespace fovea::kernels {
namespace {

void gradient(cpu::Queue& q, const BatchNorm& s, const Parameters& p, const Gradients& g, const float* x,
              const float* dy) {
  if (s.count() == 0) {
    for (int64_t c = 0; c < s.channels; ++c) {
      if (g.dgamma != nullptr) g.dgamma[c] = 0.0f;
      if (g.dbeta != nullptr) g.dbeta[c] = 0.0f;
    }
  } else if (s.inner == 1) {
    for_channel_ranges(q, s.channels, [&](Range channels) {
      PartSums sums;
      if (g.needs_sums()) sum_slopes(s, channels, p, g, x, dy, sums);
      if (g.dx != nullptr) slope_columns(s, channels, p, g, x, dy, sums);
    });
  } else {
    planes_grad(q, s, p, g, x, dy);
  }
}

}  // namespace

void batch_norm_train(cpu::Queue& q, const BatchNorm& s, float eps, float momentum, const float* x,
                      const float* gamma, const float* beta, float* running_mean, float* running_var,
                      float* y, float* mean, float* inv_sd) {
  if (s.count() == 0) return;
  const int64_t count = s.batch * s.inner;
  const float to_biased = 1.0f / static_cast<float>(count);
  const float to_unbiased = count > 1 ? 1.0f / static_cast<float>(count - 1) : to_biased;
  const Parameters p{gamma, beta, mean, inv_sd, nullptr, eps};
  if (s.inner == 1) {
    for_channel_ranges(q, s.channels, [&](Range channels) {
      PartSums moments;
      sum_moments(s, channels, x, moments);
      for_columns(channels, [&]<int W, bool kPartial>(Columns<W, kPartial> columns, int64_t c) {
        const Vec keep = Vec::all(1.0f - momentum), take = Vec::all(momentum);
        for (int w = 0; w < W; ++w) {
          const Vec m = columns.load(x + c, w) + columns.load(moments.a + (c - channels.first), w);
          const Vec m2 = columns.load(moments.b + (c - channels.first), w);
          columns.store(mean + c, w, m);
          columns.store(inv_sd + c, w, inverse_sd(m2 * Vec::all(to_biased), Vec::all(eps)));
          columns.store(running_mean + c, w, fma(take, m, keep * columns.load(running_mean + c, w)));
          columns.store(running_var + c, w,
                        fma(take, m2 * Vec::all(to_unbiased), keep * columns.load(running_var + c, w)));
        }
      });
      normalize_columns(s, channels, p, x, y);
    });
    return;
  }
  train_planes(q, s, p, x, y, [=](int64_t c, const Moments& total) {
    mean[c] = static_cast<float>(total.mean);
    const float m2 = static_cast<float>(total.m2);
    inv_sd[c] = inverse_sd(m2 * to_biased, eps);
    running_mean[c] = momentum * mean[c] + (1.0f - momentum) * running_mean[c];
    running_var[c] = momentum * (m2 * to_unbiased) + (1.0f - momentum) * running_var[c];
  });
}

void batch_norm_inference(cpu::Queue& q, const BatchNorm& s, float eps, const float* x, const float* gamma,
                          const float* beta, const float* running_mean, const float* running_var, float* y) {
  if (s.count() == 0) return;
  const Parameters p{gamma, beta, running_mean, nullptr, running_var, eps};
  if (s.inner != 1) return normalize_planes(q, s, p, x, y);
  for_channel_ranges(q, s.channels, [&](Range channels) { normalize_columns(s, channels, p, x, y); });
}

void batch_norm_train_grad(cpu::Queue& q, const BatchNorm& s, const float* x, const float* gamma,
                           const float* mean, const float* inv_sd, const float* dy, float* dx, float* dgamma,
                           float* dbeta) {
  gradient(q, s, {gamma, nullptr, mean, inv_sd, nullptr, 0.0f}, {dx, dgamma, dbeta, true}, x, dy);
}

void batch_norm_inference_grad(cpu::Queue& q, const BatchNorm& s, float eps, const float* x,
                               const float* gamma, const float* running_mean, const float* running_var,
                               const float* dy, float* dx, float* dgamma, float* dbeta) {
  gradient(q, s, {gamma, nullptr, running_mean, nullptr, running_var, eps}, {dx, dgamma, dbeta, false}, x,
           dy);
}

}  // namespace fovea::kernels

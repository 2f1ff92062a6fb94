// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "kernels/cuda/moments.cuh"

/// The arithmetic of one channel, which the layouts of batch_norm.cu share. Internal linkage: kernel
/// arguments.
namespace fovea::kernels {
namespace {

using std::int64_t;

/// What is known of a channel; null pointers stand for 1 and 0.
struct Parameters {
  const float* gamma;
  const float* beta;
  const float* mean;
  const float* inv_sd;
  const float* variance;  // if inv_sd is null
  float eps;
};

__device__ float inv_sd_of(const Parameters& p, int64_t c) {
  return p.inv_sd != nullptr ? p.inv_sd[c] : inverse_sd(p.variance[c], p.eps);
}
__device__ float gamma_of(const Parameters& p, int64_t c) { return p.gamma != nullptr ? p.gamma[c] : 1.0f; }
__device__ float beta_of(const Parameters& p, int64_t c) { return p.beta != nullptr ? p.beta[c] : 0.0f; }

/// Where the statistics of a training batch go.
struct Statistics {
  float eps, momentum;
  float *running_mean, *running_var, *mean, *inv_sd;
};

/// How (x - mean) becomes y.
struct Affine {
  float mean, scale, shift;
  __device__ float operator()(float x) const { return fmaf(x - mean, scale, shift); }
};
__device__ Affine affine_of(const Parameters& p, int64_t c) {
  return {p.mean[c], gamma_of(p, c) * inv_sd_of(p, c), beta_of(p, c)};
}

/// The affine map that a channel's moments give. `moments.mean` is measured from `origin`.
__device__ Affine affine_of(const Statistics& to, const gpu::Moments& moments, float origin,
                            const float* gamma, const float* beta, int64_t c, bool write) {
  const float mean = origin + moments.mean, inv_sd = inverse_sd(moments.m2 / moments.count, to.eps);
  if (write) {
    const float unbiased = moments.count > 1.0f ? moments.m2 / (moments.count - 1.0f) : moments.m2;
    to.mean[c] = mean;
    to.inv_sd[c] = inv_sd;
    to.running_mean[c] = fmaf(to.momentum, mean, (1.0f - to.momentum) * to.running_mean[c]);
    to.running_var[c] = fmaf(to.momentum, unbiased, (1.0f - to.momentum) * to.running_var[c]);
  }
  return {mean, (gamma != nullptr ? gamma[c] : 1.0f) * inv_sd, beta != nullptr ? beta[c] : 0.0f};
}

struct Gradients {
  float *dx, *dgamma, *dbeta;
  bool statistics_depend_on_x;  // training
  __host__ __device__ bool needs_sums() const {
    return dgamma != nullptr || dbeta != nullptr || (statistics_depend_on_x && dx != nullptr);
  }
};

/// How (dy, x) becomes dx, from Σdy and Σ dy·(x - mean) over n values.
struct Slope {
  float mean, scale, slope, pull;
  __device__ float operator()(float dy, float x) const { return fmaf(x - mean, pull, dy - slope) * scale; }
};
__device__ Slope slope_of(const Parameters& p, const Gradients& g, gpu::Pair sums, float count, int64_t c,
                          bool write) {
  const float inv_sd = inv_sd_of(p, c);
  if (write && g.dgamma != nullptr) g.dgamma[c] = sums.second * inv_sd;
  if (write && g.dbeta != nullptr) g.dbeta[c] = sums.first;
  return {p.mean[c], gamma_of(p, c) * inv_sd, sums.first / count, -sums.second / count * inv_sd * inv_sd};
}

}  // namespace
}  // namespace fovea::kernels

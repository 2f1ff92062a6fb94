// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/cpu/moments.h"
#include "kernels/cpu/queue.h"
#include "kernels/geometry.h"

/// What the two layouts of batch_norm.cpp share. Internal linkage, as vec.h.
namespace fovea::kernels {
namespace {

/// What is known about a channel when its elements are written; null pointers stand for 1 and 0.
struct Parameters {
  const float* gamma;
  const float* beta;
  const float* mean;
  const float* inv_sd;
  const float* variance;  // if inv_sd is null
  float eps;
  float gamma_at(int64_t c) const { return gamma != nullptr ? gamma[c] : 1.0f; }
  float beta_at(int64_t c) const { return beta != nullptr ? beta[c] : 0.0f; }
  float inv_sd_at(int64_t c) const { return inv_sd != nullptr ? inv_sd[c] : inverse_sd(variance[c], eps); }
};

/// Where gradients go; null pointers are not wanted.
struct Gradients {
  float* dx;
  float* dgamma;
  float* dbeta;
  bool statistics_depend_on_x;  // training
  bool needs_sums() const {
    return dgamma != nullptr || dbeta != nullptr || (statistics_depend_on_x && dx != nullptr);
  }
};

}  // namespace
}  // namespace fovea::kernels

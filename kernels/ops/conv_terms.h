// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "kernels/function.h"
#include "kernels/queues.h"

namespace fovea {

/// One correlation of a map with a kernel, or with a slice of one, stride 1. Weight (o, c, r, s) stands at
/// w[o·w_out + c·w_in + r·w_row + s·w_column]; strides may be negative, so a turned kernel is one, too.
struct ConvTerm {
  const float* x = nullptr;  ///< [batch, channels, height, width], contiguous
  const float* w = nullptr;
  std::int64_t w_out = 0, w_in = 0, w_row = 0, w_column = 0;
  int channels = 0;  ///< of x
  int kernel_height = 0, kernel_width = 0;
  int top = 0, left = 0;  ///< zeros before the first row and column; what is needed behind the last follows
};

/// One result: a sum of terms, and what happens to it before it is written.
struct ConvSlab {
  float* y = nullptr;            ///< [batch, channels, height, width], contiguous
  const float* start = nullptr;  ///< added, of y's layout; may be y; null: 0
  const float* bias = nullptr;   ///< [channels], or null
  const float* times = nullptr;  ///< of y's layout, or null: 1
  float shift = 0.0f;
  Function f = Function::identity;  ///< one that has_slope_from_value (kernels/cell_math.h)
  int channels = 0;
  int first_term = 0, terms = 0;  ///< terms ≥ 1
};

/// Several results over one map size. Plain data, passed by value: pointers and numbers, less than 4 KiB.
struct ConvTerms {
  static constexpr int kMaxSlabs = 24, kMaxTerms = 20;
  std::int64_t batch = 0;
  int height = 0, width = 0;
  bool depthwise = false;  ///< of all terms: channel o of y sees only channel o of x; w_in is not read
  int slabs = 0;
  ConvSlab slab[kMaxSlabs];
  ConvTerm term[kMaxTerms];
};
static_assert(sizeof(ConvTerms) < 3072);

}  // namespace fovea

namespace fovea::kernels {

/// For each slab, in one launch on a GPU:
/// y[n, o, i, j] = f(shift + start[n, o, i, j] + bias[o] + Σ_{terms} Σ_{c,r,s} x[n, c, i + r - top, j + s -
/// left]· w(o, c, r, s))·times[n, o, i, j], f32. A map counts as 0 outside of its planes.
FOVEA_KERNEL(conv_terms, const ConvTerms& plan);

/// dw[c, r, s] = Σ_{n,i,j} x[n, c, i + r - top, j + s - left]·dy[n, c, i, j], contiguous: the gradient of one
/// depthwise term, of which all but w is read.
FOVEA_KERNEL(depthwise_grad_weight, std::int64_t batch, int height, int width, const ConvTerm& term,
             const float* dy, float* dw);

}  // namespace fovea::kernels

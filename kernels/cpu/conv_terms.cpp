// SPDX-License-Identifier: Apache-2.0
#include "kernels/ops/conv_terms.h"

#include "kernels/arena.h"
#include "kernels/cpu/cell_vec.h"
#include "kernels/cpu/loops.h"
#include "kernels/cpu/queue.h"
#include "kernels/cpu/vec.h"
#include "kernels/ops/conv2d.h"
#include "kernels/ops/elementwise.h"

/// An ordinary term is one call of conv2d with a copy of the weights, in its order and grown by zeros to an
/// odd size with equal padding on both sides; the terms of a slab are added in their order. A depthwise term
/// has one input channel per output, too little for conv2d's tiles: it is a direct loop over a padded copy of
/// the plane.
namespace fovea::cpu {
namespace {

/// Padding on both sides for `taps` weights with `before` zeros before the map; the odd kernel has 2·padding
/// + 1.
constexpr std::int64_t even_padding(int taps, int before) {
  return before > taps - 1 - before ? before : taps - 1 - before;
}

/// The convolution of a term with its weights grown to an odd size.
Conv2d odd_convolution(const ConvTerms& plan, int out_channels, const ConvTerm& term) {
  const std::int64_t plane = std::int64_t{plan.height} * plan.width;
  const std::int64_t down = even_padding(term.kernel_height, term.top);
  const std::int64_t across = even_padding(term.kernel_width, term.left);
  return {.batch = plan.batch,
          .in_channels = term.channels,
          .in_height = plan.height,
          .in_width = plan.width,
          .out_channels = out_channels,
          .kernel_height = 2 * down + 1,
          .kernel_width = 2 * across + 1,
          .padding = {down, down, across, across},
          .image_stride = term.channels * plane,
          .channel_stride = plane};
}

void copy_weights(Queue& queue, const ConvTerm& term, const Conv2d& shape, float* to) {
  const std::int64_t down = shape.padding.top - term.top, across = shape.padding.left - term.left;
  for_parts(queue, shape.out_channels, [&](std::int64_t o) {
    float* out = to + o * shape.in_channels * shape.kernel_height * shape.kernel_width;
    for (std::int64_t c = 0; c < shape.in_channels; ++c)
      for (std::int64_t r = -down; r < shape.kernel_height - down; ++r)
        for (std::int64_t s = -across; s < shape.kernel_width - across; ++s) {
          const bool inside = r >= 0 && r < term.kernel_height && s >= 0 && s < term.kernel_width;
          *out++ =
              inside ? term.w[o * term.w_out + c * term.w_in + r * term.w_row + s * term.w_column] : 0.0f;
        }
  });
}

/// Pixels of y[n, o] that a tap's row and column reach are few where maps are small, so a plane is copied
/// with its zeros around it and each vector of outputs meets all taps.
struct PaddedPlane {
  int rows, pitch;
  PaddedPlane(const ConvTerms& plan, const ConvTerm& term)
      : rows(plan.height + term.kernel_height - 1),
        pitch(static_cast<int>(parts_of(plan.width, Vec::kLanes)) * Vec::kLanes + term.kernel_width - 1) {}
  std::int64_t floats() const { return std::int64_t{rows} * pitch; }
  void fill(const ConvTerms& plan, const ConvTerm& term, const float* x, float* to) const {
    for (int row = 0; row < rows; ++row, to += pitch) {
      const int i = row - term.top;
      const bool inside = i >= 0 && i < plan.height;
      for (int column = 0; column < pitch; ++column) {
        const int j = column - term.left;
        to[column] = inside && j >= 0 && j < plan.width ? x[i * plan.width + j] : 0.0f;
      }
    }
  }
};

/// y += x ⋆ w for one plane; `weights` is a contiguous kernel.
void correlate_plane(const ConvTerms& plan, const ConvTerm& term, const PaddedPlane& size, const float* x,
                     const float* weights, float* y) {
  for (int p = 0; p < plan.height; ++p)
    for (int q = 0; q < plan.width; q += Vec::kLanes) {
      const int lanes = static_cast<int>(least(Vec::kLanes, plan.width - q));
      Vec total = load(y + p * plan.width + q, lanes);
      for (int r = 0; r < term.kernel_height; ++r) {  // a row of taps is a chain: see Note [Short runs]
        const float* from = x + std::int64_t{p + r} * size.pitch + q;
        Vec sum = Vec::zero();
        for (int s = 0; s < term.kernel_width; ++s)
          sum = fma(Vec::load(from + s), Vec::all(weights[r * term.kernel_width + s]), sum);
        total = total + sum;
      }
      store(y + p * plan.width + q, lanes, total);
    }
}

constexpr std::int64_t kRuns = 64;  // planes go in at most so many runs, each with a padded plane of its own

void add_depthwise(Queue& queue, const ConvTerms& plan, const ConvSlab& slab, const ConvTerm& term) {
  const PaddedPlane size(plan, term);
  const std::int64_t plane = std::int64_t{plan.height} * plan.width, planes = plan.batch * slab.channels;
  const std::int64_t runs = least(planes, kRuns), taps = std::int64_t{term.kernel_height} * term.kernel_width;
  const Scratch<float> padded(queue, runs * (size.floats() + taps), "conv_terms");
  for_parts(queue, runs, [&](std::int64_t run) {
    float* const map = padded.data() + run * (size.floats() + taps);
    float* const weights = map + size.floats();
    for (std::int64_t i = run * planes / runs; i < (run + 1) * planes / runs; ++i) {
      const std::int64_t c = i % slab.channels;
      for (int r = 0; r < term.kernel_height; ++r)
        for (int s = 0; s < term.kernel_width; ++s)
          weights[r * term.kernel_width + s] = term.w[c * term.w_out + r * term.w_row + s * term.w_column];
      size.fill(plan, term, term.x + i * plane, map);
      correlate_plane(plan, term, size, map, weights, slab.y + i * plane);
    }
  });
}

/// y = start + bias, where no convolution begins the sum.
void begin(Queue& queue, const ConvTerms& plan, const ConvSlab& slab) {
  const std::int64_t plane = std::int64_t{plan.height} * plan.width;
  for_parts(queue, plan.batch * slab.channels, [&](std::int64_t i) {
    const float bias = slab.bias != nullptr ? slab.bias[i % slab.channels] : 0.0f;
    for (std::int64_t k = i * plane; k < (i + 1) * plane; ++k)
      slab.y[k] = (slab.start != nullptr ? slab.start[k] : 0.0f) + bias;
  });
}

void finish(Queue& queue, std::int64_t count, const ConvSlab& slab) {
  if (slab.f == Function::identity && slab.shift == 0.0f && slab.times == nullptr) return;
  for_ranges(queue, count, [&](std::int64_t first, std::int64_t last) {
    for (std::int64_t i = first; i < last; i += Vec::kLanes) {
      const int lanes = static_cast<int>(least(Vec::kLanes, last - i));
      const Vec value = cell_value(slab.f, load(slab.y + i, lanes) + Vec::all(slab.shift));
      store(slab.y + i, lanes, slab.times != nullptr ? value * load(slab.times + i, lanes) : value);
    }
  });
}

void add_ordinary(Queue& queue, const ConvTerms& plan, const ConvSlab& slab) {
  std::int64_t weights = 0;
  for (int t = 0; t < slab.terms; ++t) {
    const std::int64_t count =
        odd_convolution(plan, slab.channels, plan.term[slab.first_term + t]).weight_count();
    if (count > weights) weights = count;
  }
  const std::int64_t count = plan.batch * slab.channels * plan.height * plan.width;
  const Scratch<float> copy(queue, weights, "conv_terms");
  const Scratch<float> one(queue, slab.terms > 1 || slab.start != nullptr ? count : 0, "conv_terms");
  if (slab.start != nullptr) begin(queue, plan, slab);
  for (int t = 0; t < slab.terms; ++t) {
    const ConvTerm& term = plan.term[slab.first_term + t];
    const Conv2d shape = odd_convolution(plan, slab.channels, term);
    copy_weights(queue, term, shape, copy.data());
    const bool begins = t == 0 && slab.start == nullptr;
    kernels::conv2d(queue, shape, term.x, copy.data(), begins ? slab.bias : nullptr,
                    begins ? slab.y : one.data());
    if (!begins) kernels::accumulate(queue, count, DType::f32, one.data(), slab.y);
  }
}

}  // namespace
}  // namespace fovea::cpu

namespace fovea {

void kernels::conv_terms(cpu::Queue& queue, const ConvTerms& plan) {
  if (plan.batch == 0 || plan.height == 0 || plan.width == 0) return;
  for (int i = 0; i < plan.slabs; ++i) {
    const ConvSlab& slab = plan.slab[i];
    if (plan.depthwise) {
      cpu::begin(queue, plan, slab);
      for (int t = 0; t < slab.terms; ++t)
        cpu::add_depthwise(queue, plan, slab, plan.term[slab.first_term + t]);
    } else {
      cpu::add_ordinary(queue, plan, slab);
    }
    cpu::finish(queue, plan.batch * slab.channels * plan.height * plan.width, slab);
  }
}

void kernels::depthwise_grad_weight(cpu::Queue& queue, std::int64_t batch, int height, int width,
                                    const ConvTerm& term, const float* dy, float* dw) {
  using cpu::Vec;
  ConvTerms plan;
  plan.height = height;
  plan.width = width;
  const cpu::PaddedPlane size(plan, term);
  const std::int64_t plane = std::int64_t{height} * width;
  const std::int64_t taps = std::int64_t{term.kernel_height} * term.kernel_width;
  const std::int64_t runs = cpu::least(term.channels, cpu::kRuns);
  const Scratch<float> padded(queue, runs * size.floats(), "depthwise_grad_weight");
  cpu::for_parts(queue, runs, [&](std::int64_t run) {
    float* const map = padded.data() + run * size.floats();
    for (std::int64_t c = run * term.channels / runs; c < (run + 1) * term.channels / runs; ++c) {
      for (std::int64_t k = 0; k < taps; ++k) dw[c * taps + k] = 0.0f;
      for (std::int64_t n = 0; n < batch; ++n) {
        const std::int64_t at = (n * term.channels + c) * plane;
        size.fill(plan, term, term.x + at, map);
        for (int r = 0; r < term.kernel_height; ++r)
          for (int s = 0; s < term.kernel_width; ++s) {
            Vec total = Vec::zero();
            for (int p = 0; p < height; ++p)
              for (int q = 0; q < width; q += Vec::kLanes)
                total = fma(
                    cpu::load(dy + at + p * width + q, static_cast<int>(cpu::least(Vec::kLanes, width - q))),
                    Vec::load(map + std::int64_t{p + r} * size.pitch + q + s), total);
            dw[(c * term.kernel_height + r) * term.kernel_width + s] += sum(total);
          }
      }
    }
  });
}

}  // namespace fovea

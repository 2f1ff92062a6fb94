// SPDX-License-Identifier: Apache-2.0
#include "kernels/ops/conv_terms.h"

#include "kernels/arena.h"
#include "kernels/cpu/cell_vec.h"
#include "kernels/cpu/loops.h"
#include "kernels/cpu/queue.h"
#include "kernels/cpu/vec.h"
#include "kernels/ops/conv2d.h"
#include "kernels/ops/elementwise.h"

/// An ordinary term is one call of conv2d, with a copy of the weights unless they lie in its order already;
/// the terms of a slab are added in their order. A depthwise term has one input channel per output, too
/// little for conv2d's tiles: it is a direct loop over a padded copy of the plane.
namespace fovea::cpu {
namespace {

Conv2d convolution_of(const ConvTerms& plan, int out_channels, const ConvTerm& term) {
  const std::int64_t plane = std::int64_t{plan.height} * plan.width;
  return {
      .batch = plan.batch,
      .in_channels = term.channels,
      .in_height = plan.height,
      .in_width = plan.width,
      .out_channels = out_channels,
      .kernel_height = term.kernel_height,
      .kernel_width = term.kernel_width,
      .padding = {term.top, term.kernel_height - 1 - term.top, term.left, term.kernel_width - 1 - term.left},
      .image_stride = term.channels * plane,
      .channel_stride = plane};
}

bool is_contiguous(const ConvTerm& term) {
  const std::int64_t kernel = std::int64_t{term.kernel_height} * term.kernel_width;
  return term.w_column == 1 && term.w_row == term.kernel_width && term.w_in == kernel &&
         term.w_out == term.channels * kernel;
}

void copy_weights(Queue& queue, const ConvTerm& term, std::int64_t out_channels, float* to) {
  for_parts(queue, out_channels, [&](std::int64_t o) {
    float* out = to + o * term.channels * term.kernel_height * term.kernel_width;
    for (int c = 0; c < term.channels; ++c)
      for (int r = 0; r < term.kernel_height; ++r)
        for (int s = 0; s < term.kernel_width; ++s)
          *out++ = term.w[o * term.w_out + c * term.w_in + r * term.w_row + s * term.w_column];
  });
}

/// Pixels of y[n, o] that a tap's row and column reach are few where maps are small, so a plane is copied
/// with its zeros around it and each vector of outputs meets all taps.
struct PaddedPlane {
  int rows, pitch;
  PaddedPlane(const ConvTerms& plan, const ConvTerm& term)
      : rows(plan.height + term.kernel_height - 1),
        pitch(static_cast<int>(blocks_of(plan.width, Vec::kLanes)) * Vec::kLanes + term.kernel_width - 1) {}
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
    const ConvTerm& term = plan.term[slab.first_term + t];
    const std::int64_t count = convolution_of(plan, slab.channels, term).weight_count();
    if (!is_contiguous(term) && count > weights) weights = count;
  }
  const std::int64_t count = plan.batch * slab.channels * plan.height * plan.width;
  const Scratch<float> copy(queue, weights, "conv_terms");
  const Scratch<float> one(queue, slab.terms > 1 || slab.start != nullptr ? count : 0, "conv_terms");
  if (slab.start != nullptr) begin(queue, plan, slab);
  for (int t = 0; t < slab.terms; ++t) {
    const ConvTerm& term = plan.term[slab.first_term + t];
    const bool in_order = is_contiguous(term);
    if (!in_order) copy_weights(queue, term, slab.channels, copy.data());
    const bool begins = t == 0 && slab.start == nullptr;
    kernels::conv2d(queue, convolution_of(plan, slab.channels, term), term.x, in_order ? term.w : copy.data(),
                    begins ? slab.bias : nullptr, begins ? slab.y : one.data());
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

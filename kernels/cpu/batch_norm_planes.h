// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/arena.h"
#include "kernels/cpu/batch_norm_parts.h"

/// Per-channel layout x[batch, channels, inner]: lanes run along a plane.
namespace fovea::kernels {
namespace {

constexpr int64_t kPartElements = 32768;  // of one part

/// The planes of one channel in slabs of some images: what a part works on.
struct Slabs {
  int64_t images, count;  // images of a slab, slabs of a channel
  explicit Slabs(const BatchNorm& s) {
    images = kPartElements / s.inner > 0 ? kPartElements / s.inner : 1;
    count = (s.batch + images - 1) / images;
  }
};

/// Calls f(channel, slab, offset of plane, first element, count) for all segments of all planes, one part
/// per channel and slab; segments of a part come in order.
template <class F>
void for_segments(cpu::Queue& q, const BatchNorm& s, const F& f) {
  const Slabs slabs(s);
  cpu::for_parts(q, s.channels * slabs.count, [&](int64_t part) {
    const int64_t channel = part / slabs.count, slab = part % slabs.count;
    auto body = f(channel, part);
    const int64_t end = smaller((slab + 1) * slabs.images, s.batch);
    for (int64_t n = slab * slabs.images; n < end; ++n)
      for (int64_t i = 0; i < s.inner; i += kSegment)
        body((n * s.channels + channel) * s.inner + i, smaller(kSegment, s.inner - i));
  });
}

inline void normalize_planes(cpu::Queue& q, const BatchNorm& s, const Parameters& p, const float* x,
                             float* y) {
  for_segments(q, s, [&](int64_t c, int64_t) {
    const Vec mean = Vec::all(p.mean[c]), scale = Vec::all(p.gamma_at(c) * p.inv_sd_at(c)),
              shift = Vec::all(p.beta_at(c));
    return [=](int64_t offset, int64_t n) {
      const float* from = x + offset;
      float* to = y + offset;
      int64_t i = 0;
      for (; i + Vec::kLanes <= n; i += Vec::kLanes)
        fma(Vec::load(from + i) - mean, scale, shift).store(to + i);
      const int rest = static_cast<int>(n - i);
      if (rest > 0) fma(Vec::load_first(from + i, rest) - mean, scale, shift).store_first(to + i, rest);
    };
  });
}

inline void planes_grad(cpu::Queue& q, const BatchNorm& s, const Parameters& p, const Gradients& g,
                        const float* x, const float* dy) {
  const int64_t slabs = Slabs(s).count;
  Scratch<Sums> sums(q, g.needs_sums() ? s.channels * slabs : 0, "batch_norm");
  if (g.needs_sums()) {
    for_segments(q, s, [&](int64_t c, int64_t part) {
      Sums* const total = sums.data() + part;
      *total = {};
      const Vec mean = Vec::all(p.mean[c]);
      return [=](int64_t offset, int64_t n) {
        const Sums part_sums = sum_segment(n, [&](int64_t i, int lanes, Vec& slopes, Vec& dot) {
          const Vec slope = cpu::load(dy + offset + i, lanes);  // an absent lane adds 0
          slopes = slopes + slope;
          dot = fma(slope, cpu::load(x + offset + i, lanes) - mean, dot);
        });
        total->first += part_sums.first;
        total->second += part_sums.second;
      };
    });
    for (int64_t c = 0; c < s.channels; ++c) {
      Sums total;
      for (int64_t slab = 0; slab < slabs; ++slab) {
        total.first += sums.data()[c * slabs + slab].first;
        total.second += sums.data()[c * slabs + slab].second;
      }
      sums.data()[c * slabs] = total;
      if (g.dgamma != nullptr)
        g.dgamma[c] = static_cast<float>(total.second * static_cast<double>(p.inv_sd_at(c)));
      if (g.dbeta != nullptr) g.dbeta[c] = static_cast<float>(total.first);
    }
  }
  if (g.dx == nullptr) return;
  const double share = 1.0 / static_cast<double>(s.batch * s.inner);
  for_segments(q, s, [&](int64_t c, int64_t) {
    const Sums total = g.statistics_depend_on_x ? sums.data()[c * slabs] : Sums{};
    const double inv_sd = static_cast<double>(p.inv_sd_at(c));
    const Vec mean = Vec::all(p.mean[c]), scale = Vec::all(p.gamma_at(c) * p.inv_sd_at(c)),
              mean_slope = Vec::all(static_cast<float>(total.first * share)),
              pull = Vec::all(static_cast<float>(-total.second * share * inv_sd * inv_sd));
    return [=, dx = g.dx](int64_t offset, int64_t n) {
      for (int64_t i = 0; i < n; i += Vec::kLanes) {
        const int lanes = n - i < Vec::kLanes ? static_cast<int>(n - i) : Vec::kLanes;
        const Vec centred = cpu::load(dy + offset + i, lanes) - mean_slope;
        const Vec d = cpu::load(x + offset + i, lanes) - mean;
        cpu::store(dx + offset + i, lanes, fma(d, pull, centred) * scale);
      }
    };
  });
}

}  // namespace
}  // namespace fovea::kernels

// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/arena.h"
#include "kernels/cpu/batch_norm_parts.h"
#include "kernels/cpu/stream.h"

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

/// Whether a part takes a whole channel, so that its second sweep finds in the second-level cache what the first one
/// has read: `operands` arrays that leave some of a MiB free, and enough channels to share out.
inline bool channels_are_parts(const BatchNorm& s, int64_t operands) {
  constexpr int64_t kCached = 208 * 1024;  // floats
  return s.channels >= 8 && s.batch * s.inner * operands <= kCached;
}

inline bool is_streamed(const BatchNorm& s) { return cpu::are_streamed(s.batch * s.channels * s.inner); }

/// Calls body(offset, count) for the segments of images first..last-1 of a channel, in order.
template <class Body>
void each_segment(const BatchNorm& s, int64_t channel, int64_t first, int64_t last, const Body& body) {
  for (int64_t n = first; n < last; ++n)
    for (int64_t i = 0; i < s.inner; i += kSegment)
      body((n * s.channels + channel) * s.inner + i, smaller(kSegment, s.inner - i));
}

/// Calls f(channel, part)(offset of segment, count) for all segments of all planes, one part per channel and slab;
/// segments of a part come in order.
template <class F>
void for_segments(cpu::Queue& q, const BatchNorm& s, const F& f) {
  const Slabs slabs(s);
  cpu::for_parts(q, s.channels * slabs.count, [&](int64_t part) {
    const int64_t channel = part / slabs.count, slab = part % slabs.count;
    each_segment(s, channel, slab * slabs.images, smaller((slab + 1) * slabs.images, s.batch),
                 f(channel, part));
    if (is_streamed(s)) cpu::finish_streams();
  });
}

/// Sums the moments of segments.
inline auto moments_of(const float* x, Moments* moments) {
  *moments = {};
  return [=](int64_t offset, int64_t n) { moments->merge(segment_moments(x + offset, n)); };
}

/// Writes y of a channel's segments.
///
/// Note [Captured vectors]: a store of a vector may change any object as far as the compiler knows, those that a lambda
/// holds among them; only locals stay in registers.
inline auto normalize_channel(const BatchNorm& s, const Parameters& p, int64_t c, const float* x, float* y) {
  const bool streamed = is_streamed(s);
  const Vec mean = Vec::all(p.mean[c]), scale = Vec::all(p.gamma_at(c) * p.inv_sd_at(c)),
            shift = Vec::all(p.beta_at(c));
  return [=](int64_t offset, int64_t n) {
    const float* from = x + offset;
    float* to = y + offset;
    const Vec centre = mean, factor = scale, term = shift;  // see Note [Captured vectors]
    cpu::write_run(to, n, streamed, [from, centre, factor, term](int64_t i, int lanes) {
      return fma(cpu::load(from + i, lanes) - centre, factor, term);
    });
  };
}

inline void normalize_planes(cpu::Queue& q, const BatchNorm& s, const Parameters& p, const float* x,
                             float* y) {
  for_segments(q, s, [&](int64_t c, int64_t) { return normalize_channel(s, p, c, x, y); });
}

/// Statistics, then y. publish(c, moments) writes what is known of a channel to where `p` finds it.
template <class Publish>
void train_planes(cpu::Queue& q, const BatchNorm& s, const Parameters& p, const float* x, float* y,
                  const Publish& publish) {
  if (channels_are_parts(s, 1))
    return cpu::for_parts(q, s.channels, [&](int64_t c) {
      Moments moments;
      each_segment(s, c, 0, s.batch, moments_of(x, &moments));
      publish(c, moments);
      each_segment(s, c, 0, s.batch, normalize_channel(s, p, c, x, y));
      if (is_streamed(s)) cpu::finish_streams();
    });
  const int64_t slabs = Slabs(s).count;
  Scratch<Moments> parts(q, s.channels * slabs, "batch_norm");
  for_segments(q, s, [&](int64_t, int64_t part) { return moments_of(x, parts.data() + part); });
  for (int64_t c = 0; c < s.channels; ++c) {
    Moments total;
    for (int64_t slab = 0; slab < slabs; ++slab) total.merge(parts.data()[c * slabs + slab]);
    publish(c, total);
  }
  normalize_planes(q, s, p, x, y);
}

/// Adds up Σdy and Σ dy·(x - mean) of a channel's segments.
inline auto slope_sums_of(const Parameters& p, int64_t c, const float* x, const float* dy, Sums* total) {
  *total = {};
  const Vec mean = Vec::all(p.mean[c]);
  return [=](int64_t offset, int64_t n) {
    const Sums part = sum_segment(n, [&](int64_t i, int lanes, Vec& slopes, Vec& dot) {
      const Vec slope = cpu::load(dy + offset + i, lanes);  // an absent lane adds 0
      slopes = slopes + slope;
      dot = fma(slope, cpu::load(x + offset + i, lanes) - mean, dot);
    });
    total->first += part.first;
    total->second += part.second;
  };
}

inline void publish_slopes(const Parameters& p, const Gradients& g, int64_t c, const Sums& total) {
  if (g.dgamma != nullptr)
    g.dgamma[c] = static_cast<float>(total.second * static_cast<double>(p.inv_sd_at(c)));
  if (g.dbeta != nullptr) g.dbeta[c] = static_cast<float>(total.first);
}

/// Writes dx of a channel's segments; `total` is zero where the statistics do not depend on x.
inline auto slope_channel(const BatchNorm& s, const Parameters& p, int64_t c, const Sums& total,
                          const float* x, const float* dy, float* dx) {
  const bool streamed = is_streamed(s);
  const double share = 1.0 / static_cast<double>(s.batch * s.inner);
  const double inv_sd = static_cast<double>(p.inv_sd_at(c));
  const Vec mean = Vec::all(p.mean[c]), scale = Vec::all(p.gamma_at(c) * p.inv_sd_at(c)),
            mean_slope = Vec::all(static_cast<float>(total.first * share)),
            pull = Vec::all(static_cast<float>(-total.second * share * inv_sd * inv_sd));
  return [=](int64_t offset, int64_t n) {
    const float *from = x + offset, *slopes = dy + offset;
    float* const to = dx + offset;
    const Vec centre = mean, factor = scale, off = mean_slope, along = pull;  // see Note [Captured vectors]
    cpu::write_run(to, n, streamed, [from, slopes, centre, factor, off, along](int64_t i, int lanes) {
      return fma(cpu::load(from + i, lanes) - centre, along, cpu::load(slopes + i, lanes) - off) * factor;
    });
  };
}

inline void planes_grad(cpu::Queue& q, const BatchNorm& s, const Parameters& p, const Gradients& g,
                        const float* x, const float* dy) {
  const bool sums_needed = g.needs_sums();
  if (sums_needed && g.dx != nullptr && channels_are_parts(s, 2))
    return cpu::for_parts(q, s.channels, [&](int64_t c) {
      Sums total;
      each_segment(s, c, 0, s.batch, slope_sums_of(p, c, x, dy, &total));
      publish_slopes(p, g, c, total);
      if (!g.statistics_depend_on_x) total = {};
      each_segment(s, c, 0, s.batch, slope_channel(s, p, c, total, x, dy, g.dx));
      if (is_streamed(s)) cpu::finish_streams();
    });
  const int64_t slabs = Slabs(s).count;
  Scratch<Sums> sums(q, sums_needed ? s.channels * slabs : 0, "batch_norm");
  if (sums_needed) {
    for_segments(q, s,
                 [&](int64_t c, int64_t part) { return slope_sums_of(p, c, x, dy, sums.data() + part); });
    for (int64_t c = 0; c < s.channels; ++c) {
      Sums total;
      for (int64_t slab = 0; slab < slabs; ++slab) {
        total.first += sums.data()[c * slabs + slab].first;
        total.second += sums.data()[c * slabs + slab].second;
      }
      sums.data()[c * slabs] = total;
      publish_slopes(p, g, c, total);
    }
  }
  if (g.dx == nullptr) return;
  for_segments(q, s, [&](int64_t c, int64_t) {
    return slope_channel(s, p, c, g.statistics_depend_on_x ? sums.data()[c * slabs] : Sums{}, x, dy, g.dx);
  });
}

}  // namespace
}  // namespace fovea::kernels

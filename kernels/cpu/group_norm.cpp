// SPDX-License-Identifier: Apache-2.0
#include "kernels/ops/group_norm.h"

#include "kernels/arena.h"
#include "kernels/cpu/norm_parts.h"

/// A part takes some samples of one group, slab by slab: one sweep sums, a second one, mostly from cache, writes.
/// Sums over segments are merged in double, so an offset common to a slab costs no digits. One slab is never
/// divided among threads.
namespace fovea::kernels {
namespace {

/// Calls f(block of samples, group, first sample, last) for all parts.
template <class F>
void for_blocks(cpu::Queue& q, const GroupNorm& s, const F& f) {
  const int64_t samples = samples_of_part(s.slab()), blocks = (s.batch + samples - 1) / samples;
  cpu::for_parts(q, blocks * s.groups, [&](int64_t part) {
    const int64_t block = part / s.groups;
    f(block, part % s.groups, block * samples, smaller((block + 1) * samples, s.batch));
  });
}

Moments slab_moments(const float* x, int64_t n) {
  Moments total;
  for (int64_t i = 0; i < n; i += kSegment) total.merge(segment_moments(x + i, smaller(kSegment, n - i)));
  return total;
}

/// Σ of first(v) and second(v) over n elements, as sum_segment, for any n.
template <class Value>
Sums sum_segments(int64_t n, const Value& value) {
  Sums total;
  for (int64_t at = 0; at < n; at += kSegment) {
    const Sums segment = sum_segment(
        smaller(kSegment, n - at),
        [&](int64_t i, int lanes, Vec& first, Vec& second) { value(at + i, lanes, first, second); });
    total.first += segment.first;
    total.second += segment.second;
  }
  return total;
}

/// One slab; gamma and beta are those of its first channel.
struct Slab {
  const float *x, *gamma;
  float mean, inv_sd;
};

void normalize_slab(const GroupNorm& s, const Slab& slab, const float* beta, float* y) {
  const Vec mean = Vec::all(slab.mean);
  if (s.inner == 1) {
    for_vectors(s.channels, [=, inv_sd = Vec::all(slab.inv_sd)](int64_t c, int lanes) {
      const Vec scale = load_or(slab.gamma, c, lanes, 1.0f) * inv_sd;
      cpu::store(y + c, lanes,
                 fma(cpu::load(slab.x + c, lanes) - mean, scale, load_or(beta, c, lanes, 0.0f)));
    });
    return;
  }
  for (int64_t c = 0; c < s.channels; ++c) {
    const Vec scale = Vec::all(at_or(slab.gamma, c, 1.0f) * slab.inv_sd),
              shift = Vec::all(at_or(beta, c, 0.0f));
    const float* from = slab.x + c * s.inner;
    float* to = y + c * s.inner;
    for_vectors(s.inner, [=](int64_t i, int lanes) {
      cpu::store(to + i, lanes, fma(cpu::load(from + i, lanes) - mean, scale, shift));
    });
  }
}

/// Σ g and Σ g·(x - mean) of a slab, g = dy·gamma; adds its Σ dy·x̂ and Σ dy to `sums` unless they are null.
Sums slab_slopes(const GroupNorm& s, const Slab& slab, const float* dy, bool needs_dx, ParameterSums sums) {
  const Vec mean = Vec::all(slab.mean);
  const double inv_sd = static_cast<double>(slab.inv_sd);
  Sums total;
  if (s.inner == 1) {
    if (sums.gamma != nullptr)
      for (int64_t c = 0; c < s.channels; ++c) {
        sums.gamma[c] += static_cast<double>(dy[c] * ((slab.x[c] - slab.mean) * slab.inv_sd));
        sums.beta[c] += static_cast<double>(dy[c]);
      }
    if (!needs_dx) return total;
    return sum_segments(s.channels, [&](int64_t c, int lanes, Vec& slopes, Vec& dot) {
      const Vec g = cpu::load(dy + c, lanes) * load_or(slab.gamma, c, lanes, 1.0f);  // an absent lane adds 0
      slopes = slopes + g;
      dot = fma(g, cpu::load(slab.x + c, lanes) - mean, dot);
    });
  }
  for (int64_t c = 0; c < s.channels; ++c) {
    const float *from = slab.x + c * s.inner, *slope = dy + c * s.inner;
    const Sums plane = sum_segments(s.inner, [=](int64_t i, int lanes, Vec& slopes, Vec& dot) {
      const Vec d = cpu::load(slope + i, lanes);
      slopes = slopes + d;
      dot = fma(d, cpu::load(from + i, lanes) - mean, dot);
    });
    const double gamma = static_cast<double>(at_or(slab.gamma, c, 1.0f));
    total.first += gamma * plane.first;
    total.second += gamma * plane.second;
    if (sums.gamma == nullptr) continue;
    sums.gamma[c] += plane.second * inv_sd;
    sums.beta[c] += plane.first;
  }
  return total;
}

/// dx = inv_sd·(g - Σg/n - (x - mean)·inv_sd²·Σg·(x - mean)/n)
void slope_slab(const GroupNorm& s, const Slab& slab, const float* dy, Sums sums, float* dx) {
  const double share = 1.0 / static_cast<double>(s.slab()), inv_sd = static_cast<double>(slab.inv_sd);
  const Vec mean = Vec::all(slab.mean), scale = Vec::all(slab.inv_sd),
            mean_slope = Vec::all(static_cast<float>(sums.first * share)),
            pull = Vec::all(static_cast<float>(-sums.second * share * inv_sd * inv_sd));
  const auto write = [=](int64_t i, int lanes, Vec gamma) {
    const Vec centred = cpu::load(dy + i, lanes) * gamma - mean_slope;
    cpu::store(dx + i, lanes, fma(cpu::load(slab.x + i, lanes) - mean, pull, centred) * scale);
  };
  if (s.inner == 1)
    return for_vectors(s.channels,
                       [=](int64_t c, int lanes) { write(c, lanes, load_or(slab.gamma, c, lanes, 1.0f)); });
  for (int64_t c = 0; c < s.channels; ++c)
    for_vectors(s.inner, [=, gamma = Vec::all(at_or(slab.gamma, c, 1.0f))](int64_t i, int lanes) {
      write(c * s.inner + i, lanes, gamma);
    });
}

const float* from_channel(const float* p, int64_t c) { return p != nullptr ? p + c : nullptr; }

}  // namespace

void group_norm(cpu::Queue& q, const GroupNorm& s, float eps, const float* x, const float* gamma,
                const float* beta, float* y, float* mean, float* inv_sd) {
  for_blocks(q, s, [&](int64_t, int64_t group, int64_t first, int64_t last) {
    for (int64_t n = first; n < last; ++n) {
      const int64_t slab = n * s.groups + group, offset = slab * s.slab();
      const Moments moments = slab_moments(x + offset, s.slab());
      mean[slab] = static_cast<float>(moments.mean);
      inv_sd[slab] = inverse_sd(static_cast<float>(moments.m2 / moments.count), eps);
      normalize_slab(s, {x + offset, from_channel(gamma, group * s.channels), mean[slab], inv_sd[slab]},
                     from_channel(beta, group * s.channels), y + offset);
    }
  });
}

void group_norm_grad(cpu::Queue& q, const GroupNorm& s, const float* x, const float* gamma, const float* mean,
                     const float* inv_sd, const float* dy, float* dx, float* dgamma, float* dbeta) {
  const bool needs_sums = dgamma != nullptr || dbeta != nullptr;
  const int64_t samples = samples_of_part(s.slab()), blocks = (s.batch + samples - 1) / samples;
  const int64_t channels = s.groups * s.channels;
  Scratch<double> sums(q, needs_sums ? 2 * blocks * channels : 0, "group_norm");
  for_blocks(q, s, [&](int64_t block, int64_t group, int64_t first, int64_t last) {
    ParameterSums part{nullptr, nullptr};
    if (needs_sums) {
      part = ParameterSums::of_block(sums.data(), block, channels);
      part.gamma += group * s.channels;
      part.beta += group * s.channels;
      for (int64_t c = 0; c < s.channels; ++c) part.gamma[c] = part.beta[c] = 0.0;
    }
    for (int64_t n = first; n < last; ++n) {
      const int64_t index = n * s.groups + group, offset = index * s.slab();
      const Slab slab{x + offset, from_channel(gamma, group * s.channels), mean[index], inv_sd[index]};
      const Sums total = slab_slopes(s, slab, dy + offset, dx != nullptr, part);
      if (dx != nullptr) slope_slab(s, slab, dy + offset, total, dx + offset);
    }
  });
  if (needs_sums) add_blocks(blocks, channels, sums.data(), dgamma, dbeta);
}

}  // namespace fovea::kernels

// SPDX-License-Identifier: Apache-2.0
#include "kernels/ops/layer_norm_channels.h"

#include "kernels/arena.h"
#include "kernels/cpu/batch_norm_columns.h"
#include "kernels/cpu/norm_parts.h"

/// The columns of one sample are those of batch norm per unit, with channels in the place of images: lanes run
/// along the positions, each position walks down its channels. A part takes some samples and up to 512 positions.
namespace fovea::kernels {
namespace {

/// Calls f(part, positions, first sample, last) for all parts.
template <class F>
void for_blocks(cpu::Queue& q, const Reduce& s, int64_t samples, int64_t blocks, const F& f) {
  const int64_t ranges = (s.inner + kPartChannels - 1) / kPartChannels;
  cpu::for_parts(q, blocks * ranges, [&](int64_t part) {
    const int64_t block = part / ranges, first = part % ranges * kPartChannels;
    f(part, Range{first, smaller(first + kPartChannels, s.inner)}, block * samples,
      smaller((block + 1) * samples, s.outer));
  });
}

int64_t samples_of(const Reduce& s) { return samples_of_part(s.width * smaller(s.inner, kPartChannels)); }

/// Mean and 1/sd of each position of a sample.
void statistics(const Reduce& s, Range positions, float eps, const float* x, float* mean, float* inv_sd) {
  PartSums moments;
  sum_moments(BatchNorm{.batch = s.width, .channels = s.inner}, positions, x, moments);
  for_columns(positions, [&]<int W, bool kPartial>(Columns<W, kPartial> columns, int64_t i) {
    const Vec share = Vec::all(1.0f / static_cast<float>(s.width));
    for (int w = 0; w < W; ++w) {
      const Vec m2 = columns.load(moments.b + (i - positions.first), w);
      columns.store(mean + i, w, columns.load(x + i, w) + columns.load(moments.a + (i - positions.first), w));
      columns.store(inv_sd + i, w, inverse_sd(m2 * share, Vec::all(eps)));
    }
  });
}

void normalize(const Reduce& s, Range positions, const float* x, const float* gamma, const float* beta,
               const float* mean, const float* inv_sd, float* y) {
  for_rows(s.width, kStep, positions,
           [&]<int W, bool kPartial>(Columns<W, kPartial> columns, int64_t i, Range channels) {
             const int64_t stride = s.inner, offset = channels.first * stride + i;
             const float *from = x + offset, *scales = gamma, *shifts = beta;
             float* to = y + offset;
             Vec m[W], r[W];
             for (int w = 0; w < W; ++w) m[w] = columns.load(mean + i, w), r[w] = columns.load(inv_sd + i, w);
             for (int64_t c = channels.first; c < channels.last; ++c, from += stride, to += stride) {
               const Vec scale = Vec::all(at_or(scales, c, 1.0f)), shift = Vec::all(at_or(shifts, c, 0.0f));
               for (int w = 0; w < W; ++w)
                 columns.store(to, w, fma((columns.load(from, w) - m[w]) * r[w], scale, shift));
             }
           });
}

/// Leaves Σ g in sums.a and Σ g·(x - mean) in sums.b, g = dy·gamma.
void sum_slopes(const Reduce& s, Range positions, const float* x, const float* gamma, const float* mean,
                const float* dy, PartSums& sums) {
  for_rows(s.width, kStep, positions,
           [&]<int W, bool kPartial>(Columns<W, kPartial> columns, int64_t i, Range channels) {
             const int64_t stride = s.inner, offset = channels.first * stride + i;
             const float *from = x + offset, *slope = dy + offset, *scales = gamma;
             Vec m[W], slopes[W], dot[W];
             for (int w = 0; w < W; ++w) m[w] = columns.load(mean + i, w), slopes[w] = dot[w] = Vec::zero();
             for (int64_t c = channels.first; c < channels.last; ++c, from += stride, slope += stride)
               for (int w = 0; w < W; ++w) {
                 const Vec g = columns.load(slope, w) * Vec::all(at_or(scales, c, 1.0f));
                 slopes[w] = slopes[w] + g;
                 dot[w] = fma(g, columns.load(from, w) - m[w], dot[w]);
               }
             sums.add(columns, i - positions.first, slopes, dot);
           });
}

/// dx = inv_sd·(g - Σg/C - (x - mean)·inv_sd²·Σg·(x - mean)/C)
void slope_columns(const Reduce& s, Range positions, const float* x, const float* gamma, const float* mean,
                   const float* inv_sd, const float* dy, const PartSums& sums, float* dx) {
  const Vec share = Vec::all(1.0f / static_cast<float>(s.width));
  for_rows(s.width, kStep, positions,
           [&]<int W, bool kPartial>(Columns<W, kPartial> columns, int64_t i, Range channels) {
             const int64_t stride = s.inner, offset = channels.first * stride + i;
             const float *from = x + offset, *slope = dy + offset, *scales = gamma;
             float* to = dx + offset;
             Vec m[W], r[W], mean_slope[W], pull[W];
             for (int w = 0; w < W; ++w) {
               m[w] = columns.load(mean + i, w);
               r[w] = columns.load(inv_sd + i, w);
               mean_slope[w] = columns.load(sums.a + (i - positions.first), w) * share;
               pull[w] = Vec::zero() - columns.load(sums.b + (i - positions.first), w) * share * r[w] * r[w];
             }
             for (int64_t c = channels.first; c < channels.last;
                  ++c, from += stride, slope += stride, to += stride) {
               const Vec scale = Vec::all(at_or(scales, c, 1.0f));
               for (int w = 0; w < W; ++w) {
                 const Vec centred = columns.load(slope, w) * scale - mean_slope[w];
                 columns.store(to, w, fma(columns.load(from, w) - m[w], pull[w], centred) * r[w]);
               }
             }
           });
}

/// Adds Σ dy·x̂ and Σ dy over the positions, of each channel.
void sum_parameters(const Reduce& s, Range positions, const float* x, const float* mean, const float* inv_sd,
                    const float* dy, ParameterSums sums) {
  for (int64_t c = 0; c < s.width; ++c) {
    const float *from = x + c * s.inner, *slope = dy + c * s.inner;
    const Sums row = sum_segment(positions.last - positions.first,
                                 [=, first = positions.first](int64_t k, int lanes, Vec& slopes, Vec& dot) {
                                   const int64_t i = first + k;
                                   const Vec d = cpu::load(slope + i, lanes);  // an absent lane adds 0
                                   const Vec centred =
                                       cpu::load(from + i, lanes) - cpu::load(mean + i, lanes);
                                   slopes = slopes + d;
                                   dot = fma(d, centred * cpu::load(inv_sd + i, lanes), dot);
                                 });
    sums.gamma[c] += row.second;
    sums.beta[c] += row.first;
  }
}

}  // namespace

void layer_norm_channels(cpu::Queue& q, const Reduce& s, float eps, const float* x, const float* gamma,
                         const float* beta, float* y, float* mean, float* inv_sd) {
  const int64_t samples = samples_of(s), blocks = (s.outer + samples - 1) / samples;
  for_blocks(q, s, samples, blocks, [&](int64_t, Range positions, int64_t first, int64_t last) {
    for (int64_t n = first; n < last; ++n) {
      const int64_t offset = n * s.width * s.inner, at = n * s.inner;
      statistics(s, positions, eps, x + offset, mean + at, inv_sd + at);
      normalize(s, positions, x + offset, gamma, beta, mean + at, inv_sd + at, y + offset);
    }
  });
}

void layer_norm_channels_grad(cpu::Queue& q, const Reduce& s, const float* x, const float* gamma,
                              const float* mean, const float* inv_sd, const float* dy, float* dx,
                              float* dgamma, float* dbeta) {
  const bool needs_sums = dgamma != nullptr || dbeta != nullptr;
  const int64_t samples = samples_of(s), blocks = (s.outer + samples - 1) / samples;
  const int64_t parts = blocks * ((s.inner + kPartChannels - 1) / kPartChannels);
  Scratch<double> sums(q, needs_sums ? 2 * parts * s.width : 0, "layer_norm_channels");
  for_blocks(q, s, samples, blocks, [&](int64_t part, Range positions, int64_t first, int64_t last) {
    if (needs_sums)
      for (int64_t k = 0; k < 2 * s.width; ++k) sums.data()[2 * part * s.width + k] = 0.0;
    for (int64_t n = first; n < last; ++n) {
      const int64_t offset = n * s.width * s.inner, at = n * s.inner;
      if (needs_sums)
        sum_parameters(s, positions, x + offset, mean + at, inv_sd + at, dy + offset,
                       ParameterSums::of_block(sums.data(), part, s.width));
      if (dx == nullptr) continue;
      PartSums slopes;
      sum_slopes(s, positions, x + offset, gamma, mean + at, dy + offset, slopes);
      slope_columns(s, positions, x + offset, gamma, mean + at, inv_sd + at, dy + offset, slopes,
                    dx + offset);
    }
  });
  if (needs_sums) add_blocks(parts, s.width, sums.data(), dgamma, dbeta);
}

}  // namespace fovea::kernels

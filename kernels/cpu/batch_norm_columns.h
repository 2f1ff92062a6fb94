// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/cpu/batch_norm_parts.h"

/// Per-unit layout x[batch, channels]: lanes run along the channels, each channel walks down its column.
namespace fovea::kernels {
namespace {

constexpr int64_t kRun = 32;  // rows summed before their moments are merged
constexpr int64_t kStep = 8;  // rows visited at a time by the other loops: as many streams to prefetch
constexpr int64_t kPartChannels = 512;  // of one part; 32 rows of it and its sums fit L2

/// W vectors side by side, or (kPartial, W = 1) the first `lanes` lanes of one.
template <int W, bool kPartial>
struct Columns {
  int lanes;
  Vec load(const float* p, int w) const {
    return kPartial ? Vec::load_first(p, lanes) : Vec::load(p + w * Vec::kLanes);
  }
  Vec load_or(const float* p, int64_t c, int w, float otherwise) const {
    return p != nullptr ? load(p + c, w) : Vec::all(otherwise);
  }
  void store(float* p, int w, Vec v) const {
    if constexpr (kPartial)
      v.store_first(p, lanes);
    else
      v.store(p + w * Vec::kLanes);
  }
  Vec inv_sd(const Parameters& p, int64_t c, int w) const {
    return p.inv_sd != nullptr ? load(p.inv_sd + c, w) : inverse_sd(load(p.variance + c, w), Vec::all(p.eps));
  }
};

struct Range {
  int64_t first, last;
};

/// Calls f(columns, first channel) for groups of columns that cover the range.
template <class F>
void for_columns(Range channels, const F& f) {
  constexpr int kWide = 4;
  int64_t c = channels.first;
  for (; c + kWide * Vec::kLanes <= channels.last; c += kWide * Vec::kLanes) f(Columns<kWide, false>{0}, c);
  for (; c + Vec::kLanes <= channels.last; c += Vec::kLanes) f(Columns<1, false>{0}, c);
  if (c < channels.last) f(Columns<1, true>{static_cast<int>(channels.last - c)}, c);
}

/// The same for each block of `step` rows in turn, f(columns, first channel, rows): whole rows of the part
/// are read, which prefetching and the TLB like better than tall columns.
///
/// The bodies copy pointers and strides into locals, since vector stores may alias captured ones.
template <class F>
void for_rows(int64_t batch, int64_t step, Range channels, const F& f) {
  for (int64_t first = 0; first < batch; first += step) {
    const Range rows{first, smaller(first + step, batch)};
    for_columns(channels, [&](auto columns, int64_t c) { f(columns, c, rows); });
  }
}

/// One part of the work per kPartChannels channels.
template <class F>
void for_channel_ranges(cpu::Queue& q, int64_t channels, const F& f) {
  cpu::for_parts(q, (channels + kPartChannels - 1) / kPartChannels, [&](int64_t part) {
    const int64_t first = part * kPartChannels;
    f(Range{first, smaller(first + kPartChannels, channels)});
  });
}

/// Two numbers per channel of a part.
struct PartSums {
  float a[kPartChannels] = {}, b[kPartChannels] = {};

  /// Adds to the numbers of `columns`, the first of which is channel `at` of the part.
  template <int W, bool kPartial>
  void add(Columns<W, kPartial> columns, int64_t at, const Vec (&to_a)[W], const Vec (&to_b)[W]) {
    for (int w = 0; w < W; ++w) {
      columns.store(a + at, w, columns.load(a + at, w) + to_a[w]);
      columns.store(b + at, w, columns.load(b + at, w) + to_b[w]);
    }
  }
};

/// Leaves mean - x[0] in moments.a and Σ(x - mean)² in moments.b.
///
/// Note [Pivots]: Σd² - (Σd)²/n is safe when d is measured from one of the n values themselves: the pivot is
/// at most √n standard deviations off, so no more than a factor n is lost, and n ≤ kRun. Runs are merged
/// after Chan, Golub and LeVeque (1983), with means measured from the column's first value: a large common
/// offset costs no digits.
inline void sum_moments(const BatchNorm& s, Range channels, const float* x, PartSums& moments) {
  for_rows(s.batch, kRun, channels,
           [&]<int W, bool kPartial>(Columns<W, kPartial> columns, int64_t c, Range rows) {
             const int64_t stride = s.channels;
             const float* row = x + rows.first * s.channels + c;
             Vec pivot[W], sum[W], square[W];
             for (int w = 0; w < W; ++w) pivot[w] = columns.load(row, w), sum[w] = square[w] = Vec::zero();
             for (int64_t r = rows.first + 1; r < rows.last; ++r) {
               row += stride;
               for (int w = 0; w < W; ++w) {
                 const Vec d = columns.load(row, w) - pivot[w];
                 sum[w] = sum[w] + d;
                 square[w] = fma(d, d, square[w]);
               }
             }
             const float count = static_cast<float>(rows.last - rows.first),
                         before = static_cast<float>(rows.first);
             const Vec inverse = Vec::all(1.0f / count), share = Vec::all(count / (before + count));
             const Vec weight = Vec::all(before * (count / (before + count)));
             float* const mean = moments.a + (c - channels.first);
             float* const m2 = moments.b + (c - channels.first);
             for (int w = 0; w < W; ++w) {
               const Vec run_mean = fma(sum[w], inverse, pivot[w] - columns.load(x + c, w));
               const Vec run_m2 = max(Vec::zero(), square[w] - sum[w] * sum[w] * inverse);
               const Vec delta = run_mean - columns.load(mean, w);
               columns.store(mean, w, fma(delta, share, columns.load(mean, w)));
               columns.store(m2, w, columns.load(m2, w) + fma(delta * delta, weight, run_m2));
             }
           });
}

inline void normalize_columns(const BatchNorm& s, Range channels, const Parameters& p, const float* x,
                              float* y) {
  for_rows(s.batch, kStep, channels,
           [&]<int W, bool kPartial>(Columns<W, kPartial> columns, int64_t c, Range rows) {
             Vec mean[W], scale[W], shift[W];
             for (int w = 0; w < W; ++w) {
               mean[w] = columns.load(p.mean + c, w);
               scale[w] = columns.load_or(p.gamma, c, w, 1.0f) * columns.inv_sd(p, c, w);
               shift[w] = columns.load_or(p.beta, c, w, 0.0f);
             }
             const int64_t stride = s.channels;
             const float* from = x + rows.first * stride + c;
             float* to = y + rows.first * stride + c;
             for (int64_t r = rows.first; r < rows.last; ++r, from += stride, to += stride)
               for (int w = 0; w < W; ++w)
                 columns.store(to, w, fma(columns.load(from, w) - mean[w], scale[w], shift[w]));
           });
}

/// Leaves Σdy in sums.a and Σ dy·(x - mean) in sums.b, and the gradients of gamma and beta.
inline void sum_slopes(const BatchNorm& s, Range channels, const Parameters& p, const Gradients& g,
                       const float* x, const float* dy, PartSums& sums) {
  for_rows(s.batch, kStep, channels,
           [&]<int W, bool kPartial>(Columns<W, kPartial> columns, int64_t c, Range rows) {
             Vec mean[W], slopes[W], dot[W];
             for (int w = 0; w < W; ++w)
               mean[w] = columns.load(p.mean + c, w), slopes[w] = dot[w] = Vec::zero();
             const int64_t stride = s.channels;
             const float* from = x + rows.first * stride + c;
             const float* slope = dy + rows.first * stride + c;
             for (int64_t r = rows.first; r < rows.last; ++r, from += stride, slope += stride)
               for (int w = 0; w < W; ++w) {
                 const Vec d = columns.load(slope, w);
                 slopes[w] = slopes[w] + d;
                 dot[w] = fma(d, columns.load(from, w) - mean[w], dot[w]);
               }
             sums.add(columns, c - channels.first, slopes, dot);
           });
  for_columns(channels, [&]<int W, bool kPartial>(Columns<W, kPartial> columns, int64_t c) {
    for (int w = 0; w < W; ++w) {
      const Vec dot = columns.load(sums.b + (c - channels.first), w);
      if (g.dgamma != nullptr) columns.store(g.dgamma + c, w, dot * columns.inv_sd(p, c, w));
      if (g.dbeta != nullptr) columns.store(g.dbeta + c, w, columns.load(sums.a + (c - channels.first), w));
    }
  });
}

/// dx = scale·(dy - Σdy/n - (x - mean)·Σ(dy·(x - mean))·inv_sd²/n), the sums only in training.
inline void slope_columns(const BatchNorm& s, Range channels, const Parameters& p, const Gradients& g,
                          const float* x, const float* dy, const PartSums& sums) {
  const Vec share = Vec::all(1.0f / static_cast<float>(s.batch));
  for_rows(s.batch, kStep, channels,
           [&]<int W, bool kPartial>(Columns<W, kPartial> columns, int64_t c, Range rows) {
             Vec mean[W], scale[W], slope[W], pull[W];
             for (int w = 0; w < W; ++w) {
               const Vec inv_sd = columns.inv_sd(p, c, w);
               mean[w] = columns.load(p.mean + c, w);
               scale[w] = columns.load_or(p.gamma, c, w, 1.0f) * inv_sd;
               slope[w] = columns.load(sums.a + (c - channels.first), w) * share;
               pull[w] =
                   Vec::zero() - columns.load(sums.b + (c - channels.first), w) * share * inv_sd * inv_sd;
             }
             const int64_t stride = s.channels, offset = rows.first * stride + c;
             const bool training = g.statistics_depend_on_x;
             const float *from = x + offset, *slopes = dy + offset;
             float* to = g.dx + offset;
             for (int64_t r = rows.first; r < rows.last; ++r, from += stride, slopes += stride, to += stride)
               for (int w = 0; w < W; ++w) {
                 Vec d = columns.load(slopes, w);
                 if (training) d = fma(columns.load(from, w) - mean[w], pull[w], d - slope[w]);
                 columns.store(to, w, d * scale[w]);
               }
           });
}

}  // namespace
}  // namespace fovea::kernels

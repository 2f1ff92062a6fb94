// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "bench/ladder/fft/transform.h"
#include "kernels/cpu/pool.h"
#include "kernels/cpu/vec.h"
#include "kernels/geometry.h"

/// What rungs 3 and 4 share: 2·kLanes images at once, two of them in the real and imaginary parts of a lane.
///
/// Note [Pairs]: kernels are real, so what happens to x1 + i·x2 between the transforms happens to x1 and x2 each by
/// itself, and the result is y1 + i·y2. No spectrum has to be taken apart.
namespace fovea::bench::ladder {
namespace {

using cpu::Vec;
using Number = Complex<Vec>;
using Index = std::int64_t;

constexpr Index kImages = 2 * Vec::kLanes;

inline Index least(Index a, Index b) { return a < b ? a : b; }

/// Rows of pixels into lanes and back, one float at a time.
struct OneByOne {
  /// `width` pixels of `images` images that lie `stride` apart, and zeros up to `length`.
  static void load(const float* x, Index width, Index length, Index stride, Index images, Number* to) {
    for (Index i = 0; i < length; ++i) {
      float re[Vec::kLanes] = {}, im[Vec::kLanes] = {};
      if (i < width)
        for (Index n = 0; n < images; ++n) (n % 2 == 0 ? re : im)[n / 2] = x[n * stride + i];
      to[i] = {Vec::load(re), Vec::load(im)};
    }
  }
  static void store(const Number* from, Index width, float scale, Index stride, Index images, float* y) {
    for (Index i = 0; i < width; ++i) {
      float re[Vec::kLanes], im[Vec::kLanes];
      from[i].re.store(re);
      from[i].im.store(im);
      for (Index n = 0; n < images; ++n) y[n * stride + i] = scale * (n % 2 == 0 ? re : im)[n / 2];
    }
  }
};

/// The transform of a line whose numbers lie `step` apart, `count` of them, the rest 0; `kept` of the result go to `to`.
template <int sign>
void line(const Plan& plan, const Number* from, Index step, Index count, Index kept, Number* to,
          Index to_step, Number* work) {
  const Number zero{Vec::zero(), Vec::zero()};
  for (Index i = 0; i < plan.length; ++i) work[i] = i < count ? from[i * step] : zero;
  const Number* const result = transform<sign>(plan, work, work + plan.length);
  for (Index i = 0; i < kept; ++i) to[i * to_step] = result[i];
}

/// Kernels by pair of channels e = c·out_channels + o, kLanes pairs in a vector: spectra[k·L + f][e / kLanes], k the
/// frequency along rows. rows: L·L numbers
void weight_spectra(const Conv2d& s, const Plan& plan, const float* w, Number* spectra, Number* rows,
                    Number* work) {
  const Index L = plan.length, pairs = s.in_channels * s.out_channels,
              groups = (pairs + Vec::kLanes - 1) / Vec::kLanes;
  for (Index g = 0; g < groups; ++g) {
    for (Index r = 0; r < s.kernel_height; ++r) {
      for (Index t = 0; t < s.kernel_width; ++t) {
        float lanes[Vec::kLanes] = {};
        for (Index e = g * Vec::kLanes; e < least(pairs, (g + 1) * Vec::kLanes); ++e) {
          const Index kernel = e % s.out_channels * s.in_channels + e / s.out_channels;
          lanes[e % Vec::kLanes] = w[(kernel * s.kernel_height + r) * s.kernel_width + t];
        }
        rows[r * L + t] = {Vec::load(lanes), Vec::zero()};
      }
      line<-1>(plan, rows + r * L, 1, s.kernel_width, L, rows + r * L, 1, work);
    }
    for (Index k = 0; k < L; ++k)
      line<-1>(plan, rows + k, L, s.kernel_height, L, spectra + k * L * groups + g, groups, work);
  }
}

/// At one frequency: y[o·y_step] = Σ_c x[c·x_step]·conj(w(c, o)) for `outs` channels from `first` on.
template <int outs>
void multiply_channels(const Conv2d& s, Index first, const Number* x, Index x_step, const float* w, Number* y,
                       Index y_step) {
  Number sums[outs];
#pragma GCC unroll 8
  for (int o = 0; o < outs; ++o) sums[o] = {Vec::zero(), Vec::zero()};
  for (Index c = 0; c < s.in_channels; ++c) {
    const Number in = x[c * x_step];
    const Vec minus_re = Vec::zero() - in.re;
#pragma GCC unroll 8
    for (int o = 0; o < outs; ++o) {
      const Index e = c * s.out_channels + first + o;
      const float* const of_group = w + e / Vec::kLanes * 2 * Vec::kLanes + e % Vec::kLanes;
      const Vec re = Vec::all(of_group[0]), im = Vec::all(of_group[Vec::kLanes]);
      sums[o].re = fma(in.re, re, fma(in.im, im, sums[o].re));
      sums[o].im = fma(in.im, re, fma(minus_re, im, sums[o].im));
    }
  }
#pragma GCC unroll 8
  for (int o = 0; o < outs; ++o) y[(first + o) * y_step] = sums[o];
}

void multiply_spectra(const Conv2d& s, const Number* x, Index x_step, const Number* w, Number* y,
                      Index y_step) {
  const auto* const parts = reinterpret_cast<const float*>(w);
  Index o = 0;
  for (; o + 8 <= s.out_channels; o += 8) multiply_channels<8>(s, o, x, x_step, parts, y, y_step);
  for (; o < s.out_channels; ++o) multiply_channels<1>(s, o, x, x_step, parts, y, y_step);
}

}  // namespace
}  // namespace fovea::bench::ladder

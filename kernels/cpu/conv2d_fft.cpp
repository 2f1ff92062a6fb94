// SPDX-License-Identifier: Apache-2.0
#include "kernels/cpu/conv2d_fft.h"

#include "kernels/cpu/conv2d_by_fft.h"

/// Forward pass and input gradient by Fourier transforms.
namespace fovea::cpu {
namespace {

/// Spectra of the weights: [kx][ky][re, im][plane], for kx ≤ n/2; the rest are their conjugates, as weights are
/// real. Planes are in the order [input][output].
struct WeightSpectra {
  Index inputs, outputs, height, width;
  Spectrum spectrum;

  Index vectors() const { return blocks_of(inputs * outputs, 2 * kLanes); }
  Index planes() const { return vectors() * 2 * kLanes; }
  Index frequency() const { return 2 * planes(); }  // floats of one
  Index columns() const { return spectrum.across->length / 2 + 1; }
  Index working() const { return spectrum.across->length * height * kLine; }  // floats of a vector
  Index floats() const { return columns() * spectrum.down->length * frequency(); }
};

/// Half of (a + conj b), and of (a - conj b)/i: the spectra of the real and the imaginary part of a plane.
void store_halves(Complex a, Complex b, float scale, float* re, float* im) {
  const Vec half = Vec::all(0.5f * scale);
  (half * (a.re + b.re)).store(re);
  (half * (a.im - b.im)).store(im);
  (half * (a.im + b.im)).store(re + kLanes);
  (half * (b.re - a.re)).store(im + kLanes);
}

/// Spectra of 2·kLanes planes: kLanes as real, kLanes as imaginary parts.
void transform_weights(const WeightSpectra& s, const float* w, Index vector, float* rows, float* out) {
  const Fft &across = *s.spectrum.across, &down = *s.spectrum.down;
  const Index taps = s.height * s.width, count = s.inputs * s.outputs;
  alignas(64) float line[kLongest * kLine];
  const float* planes[kLine];
  for (Index l = 0; l < kLine; ++l) {
    const Index plane = vector * kLine + l;  // [input][output] of w[output][input]
    planes[l] = plane < count ? w + (plane % s.outputs * s.inputs + plane / s.outputs) * taps : nullptr;
  }
  for (Index r = 0; r < s.height; ++r) {
    for (Index l = 0; l < kLine; ++l)
      for (Index j = 0; j < s.width; ++j)
        line[j * kLine + l] = planes[l] != nullptr ? planes[l][r * s.width + j] : 0.0f;
    across.forward(line, {kLine, 0, s.width}, rows + r * kLine, {s.height * kLine, 0, across.length});
  }
  alignas(64) float other[kLongest * kLine];
  for (Index kx = 0; kx < s.columns(); ++kx) {
    const Index mirrored = (across.length - kx) % across.length;
    down.forward(rows + kx * s.height * kLine, {kLine, 0, s.height}, line, {kLine, 0, down.length});
    down.forward(rows + mirrored * s.height * kLine, {kLine, 0, s.height}, other, {kLine, 0, down.length});
    for (Index ky = 0; ky < down.length; ++ky) {
      float* const to = out + (kx * down.length + ky) * s.frequency() + vector * kLine;
      store_halves(Complex::load(line + ky * kLine),
                   Complex::load(other + (down.length - ky) % down.length * kLine), s.spectrum.scale(), to,
                   to + s.planes());
    }
  }
}

/// y[n, o] = bias[o] + Σ_c x[n, c]·w[o, c], as a product of spectra; `conjugate` makes it a correlation. The weight
/// of (c, o) is plane c·w_in + o·w_out of the spectra.
struct Product {
  Planes x;
  WeightSpectra w;
  Index w_in, w_out;
  bool conjugate;
  Index outputs, height, width, left, top;  // of y; where its planes begin in the transform
  const float* bias;
  float* y;

  Rows rows() const { return {w.spectrum.across, x.row_vectors(), x.height}; }
  Index finished_row() const { return (w.spectrum.across->length + 1) * kLine; }
  Index finished() const { return outputs * height * finished_row(); }  // floats
  // Odd numbers of lines, so that columns spread over the sets of the cache.
  Index x_row() const { return (x.group_vectors() | 1) * kLine; }
  Index y_row() const { return (outputs | 1) * kLine; }
  Index working() const {
    return w.spectrum.down->length * (x_row() + y_row()) + x_row();
  }  // floats of a column
  void column(Index group, Index kx, const float* rows, const float* weights, const Index* first,
              float* memory, float* out) const;
  void write_rows(Index group, Index part, const float* finished) const;
};

/// The channels of x at one frequency, as sum_channels() reads them.
struct Channels {
  Index count;
  const Index* first;  // floats to the first pair of each
  Index im;            // from real to imaginary parts
};
/// The weights at one frequency.
struct WeightsAt {
  const float* data;
  Index im, in, out;  // strides
};

/// out[o] = Σ_c x[c]·w[c, o] for `width` outputs, a line each. Their sums stay in registers: 16 of them with eight
/// outputs, each fed with one broadcast for two products.
template <int width, bool conjugate, bool adjacent>
void sum_channels(const Channels& channels, const float* x, const WeightsAt& w, float* out) {
  Complex sum[width];
#pragma GCC unroll 8
  for (int o = 0; o < width; ++o) sum[o] = {Vec::zero(), Vec::zero()};
  const Index step = adjacent ? 1 : w.out;
  const float* weights = w.data;
  for (Index c = 0; c < channels.count; ++c, weights += w.in) {
    const float* const from = x + channels.first[c];
    const Vec re = Vec::load(from), im = Vec::load(from + channels.im);
#pragma GCC unroll 8
    for (int o = 0; o < width; ++o) {
      const Vec r = Vec::all(weights[o * step]), i = Vec::all(weights[o * step + w.im]);
      sum[o].re = fma(re, r, sum[o].re);
      sum[o].im = fma(im, r, sum[o].im);
      sum[o].re = conjugate ? fma(im, i, sum[o].re) : fnma(im, i, sum[o].re);
      sum[o].im = conjugate ? fnma(re, i, sum[o].im) : fma(re, i, sum[o].im);
    }
  }
#pragma GCC unroll 8
  for (int o = 0; o < width; ++o) sum[o].store(out + o * kLine);
}

template <bool conjugate, bool adjacent>
void sum_channels_of(Index outputs, const Channels& channels, const float* x, WeightsAt w, float* out) {
  const auto some = [&]<int width>() {
    for (; outputs >= width; outputs -= width, w.data += width * w.out, out += width * kLine)
      sum_channels<width, conjugate, adjacent>(channels, x, w, out);
  };
  some.template operator()<8>();
  some.template operator()<4>();
  some.template operator()<2>();
  some.template operator()<1>();
}

void sum_channels_of(Index outputs, bool conjugate, const Channels& channels, const float* x,
                     const WeightsAt& w, float* out) {
  const auto f = w.out == 1 ? (conjugate ? sum_channels_of<true, true> : sum_channels_of<false, true>)
                            : (conjugate ? sum_channels_of<true, false> : sum_channels_of<false, false>);
  f(outputs, channels, x, w, out);
}

/// All of one kx: columns of x, sums over channels, columns of y.
void Product::column(Index group, Index kx, const float* rows_data, const float* weights, const Index* first,
                     float* memory, float* out) const {
  const Fft &across = *w.spectrum.across, &down = *w.spectrum.down;
  const Index n = down.length, vectors = x.group_vectors();
  float *const x_data = memory, *const y_data = x_data + n * x_row(), *const line = y_data + n * y_row();
  const Rows r = rows();
  const float* const slab = rows_data + kx * r.slab();
  for (Index v = 0; v < vectors; ++v) {
    const Index from = x.row_vector(group, v);
    const Part all{kLine, x.top, x.height}, column{x_row(), 0, n};
    if (from < r.vectors) {
      fetch(slab + from * x.height * kLine, x.height * kLine);
      down.forward(slab + from * x.height * kLine, all, x_data + v * kLine, column);
    } else
      for (Index ky = 0; ky < n; ++ky)
        Complex{Vec::zero(), Vec::zero()}.store(x_data + ky * x_row() + v * kLine);
  }
  Channels channels{x.channels, first, kLanes};
  if (x.rolling()) {  // real parts together, so that a channel's pairs lie side by side
    channels.im = vectors * kLanes;
    for (Index ky = 0; ky < n; ++ky) {
      float* const row = x_data + ky * x_row();
      for (Index v = 0; v < 2 * vectors; ++v) Vec::load(row + v * kLanes).store(line + v * kLanes);
      for (Index v = 0; v < vectors; ++v) {
        const Complex z = Complex::load(line + v * kLine);
        z.re.store(row + v * kLanes);
        z.im.store(row + channels.im + v * kLanes);
      }
    }
  }
  const bool mirrored = kx >= w.columns();
  const Index column = mirrored ? across.length - kx : kx;
  for (Index ky = 0; ky < n; ++ky) {
    const Index row = mirrored ? (n - ky) % n : ky;
    sum_channels_of(outputs, conjugate != mirrored, channels, x_data + ky * x_row(),
                    {weights + (column * n + row) * w.frequency(), w.planes(), w_in, w_out},
                    y_data + ky * y_row());
  }
  for (Index o = 0; o < outputs; ++o)
    down.inverse(y_data + o * kLine, {y_row(), 0, n}, out + o * height * finished_row() + kx * kLine,
                 {finished_row(), top, height});
}

/// Some rows of one output channel.
void Product::write_rows(Index group, Index part, const float* finished_rows) const {
  alignas(64) float line[kLongest * kLine];
  const Fft& across = *w.spectrum.across;
  const Index o = part % outputs, first = part / outputs * kPartRows;
  const Index images = least(kGroup, x.images - group * kGroup), image = outputs * height * width;
  const Vec add = Vec::all(bias != nullptr ? bias[o] : 0.0f);
  for (Index p = first; p < least(first + kPartRows, height); ++p) {
    fetch(finished_rows + (o * height + p) * finished_row(), across.length * kLine);
    across.inverse(finished_rows + (o * height + p) * finished_row(), {kLine, 0, across.length}, line,
                   {kLine, left, width});
    float* const to = y + group * kGroup * image + (o * height + p) * width;
    for (Index q = 0; q < width; q += kLanes) {
      const int some = static_cast<int>(least(kLanes, width - q));
      for (int odd = 0; odd < 2; ++odd) {
        Vec square[kLanes];
        for (Index j = 0; j < kLanes; ++j)
          square[j] = j < some ? Vec::load(line + (q + j) * kLine + odd * kLanes) + add : Vec::zero();
        transpose(square);
        for (Index l = 0; 2 * l + odd < images; ++l) store(to + (2 * l + odd) * image + q, some, square[l]);
      }
    }
  }
}

void multiply_spectra(Pool& pool, const Product& k, const float* w) {
  const Rows rows = k.rows();
  const Scratch<float> weights(pool, k.w.floats(), "conv2d"), row_data(pool, rows.floats(), "conv2d"),
      finished(pool, k.finished(), "conv2d");
  const Scratch<Index> first_of(pool, k.x.channels, "conv2d");
  for (Index c = 0; c < k.x.channels; ++c) first_of.data()[c] = k.x.rolling() ? k.x.first_pair(c) : c * kLine;
  const Index vectors = k.w.vectors();
  for (Index group = 0; group < k.x.groups(); ++group) {
    if (group == 0)
      for_parts_with(pool, vectors, k.w.working(), "conv2d", [&](Index part, float* memory) {
        transform_weights(k.w, w, part, memory, weights.data());
      });
    if (group == 0 || !k.x.rolling())
      for_parts(pool, rows.parts(),
                [&](Index part) { transform_rows(k.x, rows, group, part, row_data.data()); });
    for_parts_with(pool, k.w.columns(), k.working(), "conv2d", [&](Index kx, float* memory) {
      const auto column = [&](Index x) {
        k.column(group, x, row_data.data(), weights.data(), first_of.data(), memory, finished.data());
      };
      column(kx);  // and its mirror image, while its weights are in the cache
      const Index mirrored = rows.fft->length - kx;
      if (mirrored != kx && kx > 0) column(mirrored);
    });
    for_parts(pool, k.outputs * blocks_of(k.height, kPartRows),
              [&](Index part) { k.write_rows(group, part, finished.data()); });
  }
}

}  // namespace

void conv2d_by_fft(Queue& queue, const Conv2d& s, const float* x, const float* w, const float* bias,
                   float* y) {
  multiply_spectra(queue,
                   {.x = planes_of(s, x),
                    .w = {s.in_channels, s.out_channels, s.kernel_height, s.kernel_width, spectrum_of(s)},
                    .w_in = s.out_channels,
                    .w_out = 1,
                    .conjugate = true,
                    .outputs = s.out_channels,
                    .height = s.out_height(),
                    .width = s.out_width(),
                    .left = 0,
                    .top = 0,
                    .bias = bias,
                    .y = y},
                   w);
}

void grad_input_by_fft(Queue& queue, const Conv2d& s, const float* w, const float* dy, float* dx) {
  multiply_spectra(queue,
                   {.x = slope_planes(s, dy),
                    .w = {s.in_channels, s.out_channels, s.kernel_height, s.kernel_width, spectrum_of(s)},
                    .w_in = 1,
                    .w_out = s.out_channels,
                    .conjugate = false,
                    .outputs = s.in_channels,
                    .height = s.in_height,
                    .width = s.in_width,
                    .left = s.padding.left,
                    .top = s.padding.top,
                    .bias = nullptr,
                    .y = dx},
                   w);
}

}  // namespace fovea::cpu

// SPDX-License-Identifier: Apache-2.0
#include "kernels/cpu/conv2d_by_fft.h"
#include "kernels/cpu/conv2d_fft.h"

/// Weight gradient by Fourier transforms: the sum over images of conj(dY)·X, of which the real part is transformed
/// back and cut to the kernel.
///
/// Pairs of images lie in the lanes of the transforms, but have to be summed. So the columns of one kx are turned:
/// kLanes frequencies ky in the lanes, pairs one after the other. The sums are turned once more, so that kLanes
/// planes of weights lie in the lanes of the inverse transforms.
namespace fovea::cpu {
namespace {

constexpr Index kTileIn = 2, kTileOut = 4;  // 16 sums, and 8 vectors of dY, in registers

struct GradWeight {
  Planes x, dy;
  Spectrum spectrum;
  Index kernel_height, kernel_width;

  Rows rows_of(const Planes& p) const { return {spectrum.across, p.row_vectors(), p.height}; }
  Index blocks() const { return blocks_of(spectrum.down->length, kLanes); }  // of ky, of one kx
  Index planes() const { return x.channels * dy.channels; }                  // [input][output]
  Index vectors() const { return blocks_of(planes(), kLanes); }
  Index sums_column() const { return spectrum.down->length * kLine; }  // floats of one kx
  Index sums() const { return vectors() * spectrum.across->length * sums_column(); }
  Index pairs_of(const Planes& p) const { return p.group_vectors() * kLanes; }
  Index column_working() const {  // floats
    return (blocks() * (pairs_of(x) + pairs_of(dy)) + vectors() * kLanes) * kLine;
  }
  Index write_working() const { return kernel_height * spectrum.across->length * kLine; }
  void column(Index group, Index kx, const float* x_rows, const float* dy_rows, float* memory,
              float* sums) const;
  void write(Index vector, const float* sums, float* memory, float* dw) const;
};

/// Pairs of images of one kx, turned: [block of ky][pair], complex vectors of kLanes ky.
void turn_columns(const Planes& p, const Rows& rows, const Fft& down, Index group, Index kx,
                  const float* data, Index pairs, float* out) {
  alignas(64) float line[(kLongest + kLanes) * kLine];
  const Index n = down.length, blocks = blocks_of(n, kLanes);
  for (Index i = n * kLine; i < blocks * kLanes * kLine; i += kLanes) Vec::zero().store(line + i);
  for (Index v = 0; v < p.group_vectors(); ++v) {
    const Index from = p.row_vector(group, v);
    const float* const column = data + kx * rows.slab() + from * p.height * kLine;
    if (from < rows.vectors) {
      fetch(column, p.height * kLine);
      down.forward(column, {kLine, p.top, p.height}, line, {kLine, 0, n});
    } else
      for (Index i = 0; i < n * kLine; i += kLanes) Vec::zero().store(line + i);
    for (Index b = 0; b < blocks; ++b)
      for (Index part = 0; part < 2; ++part) {
        Vec square[kLanes];
        for (Index i = 0; i < kLanes; ++i)
          square[i] = Vec::load(line + (b * kLanes + i) * kLine + part * kLanes);
        transpose(square);
        float* const to = out + (b * pairs + v * kLanes) * kLine + part * kLanes;
        for (Index l = 0; l < kLanes; ++l) square[l].store(to + l * kLine);
      }
  }
}

/// out[c][o] = Σ conj(dy[o])·x[c] over pairs, for a tile of inputs and outputs.
template <int in, int out>
void sum_pairs(const float* const* x, const float* const* dy, Index pairs, float* to, Index to_in) {
  Complex sum[in][out];
#pragma GCC unroll 2
  for (int c = 0; c < in; ++c)
#pragma GCC unroll 4
    for (int o = 0; o < out; ++o) sum[c][o] = {Vec::zero(), Vec::zero()};
  for (Index i = 0; i < pairs * kLine; i += kLine) {
    Complex g[out];
#pragma GCC unroll 4
    for (int o = 0; o < out; ++o) g[o] = Complex::load(dy[o] + i);
#pragma GCC unroll 2
    for (int c = 0; c < in; ++c) {
      const Complex f = Complex::load(x[c] + i);
#pragma GCC unroll 4
      for (int o = 0; o < out; ++o) {
        sum[c][o].re = fma(g[o].re, f.re, sum[c][o].re);
        sum[c][o].im = fma(g[o].re, f.im, sum[c][o].im);
        sum[c][o].re = fma(g[o].im, f.im, sum[c][o].re);
        sum[c][o].im = fnma(g[o].im, f.re, sum[c][o].im);
      }
    }
  }
#pragma GCC unroll 2
  for (int c = 0; c < in; ++c)
#pragma GCC unroll 4
    for (int o = 0; o < out; ++o) sum[c][o].store(to + c * to_in + o * kLine);
}

using SumPairs = void (*)(const float* const* x, const float* const* dy, Index pairs, float* to, Index to_in);
constexpr SumPairs kSumPairs[kTileIn][kTileOut] = {
    {sum_pairs<1, 1>, sum_pairs<1, 2>, sum_pairs<1, 3>, sum_pairs<1, 4>},
    {sum_pairs<2, 1>, sum_pairs<2, 2>, sum_pairs<2, 3>, sum_pairs<2, 4>}};

/// All of one kx; adds to the sums of the groups before.
void GradWeight::column(Index group, Index kx, const float* x_rows, const float* dy_rows, float* memory,
                        float* sums) const {
  const Index x_pairs = pairs_of(x), dy_pairs = pairs_of(dy), n = spectrum.down->length;
  const Index images = least(kGroup, x.images - group * kGroup), pairs = blocks_of(images, 2);
  float *const xs = memory, *const dys = xs + blocks() * x_pairs * kLine;
  float* const products = dys + blocks() * dy_pairs * kLine;
  turn_columns(x, rows_of(x), *spectrum.down, group, kx, x_rows, x_pairs, xs);
  turn_columns(dy, rows_of(dy), *spectrum.down, group, kx, dy_rows, dy_pairs, dys);
  for (Index i = planes() * kLine; i < vectors() * kLanes * kLine; i += kLanes)
    Vec::zero().store(products + i);
  for (Index b = 0; b < blocks(); ++b) {
    const float* const x_block = xs + b * x_pairs * kLine;
    const float* const dy_block = dys + b * dy_pairs * kLine;
    for (Index o = 0; o < dy.channels; o += kTileOut) {
      const float* slopes[kTileOut];
      const Index outs = least(kTileOut, dy.channels - o);
      for (Index i = 0; i < outs; ++i) slopes[i] = dy_block + dy.first_pair(o + i) * kLine;
      for (Index c = 0; c < x.channels; c += kTileIn) {
        const float* inputs[kTileIn];
        const Index ins = least(kTileIn, x.channels - c);
        for (Index i = 0; i < ins; ++i) inputs[i] = x_block + x.first_pair(c + i) * kLine;
        kSumPairs[ins - 1][outs - 1](inputs, slopes, pairs, products + (c * dy.channels + o) * kLine,
                                     dy.channels * kLine);
      }
    }
    for (Index v = 0; v < vectors(); ++v)
      for (Index part = 0; part < 2; ++part) {
        Vec square[kLanes];
        for (Index l = 0; l < kLanes; ++l)
          square[l] = Vec::load(products + (v * kLanes + l) * kLine + part * kLanes);
        transpose(square);
        float* const to =
            sums + (v * spectrum.across->length + kx) * sums_column() + b * kLanes * kLine + part * kLanes;
        for (Index i = 0; i < least(kLanes, n - b * kLanes); ++i)
          (group == 0 ? square[i] : Vec::load(to + i * kLine) + square[i]).store(to + i * kLine);
      }
  }
}

/// kLanes planes of dw.
void GradWeight::write(Index vector, const float* sums, float* memory, float* dw) const {
  const Fft &across = *spectrum.across, &down = *spectrum.down;
  const Index row = across.length * kLine;
  for (Index kx = 0; kx < across.length; ++kx) {
    const float* const column = sums + (vector * across.length + kx) * sums_column();
    fetch(column, sums_column());
    down.inverse(column, {kLine, 0, down.length}, memory + kx * kLine, {row, 0, kernel_height});
  }
  alignas(64) float line[kLongest * kLine];
  for (Index r = 0; r < kernel_height; ++r) {
    across.inverse(memory + r * row, {kLine, 0, across.length}, line, {kLine, 0, kernel_width});
    for (Index l = 0; l < least(kLanes, planes() - vector * kLanes); ++l) {
      const Index plane = vector * kLanes + l, c = plane / dy.channels, o = plane % dy.channels;
      float* const to = dw + ((o * x.channels + c) * kernel_height + r) * kernel_width;
      for (Index s = 0; s < kernel_width; ++s) to[s] = line[s * kLine + l] * spectrum.scale();
    }
  }
}

}  // namespace

void grad_weight_by_fft(Queue& queue, const Conv2d& s, const float* x, const float* dy, float* dw) {
  const GradWeight g{planes_of(s, x), slope_planes(s, dy), spectrum_of(s), s.kernel_height, s.kernel_width};
  const Rows x_rows = g.rows_of(g.x), dy_rows = g.rows_of(g.dy);
  const Scratch<float> x_data(queue, x_rows.floats(), "conv2d_grad_weight"),
      dy_data(queue, dy_rows.floats(), "conv2d_grad_weight"), sums(queue, g.sums(), "conv2d_grad_weight");
  for (Index group = 0; group < g.x.groups(); ++group) {
    const Index x_parts = group == 0 || !g.x.rolling() ? x_rows.parts() : 0;
    for_parts(queue, x_parts + dy_rows.parts(), [&](Index part) {
      if (part < x_parts)
        transform_rows(g.x, x_rows, group, part, x_data.data());
      else
        transform_rows(g.dy, dy_rows, group, part - x_parts, dy_data.data());
    });
    for_parts_with(queue, g.spectrum.across->length, g.column_working(), "conv2d_grad_weight",
                   [&](Index kx, float* memory) {
                     g.column(group, kx, x_data.data(), dy_data.data(), memory, sums.data());
                   });
  }
  for_parts_with(queue, g.vectors(), g.write_working(), "conv2d_grad_weight",
                 [&](Index vector, float* memory) { g.write(vector, sums.data(), memory, dw); });
}

}  // namespace fovea::cpu

// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/cpu/conv2d_pack.h"
#include "kernels/cpu/outer_tile.h"

/// The inner loops of the convolutions: O output channels times three vectors stay in registers, and each
/// vector loaded is used O times, each broadcast three times. With 32 registers O = 8: 24 sums, 3 inputs and
/// a weight; one step is 11 loads for 24 multiply-adds, so the multipliers are the limit, not the loads.
///
/// A tile of one channel, as in depthwise convolutions, is eight vectors wide: nine loads for eight
/// multiply-adds, in eight chains that hide each other's latency.
namespace fovea::cpu {
namespace {

/// Vectors of a tile of `out` channels.
constexpr int tile_vectors(int out) { return out == 1 ? 8 : out == 2 ? 4 : 3; }

/// The taps of a kernel that a tile needs, since the others would only meet padding; how far apart the tile's
/// vectors are; and how many rows of taps make a run.
struct Taps {
  Range rows, columns;
  Index vector, run_rows;
};

/// Note [Short runs]: a float sum of K terms in one chain is off by about √K roundings, and Deep Retina's
/// first layer has K = 9000: enough to push a unit that is normalised by a small deviation over the kink of
/// its ReLU. So a chain ends after some 256 terms and is added to the sum of those before it; the error
/// then grows like √256 + √(K/256). The CUDA kernel does the same. Within groups, rows of taps are so short
/// that a run takes several.
constexpr Index kRunTerms = 256;

/// out[o][v] (vectors, rows of out_row vectors) = bias[o] + Σ_{r,s,c} x(r, s, c, v)·w[r][s][c][o].
template <int O, int V>
void sum_taps(const Packed& p, const Taps& taps, const Index* columns, Index kernel_width, Index channels,
              const float* x, const float* w, const float* bias, float* out, Index out_row) {
#pragma GCC unroll 8
  for (int o = 0; o < O; ++o)
#pragma GCC unroll 8
    for (int v = 0; v < V; ++v)
      (bias != nullptr ? Vec::all(bias[o]) : Vec::zero()).store(out + (o * out_row + v) * Vec::kLanes);
  const Index step = p.channel, vector = taps.vector;
  const Index run = most(1, kRunTerms / most(1, channels));  // columns of the kernel
  for (Index r_begin = taps.rows.begin; r_begin < taps.rows.end; r_begin += taps.run_rows)
    for (Index s_begin = taps.columns.begin; s_begin < taps.columns.end; s_begin += run) {
      Vec sums[O][V] = {};
      const Index r_end = least(taps.rows.end, r_begin + taps.run_rows);
      const Index s_end = least(taps.columns.end, s_begin + run);
      for (Index r = r_begin; r < r_end; ++r)
        for (Index s = s_begin; s < s_end; ++s) {
          const float* from = x + r * p.tap_row + columns[s];
          const float* weight = w + (r * kernel_width + s) * channels * O;
          for (Index c = 0; c < channels; ++c, from += step, weight += O) {
            Vec in[V];
#pragma GCC unroll 8
            for (int v = 0; v < V; ++v) in[v] = Vec::load(from + v * vector);
#pragma GCC unroll 8
            for (int o = 0; o < O; ++o) {
              const Vec one = Vec::all(weight[o]);
#pragma GCC unroll 8
              for (int v = 0; v < V; ++v) sums[o][v] = fma(in[v], one, sums[o][v]);
            }
          }
        }
#pragma GCC unroll 8
      for (int o = 0; o < O; ++o)
#pragma GCC unroll 8
        for (int v = 0; v < V; ++v) {
          float* const total = out + (o * out_row + v) * Vec::kLanes;
          (Vec::load(total) + sums[o][v]).store(total);
        }
    }
}

/// sums[s][o] (vectors) += Σ_{p,q} x[p·x_row + q·step + columns[s]]·dy[p·dy_row + o·dy_out + q·kLanes], for
/// `rows` values of p and `steps` values of q.
struct PixelSum {
  Index rows, steps, x_row, step, dy_row, dy_out;
  const Index* columns;
};
template <int O, int S>
void sum_pixels(const PixelSum& k, const float* x, const float* dy, float* sums) {
  constexpr int kLanes = Vec::kLanes;
  Vec sum[S][O];
  Index column[S];  // from the first: one register less
  x += k.columns[0];
#pragma GCC unroll 8
  for (int s = 0; s < S; ++s) {
    column[s] = k.columns[s] - k.columns[0];
#pragma GCC unroll 8
    for (int o = 0; o < O; ++o) sum[s][o] = Vec::load(sums + (s * O + o) * kLanes);
  }
  const Index steps = k.steps, step = k.step, dy_out = k.dy_out;
  for (Index p = 0; p < k.rows; ++p, x += k.x_row, dy += k.dy_row) {
    const float *from = x, *slopes = dy;
    for (Index q = 0; q < steps; ++q, from += step, slopes += kLanes) {
      Vec in[S];
#pragma GCC unroll 8
      for (int s = 0; s < S; ++s) in[s] = Vec::load(s == 0 ? from : from + column[s]);
#pragma GCC unroll 8
      for (int o = 0; o < O; ++o) {
        Vec slope = Vec::load(slopes + o * dy_out);
        keep_in_register(slope);
#pragma GCC unroll 8
        for (int s = 0; s < S; ++s) sum[s][o] = fma(in[s], slope, sum[s][o]);
      }
    }
  }
#pragma GCC unroll 8
  for (int s = 0; s < S; ++s)
#pragma GCC unroll 8
    for (int o = 0; o < O; ++o) sum[s][o].store(sums + (s * O + o) * kLanes);
}

using SumTaps = void (*)(const Packed&, const Taps&, const Index*, Index, Index, const float*, const float*,
                         const float*, float*, Index);
using SumPixels = void (*)(const PixelSum&, const float*, const float*, float*);

template <int O, int V = tile_vectors(O)>
SumTaps sum_taps_of(int vectors) {
  if constexpr (V > 1)
    if (vectors < V) return sum_taps_of<O, V - 1>(vectors);
  return sum_taps<O, V>;
}
template <int O, int S = tile_vectors(O)>
SumPixels sum_pixels_of(int columns) {
  if constexpr (S > 1)
    if (columns < S) return sum_pixels_of<O, S - 1>(columns);
  return sum_pixels<O, S>;
}

/// out ∈ {1, 2, 4, 8}, 1 ≤ vectors ≤ tile_vectors(out)
[[maybe_unused]] SumTaps sum_taps_for(int out, int vectors) {
  if constexpr (kTileOut == 8)
    if (out == 8) return sum_taps_of<8>(vectors);
  return out == 4 ? sum_taps_of<4>(vectors) : out == 2 ? sum_taps_of<2>(vectors) : sum_taps_of<1>(vectors);
}
[[maybe_unused]] SumPixels sum_pixels_for(int out, int columns) {
  if constexpr (kTileOut == 8)
    if (out == 8) return sum_pixels_of<8>(columns);
  return out == 4   ? sum_pixels_of<4>(columns)
         : out == 2 ? sum_pixels_of<2>(columns)
                    : sum_pixels_of<1>(columns);
}

}  // namespace
}  // namespace fovea::cpu

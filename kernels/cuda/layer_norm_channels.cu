// SPDX-License-Identifier: Apache-2.0
#include "kernels/ops/layer_norm_channels.h"

#include "kernels/cuda/norm_sums.cuh"

/// A block owns 32 neighbouring columns, or packs of four where there are enough of them to fill a GPU; the columns
/// of all samples count as one row of columns. Its warps take the channels in turn, meet in shared memory, and
/// write. dgamma and dbeta: sums of planes, then down the samples.
///
/// Bytes moved, n elements of 4: forward reads x twice and writes y, 12·n; backward reads x and dy twice and writes
/// dx, 20·n, and reads both once more where dgamma or dbeta is asked for, 28·n. 32 columns of 256 channels are
/// 32 KiB and stay in cache between the sweeps: forward asks memory for 8·n. Expected share of the H100's 3.0 TB/s:
/// 0.7 for n of 10^7 and more; with fewer than eight positions in a plane, rows of less than a sector halve it.
namespace fovea::kernels {
namespace {

constexpr int64_t kPackColumns = 16384;  // columns from which packs still give each SM a block

/// The pack of columns of this thread's lane.
template <int N>
struct ColumnPack {
  int lane = static_cast<int>(threadIdx.x) % 32, warp = static_cast<int>(threadIdx.x) / 32;
  int64_t pack = int64_t{blockIdx.x} * 32 + lane;
  bool inside;
  int64_t offset = 0, step;  // of its first channel, in elements; from channel to channel, in packs
  __device__ explicit ColumnPack(const Reduce& s) : inside(pack < s.outer * s.inner / N), step(s.inner / N) {
    const gpu::Division at = gpu::divide(pack * N, s.inner);
    if (inside) offset = at.quotient * s.width * s.inner + at.remainder;
  }
};

template <int N>
__global__ void __launch_bounds__(kThreads)
    layer_norm_columns(Reduce s, float eps, const float* __restrict__ x, const float* __restrict__ gamma,
                       const float* __restrict__ beta, float* __restrict__ y, float* __restrict__ mean,
                       float* __restrict__ inv_sd) {
  FOVEA_SHARED(gpu::Moments, parts, [kBlockWarps][32][N]);
  const ColumnPack<N> at(s);
  const float* column = x + at.offset;
  gpu::Pack<float, N> origin = {};
  gpu::Moments mine[N];
  for (int k = 0; k < N; ++k) mine[k] = {0.0f, 0.0f, 0.0f};
  if (at.inside) {
    origin = gpu::load_pack<N>(column, 0);
    for (int64_t first = at.warp; first < s.width; first += kBlockWarps * kRun) {
      const int64_t left = (s.width - first + kBlockWarps - 1) / kBlockWarps;
      const int count = left < kRun ? static_cast<int>(left) : kRun;
      gpu::Pack<float, N> values = gpu::load_pack<N>(column, first * at.step);
      Run run[N];
      for (int k = 0; k < N; ++k) run[k] = Run(values[k]);
      for (int j = 1; j < count; ++j) {
        values = gpu::load_pack<N>(column, (first + j * kBlockWarps) * at.step);
        for (int k = 0; k < N; ++k) run[k].include(values[k]);
      }
      for (int k = 0; k < N; ++k) mine[k] = gpu::Merge{}(mine[k], run[k].moments(origin[k]));
    }
  }
  for (int k = 0; k < N; ++k) parts[at.warp][at.lane][k] = mine[k];
  __syncthreads();
  if (!at.inside) return;  // no barrier follows
  gpu::Pack<float, N> m, r;
  for (int k = 0; k < N; ++k) {
    gpu::Moments total = parts[0][at.lane][k];
    for (int w = 1; w < kBlockWarps; ++w) total = gpu::Merge{}(total, parts[w][at.lane][k]);
    m[k] = origin[k] + total.mean;
    r[k] = inverse_sd(total.m2 / total.count, eps);
  }
  if (at.warp == 0) {
    gpu::store_pack<N>(mean, at.pack, m);
    gpu::store_pack<N>(inv_sd, at.pack, r);
  }
  for (int64_t c = at.warp; c < s.width; c += kBlockWarps) {
    gpu::Pack<float, N> values = gpu::load_pack<N>(column, c * at.step);
    const float scale = gamma != nullptr ? gamma[c] : 1.0f, shift = beta != nullptr ? beta[c] : 0.0f;
    for (int k = 0; k < N; ++k) values[k] = fmaf((values[k] - m[k]) * r[k], scale, shift);
    gpu::store_pack<N>(y + at.offset, c * at.step, values);
  }
}

template <int N>
__global__ void __launch_bounds__(kThreads)
    layer_norm_columns_grad(Reduce s, const float* __restrict__ x, const float* __restrict__ gamma,
                            const float* __restrict__ mean, const float* __restrict__ inv_sd,
                            const float* __restrict__ dy, float* __restrict__ dx) {
  FOVEA_SHARED(gpu::Pair, parts, [kBlockWarps][32][N]);
  const ColumnPack<N> at(s);
  const float *column = x + at.offset, *slopes = dy + at.offset;
  gpu::Pack<float, N> m = {}, r = {};
  gpu::Pair total[N];
  for (int k = 0; k < N; ++k) total[k] = {0.0f, 0.0f};
  if (at.inside) {
    m = gpu::load_pack<N>(mean, at.pack);
    r = gpu::load_pack<N>(inv_sd, at.pack);
    for (int64_t c = at.warp; c < s.width; c += kBlockWarps) {
      const gpu::Pack<float, N> values = gpu::load_pack<N>(column, c * at.step);
      const gpu::Pack<float, N> d = gpu::load_pack<N>(slopes, c * at.step);
      const float scale = gamma != nullptr ? gamma[c] : 1.0f;
      for (int k = 0; k < N; ++k) {
        total[k].first = fmaf(d[k], scale, total[k].first);
        total[k].second = fmaf(d[k] * scale, (values[k] - m[k]) * r[k], total[k].second);
      }
    }
  }
  for (int k = 0; k < N; ++k) parts[at.warp][at.lane][k] = total[k];
  __syncthreads();
  if (!at.inside) return;  // no barrier follows
  gpu::Pack<float, N> slope, pull;
  for (int k = 0; k < N; ++k) {
    gpu::Pair sums = parts[0][at.lane][k];
    for (int w = 1; w < kBlockWarps; ++w) sums = gpu::AddPair{}(sums, parts[w][at.lane][k]);
    slope[k] = sums.first / static_cast<float>(s.width);
    pull[k] = -sums.second / static_cast<float>(s.width) * r[k];
  }
  for (int64_t c = at.warp; c < s.width; c += kBlockWarps) {
    const gpu::Pack<float, N> values = gpu::load_pack<N>(column, c * at.step);
    gpu::Pack<float, N> d = gpu::load_pack<N>(slopes, c * at.step);
    const float scale = gamma != nullptr ? gamma[c] : 1.0f;
    for (int k = 0; k < N; ++k)
      d[k] = fmaf(values[k] - m[k], pull[k], __fmul_rn(d[k], scale) - slope[k]) *
             r[k];  // g rounded, as its mean is
    gpu::store_pack<N>(dx + at.offset, c * at.step, d);
  }
}

/// Packs of columns, also of mean and inv_sd.
template <class... P>
bool packs_of(const Reduce& s, const P*... arrays) {
  return s.outer * s.inner >= kPackColumns && gpu::can_pack<4>(s.inner, arrays...);
}
dim3 blocks_of(const Reduce& s, bool packs) {
  const int64_t columns = s.outer * s.inner / (packs ? 4 : 1);
  return dim3(static_cast<unsigned>((columns + 31) / 32));
}

}  // namespace

void layer_norm_channels(gpu::Queue& q, const Reduce& s, float eps, const float* x, const float* gamma,
                         const float* beta, float* y, float* mean, float* inv_sd) {
  const bool packs = packs_of(s, x, y, mean, inv_sd);
  launch(q, "layer_norm_columns", packs ? layer_norm_columns<4> : layer_norm_columns<1>, blocks_of(s, packs),
         kThreads, 0, s, eps, x, gamma, beta, y, mean, inv_sd);
}

void layer_norm_channels_grad(gpu::Queue& q, const Reduce& s, const float* x, const float* gamma,
                              const float* mean, const float* inv_sd, const float* dy, float* dx,
                              float* dgamma, float* dbeta) {
  if (dx != nullptr) {
    const bool packs = packs_of(s, x, dy, dx, mean, inv_sd);
    launch(q, "layer_norm_columns_grad", packs ? layer_norm_columns_grad<4> : layer_norm_columns_grad<1>,
           blocks_of(s, packs), kThreads, 0, s, x, gamma, mean, inv_sd, dy, dx);
  }
  if (dgamma == nullptr && dbeta == nullptr) return;
  Scratch<gpu::Pair> sums(q, s.outer * s.width, "layer_norm_channels");
  plane_sums<true>(q, s.outer * s.width, s.inner, s.width, x, mean, inv_sd, dy, sums.data());
  column_sums(q, s.outer, s.width, PairTerms{sums.data()}, dgamma, dbeta);
}

}  // namespace fovea::kernels

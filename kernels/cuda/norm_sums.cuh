// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/arena.h"
#include "kernels/cuda/access.cuh"
#include "kernels/cuda/moments.cuh"
#include "kernels/cuda/strided.cuh"

/// What group_norm.cu and layer_norm_channels.cu share: teams of threads, and Σ dy, Σ dy·x̂ by channel, in two steps.
/// Planes first, a team each; then down the columns of [samples, channels]. Long columns are cut into slices fixed
/// by the shape, whose sums are added by a second launch. Internal linkage: kernel arguments.
namespace fovea::kernels {
namespace {

constexpr int kThreads = 256;
constexpr int kBlockWarps = kThreads / 32;
constexpr int64_t kWarpWork = 1024;  // elements up to which one warp is team enough

/// The threads that work on one item together, a warp or a block, and the items that a team takes in turn.
template <int kTeam>
struct Team {
  static_assert(kTeam == 32 || kTeam == kThreads);
  static constexpr int kTeams = kThreads / kTeam;  // of a block
  int rank = static_cast<int>(threadIdx.x) % kTeam;
  int64_t item = int64_t{blockIdx.x} * kTeams + static_cast<int>(threadIdx.x) / kTeam;
  int64_t step = int64_t{gridDim.x} * kTeams;
  __device__ Team() {}
  /// All threads of the team call; `scratch` has room for kBlockWarps.
  template <class T, class Op>
  __device__ T reduce(T value, Op op, T* scratch) const {
    if constexpr (kTeam == 32)
      return gpu::warp_reduce(value, op);
    else
      return gpu::block_reduce<kTeam>(value, op, scratch);
  }
};

/// sums[plane] = {Σ dy, Σ dy·x̂} over the `inner` elements of a plane. `sharing` planes in a row have the same mean
/// and inv_sd: one number each or, per position, one for each element of a plane.
template <int N, int kTeam, bool kPerPosition>
__global__ void __launch_bounds__(kThreads)
    norm_plane_sums(int64_t planes, int64_t inner, int64_t sharing, const float* __restrict__ x,
                    const float* __restrict__ mean, const float* __restrict__ inv_sd,
                    const float* __restrict__ dy, gpu::Pair* __restrict__ sums) {
  FOVEA_SHARED(gpu::Pair, scratch, [kBlockWarps]);
  const Team<kTeam> team;
  for (int64_t plane = team.item; plane < planes; plane += team.step) {
    const int64_t owner = gpu::divide(plane, sharing).quotient;
    const float *values = x + plane * inner, *slopes = dy + plane * inner;
    gpu::Pair mine{0.0f, 0.0f};
    for (int64_t i = team.rank; i < inner / N; i += kTeam) {
      const gpu::Pack<float, N> v = gpu::load_pack<N>(values, i), d = gpu::load_pack<N>(slopes, i);
      for (int k = 0; k < N; ++k) {
        const int64_t at = kPerPosition ? owner * inner + i * N + k : owner;
        mine.first += d[k];
        mine.second = fmaf(d[k], (v[k] - mean[at]) * inv_sd[at], mine.second);
      }
    }
    mine = team.reduce(mine, gpu::AddPair{}, scratch);
    if (team.rank == 0) sums[plane] = mine;
  }
}

template <bool kPerPosition>
void plane_sums(gpu::Queue& q, int64_t planes, int64_t inner, int64_t sharing, const float* x,
                const float* mean, const float* inv_sd, const float* dy, gpu::Pair* sums) {
  const bool packs = gpu::can_pack<4>(inner, x, dy);
  if (inner <= kWarpWork)
    launch(q, "norm_plane_sums",
           packs ? norm_plane_sums<4, 32, kPerPosition> : norm_plane_sums<1, 32, kPerPosition>,
           gpu::blocks_for(planes, kBlockWarps), kThreads, 0, planes, inner, sharing, x, mean, inv_sd, dy,
           sums);
  else
    launch(q, "norm_plane_sums",
           packs ? norm_plane_sums<4, kThreads, kPerPosition> : norm_plane_sums<1, kThreads, kPerPosition>,
           gpu::blocks_for(planes, 1), kThreads, 0, planes, inner, sharing, x, mean, inv_sd, dy, sums);
}

/// What is summed down a column: pairs that another kernel has left.
struct PairTerms {
  const gpu::Pair* sums;
  __device__ gpu::Pair operator()(int64_t i, int64_t, int64_t) const { return sums[i]; }
};

/// Blocks of 32 columns; slice blockIdx.y takes rows_of_slice rows, each of its warps every kBlockWarps-th. Writes
/// parts[slice, columns], or the result if there is one slice and `parts` is null.
template <class Terms>
__global__ void __launch_bounds__(kThreads)
    norm_column_sums(int64_t rows, int64_t columns, int64_t rows_of_slice, Terms terms,
                     gpu::Pair* __restrict__ parts, float* __restrict__ dgamma, float* __restrict__ dbeta) {
  FOVEA_SHARED(gpu::Pair, scratch, [kBlockWarps][32]);
  const int lane = static_cast<int>(threadIdx.x) % 32, warp = static_cast<int>(threadIdx.x) / 32;
  const int64_t c = int64_t{blockIdx.x} * 32 + lane;
  const int64_t first = int64_t{blockIdx.y} * rows_of_slice;
  const int64_t last = first + rows_of_slice < rows ? first + rows_of_slice : rows;
  gpu::Pair mine{0.0f, 0.0f};
  if (c < columns)
    for (int64_t r = first + warp; r < last; r += kBlockWarps)
      mine = gpu::AddPair{}(mine, terms(r * columns + c, r, c));
  scratch[warp][lane] = mine;
  __syncthreads();
  if (warp != 0 || c >= columns) return;  // no barrier follows
  for (int w = 1; w < kBlockWarps; ++w) mine = gpu::AddPair{}(mine, scratch[w][lane]);
  if (parts != nullptr) {
    parts[blockIdx.y * columns + c] = mine;
  } else {
    if (dbeta != nullptr) dbeta[c] = mine.first;
    if (dgamma != nullptr) dgamma[c] = mine.second;
  }
}

/// dbeta and dgamma: the sums of the first and of the second terms over `rows`.
template <class Terms>
void column_sums(gpu::Queue& q, int64_t rows, int64_t columns, const Terms& terms, float* dgamma,
                 float* dbeta) {
  constexpr int64_t kRows = 512, kMaxSlices = 1024;
  const int64_t evenly = (rows + kMaxSlices - 1) / kMaxSlices, size = evenly < kRows ? kRows : evenly;
  const int64_t slices = (rows + size - 1) / size;
  const dim3 blocks(static_cast<unsigned>((columns + 31) / 32), static_cast<unsigned>(slices));
  if (slices == 1)
    return launch(q, "norm_column_sums", norm_column_sums<Terms>, blocks, kThreads, 0, rows, columns, size,
                  terms, nullptr, dgamma, dbeta);
  Scratch<gpu::Pair> parts(q, slices * columns, "norm_column_sums");
  launch(q, "norm_column_sums", norm_column_sums<Terms>, blocks, kThreads, 0, rows, columns, size, terms,
         parts.data(), nullptr, nullptr);
  launch(q, "norm_column_sums", norm_column_sums<PairTerms>, dim3(blocks.x), kThreads, 0, slices, columns,
         slices, PairTerms{parts.data()}, nullptr, dgamma, dbeta);
}

}  // namespace
}  // namespace fovea::kernels

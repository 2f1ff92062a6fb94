// SPDX-License-Identifier: Apache-2.0
#include "kernels/ops/group_norm.h"

#include "kernels/cuda/norm_sums.cuh"

/// A slab of up to 1024 elements is a warp's work, of up to 16384 a block's, and both are one launch that sums and
/// then writes. A larger slab is cut into slices: a first launch leaves the moments of each, a second combines them
/// (each block for itself, all in the same order) and writes.
///
/// Backward, with planes (inner > 1): the sums of each plane give dgamma, dbeta and, with gamma, the two means that
/// dx needs. Without planes a slab sums its own terms, and dgamma and dbeta are summed down the columns.
///
/// Bytes moved, n elements of 4: forward reads x twice and writes y, 12·n; backward reads x and dy twice and writes
/// dx, 20·n, and without planes reads both once more where dgamma or dbeta is asked for, 28·n. A slab of 64 KiB at
/// most stays in the first or second cache between its two sweeps, so forward asks memory for 8·n. Expected share of
/// the H100's 3.0 TB/s: 0.8 for n of 10^7 and more, 0.5 where the slabs have a few hundred elements.
namespace fovea::kernels {
namespace {

constexpr int64_t kSlice = 16384;  // elements of a slab that one block takes

/// Element `first` of a slab and those that follow: their channels, by addition; only the start divides.
struct ChannelWalk {
  int64_t channel, place, inner;
  __device__ ChannelWalk(const GroupNorm& s, int64_t group, int64_t first) : inner(s.inner) {
    const gpu::Division at = gpu::divide(first, s.inner);
    channel = group * s.channels + at.quotient;
    place = at.remainder;
  }
  __device__ void advance() {
    if (++place < inner) return;
    place = 0;
    ++channel;
  }
};

__device__ __forceinline__ float at_or(const float* p, int64_t i, float otherwise) {
  return p != nullptr ? p[i] : otherwise;
}

/// The packs of slice `slice` of a slab.
struct Slice {
  int64_t slab, slice, first, last;
  __device__ Slice(int64_t item, int64_t slices, int64_t packs) {
    const gpu::Division at = gpu::divide(item, slices);
    slab = at.quotient;
    slice = at.remainder;
    const int64_t share = (packs + slices - 1) / slices;
    first = slice * share;
    last = first + share < packs ? first + share : packs;
  }
};

/// Of every kTeam-th pack from `i` on, measured from `origin`.
template <int N, int kTeam>
__device__ gpu::Moments moments_of(const float* x, int64_t i, int64_t last, float origin) {
  gpu::Moments mine{0.0f, 0.0f, 0.0f};
  while (i < last) {
    gpu::Pack<float, N> values = gpu::load_pack<N>(x, i);
    Run run(values[0]);
    for (int k = 1; k < N; ++k) run.include(values[k]);
    i += kTeam;
    for (int j = 1; j < kRun / N && i < last; ++j, i += kTeam) {
      values = gpu::load_pack<N>(x, i);
      for (int k = 0; k < N; ++k) run.include(values[k]);
    }
    mine = gpu::Merge{}(mine, run.moments(origin));
  }
  return mine;
}

template <int N>
__global__ void __launch_bounds__(kThreads)
    group_norm_moments(GroupNorm s, int64_t slices, const float* __restrict__ x,
                       gpu::Moments* __restrict__ parts) {
  FOVEA_SHARED(gpu::Moments, scratch, [kBlockWarps]);
  const Team<kThreads> team;
  for (int64_t item = team.item; item < s.slabs() * slices; item += team.step) {
    const Slice at(item, slices, s.slab() / N);
    const float* from = x + at.slab * s.slab();
    gpu::Moments mine = moments_of<N, kThreads>(from, at.first + team.rank, at.last, from[0]);
    mine = team.reduce(mine, gpu::Merge{}, scratch);
    if (team.rank == 0) parts[item] = mine;
  }
}

/// `parts` holds the moments of all slices, or is null where a slab is one slice.
template <int N, int kTeam>
__global__ void __launch_bounds__(kThreads)
    group_norm_slabs(GroupNorm s, int64_t slices, float eps, const gpu::Moments* __restrict__ parts,
                     const float* __restrict__ x, const float* __restrict__ gamma,
                     const float* __restrict__ beta, float* __restrict__ y, float* __restrict__ mean,
                     float* __restrict__ inv_sd) {
  FOVEA_SHARED(gpu::Moments, scratch, [kBlockWarps]);
  const Team<kTeam> team;
  for (int64_t item = team.item; item < s.slabs() * slices; item += team.step) {
    const Slice at(item, slices, s.slab() / N);
    const float* from = x + at.slab * s.slab();
    float* to = y + at.slab * s.slab();
    const float origin = from[0];
    gpu::Moments total{0.0f, 0.0f, 0.0f};
    if (parts == nullptr)
      total = moments_of<N, kTeam>(from, at.first + team.rank, at.last, origin);
    else
      for (int64_t i = team.rank; i < slices; i += kTeam)
        total = gpu::Merge{}(total, parts[at.slab * slices + i]);
    total = team.reduce(total, gpu::Merge{}, scratch);
    const float m = origin + total.mean, r = inverse_sd(total.m2 / total.count, eps);
    if (at.slice == 0 && team.rank == 0) {
      mean[at.slab] = m;
      inv_sd[at.slab] = r;
    }
    const int64_t group = gpu::divide(at.slab, s.groups).remainder;
    for (int64_t i = at.first + team.rank; i < at.last; i += kTeam) {
      gpu::Pack<float, N> values = gpu::load_pack<N>(from, i);
      ChannelWalk walk(s, group, i * N);
      for (int k = 0; k < N; ++k, walk.advance())
        values[k] =
            fmaf(values[k] - m, at_or(gamma, walk.channel, 1.0f) * r, at_or(beta, walk.channel, 0.0f));
      gpu::store_pack<N>(to, i, values);
    }
  }
}

/// dx = inv_sd·(g - mean of g - x̂·mean of g·x̂). g is rounded before the subtraction, as the mean is: in a slab of one
/// element nothing may be left, since 1/√eps would multiply it. `planes` holds {Σ dy, Σ dy·x̂} of each plane; it is null if there are none (inner = 1, slices = 1).
template <int N, int kTeam>
__global__ void __launch_bounds__(kThreads)
    group_norm_grad_slabs(GroupNorm s, int64_t slices, const gpu::Pair* __restrict__ planes,
                          const float* __restrict__ x, const float* __restrict__ gamma,
                          const float* __restrict__ mean, const float* __restrict__ inv_sd,
                          const float* __restrict__ dy, float* __restrict__ dx) {
  FOVEA_SHARED(gpu::Pair, scratch, [kBlockWarps]);
  const Team<kTeam> team;
  for (int64_t item = team.item; item < s.slabs() * slices; item += team.step) {
    const Slice at(item, slices, s.slab() / N);
    const float *from = x + at.slab * s.slab(), *slopes = dy + at.slab * s.slab();
    const int64_t group = gpu::divide(at.slab, s.groups).remainder;
    const float m = mean[at.slab], r = inv_sd[at.slab];
    gpu::Pair total{0.0f, 0.0f};
    if (planes == nullptr) {
      for (int64_t i = team.rank; i < s.slab(); i += kTeam) {
        const float g = __fmul_rn(slopes[i], at_or(gamma, group * s.channels + i, 1.0f));
        total.first += g;
        total.second = fmaf(g, (from[i] - m) * r, total.second);
      }
    } else {
      for (int64_t c = team.rank; c < s.channels; c += kTeam) {
        const gpu::Pair plane = planes[at.slab * s.channels + c];
        const float scale = at_or(gamma, group * s.channels + c, 1.0f);
        total.first = fmaf(scale, plane.first, total.first);
        total.second = fmaf(scale, plane.second, total.second);
      }
    }
    total = team.reduce(total, gpu::AddPair{}, scratch);
    const float count = static_cast<float>(s.slab());
    const float slope = total.first / count, pull = -total.second / count * r;
    for (int64_t i = at.first + team.rank; i < at.last; i += kTeam) {
      const gpu::Pack<float, N> values = gpu::load_pack<N>(from, i);
      gpu::Pack<float, N> d = gpu::load_pack<N>(slopes, i);
      ChannelWalk walk(s, group, i * N);
      for (int k = 0; k < N; ++k, walk.advance())
        d[k] = fmaf(values[k] - m, pull, __fmul_rn(d[k], at_or(gamma, walk.channel, 1.0f)) - slope) * r;
      gpu::store_pack<N>(dx + at.slab * s.slab(), i, d);
    }
  }
}

/// The terms of dbeta and dgamma where a plane is one element.
struct UnitTerms {
  int64_t channels, groups;  // channels of one group
  const float *x, *mean, *inv_sd, *dy;
  __device__ gpu::Pair operator()(int64_t i, int64_t r, int64_t c) const {
    const int64_t slab = groups == 1 ? r : r * groups + gpu::divide(c, channels).quotient;
    return {dy[i], dy[i] * ((x[i] - mean[slab]) * inv_sd[slab])};
  }
};

}  // namespace

void group_norm(gpu::Queue& q, const GroupNorm& s, float eps, const float* x, const float* gamma,
                const float* beta, float* y, float* mean, float* inv_sd) {
  const bool packs = gpu::can_pack<4>(s.slab(), x, y);
  if (s.slab() <= kWarpWork)
    return launch(q, "group_norm_slabs", packs ? group_norm_slabs<4, 32> : group_norm_slabs<1, 32>,
                  gpu::blocks_for(s.slabs(), kBlockWarps), kThreads, 0, s, 1, eps, nullptr, x, gamma, beta, y,
                  mean, inv_sd);
  const int64_t slices = (s.slab() + kSlice - 1) / kSlice, items = s.slabs() * slices;
  Scratch<gpu::Moments> parts(q, slices > 1 ? items : 0, "group_norm");
  if (slices > 1)
    launch(q, "group_norm_moments", packs ? group_norm_moments<4> : group_norm_moments<1>,
           gpu::blocks_for(items, 1), kThreads, 0, s, slices, x, parts.data());
  launch(q, "group_norm_slabs", packs ? group_norm_slabs<4, kThreads> : group_norm_slabs<1, kThreads>,
         gpu::blocks_for(items, 1), kThreads, 0, s, slices, eps, slices > 1 ? parts.data() : nullptr, x,
         gamma, beta, y, mean, inv_sd);
}

void group_norm_grad(gpu::Queue& q, const GroupNorm& s, const float* x, const float* gamma, const float* mean,
                     const float* inv_sd, const float* dy, float* dx, float* dgamma, float* dbeta) {
  const bool planes = s.inner > 1;
  const int64_t channels = s.groups * s.channels;
  Scratch<gpu::Pair> sums(q, planes ? s.batch * channels : 0, "group_norm");
  if (planes) plane_sums<false>(q, s.batch * channels, s.inner, s.channels, x, mean, inv_sd, dy, sums.data());
  if (dx != nullptr) {
    const bool packs = gpu::can_pack<4>(s.slab(), x, dy, dx);
    const gpu::Pair* const pairs = planes ? sums.data() : nullptr;
    const int64_t slices = planes ? (s.slab() + kSlice - 1) / kSlice : 1;
    if (s.slab() <= kWarpWork)
      launch(q, "group_norm_grad_slabs", packs ? group_norm_grad_slabs<4, 32> : group_norm_grad_slabs<1, 32>,
             gpu::blocks_for(s.slabs(), kBlockWarps), kThreads, 0, s, 1, pairs, x, gamma, mean, inv_sd, dy,
             dx);
    else
      launch(q, "group_norm_grad_slabs",
             packs ? group_norm_grad_slabs<4, kThreads> : group_norm_grad_slabs<1, kThreads>,
             gpu::blocks_for(s.slabs() * slices, 1), kThreads, 0, s, slices, pairs, x, gamma, mean, inv_sd,
             dy, dx);
  }
  if (dgamma == nullptr && dbeta == nullptr) return;
  if (planes)
    column_sums(q, s.batch, channels, PairTerms{sums.data()}, dgamma, dbeta);
  else
    column_sums(q, s.batch, channels, UnitTerms{s.channels, s.groups, x, mean, inv_sd, dy}, dgamma, dbeta);
}

}  // namespace fovea::kernels

// SPDX-License-Identifier: Apache-2.0
#include "kernels/ops/recurrent.h"

#include "kernels/arena.h"
#include "kernels/cuda/access.cuh"
#include "kernels/ops/copy.h"
#include "kernels/recurrent_cell.h"

/// One launch for each step: products with h, gates and states together, so that nothing but h and c goes from step
/// to step. A block has 8 samples and 8 warps. Four lanes share a sample: each sums a quarter of the terms for the V
/// results of its warp, in packs, from tiles in shared memory; a butterfly adds the four. Forward, the V results are
/// the gates of one unit. Backward they are four units: the slopes of their h, which then go through the gates of
/// the step before, so that this takes one launch for each step as well; w_hidden is transposed once for it.
///
/// A step: 2·B·G·H FLOP (G = 4·H or 3·H). Bytes: w_hidden, 4·G·H, comes from L2 once for every 8 samples and from
/// memory once for a sequence while it fits L2 (50 MB on an H100: H up to 1700); gates and states 4·B·(G + 4·H).
/// Predicted on an H100 for H = 256, B = 32: 128 blocks, 4 MB from L2 in 0.8 µs, 2 µs of latencies (two tiles of
/// terms, a butterfly, the gates) and 1 to 3 µs from launch to launch: 4 to 6 µs a step, 5 % of the fp32 roof. What
/// would be next is one launch for a sequence, with the weights kept in shared memory.
namespace fovea {
namespace {

using std::int64_t;

constexpr int kRows = 8, kWarps = 8, kSlices = 4;  // samples of a block; its warps; lanes of a sample
constexpr int kThreads = 32 * kWarps;
constexpr int kDepth = 128;  // terms of a tile
constexpr int kBackResults = 4;

/// What a thread works on: `row` of its block, results number `warp`, slice of the terms.
struct Role {
  int lane, warp, row, slice;
  __device__ Role()
      : lane(static_cast<int>(threadIdx.x) % 32),
        warp(static_cast<int>(threadIdx.x) / 32),
        row(lane / kSlices),
        slice(lane % kSlices) {}
};

/// to[0..kDepth) = from[begin..begin + kDepth), 0 from `end` on and where from is null. All lanes of a warp.
template <int kWidth>
__device__ __forceinline__ void stage(int lane, const float* from, int64_t begin, int64_t end, float* to) {
  for (int pack = lane; pack < kDepth / kWidth; pack += 32) {
    gpu::Pack<float, kWidth> values;
    for (int k = 0; k < kWidth; ++k) values[k] = 0.0f;
    if (from != nullptr && begin + pack * kWidth < end) values = gpu::load_pack<kWidth>(from + begin, pack);
    gpu::store_pack<kWidth>(to, pack, values);
  }
}

/// sums[j] = Σ_k x[k]·w[j][k] over `terms`, the same in the four lanes of a sample. x_row is of the sample that has
/// the number of this warp; w_rows are the weights of this warp's results. Null stands for zeros.
template <int V, int kWidth>
__device__ __forceinline__ void multiply(const Role& me, int64_t terms, const float* x_row,
                                         const float* const (&w_rows)[V], float (&sums)[V]) {
  // A quarter of a warp reads two samples at once: 16 words apart they meet no bank twice.
  FOVEA_SHARED(float, x, [kRows][kDepth + 16]);
  FOVEA_SHARED(float, w, [V * kWarps][kDepth]);
  for (int j = 0; j < V; ++j) sums[j] = 0.0f;
  for (int64_t begin = 0; begin < terms; begin += kDepth) {
    __syncthreads();  // the last tile has been read
    stage<kWidth>(me.lane, x_row, begin, terms, x[me.warp]);
    for (int j = 0; j < V; ++j) stage<kWidth>(me.lane, w_rows[j], begin, terms, w[j * kWarps + me.warp]);
    __syncthreads();
    const int packs = terms - begin < kDepth ? static_cast<int>((terms - begin + 3) / 4) : kDepth / 4;
    for (int pack = me.slice; pack < packs; pack += kSlices) {
      const auto left = gpu::load_pack<4>(x[me.row], pack);
      for (int j = 0; j < V; ++j) {
        const auto right = gpu::load_pack<4>(w[j * kWarps + me.warp], pack);
        for (int k = 0; k < 4; ++k) sums[j] = fmaf(left[k], right[k], sums[j]);
      }
    }
  }
  for (int j = 0; j < V; ++j)
    for (int step = 1; step < kSlices; step *= 2) sums[j] += __shfl_xor_sync(0xffffffffu, sums[j], step);
}

/// A sample at a time, as its block sees it.
struct Place {
  int64_t t, b, length;
  bool inside;  // b is a sample
  __device__ Place(const Recurrent& s, const int64_t* lengths, int64_t time, int64_t sample)
      : t(time), b(sample), length(0), inside(sample < s.batch) {
    if (inside) length = s.length(lengths, b);
  }
  __device__ bool has(int64_t time) const { return time >= 0 && time < length; }
};

/// The state before a step: in `states`, else the initial one, which may be null.
__device__ __forceinline__ const float* before(const Recurrent& s, const Place& at, const float* states,
                                               const float* initial) {
  const int64_t t = s.before(at.t);
  if (at.has(t)) return states + (t * s.batch + at.b) * s.hidden;
  return initial == nullptr ? nullptr : initial + at.b * s.hidden;
}
__device__ __forceinline__ float load_or_zero(const float* p, int64_t i) {
  return p == nullptr ? 0.0f : p[i];
}

template <int V, int kWidth>
__global__ void __launch_bounds__(kThreads) recurrent_step(Recurrent s, RecurrentForward p, int64_t i) {
  constexpr bool kLstm = V == 4;
  const Role me;
  const int64_t first = int64_t{blockIdx.x} * kRows, t = s.time(i), hidden = s.hidden;
  const int64_t u = int64_t{blockIdx.y} * kWarps + me.warp;
  const Place staged(s, p.lengths, t, first + me.warp);
  const float* rows[V];
  for (int j = 0; j < V; ++j) rows[j] = u < hidden ? p.w_hidden + (j * hidden + u) * hidden : nullptr;
  float sums[V];
  multiply<V, kWidth>(me, hidden, staged.has(t) ? before(s, staged, p.y, p.h0) : nullptr, rows, sums);

  const Place at(s, p.lengths, t, first + me.row);
  if (me.slice != 0 || !at.inside || u >= hidden) return;  // no barrier follows
  const int64_t here = t * s.batch + at.b, state = at.b * hidden + u;
  if (!at.has(t)) {
    p.y[here * hidden + u] = 0.0f;
    if (i == 0 && at.length == 0) {  // a sample without steps ends as it began
      p.h_last[state] = load_or_zero(p.h0, state);
      if (kLstm) p.c_last[state] = load_or_zero(p.c0, state);
    }
    return;
  }
  float* const gate = p.gates + here * V * hidden + u;
  float gates[V], inner = 0.0f, h;
  for (int j = 0; j < V; ++j) {
    gates[j] = gate[j * hidden] + load_or_zero(p.bias_input, j * hidden + u);
    const float from_h = sums[j] + load_or_zero(p.bias_hidden, j * hidden + u);
    if (kLstm || j < 2)
      gates[j] += from_h;
    else
      inner = from_h;
  }
  if constexpr (kLstm)
    lstm_step(gates, load_or_zero(before(s, at, p.inner, p.c0), u), inner, h);
  else
    gru_step(gates, inner, load_or_zero(before(s, at, p.y, p.h0), u), h);
  for (int j = 0; j < V; ++j) gate[j * hidden] = gates[j];
  p.inner[here * hidden + u] = inner;
  p.y[here * hidden + u] = h;
  if (at.has(s.after(t))) return;
  p.h_last[state] = h;
  if (kLstm) p.c_last[state] = inner;
}

/// Step i of the way back. The slopes by h come from the step after it; the one that follows the last of them gives
/// the slopes of h0 and c0. w is w_hidden transposed, carried[batch, hidden] what goes past the gates.
template <int V, int kWidth>
__global__ void __launch_bounds__(kThreads)
    recurrent_grad_step(Recurrent s, RecurrentBackward p, const float* __restrict__ w,
                        float* __restrict__ carried, int64_t i) {
  constexpr bool kLstm = V == 4;
  const Role me;
  const int64_t first = int64_t{blockIdx.x} * kRows, hidden = s.hidden, terms = V * hidden;
  const int64_t unit = int64_t{blockIdx.y} * (kBackResults * kWarps) + me.warp;
  const auto place = [&](int64_t b) {
    Place at(s, p.lengths, s.time(s.steps - 1 - i), b);
    if (i == s.steps) at.t = s.reverse ? at.length : -1;  // of h0: its step after is the first
    return at;
  };
  const Place staged = place(first + me.warp);
  const int64_t next = s.after(staged.t);
  const float* rows[kBackResults];
  for (int j = 0; j < kBackResults; ++j)
    rows[j] = unit + j * kWarps < hidden ? w + (unit + j * kWarps) * terms : nullptr;
  float sums[kBackResults];
  multiply<kBackResults, kWidth>(
      me, terms, staged.has(next) ? p.dhidden + (next * s.batch + staged.b) * terms : nullptr, rows, sums);

  const Place at = place(first + me.row);
  const int64_t u = unit + me.slice * kWarps;
  if (!at.inside || u >= hidden) return;  // no barrier follows
  const float even = (me.slice & 2) != 0 ? sums[2] : sums[0], odd = (me.slice & 2) != 0 ? sums[3] : sums[1];
  float dh = (me.slice & 1) != 0 ? odd : even;
  const int64_t state = at.b * hidden + u;
  const bool is_last = !at.has(s.after(at.t));
  float past = is_last ? load_or_zero(kLstm ? p.dc_last : nullptr, state) : carried[state];
  if (is_last) dh = load_or_zero(p.dh_last, state);
  if (!kLstm) dh += past;
  if (i == s.steps) {
    if (p.dh0 != nullptr) p.dh0[state] = dh;
    if (kLstm && p.dc0 != nullptr) p.dc0[state] = past;
    return;
  }
  const int64_t here = (at.t * s.batch + at.b) * hidden + u;
  const int64_t gate = (at.t * s.batch + at.b) * terms + u;
  float h_before = 0.0f, d[V], d_input[V];
  for (int j = 0; j < V; ++j) d[j] = d_input[j] = 0.0f;
  if (at.has(at.t)) {
    dh += load_or_zero(p.dy, here);
    h_before = load_or_zero(before(s, at, p.y, p.h0), u);
    const float inner = p.inner[here];
    float gates[V];
    for (int j = 0; j < V; ++j) gates[j] = p.gates[gate + j * hidden];
    if constexpr (kLstm) {
      lstm_slope(gates, load_or_zero(before(s, at, p.inner, p.c0), u), inner, dh, past, d);
    } else {
      float d_hidden;
      gru_slope(gates, inner, h_before, dh, d_input, d_hidden, past);
      d[0] = d_input[0];
      d[1] = d_input[1];
      d[2] = d_hidden;
    }
    carried[state] = past;
  }
  for (int j = 0; j < V; ++j) {
    p.dhidden[gate + j * hidden] = d[j];
    if (!kLstm && p.dinput != nullptr) p.dinput[gate + j * hidden] = d_input[j];
  }
  if (p.h_before != nullptr) p.h_before[here] = h_before;
}

/// Samples along x, units along y, which ends at 65535.
dim3 blocks_of(const Recurrent& s, int64_t units) {
  return {static_cast<unsigned>((s.batch + kRows - 1) / kRows),
          static_cast<unsigned>((s.hidden + units - 1) / units)};
}

template <int V>
void forward(gpu::Queue& queue, const Recurrent& s, const RecurrentForward& p) {
  const dim3 blocks = blocks_of(s, kWarps);
  const bool packed = gpu::can_pack<4>(s.hidden, p.w_hidden, p.y, p.h0);
  for (int64_t i = 0; i < s.steps; ++i)
    launch(queue, "recurrent_step", packed ? recurrent_step<V, 4> : recurrent_step<V, 1>, blocks, kThreads, 0,
           s, p, i);
}

template <int V>
void backward(gpu::Queue& queue, const Recurrent& s, const RecurrentBackward& p) {
  const int64_t terms = V * s.hidden;
  Scratch<float> transposed(queue, terms * s.hidden, "recurrent"),
      carried(queue, s.batch * s.hidden, "recurrent");
  Strided turn{.rank = 2, .extent = {s.hidden, terms}};
  turn.stride[0][0] = terms;
  turn.stride[0][1] = 1;
  turn.stride[1][0] = 1;
  turn.stride[1][1] = s.hidden;
  kernels::copy(queue, turn, p.w_hidden, DType::f32, transposed.data(), DType::f32);
  const dim3 blocks = blocks_of(s, kBackResults * kWarps);
  const bool packed = gpu::can_pack<4>(terms, transposed.data(), p.dhidden);
  const int64_t steps = s.steps + (p.dh0 != nullptr || p.dc0 != nullptr ? 1 : 0);
  for (int64_t i = 0; i < steps; ++i)
    launch(queue, "recurrent_grad_step", packed ? recurrent_grad_step<V, 4> : recurrent_grad_step<V, 1>,
           blocks, kThreads, 0, s, p, transposed.data(), carried.data(), i);
}

}  // namespace

void kernels::recurrent(gpu::Queue& queue, const Recurrent& s, const RecurrentForward& p) {
  if (s.batch == 0) return;
  if (s.cell == Cell::lstm)
    forward<4>(queue, s, p);
  else
    forward<3>(queue, s, p);
}

void kernels::recurrent_grad(gpu::Queue& queue, const Recurrent& s, const RecurrentBackward& p) {
  if (s.batch == 0) return;
  if (s.cell == Cell::lstm)
    backward<4>(queue, s, p);
  else
    backward<3>(queue, s, p);
}

}  // namespace fovea

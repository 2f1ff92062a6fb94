// SPDX-License-Identifier: Apache-2.0
#include "kernels/ops/clip.h"

#include <cfloat>

#include "kernels/arena.h"
#include "kernels/cuda/block.cuh"
#include "kernels/cuda/tensor_table.cuh"

/// One launch for many tensors (tensor_table.cuh), and for the norm a second that adds the blocks' sums. The
/// norm moves 4 bytes an element, clipping 8, or nothing where the norm is small enough: 0.85 of the H100's
/// 3.0 TB/s is expected from 10^7 elements on; fewer than 10^6 end within the launches. Squares are added in
/// double: those of f32 reach beyond its range.
namespace fovea::kernels {
namespace {

using std::int64_t;

constexpr int kThreads = 256;
constexpr int kPack = 4;
constexpr int kRounds = 4;                              // packs of a thread
constexpr int64_t kBlock = kThreads * kPack * kRounds;  // elements of a block

using Table = gpu::TensorTable<GradientSlot, 32>;
static_assert(sizeof(Table) + 32 <= 4096);

/// Calls f(i, Pack) for this thread's share of the block's elements: pack number i, of 4 or of 1.
template <class F>
__device__ void for_packs(const Table& table, const F& f) {
  const int block = static_cast<int>(blockIdx.x), k = table.slot_of(block);
  const GradientSlot& slot = table.slots[k];
  const int64_t first = (block - table.first_block[k]) * kBlock;
  const int64_t last = first + kBlock < slot.count ? first + kBlock : slot.count;
  if (gpu::aligned_to_pack(slot.grad)) {
    for (int64_t i = first / kPack + threadIdx.x; i < last / kPack; i += kThreads)
      f(slot.grad, i, gpu::load_pack<kPack>(slot.grad, i));
    const int64_t rest = last / kPack * kPack + threadIdx.x;  // only a tensor's last block has some
    if (rest < last) f(slot.grad, rest, gpu::load_pack<1>(slot.grad, rest));
  } else {
    for (int64_t i = first + threadIdx.x; i < last; i += kThreads)
      f(slot.grad, i, gpu::load_pack<1>(slot.grad, i));
  }
}

struct AddSquares {
  double* sum;
  template <int N>
  __device__ void operator()(const float*, int64_t, const gpu::Pack<float, N>& g) const {
    for (int k = 0; k < N; ++k) *sum += static_cast<double>(g[k]) * static_cast<double>(g[k]);
  }
};
struct Scale {
  float factor;
  template <int N>
  __device__ void operator()(float* at, int64_t i, gpu::Pack<float, N> g) const {
    for (int k = 0; k < N; ++k) g[k] *= factor;
    gpu::store_pack<N>(at, i, g);
  }
};
struct Limit {
  float limit;
  template <int N>
  __device__ void operator()(float* at, int64_t i, gpu::Pack<float, N> g) const {
    for (int k = 0; k < N; ++k) {
      const float below = g[k] > limit ? limit : g[k];
      g[k] = below < -limit ? -limit : below;
    }
    gpu::store_pack<N>(at, i, g);
  }
};

__global__ void __launch_bounds__(kThreads) square_sums(Table table, double* __restrict__ parts) {
  FOVEA_SHARED(double, scratch, [kThreads / 32]);
  double sum = 0.0;
  for_packs(table, AddSquares{&sum});
  sum = gpu::block_reduce<kThreads>(sum, gpu::Add{}, scratch);
  if (threadIdx.x == 0) parts[blockIdx.x] = sum;
}

/// Σ parts, for the first thread.
__device__ double total(int64_t count, const double* parts, double* scratch) {
  double sum = 0.0;
  for (const int64_t i : gpu::block_stride(count)) sum += parts[i];
  return gpu::block_reduce<kThreads>(sum, gpu::Add{}, scratch);
}

__global__ void __launch_bounds__(kThreads)
    root_of_sum(int64_t count, const double* __restrict__ parts, float* __restrict__ norm) {
  FOVEA_SHARED(double, scratch, [kThreads / 32]);
  const double sum = total(count, parts, scratch);
  if (threadIdx.x == 0) *norm = static_cast<float>(sqrt(sum));
}

__global__ void __launch_bounds__(kThreads)
    stop_clock(int64_t count, const double* __restrict__ parts, const float* __restrict__ loss,
               OptimizerClock* __restrict__ clock) {
  FOVEA_SHARED(double, scratch, [kThreads / 32]);
  const double sum = total(count, parts, scratch);
  if (threadIdx.x != 0) return;
  const double all = sum + (loss == nullptr ? 0.0 : static_cast<double>(*loss));
  if (!(fabs(all) <= DBL_MAX) && clock->stopped == 0) clock->stopped = clock->steps + 1;
}

__global__ void __launch_bounds__(kThreads)
    scale_to_norm(Table table, float max_norm, const float* __restrict__ norm) {
  const float scale = max_norm / (*norm + 1e-6f);
  if (scale >= 1.0f) return;
  for_packs(table, Scale{*norm <= FLT_MAX ? scale : nanf("")});
}

__global__ void __launch_bounds__(kThreads) limit_values(Table table, float limit) {
  for_packs(table, Limit{limit});
}

/// Calls finish(count, parts) when the launches that write Σg² of each block into parts have been made.
template <class F>
void with_square_sums(gpu::Queue& q, std::span<const GradientSlot> slots, const F& finish) {
  int64_t parts = 0;
  for (const GradientSlot& slot : slots) parts += (slot.count + kBlock - 1) / kBlock;
  Scratch<double> sums(q, parts, "gradient_norm");
  double* next = sums.data();
  gpu::for_tables<Table>(slots, kBlock, [&](const Table& table, unsigned blocks) {
    launch(q, "gradient_norm", square_sums, blocks, kThreads, 0, table, next);
    next += blocks;
  });
  finish(parts, sums.data());
}

}  // namespace

void gradient_norm(gpu::Queue& q, std::span<const GradientSlot> slots, float* norm) {
  with_square_sums(q, slots, [&](int64_t count, const double* parts) {
    launch(q, "gradient_norm_total", root_of_sum, 1, kThreads, 0, count, parts, norm);
  });
}

void stop_if_not_finite(gpu::Queue& q, std::span<const GradientSlot> slots, const float* loss,
                        OptimizerClock* clock) {
  with_square_sums(q, slots, [&](int64_t count, const double* parts) {
    launch(q, "stop_clock", stop_clock, 1, kThreads, 0, count, parts, loss, clock);
  });
}

void clip_by_norm(gpu::Queue& q, std::span<const GradientSlot> slots, float max_norm, const float* norm) {
  gpu::for_tables<Table>(slots, kBlock, [&](const Table& table, unsigned blocks) {
    launch(q, "clip_by_norm", scale_to_norm, blocks, kThreads, 0, table, max_norm, norm);
  });
}

void clip_by_value(gpu::Queue& q, std::span<const GradientSlot> slots, float limit) {
  gpu::for_tables<Table>(slots, kBlock, [&](const Table& table, unsigned blocks) {
    launch(q, "clip_by_value", limit_values, blocks, kThreads, 0, table, limit);
  });
}

}  // namespace fovea::kernels

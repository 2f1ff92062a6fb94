// SPDX-License-Identifier: Apache-2.0
#include "kernels/ops/optimizer_step.h"

#include "kernels/cuda/tensor_table.cuh"

/// One launch for many tensors (tensor_table.cuh).
///
/// Adam moves 28 bytes an element, SGD 12 or (momentum) 20, RMSprop 20 and 8 more for each of momentum and
/// centering. From 10^7 elements on 0.85 of the H100's 3.0 TB/s is expected; the 138 000 parameters of a
/// small Deep Retina (3.9 MB) end within one launch.
namespace fovea::kernels {
namespace {

using std::int64_t;

constexpr int kThreads = 256;
constexpr int kPack = 4;
constexpr int64_t kBlock = kThreads * kPack;  // elements of a block

using Table = gpu::TensorTable<OptimizerSlot, sizeof(RmspropOptions) + 16>;
static_assert(sizeof(Table) + sizeof(RmspropOptions) + 16 <= 4096 &&
              sizeof(AdamOptions) <= sizeof(RmspropOptions));

/// A parameter element and what belongs to it.
struct Element {
  float value, grad, moment1, moment2, moment3;
};

struct Adam {
  AdamOptions options;
  __device__ bool has1() const { return true; }
  __device__ bool has2() const { return true; }
  __device__ bool has3() const { return false; }
  __device__ void step(const OptimizerClock& clock, float lr, float weight_decay, Element& e) const {
    if (options.decoupled)
      e.value = fmaf(-lr * weight_decay, e.value, e.value);
    else
      e.grad = fmaf(weight_decay, e.value, e.grad);
    e.moment1 = fmaf(1.0f - options.beta1, e.grad, options.beta1 * e.moment1);
    e.moment2 = fmaf(1.0f - options.beta2, e.grad * e.grad, options.beta2 * e.moment2);
    e.value -= lr * clock.correction1 * (e.moment1 / (sqrtf(e.moment2 * clock.correction2) + options.eps));
  }
};

struct Sgd {
  SgdOptions options;
  __device__ bool has1() const { return options.momentum != 0.0f; }
  __device__ bool has2() const { return false; }
  __device__ bool has3() const { return false; }
  __device__ void step(const OptimizerClock&, float lr, float weight_decay, Element& e) const {
    float step = fmaf(weight_decay, e.value, e.grad);
    if (has1()) {
      e.moment1 = fmaf(options.momentum, e.moment1, step);
      step = options.nesterov ? fmaf(options.momentum, e.moment1, step) : e.moment1;
    }
    e.value -= lr * step;
  }
};

struct Rmsprop {
  RmspropOptions options;
  __device__ bool has1() const { return options.momentum != 0.0f; }
  __device__ bool has2() const { return true; }
  __device__ bool has3() const { return options.centered; }
  __device__ void step(const OptimizerClock&, float lr, float weight_decay, Element& e) const {
    const float grad = fmaf(weight_decay, e.value, e.grad), rest = 1.0f - options.alpha;
    e.moment2 = fmaf(rest, grad * grad, options.alpha * e.moment2);
    float v = e.moment2;
    if (options.centered) {
      e.moment3 = fmaf(rest, grad, options.alpha * e.moment3);
      v -= e.moment3 * e.moment3;
      v = v < 0.0f ? 0.0f : v;  // NaN stays
    }
    float step = grad / (sqrtf(v) + options.eps);
    if (has1()) step = e.moment1 = fmaf(options.momentum, e.moment1, step);
    e.value -= lr * step;
  }
};

template <int N, class Method>
__device__ void update(const Method& method, const OptimizerSlot& slot, const OptimizerClock& clock,
                       int64_t i) {
  gpu::Pack<float, N> value = gpu::load_pack<N>(slot.value, i), first{}, second{}, third{};
  const gpu::Pack<float, N> grad = gpu::load_pack<N>(slot.grad, i);
  if (method.has1()) first = gpu::load_pack<N>(slot.moment1, i);
  if (method.has2()) second = gpu::load_pack<N>(slot.moment2, i);
  if (method.has3()) third = gpu::load_pack<N>(slot.moment3, i);
  for (int k = 0; k < N; ++k) {
    Element e{value[k], grad[k], first[k], second[k], third[k]};
    method.step(clock, clock.lr * slot.lr_scale, slot.weight_decay, e);
    value[k] = e.value;
    first[k] = e.moment1;
    second[k] = e.moment2;
    third[k] = e.moment3;
  }
  if (method.has1()) gpu::store_pack<N>(slot.moment1, i, first);
  if (method.has2()) gpu::store_pack<N>(slot.moment2, i, second);
  if (method.has3()) gpu::store_pack<N>(slot.moment3, i, third);
  gpu::store_pack<N>(slot.value, i, value);
}

/// An element is computed the same way in a pack and alone.
template <class Method>
__global__ void __launch_bounds__(kThreads)
    optimizer_step(Table table, Method method, const OptimizerClock* clock_at) {
  const int block = static_cast<int>(blockIdx.x), k = table.slot_of(block);
  const OptimizerSlot& slot = table.slots[k];
  const OptimizerClock clock = *clock_at;
  if (clock.stopped != 0) return;
  const int64_t first = (block - table.first_block[k]) * kBlock + threadIdx.x * kPack;
  if (first + kPack <= slot.count && gpu::aligned_to_pack(slot.value) && gpu::aligned_to_pack(slot.grad) &&
      gpu::aligned_to_pack(slot.moment1) && gpu::aligned_to_pack(slot.moment2) &&
      gpu::aligned_to_pack(slot.moment3)) {
    update<kPack>(method, slot, clock, first / kPack);
  } else {
    for (int64_t i = first; i < first + kPack && i < slot.count; ++i) update<1>(method, slot, clock, i);
  }
}

template <class Method>
void step(gpu::Queue& q, const char* name, std::span<const OptimizerSlot> slots, Method method,
          const OptimizerClock* clock) {
  gpu::for_tables<Table>(slots, kBlock, [&](const Table& table, unsigned blocks) {
    launch(q, name, optimizer_step<Method>, blocks, kThreads, 0, table, method, clock);
  });
}

__device__ float correction(float beta, std::uint32_t t) {
  return static_cast<float>(1.0 / (1.0 - pow(static_cast<double>(beta), static_cast<double>(t))));
}

__global__ void advance(float beta1, float beta2, OptimizerClock* clock) {
  if (clock->stopped != 0) return;
  ++clock->steps;
  clock->correction1 = correction(beta1, clock->steps);
  clock->correction2 = correction(beta2, clock->steps);
}

}  // namespace

void advance_clock(gpu::Queue& q, float beta1, float beta2, OptimizerClock* clock) {
  launch(q, "advance_clock", advance, 1, 1, 0, beta1, beta2, clock);
}

void adam_step(gpu::Queue& q, std::span<const OptimizerSlot> slots, const AdamOptions& options,
               const OptimizerClock* clock) {
  step(q, "adam_step", slots, Adam{options}, clock);
}

void sgd_step(gpu::Queue& q, std::span<const OptimizerSlot> slots, const SgdOptions& options,
              const OptimizerClock* clock) {
  step(q, "sgd_step", slots, Sgd{options}, clock);
}

void rmsprop_step(gpu::Queue& q, std::span<const OptimizerSlot> slots, const RmspropOptions& options,
                  const OptimizerClock* clock) {
  step(q, "rmsprop_step", slots, Rmsprop{options}, clock);
}

}  // namespace fovea::kernels

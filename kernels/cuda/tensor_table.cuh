// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>

#include "kernels/cuda/access.cuh"

/// One launch for many tensors: their addresses travel as a kernel argument, whose size is limited to 4 KB,
/// so that nothing has to be copied to the device first and a captured graph holds them. A block works on
/// `kBlock` elements of one tensor.
namespace fovea::gpu {

/// kOther  bytes of the kernel's other arguments
template <class Slot, int kOther>
struct TensorTable {
  static constexpr int kSlots = (4096 - kOther) / static_cast<int>(sizeof(Slot) + sizeof(int)) - 1;
  Slot slots[kSlots];       // by first block
  int first_block[kSlots];  // of each slot; unused ones lie past the grid

  /// The last slot that starts at or before this block, by bisection.
  __device__ int slot_of(int block) const {
    static_assert(kSlots < 256);
    int k = 0;
    for (int step = 128; step > 0; step /= 2)
      if (k + step < kSlots && first_block[k + step] <= block) k += step;
    return k;
  }
};

/// Calls start(table, blocks) for tables that hold all slots with elements, in their order: a launch each.
template <class Table, class Slot, class F>
void for_tables(std::span<const Slot> slots, std::int64_t block_elements, const F& start) {
  Table table;
  int used = 0;
  std::int64_t blocks = 0;
  const auto flush = [&] {
    if (used == 0) return;
    for (int k = used; k < Table::kSlots; ++k) {
      table.slots[k] = {};
      table.first_block[k] = INT32_MAX;
    }
    start(table, static_cast<unsigned>(blocks));
    used = 0;
    blocks = 0;
  };
  for (const Slot& slot : slots) {
    if (slot.count == 0) continue;
    const std::int64_t more = (slot.count + block_elements - 1) / block_elements;
    if (used == Table::kSlots || blocks + more >= INT32_MAX) flush();
    table.slots[used] = slot;
    table.first_block[used] = static_cast<int>(blocks);
    ++used;
    blocks += more;
  }
  flush();
}

/// Whether four floats at p can be read at once, from any multiple of four on.
__device__ __forceinline__ bool aligned_to_pack(const void* p) {
  return reinterpret_cast<std::uintptr_t>(p) % (4 * sizeof(float)) == 0;
}

}  // namespace fovea::gpu

// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>

#include "kernels/cpu/loops.h"

/// Many tensors as one long row of elements, cut into equal parts: fifty biases cost no more than one matrix
/// of their size. Internal linkage: each instruction set has its own copy.
namespace fovea::cpu {
namespace {

constexpr std::int64_t kRowPart = 8192;  // elements

template <class Slot>
std::int64_t elements_of(std::span<const Slot> slots) {
  std::int64_t total = 0;
  for (const Slot* slot = slots.data(); slot != slots.data() + slots.size(); ++slot) total += slot->count;
  return total;
}

/// Calls f(part, slot, begin, end) for the pieces of slots that make up each part, in order within a part.
/// Parts are numbered 0..blocks_of(elements_of(slots), kRowPart)-1.
template <class Slot, class F>
void for_pieces(Queue& queue, std::span<const Slot> slots, const F& f) {
  const Slot* const first_slot = slots.data();
  const Slot* const last_slot = first_slot + slots.size();
  for_parts(queue, blocks_of(elements_of(slots), kRowPart), [&](std::int64_t part) {
    const std::int64_t first = part * kRowPart, last = first + kRowPart;  // in the long row
    std::int64_t begin = 0;                                               // of the slot, in the long row
    for (const Slot* slot = first_slot; slot != last_slot && begin < last; ++slot) {
      const std::int64_t end = begin + slot->count;
      if (end > first) f(part, *slot, first > begin ? first - begin : 0, (last < end ? last : end) - begin);
      begin = end;
    }
  });
}

}  // namespace
}  // namespace fovea::cpu

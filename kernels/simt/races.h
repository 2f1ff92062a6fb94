// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <unordered_map>

namespace fovea::simt {

/// Remembers for each byte who touched it last, and finds accesses of two threads, one of them a write, that
/// no barrier orders. Internal to the scheduler; told of accesses by race_hooks.cpp in builds with
/// FOVEA_RACES.
///
/// Threads of a block are ordered by block barriers, those of a warp also by __syncwarp (a partial mask
/// counts as the whole warp). Shuffles and votes order nothing, as on a GPU. Blocks of a launch are not
/// ordered. Atomics do not conflict with each other; an atomic orders nothing, and conflicts with a plain
/// access by a thread that no barrier orders.
class Races {
 public:
  /// One thread at one time. block counts blocks over all launches, from 1; barriers counts those the block
  /// has passed, warp_syncs those the warp has passed.
  struct Access {
    std::uint32_t block = 0, barriers = 0, warp_syncs = 0;
    std::uint16_t thread = 0;
  };
  enum class Kind : unsigned char { read, write, atomic };
  struct Conflict {
    std::ptrdiff_t offset = 0;  // bytes from the start of the access
    bool unwritten = false;     // read of shared memory that no thread has written; no other access then
    bool in_flight = false;     // the same, where an asynchronous copy is to arrive
    bool earlier_wrote = false;
    Access earlier{};
  };

  /// What earlier launches did is ordered before all that follows.
  void begin_launch(std::uint32_t first_block);
  /// New shared memory, not written yet.
  void add_shared(const void* memory, std::size_t bytes, std::uint32_t block);
  /// What is there is lost, and nothing is there until a thread writes it.
  void start_copy(const void* memory, std::size_t bytes, std::uint32_t block);
  /// Records the access. returns the first conflict with an earlier one
  std::optional<Conflict> access(const void* memory, std::size_t bytes, Kind kind, const Access& now);

 private:
  struct Cell {
    Access write;
    bool atomic = false, in_flight = false;
    Access reads[2];                    // of different threads, the latest first
    std::uint32_t unwritten_block = 0;  // fresh shared memory of that block
  };
  static constexpr std::uintptr_t kPage = 1024;
  using Page = std::array<Cell, kPage>;

  Cell& cell(std::uintptr_t address);
  bool ordered(const Access& earlier, const Access& now) const;

  std::uint32_t first_block_ = 1;
  std::unordered_map<std::uintptr_t, std::unique_ptr<Page>> pages_;
  std::uintptr_t last_number_ = 0;
  Page* last_page_ = nullptr;
};

}  // namespace fovea::simt

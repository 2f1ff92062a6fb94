// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <exception>
#include <memory>
#include <string>
#include <vector>

#include "kernels/arena.h"
#include "kernels/simt/accesses.h"
#include "kernels/simt/async_copies.h"
#include "kernels/simt/fiber.h"
#include "kernels/simt/grid.h"
#include "kernels/simt/races.h"
#include "kernels/simt/thread.h"

namespace fovea::simt {

std::string text(Index3 i);  // "(1, 0, 0)"

/// Runs the threads of one block after another, each on a fiber. Internal to Grid.
///
/// The rule: a warp runs as far as it can go before the next warp starts. Lanes in lock step would hide a
/// missing barrier, since every thread would have written before any thread reads; this order is as far from
/// lock step as the rules of the machine allow.
///
/// Note [One jump per wait]: a thread that must wait chooses its successor itself (next()) and jumps straight
/// to it. The caller's stack, home_, is resumed only when the block is over. A thread that ends starts the
/// next fresh thread on its own fiber without any jump, so kernels without barriers need one fiber in all.
class Scheduler {
 public:
  explicit Scheduler(Order order);

  void run(const Launch& launch, void (*thread)(const void*), const void* context);

  int barrier(bool vote, Place place);
  std::uint64_t collective(Collective kind, unsigned mask, std::uint64_t bits, unsigned source, Place place);
  void together(void (*work)(void* const*), void* mine, Place place);
  unsigned lane() const { return current_ % kWarp; }
  void* shared_variable(const void* site, const char* name, std::size_t bytes, std::size_t alignment);
  void* dynamic_shared() const { return dynamic_shared_.get(); }
  void require_shared(const void* address, std::size_t bytes, std::size_t alignment, Place place) const;
  void check_async(const AsyncCopy& copy) const;
  void async_start(const AsyncCopy& copy);
  void async_commit();
  void async_wait(unsigned groups);
  void note_access(const void* memory, std::size_t bytes, bool write, const void* code);
  void note_atomic(const void* memory, std::size_t bytes, const void* code);
  void count_accesses(bool on);
  AccessReport access_report() const;

  Order order;
  Arena arena;
  std::int64_t launches = 0;
  unsigned char shared_fill = 0xff;

 private:
  static constexpr unsigned kWarp = 32;
  static constexpr std::size_t kMaxStaticShared = 48 * 1024;
  static constexpr std::size_t kMaxShared = 227 * 1024;

  struct Thread {
    Fiber* fiber = nullptr;
    Index3 index;
    Collective kind{};
    unsigned mask = 0, source = 0;
    std::uint64_t bits = 0, result = 0;
    void (*work)(void* const*) = nullptr;
    Place place{};
  };
  /// The lanes of a warp by what they are doing; a lane that is running or in pass_ is in none but `members`.
  struct Warp {
    unsigned members = 0, fresh = 0, ready = 0, at_barrier = 0, at_collective = 0, returned = 0;
    std::uint32_t syncs = 0;  // __syncwarps passed
  };
  struct Free {
    void operator()(void* memory) const { std::free(memory); }
  };
  using SharedMemory = std::unique_ptr<void, Free>;
  struct SharedVariable {
    const void* site;
    const char* name;
    std::size_t bytes;
    SharedMemory memory;
  };

  static void fiber_main(Fiber& self);
  void check_limits(const Launch& launch) const;
  void run_block(Index3 block);
  Index3 block_at(std::uint64_t turn) const;

  Fiber& next(Fiber* idle);
  Fiber& idle_fiber();
  void begin_sweep();
  unsigned take_lane();
  bool finish_collectives(Warp& warp);
  void work_together(const Thread* lanes) const;
  bool release_barrier();
  void wait();
  void abandon_fibers();

  void report_divergence();
  void note_race(const void* memory, std::size_t bytes, Races::Kind kind, const void* code);
  void report_conflict(const Races::Conflict& conflict, const char* memory, Races::Kind kind,
                       const void* code);
  bool is_local(const void* memory) const;
  struct SharedPlace {
    const char* name = nullptr;  // empty for dynamic shared memory
    const char* start = nullptr;
    std::size_t bytes = 0;
  };
  SharedPlace shared_place(const void* address) const;
  bool in_shared(const void* memory) const;
  std::string describe_memory(const void* address) const;
  void check_copies_arrived() const;
  std::string describe(unsigned thread) const;
  [[noreturn]] void fail(const std::string& why) const;
  SharedMemory filled(std::size_t bytes, std::size_t alignment) const;
  std::uint32_t draw();
  template <class T>
  void shuffle(T* items, unsigned count);

  // of the launch
  const Launch* launch_ = nullptr;
  void (*thread_)(const void*) = nullptr;
  const void* context_ = nullptr;
  unsigned thread_count_ = 0;
  std::uint64_t block_step_ = 1;
  std::uint32_t random_ = 0;

  // of the block
  Index3 block_;
  std::vector<Thread> threads_;
  std::vector<Warp> warps_;
  unsigned returned_ = 0, at_barrier_ = 0;
  int votes_ = 0, vote_result_ = 0;
  std::size_t shared_bytes_ = 0;
  std::vector<SharedVariable> shared_;
  std::uint32_t barriers_ = 0;      // passed
  std::uint32_t block_number_ = 0;  // over all launches
  std::uint32_t first_block_of_launch_ = 1;
  SharedMemory dynamic_shared_;
  std::vector<AsyncCopies> copies_;  // of each thread; empty until a thread of the launch starts one
  std::exception_ptr error_;

  // whose turn it is
  std::vector<unsigned> warp_order_;
  std::array<unsigned char, kWarp> lane_order_{};
  unsigned warp_turn_ = 0, lane_turn_ = 0;
  unsigned warp_ = 0;     // the warp that runs
  unsigned pass_ = 0;     // its lanes that have not had their turn in this pass
  unsigned current_ = 0;  // the thread that runs

  std::unique_ptr<Races> races_;  // made by the first access that is noted
  std::unique_ptr<Accesses> accesses_;
  bool counting_ = false;
  Fiber home_;
  std::vector<std::unique_ptr<Fiber>> fibers_;
  std::vector<Fiber*> idle_;
};

}  // namespace fovea::simt

// SPDX-License-Identifier: Apache-2.0
#include "kernels/arena.h"

#include <fmt/format.h>
#include <sys/mman.h>

#include <algorithm>
#include <bit>
#include <cstdlib>
#include <stdexcept>

#if defined(__SANITIZE_ADDRESS__)
#define FOVEA_CACHE_BLOCKS 0
#else
#define FOVEA_CACHE_BLOCKS 1
#endif

namespace fovea {
namespace {

constexpr std::size_t kHugePage = std::size_t{2} << 20;

/// Quarter steps between powers of two waste at most a fifth and keep the number of lists small.
[[maybe_unused]] std::size_t size_class(std::size_t bytes, std::size_t alignment) {
  bytes = std::max(bytes, alignment);
  const std::size_t step = std::max(std::bit_floor(bytes) / 4, alignment);
  return (bytes + step - 1) / step * step;
}

}  // namespace

Arena::Arena(MemorySource source) : source_(std::move(source)) {}

Arena::~Arena() {
  for (int pool = 1; pool <= pools_; ++pool) drop_pool(pool);
  trim_locked();
}

void* Arena::allocate(std::size_t bytes, const char* owner) {
  const std::lock_guard lock(mutex_);
#if FOVEA_CACHE_BLOCKS
  const std::size_t size = size_class(bytes, source_.alignment);
#else
  const std::size_t size = std::max<std::size_t>(bytes, 1);
#endif
  if (bytes > limit_ || size > limit_ - std::min(limit_, live_)) refuse_locked(bytes, owner);
  if (refuse_in_ > 0 && --refuse_in_ == 0) refuse_locked(bytes, owner);

  // What can throw comes before the first change that counts.
  OwnerBytes& account = owners_[owner];
  Block*& free = free_[{pool_, size}];
  if (free == nullptr) free = make_block(size);
  if (free == nullptr) refuse_locked(bytes, owner);
  Block& block = *free;
  free = block.next_free;
  if (block.owner != nullptr) cached_ -= size;
  block.owner = owner;
  account.live += size;
  account.peak = std::max(account.peak, account.live);
  live_ += size;
  peak_ = std::max(peak_, live_);
  ++allocations_;
  return block.memory;
}

/// Null if the source has none.
Arena::Block* Arena::make_block(std::size_t size) {
  void* memory = source_.allocate(size);
  ++source_calls_;
  if (memory == nullptr) {  // blocks of other sizes may be all that is missing
    trim_locked();
    memory = source_.allocate(size);
  }
  if (memory == nullptr) return nullptr;
  try {
    if (pool_ != 0) free_[{0, size}];  // where it goes when the pool is dropped
    return &blocks_.emplace(memory, Block{memory, size, nullptr, nullptr, pool_}).first->second;
  } catch (...) {
    source_.release(memory, size);
    throw;
  }
}

void Arena::release(void* memory) noexcept {
  if (memory == nullptr) return;
  const std::lock_guard lock(mutex_);
  const auto found = blocks_.find(memory);
  Block& block = found->second;
  live_ -= block.bytes;
  owners_.find(block.owner)->second.live -= block.bytes;
  if (FOVEA_CACHE_BLOCKS || block.pool != 0) {
    Block*& free = free_.find({block.pool, block.bytes})->second;
    block.next_free = free;
    free = &block;
    cached_ += block.bytes;
    return;
  }
  const std::size_t bytes = block.bytes;
  blocks_.erase(found);
  source_.release(memory, bytes);
}

int Arena::open_pool() {
  const std::lock_guard lock(mutex_);
  if (pool_ != 0) throw std::logic_error("a pool is open already: captures do not nest");
  return pool_ = ++pools_;
}

void Arena::close_pool() noexcept {
  const std::lock_guard lock(mutex_);
  pool_ = 0;
}

void Arena::drop_pool(int pool) noexcept {
  const std::lock_guard lock(mutex_);
  for (auto& [memory, block] : blocks_)
    if (block.pool == pool) block.pool = 0;
  for (auto list = free_.lower_bound({pool, 0}); list != free_.end() && list->first.first == pool;) {
    while (list->second != nullptr) {
      Block* const block = std::exchange(list->second, list->second->next_free);
      Block*& free = free_.find({0, block->bytes})->second;
      block->next_free = free;
      free = block;
    }
    list = free_.erase(list);
  }
#if !FOVEA_CACHE_BLOCKS
  trim_locked();
#endif
}

Arena::Stats Arena::stats() const {
  const std::lock_guard lock(mutex_);
  return stats_locked();
}

Arena::Stats Arena::stats_locked() const {
  Stats stats{live_, peak_, cached_, allocations_, source_calls_, {}};
  for (const auto& [name, bytes] : owners_)
    if (bytes.peak > 0) stats.owners.push_back({std::string(name), bytes.live, bytes.peak});
  std::stable_sort(stats.owners.begin(), stats.owners.end(),
                   [](const Owner& a, const Owner& b) { return a.live_bytes > b.live_bytes; });
  return stats;
}

void Arena::reset_peak() {
  const std::lock_guard lock(mutex_);
  peak_ = live_;
}

void Arena::set_limit(std::size_t bytes) {
  const std::lock_guard lock(mutex_);
  limit_ = bytes;
}

void Arena::trim() {
  const std::lock_guard lock(mutex_);
  trim_locked();
}

void Arena::refuse_nth(std::int64_t n) {
  const std::lock_guard lock(mutex_);
  refuse_in_ = n;
}

void Arena::trim_locked() noexcept {
  for (auto& [list, free] : free_) {
    if (list.first != 0) break;  // a graph writes to these
    while (free != nullptr) {
      void* const memory = free->memory;
      free = free->next_free;
      blocks_.erase(memory);
      source_.release(memory, list.second);
      cached_ -= list.second;
    }
  }
}

void Arena::refuse_locked(std::size_t bytes, const char* owner) const {
  const auto mib = [](std::size_t count) { return static_cast<double>(count) / (1 << 20); };
  std::string text =
      fmt::format("out of memory on {}: {} asked for {:.1f} MiB with {:.1f} MiB live (peak {:.1f} MiB",
                  source_.name, owner, mib(bytes), mib(live_), mib(peak_));
  if (limit_ != SIZE_MAX) text += fmt::format(", limit {:.1f} MiB", mib(limit_));
  text += "); largest owners:";
  int listed = 0;
  for (const Owner& other : stats_locked().owners)  // largest first
    if (other.live_bytes > 0 && listed < 5)
      text += fmt::format("{} {} {:.1f} MiB", listed++ == 0 ? "" : ",", other.name, mib(other.live_bytes));
  if (listed == 0) text += " none";
  text += "; try a smaller batch";
  throw OutOfMemory(std::move(text), bytes, live_, peak_);
}

void Arena::refuse(std::size_t bytes, const char* owner) const {
  const std::lock_guard lock(mutex_);
  refuse_locked(bytes, owner);
}

MemorySource host_memory(std::string name) {
  return {.name = std::move(name),
          .alignment = 64,
          .allocate = [](std::size_t bytes) -> void* {
#if FOVEA_CACHE_BLOCKS
            const bool large = bytes >= kHugePage;
            const std::size_t alignment = large ? kHugePage : 64;
            void* memory = std::aligned_alloc(alignment, (bytes + alignment - 1) / alignment * alignment);
            // Half of a convolution's misses are page walks with 4 KiB pages; a refusal costs nothing.
            if (memory != nullptr && large) (void)madvise(memory, bytes, MADV_HUGEPAGE);
            return memory;
#else
            // The exact size, so that the byte after the last one is poisoned.
            void* memory = nullptr;
            return posix_memalign(&memory, 64, bytes) == 0 ? memory : nullptr;
#endif
          },
          .release = [](void* memory, std::size_t) { std::free(memory); }};
}

}  // namespace fovea

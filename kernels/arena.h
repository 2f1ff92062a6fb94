// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <new>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

namespace fovea {

/// A device could not give the memory asked for. The process stays usable: nothing was changed.
///
/// what()  names the owner that asked, bytes requested, live, peak and limit, and the five largest owners
class OutOfMemory : public std::bad_alloc {
 public:
  OutOfMemory(std::string text, std::size_t requested, std::size_t live, std::size_t peak)
      : requested_bytes(requested),
        live_bytes(live),
        peak_bytes(peak),
        text_(std::make_shared<std::string>(std::move(text))) {}
  const char* what() const noexcept override { return text_->c_str(); }

  std::size_t requested_bytes, live_bytes, peak_bytes;

 private:
  std::shared_ptr<std::string> text_;  // shared: copying an exception must not throw
};

/// Where an arena gets its memory from. `allocate` returns null when there is none.
struct MemorySource {
  std::string name;            // "cpu", "cuda:0"; appears in OutOfMemory
  std::size_t alignment = 64;  // sizes are rounded up to this
  void* (*allocate)(std::size_t bytes) = nullptr;
  void (*release)(void* memory, std::size_t bytes) = nullptr;
};

/// Caching memory of one device, ordered by the one stream that uses it: a freed block may be handed out
/// again at once, because the kernels that follow on that stream run after those that used it before.
///
/// Freed blocks are kept in lists by size class (powers of two in quarter steps) and returned to the source
/// when the source runs dry, on trim(), and at the end. Under AddressSanitizer nothing is cached outside of
/// pools, so that each block keeps red zones of its own. Thread-safe.
///
/// The list of a block's class and its entry in the books are made when the block is: release() needs no
/// memory of the host and so cannot fail, in destructors least of all.
class Arena {
 public:
  explicit Arena(MemorySource source);
  ~Arena();
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;

  /// bytes ≥ 0; zero bytes give a valid pointer. `owner` says who asked (an op, "parameter"): a string
  /// literal. throws OutOfMemory
  void* allocate(std::size_t bytes, const char* owner);
  void release(void* memory) noexcept;

  struct Owner {
    std::string name;
    std::size_t live_bytes, peak_bytes;
  };
  struct Stats {
    std::size_t live_bytes = 0, peak_bytes = 0, cached_bytes = 0;
    std::int64_t allocations = 0, source_calls = 0;
    std::vector<Owner> owners;  // largest live first
  };
  Stats stats() const;
  void reset_peak();

  /// Refuses to hold more than `bytes` live; for tests and for sharing a machine.
  void set_limit(std::size_t bytes);
  /// Refuses the n-th allocation from now on (1: the next), once, as if the source had run dry; 0: none. For
  /// tests of what an out-of-memory leaves behind.
  void refuse_nth(std::int64_t n);
  /// For what takes memory past the arena: throws OutOfMemory, `bytes` being what it wanted, 0 if it does not tell.
  [[noreturn]] void refuse(std::size_t bytes, const char* owner) const;
  /// Gives all cached blocks back to the source, but for those of pools.
  void trim();

  /// From now on blocks come from a new pool, until close_pool(), and return to it. A captured graph writes to
  /// the addresses of its working memory at each replay: as long as it lives, nobody else may have them.
  /// returns the pool's number. throws std::logic_error if one is open
  int open_pool();
  void close_pool() noexcept;
  /// The blocks of this pool, which is closed, become like all others.
  void drop_pool(int pool) noexcept;

 private:
  struct Block {
    void* memory;
    std::size_t bytes;
    const char* owner;  // of the last who had it
    Block* next_free;   // while it is cached
    int pool;           // 0: none
  };
  using List = std::pair<int, std::size_t>;  // of a pool, and of a size class
  struct OwnerBytes {
    std::size_t live = 0, peak = 0;
  };
  [[noreturn]] void refuse_locked(std::size_t bytes, const char* owner) const;
  Stats stats_locked() const;
  void trim_locked() noexcept;
  Block* make_block(std::size_t size);

  MemorySource source_;
  mutable std::mutex mutex_;
  std::unordered_map<void*, Block> blocks_;  // live and cached
  std::map<List, Block*> free_;              // the first of each list; it leads to the next
  std::map<std::string_view, OwnerBytes> owners_;
  std::size_t live_ = 0, peak_ = 0, cached_ = 0, limit_ = SIZE_MAX;
  std::int64_t allocations_ = 0, source_calls_ = 0, refuse_in_ = 0;
  int pool_ = 0, pools_ = 0;  // the open one; made so far
};

/// Working memory of one kernel call, given back when the launcher returns (see Arena on why that is safe).
template <class T>
class Scratch {
 public:
  template <class Queue>
  Scratch(Queue& queue, std::int64_t count, const char* owner)
      : arena_(queue.arena()),
        data_(static_cast<T*>(arena_.allocate(static_cast<std::size_t>(count) * sizeof(T), owner))) {}
  ~Scratch() { arena_.release(data_); }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  T* data() const { return data_; }

 private:
  Arena& arena_;
  T* data_;
};

/// Aligned host memory, 2 MiB pages requested for large blocks.
MemorySource host_memory(std::string name);

}  // namespace fovea

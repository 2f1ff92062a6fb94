// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/mman.h>
#include <unistd.h>

#include <boost/context/detail/fcontext.hpp>
#include <cstddef>
#include <cstdint>
#include <new>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif
#if defined(__SANITIZE_THREAD__)
#include <sanitizer/tsan_interface.h>
#endif

namespace fovea::simt {

/// A stack of its own and the place where its execution stopped. Internal to the scheduler.
///
/// Below each stack lies a page without access rights: a kernel that overflows its stack crashes on the line
/// that did it instead of writing into its neighbour.
class Fiber {
 public:
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  static constexpr std::size_t kStackBytes = 512 * 1024;  // red zones make frames several times larger
#else
  static constexpr std::size_t kStackBytes = 128 * 1024;
#endif

  /// Stands for the stack that the calling thread already runs on, once adopt_calling_thread() was called.
  Fiber() = default;
  void adopt_calling_thread() {
#if defined(__SANITIZE_THREAD__)
    tsan_ = __tsan_get_current_fiber();
#endif
  }

  /// main(*this) starts at the first switch to this fiber and must not return.
  /// number  staggers the stacks: with all stack tops at one offset in a page, the hot lines of 32 lanes
  ///         would compete for the same few cache sets
  Fiber(void (*main)(Fiber&), std::size_t number) : main_(main) {
    guard_bytes_ = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
    void* mapping = mmap(nullptr, guard_bytes_ + kStackBytes, PROT_READ | PROT_WRITE,
                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK | MAP_NORESERVE, -1, 0);
    if (mapping == MAP_FAILED) throw std::bad_alloc();
    mapping_ = static_cast<char*>(mapping);
    if (mprotect(mapping_, guard_bytes_, PROT_NONE) != 0) {
      munmap(mapping_, guard_bytes_ + kStackBytes);
      throw std::bad_alloc();
    }
    bottom_ = mapping_ + guard_bytes_;
    bytes_ = kStackBytes - number % 16 * 256;
#if defined(__SANITIZE_THREAD__)
    tsan_ = __tsan_create_fiber(0);
#endif
    restart();
  }
  ~Fiber() {
    if (mapping_ == nullptr) return;
#if defined(__SANITIZE_THREAD__)
    __tsan_destroy_fiber(tsan_);
#endif
    unpoison();
    munmap(mapping_, guard_bytes_ + kStackBytes);
  }
  Fiber(const Fiber&) = delete;
  Fiber& operator=(const Fiber&) = delete;

  /// Whether the address is a local variable of what runs here.
  bool owns(const void* address) const {
    const auto at = reinterpret_cast<std::uintptr_t>(address),
               start = reinterpret_cast<std::uintptr_t>(bottom_);
    return at - start < bytes_;
  }

  /// Forgets what ran here; the next switch starts main anew. No destructor runs: kernels own nothing.
  void restart() {
    unpoison();
    context_ = boost::context::detail::make_fcontext(bottom_ + bytes_, bytes_, start);
  }

  /// Stops here and continues `to`. Returns when somebody switches back to this fiber.
  void switch_to(Fiber& to) {
    Handover handover{this, &to};
#if defined(__SANITIZE_ADDRESS__)
    __sanitizer_start_switch_fiber(&fake_stack_, to.bottom_, to.bytes_);
#endif
#if defined(__SANITIZE_THREAD__)
    __tsan_switch_to_fiber(to.tsan_, 0);
#endif
    arrive(boost::context::detail::jump_fcontext(to.context_, &handover));
  }

 private:
  using Transfer = boost::context::detail::transfer_t;
  struct Handover {
    Fiber *from, *to;
  };

  static void arrive(Transfer transfer) {
    const Handover& handover = *static_cast<Handover*>(transfer.data);
    handover.from->context_ = transfer.fctx;
#if defined(__SANITIZE_ADDRESS__)
    const void* bottom = nullptr;
    __sanitizer_finish_switch_fiber(handover.to->fake_stack_, &bottom, &handover.from->bytes_);
    handover.from->bottom_ = static_cast<char*>(const_cast<void*>(bottom));
#endif
  }
  static void start(Transfer transfer) {
    Fiber& self = *static_cast<Handover*>(transfer.data)->to;
    self.fake_stack_ = nullptr;
    arrive(transfer);
    self.main_(self);
  }
  void unpoison() {
#if defined(__SANITIZE_ADDRESS__)
    ASAN_UNPOISON_MEMORY_REGION(bottom_, bytes_);
#endif
  }

  boost::context::detail::fcontext_t context_ = nullptr;
  void (*main_)(Fiber&) = nullptr;
  char* mapping_ = nullptr;
  char* bottom_ = nullptr;
  std::size_t bytes_ = 0, guard_bytes_ = 0;
  void* fake_stack_ = nullptr;
#if defined(__SANITIZE_THREAD__)
  void* tsan_ = nullptr;
#endif
};

}  // namespace fovea::simt

// SPDX-License-Identifier: Apache-2.0
#include "tests/memory/host_faults.h"

#include <atomic>
#include <cstdlib>
#include <limits>
#include <new>

namespace fovea::test {
namespace {

constexpr std::int64_t kNever = std::numeric_limits<std::int64_t>::max();

// operator new can reach nothing but objects of static storage.
std::atomic<std::int64_t> calls_made{0}, live_blocks{0}, fail_first{kNever}, fail_last{kNever};
std::atomic<bool> was_hit{false};

void* allocate(std::size_t bytes, std::size_t alignment) noexcept {
  const std::int64_t call = ++calls_made;
  if (call >= fail_first && call <= fail_last) {
    was_hit = true;
    return nullptr;
  }
  void* memory = nullptr;
  if (posix_memalign(&memory, alignment, bytes == 0 ? 1 : bytes) != 0) return nullptr;
  ++live_blocks;
  return memory;
}

void* allocate_or_throw(std::size_t bytes, std::size_t alignment) {
  void* const memory = allocate(bytes, alignment);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}

void release(void* memory) noexcept {
  if (memory != nullptr) --live_blocks;
  std::free(memory);
}

}  // namespace

HostFault::HostFault(std::int64_t n, bool from_then_on) {
  was_hit = false;
  calls_made = 0;
  fail_last = from_then_on ? kNever : n;
  fail_first = n > 0 ? n : kNever;
}

HostFault::~HostFault() { fail_first = kNever; }

std::int64_t HostFault::calls() const { return calls_made; }
bool HostFault::hit() const { return was_hit; }

std::int64_t live_host_blocks() { return live_blocks; }

}  // namespace fovea::test

namespace {
constexpr std::size_t kPlain = __STDCPP_DEFAULT_NEW_ALIGNMENT__;
}

// NOLINTBEGIN(misc-new-delete-overloads): the array and sized forms of the library call these
void* operator new(std::size_t bytes) { return fovea::test::allocate_or_throw(bytes, kPlain); }
void* operator new(std::size_t bytes, const std::nothrow_t&) noexcept {
  return fovea::test::allocate(bytes, kPlain);
}
void* operator new(std::size_t bytes, std::align_val_t alignment) {
  return fovea::test::allocate_or_throw(bytes, static_cast<std::size_t>(alignment));
}
void* operator new(std::size_t bytes, std::align_val_t alignment, const std::nothrow_t&) noexcept {
  return fovea::test::allocate(bytes, static_cast<std::size_t>(alignment));
}
void* operator new[](std::size_t bytes) { return operator new(bytes); }
void* operator new[](std::size_t bytes, const std::nothrow_t& tag) noexcept {
  return operator new(bytes, tag);
}
void* operator new[](std::size_t bytes, std::align_val_t alignment) { return operator new(bytes, alignment); }
void operator delete(void* memory) noexcept { fovea::test::release(memory); }
void operator delete(void* memory, std::size_t) noexcept { fovea::test::release(memory); }
void operator delete(void* memory, std::align_val_t) noexcept { fovea::test::release(memory); }
void operator delete(void* memory, std::size_t, std::align_val_t) noexcept { fovea::test::release(memory); }
void operator delete(void* memory, const std::nothrow_t&) noexcept { fovea::test::release(memory); }
void operator delete[](void* memory) noexcept { fovea::test::release(memory); }
void operator delete[](void* memory, std::size_t) noexcept { fovea::test::release(memory); }
void operator delete[](void* memory, std::align_val_t) noexcept { fovea::test::release(memory); }
void operator delete[](void* memory, std::size_t, std::align_val_t) noexcept { fovea::test::release(memory); }
void operator delete[](void* memory, const std::nothrow_t&) noexcept { fovea::test::release(memory); }
// NOLINTEND(misc-new-delete-overloads)

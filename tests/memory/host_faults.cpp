// SPDX-License-Identifier: Apache-2.0
#include "tests/memory/host_faults.h"

#include <dlfcn.h>
#include <execinfo.h>

#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <limits>
#include <new>
#include <string_view>

// The linker's --wrap sends aligned_alloc and posix_memalign of our libraries to __wrap_… and gives the real ones here.
extern "C" {
void* __real_aligned_alloc(std::size_t alignment, std::size_t bytes);
int __real_posix_memalign(void** memory, std::size_t alignment, std::size_t bytes);
void* __wrap_aligned_alloc(std::size_t alignment, std::size_t bytes);
int __wrap_posix_memalign(void** memory, std::size_t alignment, std::size_t bytes);
}

namespace fovea::test {
namespace {

constexpr std::int64_t kNever = std::numeric_limits<std::int64_t>::max();

// operator new can reach nothing but objects of static storage.
std::atomic<std::int64_t> calls_made{0}, live_blocks{0}, fail_first{kNever}, fail_last{kNever};
std::atomic<bool> was_hit{false};

/// Whether a JSON value of nlohmann's is being destroyed: its destructor takes memory and cannot report that there is
/// none, so a fault there would end any program that uses the library. (Its symbols are exported for this.)
bool in_json_destructor() {
  void* frames[48];
  const int count = ::backtrace(frames, 48);
  for (int i = 0; i < count; ++i) {
    Dl_info info{};
    if (::dladdr(frames[i], &info) == 0 || info.dli_sname == nullptr) continue;
    const std::string_view name = info.dli_sname;
    if (name.find("basic_json") != name.npos &&
        (name.find("destroy") != name.npos || name.ends_with("D1Ev") || name.ends_with("D2Ev") ||
         name.find("_M_erase") != name.npos))
      return true;
  }
  return false;
}
std::atomic<std::int64_t> source_calls{0}, source_fails_from{kNever};

bool source_is_dry() { return ++source_calls >= source_fails_from; }

void* allocate(std::size_t bytes, std::size_t alignment) noexcept {
  const std::int64_t call = ++calls_made;
  if (call >= fail_first && call <= fail_last && !in_json_destructor()) {
    was_hit = true;
    return nullptr;
  }
  void* memory = nullptr;
  if (__real_posix_memalign(&memory, alignment, bytes == 0 ? 1 : bytes) != 0) return nullptr;
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
  void* frame[1];
  (void)::backtrace(frame, 1);                            // loads what it needs, which takes memory, now
  calls_made = std::numeric_limits<std::int64_t>::min();  // other threads allocate while this one sets it up
  was_hit = false;
  fail_last = from_then_on ? kNever : n;
  fail_first = n > 0 ? n : kNever;
  calls_made = 0;
}

HostFault::~HostFault() { fail_first = kNever; }

std::int64_t HostFault::calls() const { return calls_made; }
bool HostFault::hit() const { return was_hit; }

SourceFault::SourceFault(std::int64_t n) {
  source_calls = 0;
  source_fails_from = n > 0 ? n : kNever;
}
SourceFault::~SourceFault() { source_fails_from = kNever; }
std::int64_t SourceFault::calls() const { return source_calls; }

std::int64_t live_host_blocks() { return live_blocks; }

}  // namespace fovea::test

void* __wrap_aligned_alloc(std::size_t alignment, std::size_t bytes) {
  return fovea::test::source_is_dry() ? nullptr : __real_aligned_alloc(alignment, bytes);
}
int __wrap_posix_memalign(void** memory, std::size_t alignment, std::size_t bytes) {
  return fovea::test::source_is_dry() ? ENOMEM : __real_posix_memalign(memory, alignment, bytes);
}

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

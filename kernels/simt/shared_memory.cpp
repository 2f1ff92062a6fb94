// SPDX-License-Identifier: Apache-2.0
/// Shared memory of the block that runs, and the asynchronous copies into it.
#include <fmt/format.h>

#include <cstring>
#include <new>

#include "kernels/simt/scheduler.h"

namespace fovea::simt {

/// Exactly the bytes asked for, so that AddressSanitizer sees the first byte beyond them.
Scheduler::SharedMemory Scheduler::filled(std::size_t bytes, std::size_t alignment) const {
  void* memory = nullptr;
  if (posix_memalign(&memory, alignment < 16 ? 16 : alignment, bytes) != 0) throw std::bad_alloc();
  std::memset(memory, shared_fill, bytes);
  return SharedMemory(memory);
}

void* Scheduler::shared_variable(const void* site, const char* name, std::size_t bytes,
                                 std::size_t alignment) {
  for (const SharedVariable& variable : shared_)
    if (variable.site == site) return variable.memory.get();
  shared_bytes_ += bytes;
  const std::size_t fixed = shared_bytes_ - launch_->dynamic_shared_bytes;
  if (fixed > kMaxStaticShared)
    fail(fmt::format("declares {} bytes of static shared memory; {} are allowed", fixed, kMaxStaticShared));
  if (shared_bytes_ > kMaxShared)
    fail(fmt::format("has {} bytes of static and dynamic shared memory; a block has {}", shared_bytes_,
                     kMaxShared));
  shared_.push_back({site, name, bytes, filled(bytes, alignment)});
  if (races_ != nullptr) races_->add_shared(shared_.back().memory.get(), bytes, block_number_);
  return shared_.back().memory.get();
}

/// The variable that holds the address: its name and first byte, or null and null.
Scheduler::SharedPlace Scheduler::shared_place(const void* address) const {
  const auto within = [&](const SharedMemory& memory, std::size_t bytes) {
    const auto* start = static_cast<const char*>(memory.get());
    return start != nullptr && static_cast<const char*>(address) - start >= 0 &&
           static_cast<std::size_t>(static_cast<const char*>(address) - start) < bytes;
  };
  for (const SharedVariable& v : shared_)
    if (within(v.memory, v.bytes)) return {v.name, static_cast<const char*>(v.memory.get()), v.bytes};
  const std::size_t dynamic = launch_->dynamic_shared_bytes;
  if (within(dynamic_shared_, dynamic)) return {"", static_cast<const char*>(dynamic_shared_.get()), dynamic};
  return {};
}

std::string Scheduler::describe_memory(const void* address) const {
  const SharedPlace place = shared_place(address);
  if (place.start == nullptr) return fmt::format("global memory at {}", address);
  const auto offset = static_cast<const char*>(address) - place.start;
  if (*place.name == '\0') return fmt::format("byte {} of dynamic shared memory", offset);
  return fmt::format("byte {} of shared variable {}", offset, place.name);
}

void Scheduler::require_shared(const void* address, std::size_t bytes, std::size_t alignment,
                               Place place) const {
  const SharedPlace variable = shared_place(address);
  const std::string where = fmt::format("calls {} at {}:{} with ", place.call, place.file, place.line);
  if (variable.start == nullptr) fail(where + describe_memory(address) + ", expected shared memory");
  if (reinterpret_cast<std::uintptr_t>(address) % alignment != 0)
    fail(fmt::format("{}{}, which is not a multiple of {}", where, describe_memory(address), alignment));
  const auto offset = static_cast<std::size_t>(static_cast<const char*>(address) - variable.start);
  if (offset + bytes > variable.bytes)
    fail(fmt::format("{}{}: {} bytes from there end beyond its {}", where, describe_memory(address), bytes,
                     variable.bytes));
}

// ---- asynchronous copies --------------------------------------------------------------------------------

void Scheduler::check_async(const AsyncCopy& copy) const {
  require_shared(copy.to, copy.bytes, copy.bytes, copy.place);
  const std::string where =
      fmt::format("calls {} at {}:{} ", copy.place.call, copy.place.file, copy.place.line);
  if (copy.valid > copy.bytes) fail(fmt::format("{}to copy {} of {} bytes", where, copy.valid, copy.bytes));
  if (reinterpret_cast<std::uintptr_t>(copy.from) % copy.bytes != 0)
    fail(fmt::format("{}from {}, which is not a multiple of {}", where, copy.from, copy.bytes));
  if (copy.valid > 0 && (shared_place(copy.from).start != nullptr || is_local(copy.from)))
    fail(fmt::format("{}from {}, expected global memory", where,
                     is_local(copy.from) ? "a local variable" : describe_memory(copy.from)));
}

void Scheduler::async_start(const AsyncCopy& copy) {
  if (copies_.empty()) copies_.resize(thread_count_);
  copies_[current_].start(copy);
  if (races_ != nullptr) races_->start_copy(copy.to, copy.bytes, block_number_);
}

void Scheduler::async_commit() {
  if (copies_.empty()) copies_.resize(thread_count_);
  copies_[current_].commit();
}

void Scheduler::async_wait(unsigned groups) {
  if (copies_.empty()) return;
  copies_[current_].wait(groups, [&](const AsyncCopy& copy) {
    if (std::memcmp(copy.data, copy.from, copy.valid) != 0)
      fail(fmt::format("waits for the {} of {}:{}, whose source at {} has changed since", copy.place.call,
                       copy.place.file, copy.place.line, copy.from));
    std::memcpy(copy.to, copy.data, copy.bytes);
    if (races_ != nullptr) note_race(copy.to, copy.bytes, Races::Kind::write, copy.code);
  });
}

void Scheduler::check_copies_arrived() const {
  if (copies_.empty()) return;
  const AsyncCopy* copy = copies_[current_].first();
  if (copy == nullptr) return;
  fail(fmt::format("returned with the {} of {}:{} under way: it was {}", copy->place.call, copy->place.file,
                   copy->place.line,
                   copies_[current_].first_committed() ? "committed but not waited for" : "never committed"));
}

}  // namespace fovea::simt

// SPDX-License-Identifier: Apache-2.0
/// What the scheduler says about a kernel that breaks a rule.
#include <dlfcn.h>
#include <fmt/format.h>

#include <utility>

#include "kernels/simt/scheduler.h"

namespace fovea::simt {

std::string text(Index3 i) { return fmt::format("({}, {}, {})", i.x, i.y, i.z); }

std::string Scheduler::describe(unsigned thread) const {
  const Warp& warp = warps_[thread / kWarp];
  const std::string who = "thread " + text(threads_[thread].index);
  if ((warp.returned >> thread % kWarp & 1u) != 0) return who + " has returned";
  const Place& place = threads_[thread].place;
  std::string where = fmt::format("{} waits in {} at {}:{}", who, place.call, place.file, place.line);
  if ((warp.at_collective >> thread % kWarp & 1u) != 0)
    where += fmt::format(" with mask {:#010x}", threads_[thread].mask);
  return where;
}

/// The block is stuck: names one thread that waits and one that will never join it.
void Scheduler::report_divergence() {
  if (error_) return;  // the first fault may be the cause of those that follow
  unsigned waiting = thread_count_, absent = thread_count_;
  const char* what = "warp collective divergence";
  for (unsigned i = 0; i < thread_count_ && waiting == thread_count_; ++i)
    if ((warps_[i / kWarp].at_collective >> i % kWarp & 1u) != 0) waiting = i;
  if (waiting != thread_count_) {
    const Thread& first = threads_[waiting];
    const unsigned base = waiting / kWarp * kWarp;
    const Warp& warp = warps_[waiting / kWarp];
    for (unsigned lane = 0; lane < kWarp && absent == thread_count_; ++lane) {
      if (((first.mask & warp.members) >> lane & 1u) == 0) continue;
      const Thread& t = threads_[base + lane];
      const bool joined = (warp.at_collective >> lane & 1u) != 0 && t.mask == first.mask &&
                          t.kind == first.kind && t.place.line == first.place.line;
      if (!joined) absent = base + lane;
    }
  } else {
    what = "barrier divergence";
    for (unsigned i = 0; i < thread_count_ && waiting == thread_count_; ++i)
      if ((warps_[i / kWarp].at_barrier >> i % kWarp & 1u) != 0) waiting = i;
    for (unsigned i = 0; i < thread_count_ && absent == thread_count_; ++i) {
      const bool here = (warps_[i / kWarp].at_barrier >> i % kWarp & 1u) != 0;
      if (!here || threads_[i].place.line != threads_[waiting].place.line) absent = i;
    }
  }
  error_ = std::make_exception_ptr(KernelFault(
      launch_->name, block_, threads_[waiting].index,
      fmt::format("{} in block {}: {}, but {}", what, text(block_), describe(waiting), describe(absent))));
}

void Scheduler::fail(const std::string& why) const {
  const Index3 thread = threads_[current_].index;
  throw KernelFault(launch_->name, block_, thread,
                    fmt::format("block {}, thread {} {}", text(block_), text(thread), why));
}

// ---- races: only in builds that note accesses
// ---------------------------------------------------------------

void Scheduler::note_access(const void* memory, std::size_t bytes, bool write, const void* code) {
  const Thread& thread = threads_[current_];
  if (thread.fiber == nullptr || thread.fiber->owns(memory)) return;
  if (races_ == nullptr) {
    races_ = std::make_unique<Races>();
    races_->begin_launch(first_block_of_launch_);
    races_->add_shared(dynamic_shared_.get(), launch_->dynamic_shared_bytes, block_number_);
    for (const SharedVariable& v : shared_) races_->add_shared(v.memory.get(), v.bytes, block_number_);
  }
  const Races::Access now{
      .block = block_number_, .barriers = barriers_, .warp_syncs = warps_[warp_].syncs, .thread = current_};
  const auto conflict = races_->access(memory, bytes, write, now);
  // Compiled code does not expect its loads and stores to throw, so the launch fails when this block is over.
  if (conflict && !error_) report_conflict(*conflict, static_cast<const char*>(memory), write, code);
}

std::string Scheduler::describe_memory(const char* address) const {
  const auto within = [&](const SharedMemory& memory, std::size_t bytes) {
    const auto* start = static_cast<const char*>(memory.get());
    return start != nullptr && address >= start && address < start + bytes;
  };
  for (const SharedVariable& v : shared_)
    if (within(v.memory, v.bytes))
      return fmt::format("byte {} of shared variable {}", address - static_cast<const char*>(v.memory.get()),
                         v.name);
  if (within(dynamic_shared_, launch_->dynamic_shared_bytes))
    return fmt::format("byte {} of dynamic shared memory",
                       address - static_cast<const char*>(dynamic_shared_.get()));
  return fmt::format("global memory at {}", static_cast<const void*>(address));
}

void Scheduler::report_conflict(const Races::Conflict& conflict, const char* memory, bool write,
                                const void* code) {
  const Index3 thread = threads_[current_].index;
  std::string why = fmt::format("{} in block {}: thread {} {} {}",
                                conflict.unwritten ? "unwritten read" : "race", text(block_), text(thread),
                                write ? "writes" : "reads", describe_memory(memory + conflict.offset));
  if (conflict.unwritten) {
    why += ", which no thread has written";
  } else {
    why += fmt::format(", which thread {}", text(threads_[conflict.earlier.thread].index));
    if (conflict.earlier.block != block_number_)
      why += fmt::format(" of block {}", text(block_at(conflict.earlier.block - first_block_of_launch_)));
    why += fmt::format(" has {}, and no barrier orders the two", conflict.earlier_wrote ? "written" : "read");
  }
  Dl_info module{};
  if (dladdr(code, &module) != 0 && module.dli_fname != nullptr)
    why += fmt::format(" (addr2line -Cfie {} {:#x})", module.dli_fname,
                       static_cast<const char*>(code) - static_cast<const char*>(module.dli_fbase) - 1);
  error_ = std::make_exception_ptr(KernelFault(launch_->name, block_, thread, why));
}

}  // namespace fovea::simt

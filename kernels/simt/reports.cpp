// SPDX-License-Identifier: Apache-2.0
/// What the scheduler says about a kernel that breaks a rule.
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

void Scheduler::report_conflict(const Races::Conflict& conflict, const char* memory, Races::Kind kind,
                                const void* code) {
  const Index3 thread = threads_[current_].index;
  const char* const does = kind == Races::Kind::read    ? "reads"
                           : kind == Races::Kind::write ? "writes"
                                                        : "changes";
  std::string why = fmt::format("{} in block {}: thread {} {} {}",
                                conflict.unwritten || conflict.in_flight ? "unwritten read" : "race",
                                text(block_), text(thread), does, describe_memory(memory + conflict.offset));
  if (conflict.in_flight) {
    why += ", where a cp.async has not arrived";
  } else if (conflict.unwritten) {
    why += ", which no thread has written";
  } else {
    why += fmt::format(", which thread {}", text(threads_[conflict.earlier.thread].index));
    if (conflict.earlier.block != block_number_)
      why += fmt::format(" of block {}", text(block_at(conflict.earlier.block - first_block_of_launch_)));
    why += fmt::format(" has {}, and no barrier orders the two", conflict.earlier_wrote ? "written" : "read");
  }
  why += fmt::format(" ({})", source_lines({code})[0]);
  error_ = std::make_exception_ptr(KernelFault(launch_->name, block_, thread, why));
}

}  // namespace fovea::simt

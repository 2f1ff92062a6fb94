// SPDX-License-Identifier: Apache-2.0
/// What the scheduler makes of each load and store, in builds that note them (race_hooks.cpp).
#include "kernels/simt/scheduler.h"
#include "kernels/simt/simt.h"

namespace fovea::simt {

/// A local variable of the thread, or what a GPU keeps in registers: threadIdx and its like.
bool Scheduler::is_local(const void* memory) const {
  const Thread& thread = threads_[current_];
  if (thread.fiber == nullptr || thread.fiber->owns(memory)) return true;
  const auto at = reinterpret_cast<std::uintptr_t>(memory);
  for (const void* index : {static_cast<const void*>(&::threadIdx), static_cast<const void*>(&::blockIdx),
                            static_cast<const void*>(&::blockDim), static_cast<const void*>(&::gridDim)})
    if (at - reinterpret_cast<std::uintptr_t>(index) < sizeof ::threadIdx) return true;
  return false;
}

bool Scheduler::in_shared(const void* memory) const { return shared_place(memory).start != nullptr; }

void Scheduler::note_access(const void* memory, std::size_t bytes, bool write, const void* code) {
  if (is_local(memory)) return;
  if (counting_) {
    const std::uint64_t warp = std::uint64_t{block_number_} * kWarp + warp_ + 1;
    accesses_->access(memory, bytes, write, in_shared(memory), {warp, lane()}, code);
  }
  if (races_ == nullptr) {
    races_ = std::make_unique<Races>();
    races_->begin_launch(first_block_of_launch_);
    races_->add_shared(dynamic_shared_.get(), launch_->dynamic_shared_bytes, block_number_);
    for (const SharedVariable& v : shared_) races_->add_shared(v.memory.get(), v.bytes, block_number_);
  }
  note_race(memory, bytes, write ? Races::Kind::write : Races::Kind::read, code);
}

void Scheduler::note_atomic(const void* memory, std::size_t bytes, const void* code) {
  if (races_ != nullptr && !is_local(memory)) note_race(memory, bytes, Races::Kind::atomic, code);
}

/// Compiled code does not expect its loads and stores to throw, so the launch fails when this block is over.
void Scheduler::note_race(const void* memory, std::size_t bytes, Races::Kind kind, const void* code) {
  const Races::Access now{.block = block_number_,
                          .barriers = barriers_,
                          .warp_syncs = warps_[warp_].syncs,
                          .thread = static_cast<std::uint16_t>(current_)};
  const auto conflict = races_->access(memory, bytes, kind, now);
  if (conflict && !error_) report_conflict(*conflict, static_cast<const char*>(memory), kind, code);
}

void Scheduler::count_accesses(bool on) {
  counting_ = on;
  if (on) accesses_ = std::make_unique<Accesses>();
}

AccessReport Scheduler::access_report() const {
  return accesses_ == nullptr ? AccessReport{} : accesses_->report();
}

}  // namespace fovea::simt

// SPDX-License-Identifier: Apache-2.0
#include "kernels/simt/scheduler.h"

#include <fmt/format.h>

#include <bit>
#include <cstring>
#include <numeric>
#include <stdexcept>
#include <utility>

#include "kernels/simt/simt.h"

constinit thread_local uint3 threadIdx{0, 0, 0};
constinit thread_local uint3 blockIdx{0, 0, 0};
constinit thread_local dim3 blockDim{};
constinit thread_local dim3 gridDim{};

namespace fovea::simt {
namespace {

constexpr unsigned kMaxThreads = 1024;

thread_local Scheduler* t_scheduler = nullptr;

Scheduler& running() {
  if (t_scheduler == nullptr) throw std::logic_error("a device function was called outside of a kernel");
  return *t_scheduler;
}

std::uint64_t volume(Index3 e) { return std::uint64_t{e.x} * e.y * e.z; }

}  // namespace

int block_barrier(bool vote, Place place) { return running().barrier(vote, place); }
std::uint64_t warp_collective(Collective kind, unsigned mask, std::uint64_t bits, unsigned source,
                              Place place) {
  return running().collective(kind, mask, bits, source, place);
}
unsigned lane_index() { return running().lane(); }
void* shared_variable(const void* site, const char* name, std::size_t bytes, std::size_t alignment) {
  return running().shared_variable(site, name, bytes, alignment);
}
void* dynamic_shared() { return running().dynamic_shared(); }
void warp_together(void (*work)(void* const*), void* mine, Place place) {
  running().together(work, mine, place);
}
void require_shared(const void* address, std::size_t bytes, std::size_t alignment, Place place) {
  running().require_shared(address, bytes, alignment, place);
}
void check_async(const AsyncCopy& copy) { running().check_async(copy); }
void async_start(const AsyncCopy& copy) { running().async_start(copy); }
void async_commit() { running().async_commit(); }
void async_wait(unsigned groups) { running().async_wait(groups); }
void note_access(const void* memory, std::size_t bytes, bool write, const void* code) {
  if (t_scheduler != nullptr) t_scheduler->note_access(memory, bytes, write, code);
}
void note_atomic(const void* memory, std::size_t bytes, const void* code) {
  if (t_scheduler != nullptr) t_scheduler->note_atomic(memory, bytes, code);
}

Scheduler::Scheduler(Order turn_order) : order(turn_order), arena(host_memory("simt")) {}

// ---- a launch -------------------------------------------------------------------------------------------

void Scheduler::check_limits(const Launch& launch) const {
  const auto reject = [&](const std::string& why) { throw KernelFault(launch.name, {}, {}, why); };
  if (t_scheduler != nullptr) reject("launched from inside of a kernel");
  const Index3 g = launch.grid, b = launch.block;
  if (volume(g) == 0 || g.x > 0x7fffffffu || g.y > 65535 || g.z > 65535)
    reject(fmt::format("grid {} is outside of (1..2^31-1, 1..65535, 1..65535)", text(g)));
  if (volume(b) == 0 || volume(b) > kMaxThreads || b.z > 64)
    reject(fmt::format("block {} has {} threads; 1 to {} are allowed, at most 64 along z", text(b), volume(b),
                       kMaxThreads));
  if (launch.dynamic_shared_bytes > kMaxShared)
    reject(fmt::format("{} bytes of dynamic shared memory; a block has {}", launch.dynamic_shared_bytes,
                       kMaxShared));
}

void Scheduler::run(const Launch& launch, void (*thread)(const void*), const void* context) {
  check_limits(launch);
  launch_ = &launch;
  thread_ = thread;
  context_ = context;
  thread_count_ = static_cast<unsigned>(volume(launch.block));
  random_ = 0x9E3779B9u;  // every launch draws the same order: a failure repeats alone as it did in the suite
  threads_.resize(thread_count_);
  for (unsigned i = 0; i < thread_count_; ++i) {
    const Index3 b = launch.block;
    threads_[i].index = {i % b.x, i / b.x % b.y, i / (b.x * b.y)};
  }
  warps_.resize((thread_count_ + kWarp - 1) / kWarp);
  warp_order_.resize(warps_.size());
  blockDim = dim3(launch.block.x, launch.block.y, launch.block.z);
  gridDim = dim3(launch.grid.x, launch.grid.y, launch.grid.z);
  ++launches;
  first_block_of_launch_ = block_number_ + 1;
  if (races_ != nullptr) races_->begin_launch(first_block_of_launch_);
  if (counting_) accesses_->begin_launch(launch.name);
  copies_.clear();

  const std::uint64_t blocks = volume(launch.grid);
  block_step_ = 7919;
  while (std::gcd(block_step_, blocks) != 1) ++block_step_;

  t_scheduler = this;
  home_.adopt_calling_thread();
  try {
    for (std::uint64_t turn = 0; turn < blocks && !error_; ++turn) run_block(block_at(turn));
  } catch (...) {
    error_ = std::current_exception();
  }
  t_scheduler = nullptr;
  shared_.clear();
  dynamic_shared_.reset();
  if (error_) {
    abandon_fibers();
    std::rethrow_exception(std::exchange(error_, nullptr));
  }
}

/// The block whose turn it is. The shuffled order walks through the grid in steps that share no divisor with
/// the number of blocks, and so visits each once.
Index3 Scheduler::block_at(std::uint64_t turn) const {
  const Index3 g = launch_->grid;
  const std::uint64_t count = volume(g);
  std::uint64_t i = turn;
  if (order == Order::reversed) i = count - 1 - turn;
  if (order == Order::shuffled) i = (count / 3 + turn * block_step_) % count;
  return {static_cast<unsigned>(i % g.x), static_cast<unsigned>(i / g.x % g.y),
          static_cast<unsigned>(i / g.x / g.y)};
}

void Scheduler::run_block(Index3 block) {
  block_ = block;
  blockIdx = uint3{block.x, block.y, block.z};
  for (std::size_t w = 0; w < warps_.size(); ++w) {
    const unsigned lanes = thread_count_ - static_cast<unsigned>(w) * kWarp;
    const unsigned members = lanes >= kWarp ? ~0u : (1u << lanes) - 1;
    warps_[w] = Warp{.members = members, .fresh = members};
  }
  ++block_number_;
  returned_ = at_barrier_ = 0;
  votes_ = 0;
  barriers_ = 0;
  shared_.clear();
  shared_bytes_ = launch_->dynamic_shared_bytes;
  dynamic_shared_ = filled(launch_->dynamic_shared_bytes, 128);
  if (races_ != nullptr)
    races_->add_shared(dynamic_shared_.get(), launch_->dynamic_shared_bytes, block_number_);
  begin_sweep();
  pass_ = 0;
  home_.switch_to(next(nullptr));
}

// ---- turns ----------------------------------------------------------------------------------------------

void Scheduler::fiber_main(Fiber& self) {
  for (;;) {
    Scheduler& scheduler = *t_scheduler;
    Fiber* successor = nullptr;
    do {
      bool threw = false;
      try {
        scheduler.thread_(scheduler.context_);
        scheduler.check_copies_arrived();
      } catch (...) {
        if (!scheduler.error_) scheduler.error_ = std::current_exception();
        threw = true;
      }
      ++scheduler.returned_;
      scheduler.warps_[scheduler.warp_].returned |= 1u << scheduler.lane();
      successor = threw ? &scheduler.home_ : &scheduler.next(&self);
    } while (successor == &self);
    self.switch_to(*successor);
  }
}

/// Chooses who runs next and makes it the current thread. `idle` is the caller's fiber if its thread has
/// ended, else null.
Fiber& Scheduler::next(Fiber* idle) {
  for (;;) {
    Warp& warp = warps_[warp_];
    if (pass_ != 0) {
      const unsigned lane = take_lane();
      current_ = warp_ * kWarp + lane;
      Thread& thread = threads_[current_];
      ::threadIdx = uint3{thread.index.x, thread.index.y, thread.index.z};
      if ((warp.fresh >> lane & 1u) != 0) {
        warp.fresh &= ~(1u << lane);
        thread.fiber = idle != nullptr ? idle : &idle_fiber();
      } else if (idle != nullptr) {
        idle_.push_back(idle);
      }
      return *thread.fiber;
    }
    if ((warp.fresh | warp.ready) != 0) {
      pass_ = warp.fresh | warp.ready;
      warp.ready = 0;
      lane_turn_ = 0;
      if (order == Order::shuffled) {
        for (unsigned lane = 0; lane < kWarp; ++lane) lane_order_[lane] = static_cast<unsigned char>(lane);
        shuffle(lane_order_.data(), kWarp);
      }
      continue;
    }
    if (warp.at_collective != 0 && finish_collectives(warp)) continue;
    if (++warp_turn_ < warps_.size()) {
      warp_ = warp_order_[warp_turn_];
      continue;
    }
    // Each warp has gone as far as it can: the block is over, or waits at a barrier, or is stuck.
    if (returned_ != thread_count_ && release_barrier()) {
      begin_sweep();
      continue;
    }
    if (idle != nullptr) idle_.push_back(idle);
    if (returned_ != thread_count_) report_divergence();
    return home_;
  }
}

void Scheduler::begin_sweep() {
  const unsigned count = static_cast<unsigned>(warps_.size());
  for (unsigned w = 0; w < count; ++w) warp_order_[w] = order == Order::reversed ? count - 1 - w : w;
  if (order == Order::shuffled) shuffle(warp_order_.data(), count);
  warp_turn_ = 0;
  warp_ = warp_order_[0];
}

unsigned Scheduler::take_lane() {
  unsigned lane = 0;
  switch (order) {
    case Order::forward:
      lane = static_cast<unsigned>(std::countr_zero(pass_));
      break;
    case Order::reversed:
      lane = kWarp - 1 - static_cast<unsigned>(std::countl_zero(pass_));
      break;
    case Order::shuffled:
      do lane = lane_order_[lane_turn_++];
      while ((pass_ >> lane & 1u) == 0);
      break;
  }
  pass_ &= ~(1u << lane);
  return lane;
}

Fiber& Scheduler::idle_fiber() {
  if (idle_.empty()) {
    fibers_.push_back(std::make_unique<Fiber>(fiber_main, fibers_.size()));
    return *fibers_.back();
  }
  Fiber& fiber = *idle_.back();
  idle_.pop_back();
  return fiber;
}

void Scheduler::abandon_fibers() {
  idle_.clear();
  for (const auto& fiber : fibers_) {
    fiber->restart();
    idle_.push_back(fiber.get());
  }
}

/// Lets others run until the current thread may go on.
void Scheduler::wait() {
  Fiber& self = *threads_[current_].fiber;
  Fiber& successor = next(nullptr);
  if (&successor != &self) self.switch_to(successor);
}

// ---- waiting for each other -----------------------------------------------------------------------------

int Scheduler::barrier(bool vote, Place place) {
  Thread& thread = threads_[current_];
  thread.place = place;
  warps_[warp_].at_barrier |= 1u << lane();
  ++at_barrier_;
  votes_ += vote ? 1 : 0;
  wait();
  return vote_result_;
}

bool Scheduler::release_barrier() {
  if (at_barrier_ != thread_count_) return false;
  for (const Thread& thread : threads_)
    if (thread.place.line != threads_[0].place.line) return false;
  for (Warp& warp : warps_) warp.ready = std::exchange(warp.at_barrier, 0u);
  at_barrier_ = 0;
  ++barriers_;
  vote_result_ = std::exchange(votes_, 0);
  if (counting_) accesses_->match();
  return true;
}

std::uint64_t Scheduler::collective(Collective kind, unsigned mask, std::uint64_t bits, unsigned source,
                                    Place place) {
  Thread& thread = threads_[current_];
  thread.kind = kind;
  thread.mask = mask;
  thread.bits = bits;
  thread.source = source;
  thread.place = place;
  if ((mask >> lane() & 1u) == 0)
    fail(fmt::format("calls {} at {}:{} with mask {:#010x}, which does not name its own lane {}", place.call,
                     place.file, place.line, mask, lane()));
  warps_[warp_].at_collective |= 1u << lane();
  wait();
  return thread.result;
}

/// Serves each group of lanes that has arrived in full. A lane beyond the end of the block counts as arrived.
bool Scheduler::finish_collectives(Warp& warp) {
  Thread* const lanes = &threads_[std::size_t{warp_} * kWarp];
  unsigned served = 0;
  for (unsigned left = warp.at_collective; left != 0;) {
    const Thread& first = lanes[std::countr_zero(left)];
    const unsigned group = first.mask & warp.members;
    bool together = (group & ~warp.at_collective) == 0;
    unsigned votes = 0;
    for (unsigned rest = group; rest != 0 && together; rest &= rest - 1) {
      const unsigned lane = static_cast<unsigned>(std::countr_zero(rest));
      const Thread& t = lanes[lane];
      together = t.mask == first.mask && t.kind == first.kind && t.place.line == first.place.line;
      if (t.bits != 0) votes |= 1u << lane;
    }
    left &= left - 1;
    if (!together) continue;
    for (unsigned rest = group; rest != 0; rest &= rest - 1) {
      Thread& t = lanes[std::countr_zero(rest)];
      if (t.kind == Collective::vote) t.result = votes;
      if (t.kind == Collective::shuffle)
        t.result = (group >> t.source & 1u) != 0 ? lanes[t.source].bits : ~std::uint64_t{0};
    }
    if (first.kind == Collective::sync) ++warp.syncs;
    if (first.kind == Collective::together) work_together(lanes);
    left &= ~group;
    served |= group;
  }
  warp.at_collective &= ~served;
  warp.ready |= served;
  if (served != 0 && counting_) accesses_->match();
  return served != 0;
}

void Scheduler::together(void (*work)(void* const*), void* mine, Place place) {
  if (warps_[warp_].members != ~0u)
    fail(fmt::format("calls {} at {}:{} in a warp of {} lanes; it takes all 32", place.call, place.file,
                     place.line, std::popcount(warps_[warp_].members)));
  threads_[current_].work = work;
  collective(Collective::together, ~0u, reinterpret_cast<std::uintptr_t>(mine), 0, place);
}

void Scheduler::work_together(const Thread* lanes) const {
  void* mine[kWarp];
  for (unsigned lane = 0; lane < kWarp; ++lane)
    mine[lane] = reinterpret_cast<void*>(static_cast<std::uintptr_t>(lanes[lane].bits));
  lanes[0].work(mine);
}

// ---- chance ---------------------------------------------------------------------------------------------

std::uint32_t Scheduler::draw() {  // xorshift32 (Marsaglia 2003)
  random_ ^= random_ << 13;
  random_ ^= random_ >> 17;
  random_ ^= random_ << 5;
  return random_;
}

template <class T>
void Scheduler::shuffle(T* items, unsigned count) {
  for (unsigned i = count; i > 1; --i) {
    const auto j = static_cast<unsigned>(std::uint64_t{draw()} * i >> 32);
    std::swap(items[i - 1], items[j]);
  }
}

}  // namespace fovea::simt

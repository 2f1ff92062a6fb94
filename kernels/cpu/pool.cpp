// SPDX-License-Identifier: Apache-2.0
#include "kernels/cpu/pool.h"

#include <utility>

namespace fovea::cpu {
namespace {

/// Looks for a while whether ready() holds: some tens of microseconds.
template <class Ready>
void look_for(const Ready& ready) {
  for (int i = 0; i < 1000 && !ready(); ++i) {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#endif
  }
}

}  // namespace

Pool::Pool(int threads, MemorySource memory)
    : arena_(std::move(memory)), threads_(threads), shares_(std::make_unique<Share[]>(threads)) {
  try {
    for (int i = 1; i < threads; ++i) workers_.emplace_back([this, i] { work(i); });
  } catch (...) {  // those that started wait for work: joined as they are, they would never end
    stop();
    throw;
  }
}

Pool::~Pool() { stop(); }

void Pool::stop() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  wake_.notify_all();
  workers_.clear();  // joins before the arena goes
}

void Pool::run(std::int64_t parts, void (*body)(void*, std::int64_t), void* context) {
  Job job{body, context};
  if (parts <= 1 || workers_.empty()) {
    for (std::int64_t part = 0; part < parts; ++part) attempt(job, part);
  } else {
    bool wake;
    {
      const std::lock_guard lock(mutex_);
      job_ = &job;
      for (int k = 0; k < threads_; ++k) {
        shares_[k].next = parts * k / threads_;
        shares_[k].end = parts * (k + 1) / threads_;
      }
      ++generation_;
      wake = asleep_ > 0;
    }
    if (wake) wake_.notify_all();
    drain(job, 0);
    look_for([this] { return busy_ == 0; });
    std::unique_lock lock(mutex_);
    finished_.wait(lock, [this] { return busy_ == 0; });
    job_ = nullptr;  // a worker that wakes late finds nothing to do
  }
  if (job.failure != nullptr) std::rethrow_exception(std::move(job.failure));
}

void Pool::drain(Job& job, int thread) {
  for (int k = 0; k < threads_; ++k) {
    Share& share = shares_[(thread + k) % threads_];
    for (std::int64_t part; (part = share.next++) < share.end;) attempt(job, part);
  }
}

void Pool::attempt(Job& job, std::int64_t part) {
  try {
    job.body(job.context, part);
  } catch (...) {
    const std::lock_guard lock(mutex_);
    if (job.failure != nullptr && job.failed_part < part) return;
    job.failure = std::current_exception();
    job.failed_part = part;
  }
}

/// Returns when there is a job that is newer than `seen`, or to stop.
void Pool::await_job(std::unique_lock<std::mutex>& lock, std::uint64_t seen) {
  const auto wanted = [&] { return stop_ || (generation_ != seen && job_ != nullptr); };
  if (wanted()) return;
  lock.unlock();
  look_for([&] { return stop_ || generation_ != seen; });
  lock.lock();
  ++asleep_;
  wake_.wait(lock, wanted);
  --asleep_;
}

void Pool::work(int thread) {
  std::uint64_t seen = 0;
  std::unique_lock lock(mutex_);
  for (;;) {
    await_job(lock, seen);
    if (stop_) return;
    seen = generation_;
    ++busy_;
    Job& job = *job_;
    lock.unlock();
    drain(job, thread);
    lock.lock();
    if (--busy_ == 0) finished_.notify_one();
  }
}

}  // namespace fovea::cpu

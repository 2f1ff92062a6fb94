// SPDX-License-Identifier: Apache-2.0
#include "kernels/cpu/pool.h"

#include <utility>

namespace fovea::cpu {

Pool::Pool(int threads, MemorySource memory) : arena_(std::move(memory)) {
  try {
    for (int i = 1; i < threads; ++i) workers_.emplace_back([this] { work(); });
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
  Job job{body, context, parts};
  if (parts <= 1 || workers_.empty()) {
    for (std::int64_t part = 0; part < parts; ++part) attempt(job, part);
  } else {
    {
      const std::lock_guard lock(mutex_);
      job_ = &job;
      ++generation_;
    }
    wake_.notify_all();
    drain(job);
    std::unique_lock lock(mutex_);
    finished_.wait(lock, [this] { return busy_ == 0; });
    job_ = nullptr;  // a worker that wakes late finds nothing to do
  }
  if (job.failure != nullptr) std::rethrow_exception(std::move(job.failure));
}

void Pool::drain(Job& job) {
  for (;;) {
    std::int64_t part;
    {
      const std::lock_guard lock(mutex_);
      if (job.next >= job.parts) return;
      part = job.next++;
    }
    attempt(job, part);
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

void Pool::work() {
  std::uint64_t seen = 0;
  std::unique_lock lock(mutex_);
  for (;;) {
    wake_.wait(lock, [&] { return stop_ || (generation_ != seen && job_ != nullptr); });
    if (stop_) return;
    seen = generation_;
    ++busy_;
    Job& job = *job_;
    lock.unlock();
    drain(job);
    lock.lock();
    if (--busy_ == 0) finished_.notify_one();
  }
}

}  // namespace fovea::cpu

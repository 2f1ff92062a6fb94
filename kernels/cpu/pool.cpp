// SPDX-License-Identifier: Apache-2.0
#include "kernels/cpu/pool.h"

namespace fovea::cpu {

Pool::Pool(int threads) {
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
  if (parts <= 1 || workers_.empty()) {
    for (std::int64_t part = 0; part < parts; ++part) body(context, part);
    return;
  }
  {
    const std::lock_guard lock(mutex_);
    body_ = body;
    context_ = context;
    parts_ = parts;
    next_ = 0;
    ++generation_;
  }
  wake_.notify_all();
  drain(body, context, parts);
  std::unique_lock lock(mutex_);
  finished_.wait(lock, [this] { return busy_ == 0; });
  body_ = nullptr;  // a worker that wakes late finds nothing to do
}

void Pool::drain(void (*body)(void*, std::int64_t), void* context, std::int64_t parts) {
  for (;;) {
    std::int64_t part;
    {
      const std::lock_guard lock(mutex_);
      if (next_ >= parts) return;
      part = next_++;
    }
    body(context, part);
  }
}

void Pool::work() {
  std::uint64_t seen = 0;
  std::unique_lock lock(mutex_);
  for (;;) {
    wake_.wait(lock, [&] { return stop_ || (generation_ != seen && body_ != nullptr); });
    if (stop_) return;
    seen = generation_;
    ++busy_;
    const auto body = body_;
    void* const context = context_;
    const std::int64_t parts = parts_;
    lock.unlock();
    drain(body, context, parts);
    lock.lock();
    if (--busy_ == 0) finished_.notify_one();
  }
}

}  // namespace fovea::cpu

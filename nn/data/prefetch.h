// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <condition_variable>
#include <deque>
#include <exception>
#include <functional>
#include <mutex>
#include <stop_token>
#include <thread>
#include <utility>

namespace fovea::nn {

/// A thread that makes the next values while the caller uses the last one. Order is that of produce()'s
/// calls, so results do not depend on timing.
///
/// An exception in produce() ends the thread; next() hands out what was made before it and then throws it, at
/// each further call again.
template <class T>
class Prefetch {
 public:
  /// At most `depth` ≥ 1 finished values wait; produce() is called from the thread only.
  Prefetch(std::function<T()> produce, std::size_t depth)
      : produce_(std::move(produce)), depth_(depth), thread_([this](std::stop_token stop) { work(stop); }) {}

  /// Whether next() has a value at once. For hints: what it says depends on timing.
  bool ready() {
    const std::lock_guard lock(mutex_);
    return !values_.empty();
  }

  T next() {
    std::unique_lock lock(mutex_);
    filled_.wait(lock, [this] { return !values_.empty() || failure_ != nullptr; });
    if (values_.empty()) std::rethrow_exception(failure_);
    T value = std::move(values_.front());
    values_.pop_front();
    lock.unlock();
    room_.notify_one();
    return value;
  }

 private:
  void work(const std::stop_token& stop) {
    try {
      for (;;) {
        {
          std::unique_lock lock(mutex_);
          // Returns when there is room, or when the thread is to stop; which of them matters below only.
          (void)room_.wait(lock, stop, [this] { return values_.size() < depth_; });
        }
        if (stop.stop_requested()) return;
        T value = produce_();
        const std::lock_guard lock(mutex_);
        values_.push_back(std::move(value));
        filled_.notify_one();
      }
    } catch (...) {
      const std::lock_guard lock(mutex_);
      failure_ = std::current_exception();
      filled_.notify_one();
    }
  }

  std::function<T()> produce_;
  std::size_t depth_;
  std::mutex mutex_;
  std::condition_variable filled_;
  std::condition_variable_any room_;
  std::deque<T> values_;
  std::exception_ptr failure_;
  std::jthread thread_;  // last: starts when all else exists, is stopped and joined before anything goes
};

}  // namespace fovea::nn

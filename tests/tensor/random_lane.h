// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstring>
#include <deque>
#include <functional>
#include <memory>
#include <random>
#include <utility>

#include "tensor/upload.h"

namespace fovea::test {

/// A wait that a test leaves out, to see that it is missed.
enum class Omit { nothing, copies_wait, kernels_wait, host_waits };

/// Two queues that do their work late: at each call a random part of it, in an order that only the waits restrict.
class RandomLane final : public CopyLane {
 public:
  explicit RandomLane(unsigned seed, Omit omit = Omit::nothing) : random_(seed), omit_(omit) {}
  ~RandomLane() override { drain(); }

  /// A kernel.
  void issue(std::function<void()> work) { push(kKernels, {nullptr, std::move(work)}); }
  void drain() {
    while (step(kKernels) || step(kCopies)) {
    }
  }
  /// Copies, and of the kernels only those that they wait for.
  void drain_copies() {
    while (!queues_[kCopies].empty())
      if (!step(kCopies)) (void)step(kKernels);
  }

  Mark mark_kernels() override { return mark(kKernels); }
  Mark mark_copies() override { return mark(kCopies); }
  void copies_wait(const Mark& kernels) override {
    if (omit_ != Omit::copies_wait) push(kCopies, {kernels, [] {}});
  }
  void kernels_wait(const Mark& copied) override {
    ++kernel_waits;
    if (omit_ != Omit::kernels_wait) push(kKernels, {copied, [] {}});
  }
  void host_waits(const Mark& copied) override {
    if (omit_ == Omit::host_waits) return;
    while (!reached(copied)) advance();
  }
  void copy_from_host(void* device, const void* host, std::size_t bytes) override {
    ++copies;
    push(kCopies, {nullptr, [=] { std::memcpy(device, host, bytes); }});
  }

  int kernel_waits = 0, copies = 0;

 private:
  static constexpr int kKernels = 0, kCopies = 1;
  struct Work {
    Mark after;  // null: nothing but the work before it
    std::function<void()> run;
  };

  static bool reached(const Mark& mark) { return *static_cast<const bool*>(mark.get()); }

  Mark mark(int queue) {
    auto passed = std::make_shared<bool>(false);
    push(queue, {nullptr, [passed] { *passed = true; }});
    return passed;
  }
  void push(int queue, Work work) {
    queues_[queue].push_back(std::move(work));
    for (unsigned n = random_() % 4; n > 0; --n) advance();
  }
  void advance() { (void)step(static_cast<int>(random_() % 2)); }
  /// Does the next work of a queue; false if there is none, or if it has to wait.
  bool step(int queue) {
    std::deque<Work>& works = queues_[queue];
    if (works.empty() || (works.front().after && !reached(works.front().after))) return false;
    const Work work = std::move(works.front());
    works.pop_front();
    work.run();
    return true;
  }

  std::mt19937 random_;
  Omit omit_;
  std::deque<Work> queues_[2];
};

}  // namespace fovea::test

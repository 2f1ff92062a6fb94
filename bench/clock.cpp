// SPDX-License-Identifier: Apache-2.0
#include "bench/clock.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <ctime>
#include <thread>

#include "bench/ceilings.h"

namespace fovea::bench {
namespace {

constexpr double kLeastHostMs = 5.0;
// OpenMP's threads spin for a while after their work, on a core that the next side needs. They are told to stop sooner
// than this (onednn/library.cpp, peers/torch_peer.py).
constexpr std::chrono::milliseconds kPause(3);

class HostClock final : public Clock {
 public:
  HostClock(const Device& device, int threads) : device_(device), threads_(threads) {}

  Samplers samplers(const std::vector<Side*>& sides, int sets) override {
    Samplers made{.method = threads_ == 1 ? "thread cpu" : "wall"};
    pause_ = threads_ > 1 && sides.size() > 1;
    for (Side* side : sides) made.sides.push_back(sampler(*side, sets));
    return made;
  }

  double probe() override {
    if (device_.kind() != DeviceKind::cpu) return 0;
    const double cpu = thread_seconds();
    const double wall = multiply_add_seconds(threads_);
    return threads_ == 1 ? thread_seconds() - cpu : wall;
  }

 private:
  Sampler sampler(Side& side, int sets) {
    for (int set = 0; set < sets; ++set) side.prepare(set);
    const auto time = [this, &side, sets, next = 0](int runs) mutable {
      const int first = next;
      next = (next + runs) % sets;
      Elapsed spent;
      if (const std::optional<Elapsed> own = side.timed(first, sets, runs)) {
        spent = *own;
      } else {
        const double wall = seconds_now(), cpu = thread_seconds();
        for (int i = 0; i < runs; ++i) side.run((first + i) % sets);
        device_.synchronize();
        spent = {(seconds_now() - wall) * 1e3, (thread_seconds() - cpu) * 1e3};
      }
      return Sample{(threads_ == 1 ? spent.cpu_ms : spent.wall_ms) / runs, spent.wall_ms / runs};
    };
    auto measure = time;
    const double begin = seconds_now();
    do measure(1);  // starts threads, fills the arena
    while (pause_ && seconds_now() - begin < kSpreadMs * 1e-3);
    Sample one = measure(1);
    for (int i = 0; i < 2; ++i)
      if (const Sample again = measure(1); again.ms < one.ms) one = again;
    const int batch = batch_size(one.ms, kLeastHostMs, 1);
    // A first run brings what this side needs back into the nearest caches, as for the runs after it.
    const int warm_up = pause_ ? batch_size(one.wall_ms, kSpreadMs, 1) : batch > 1 ? 1 : 0;
    return [this, measure, batch, warm_up]() mutable {
      if (pause_) std::this_thread::sleep_for(kPause);
      if (warm_up > 0) measure(warm_up);
      return measure(batch);
    };
  }

  Device device_;
  int threads_;
  bool pause_ = false;
};

}  // namespace

double seconds_now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

double thread_seconds() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

int batch_size(double run_ms, double least_ms, int sets) {
  const double runs = std::ceil(least_ms / std::max(run_ms, 1e-6));
  return static_cast<int>(std::clamp(std::max(runs, static_cast<double>(sets)), 1.0, 4096.0));
}

std::unique_ptr<Clock> make_clock(const Device& device, int threads) {
#if FOVEA_HAS_CUDA
  if (device.kind() == DeviceKind::cuda) return make_cuda_clock(device);
#endif
  return std::make_unique<HostClock>(device, threads);
}

}  // namespace fovea::bench

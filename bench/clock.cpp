// SPDX-License-Identifier: Apache-2.0
#include "bench/clock.h"

#include <algorithm>
#include <chrono>
#include <cmath>

namespace fovea::bench {
namespace {

constexpr double kLeastHostMs = 5.0;

class HostClock final : public Clock {
 public:
  explicit HostClock(const Device& device) : device_(device) {}

  Samplers samplers(Side& ours, Side* peer, int sets) override {
    Samplers made{sampler(ours, sets), nullptr, "host"};
    if (peer != nullptr) made.peer = sampler(*peer, sets);
    return made;
  }

 private:
  Sampler sampler(Side& side, int sets) {
    for (int set = 0; set < sets; ++set) side.prepare(set);
    int next = 0;
    const auto time = [this, &side, sets, next](int runs) mutable {
      const double start = seconds_now();
      for (int i = 0; i < runs; ++i, next = (next + 1) % sets) side.run(next);
      device_.synchronize();
      return (seconds_now() - start) * 1e3 / runs;
    };
    auto measure = time;
    measure(1);  // starts threads, fills the arena
    const int batch = batch_size(measure(1), kLeastHostMs, 1);
    return [measure, batch]() mutable { return measure(batch); };
  }

  Device device_;
};

}  // namespace

double seconds_now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

int batch_size(double run_ms, double least_ms, int sets) {
  const double runs = std::ceil(least_ms / std::max(run_ms, 1e-6));
  return static_cast<int>(std::clamp(std::max(runs, static_cast<double>(sets)), 1.0, 4096.0));
}

std::unique_ptr<Clock> make_clock(const Device& device) {
#if FOVEA_HAS_CUDA
  if (device.kind() == DeviceKind::cuda) return make_cuda_clock(device);
#endif
  return std::make_unique<HostClock>(device);
}

}  // namespace fovea::bench

// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "bench/pair.h"
#include "bench/side.h"

namespace fovea::bench {

/// The samplers of all sides, timed the same way. They refer to the sides and to the clock.
struct Samplers {
  std::vector<Sampler> sides = {};
  std::string method = {};  ///< "wall", "thread cpu", "events", "graph"
};

/// Turns runs on a device into milliseconds.
class Clock {
 public:
  virtual ~Clock() = default;
  /// All sides are prepared and warm afterwards. Each run takes the next of `sets` sets of operands.
  virtual Samplers samplers(const std::vector<Side*>& sides, int sets) = 0;
  /// Some milliseconds of constant work, by the clock of the samples: whether the machine is what it was. 0: no probe.
  virtual double probe() { return 0; }
};

/// cpu and simt: batches of at least 5 ms, on one thread by its own CPU time, which a busy neighbour leaves alone, else
/// by the steady clock. cuda: events around batches of at least 200 µs; where a run is shorter than 100 µs, around a
/// graph of such a batch, so that launching costs no side. A side that is another process times itself.
/// threads  of the host's device
std::unique_ptr<Clock> make_clock(const Device& device, int threads = 1);
std::unique_ptr<Clock> make_cuda_clock(const Device& device);

/// Threads that wake on the same core stay there for up to 16 ms, until the system notices that another is idle: several
/// threads are timed only after they have worked for so long.
inline constexpr double kSpreadMs = 20;

/// Seconds since a fixed moment.
double seconds_now();
/// Seconds that this thread has computed.
double thread_seconds();

/// Runs in a batch: as many as `least_ms` takes, at least one, at most 4096; with several sets at least one of each.
int batch_size(double run_ms, double least_ms, int sets);

}  // namespace fovea::bench

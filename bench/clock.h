// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>

#include "bench/pair.h"
#include "bench/side.h"

namespace fovea::bench {

/// The samplers of both sides, timed the same way. They refer to the sides and to the clock.
struct Samplers {
  Sampler ours, peer;  ///< peer is empty if there is none
  std::string method;  ///< "host", "events", "graph"
};

/// Turns runs on a device into milliseconds.
class Clock {
 public:
  virtual ~Clock() = default;
  /// Both sides are prepared and warm afterwards. Each run takes the next of `sets` sets of operands.
  virtual Samplers samplers(Side& ours, Side* peer, int sets) = 0;
};

/// cpu and simt: the steady clock around batches of at least 5 ms. cuda: events around batches of at least 200 µs;
/// where a run is shorter than 100 µs, around a graph of such a batch, so that launching costs neither side.
std::unique_ptr<Clock> make_clock(const Device& device);
std::unique_ptr<Clock> make_cuda_clock(const Device& device);

/// Seconds since a fixed moment.
double seconds_now();

/// Runs in a batch: as many as `least_ms` takes, at least one, at most 4096; with several sets at least one of each.
int batch_size(double run_ms, double least_ms, int sets);

}  // namespace fovea::bench

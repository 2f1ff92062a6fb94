// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "bench/buffers.h"
#include "bench/math.h"

namespace fovea::bench {

/// Of a batch of runs.
struct Elapsed {
  double wall_ms = 0;
  double cpu_ms = 0;  ///< of the thread that ran them
};

/// One way of doing a case, on the sets of its buffers.
class Side {
 public:
  virtual ~Side() = default;
  /// Makes a set ready: what a run needs besides its inputs. Enqueued like a run, never timed.
  virtual void prepare(int /*set*/) {}
  /// Enqueues one run on a set.
  virtual void run(int set) = 0;
  /// `runs` runs, each on the next of `sets` sets, finished and timed; empty for a side that leaves that to the clock.
  /// For sides that are another process, or that have to set up something around a batch.
  virtual std::optional<Elapsed> timed(int /*first_set*/, int /*sets*/, int /*runs*/) { return {}; }
  /// Puts the results of a run on set 0 into the operands, if it leaves them elsewhere; never timed.
  virtual void deliver() {}
  /// Whether [N, C, H, W] operands lie as [N, H, W, C]. Random data mean the same in either order; for the check they
  /// are reordered.
  virtual bool channels_last() const { return false; }
};

/// What a peer is and how it chose its way.
struct PeerInfo {
  std::string name;    ///< "cudnn 9.19.0"
  std::string engine;  ///< its own name for what runs, with notes
  std::string layout;  ///< "nchw", "channels_last", "" where there is no choice
  std::int64_t workspace_bytes = 0;
  double tuning_ms = 0;  ///< spent on trying its ways, outside of the timing
  int candidates = 0;    ///< ways that were tried
};
class Peer : public Side {
 public:
  virtual PeerInfo info() const = 0;
};

/// Our kernels.
std::unique_ptr<Side> our_side(const Case& c, const Device& device, const Buffers& buffers);

/// Error of a side on set 0, ‖out − expected‖/‖expected‖ over the elements of the reference; NaN if a result is not
/// finite, so also if an output was not written. Without a reference 0 stands for "all finite".
double relative_error(const Case& c, const Device& device, const Buffers& buffers, Side& side);

/// As relative_error(); throws std::runtime_error unless the error is within the limit of the math mode
double checked_error(const Case& c, const Device& device, const Buffers& buffers, Side& side, Math math);

}  // namespace fovea::bench

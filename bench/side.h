// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "bench/buffers.h"
#include "bench/math.h"

namespace fovea::bench {

/// One way of doing a case, on the sets of its buffers.
class Side {
 public:
  virtual ~Side() = default;
  /// Makes a set ready: what a run needs besides its inputs. Enqueued like a run, never timed.
  virtual void prepare(int /*set*/) {}
  /// Enqueues one run on a set.
  virtual void run(int set) = 0;
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

/// The peer for a case on a device; null if there is none, `why` then says so in a few words. `buffers` hold random
/// operands and may be overwritten.
/// throws  std::exception if the peer should be there and fails
std::unique_ptr<Peer> find_peer(const Case& c, const Device& device, const Buffers& buffers, Math math,
                                std::string& why);

/// What find_peer does; tests put stand-ins in its place.
using PeerFinder =
    std::function<std::unique_ptr<Peer>(const Case&, const Device&, const Buffers&, Math, std::string& why)>;

/// Error of a side on set 0, ‖out − expected‖/‖expected‖ over the elements of the reference; NaN if a result is not
/// finite, so also if an output was not written. Without a reference 0 stands for "all finite".
double relative_error(const Case& c, const Device& device, const Buffers& buffers, Side& side);

}  // namespace fovea::bench

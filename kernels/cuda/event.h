// SPDX-License-Identifier: Apache-2.0
#pragma once

// The runtime's own declaration, as in stream.h.
struct CUevent_st;

namespace fovea::cuda {

class Stream;

/// A point in the work of a stream, which another stream (Stream::wait) or the host can wait for.
class Event {
 public:
  /// For streams of this one's GPU. timed  whether elapsed_ms() may be asked: it makes the GPU write down the time
  /// throws  CudaError
  explicit Event(const Stream& stream, bool timed = false);
  ~Event();
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;

  CUevent_st* get() const noexcept { return raw_; }

  /// The point is now behind all work issued to the stream so far; who waits already still waits for the former one.
  void record(const Stream& stream);
  /// Whether that work has ended; true before the first record(). Does not wait
  bool done() const;
  /// Waits for it.
  void synchronize() const;
  /// From `since` to this one, both timed, recorded and done.
  double elapsed_ms(const Event& since) const;

 private:
  CUevent_st* raw_ = nullptr;
};

}  // namespace fovea::cuda

// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "bench/cudnn/library.h"
#include "bench/side.h"
#include "kernels/cuda/stream.h"

namespace fovea::bench::cudnn {

/// cuDNN's way of doing a case that has a geometry, the fastest one that it has: each plan of each layout is tried on
/// set 0. Operands that are not f32 stay out.
/// throws CudnnError, with cuDNN's explanation, if there is no library, no plan, or none that runs
std::unique_ptr<Peer> make_peer(const Case& c, const Device& device, const Buffers& buffers, Math math);

// The two kinds of peers: one operation as a graph, and recurrent layers, which have functions of their own.
std::unique_ptr<Peer> make_graph_peer(const Case& c, const Device& device, const Buffers& buffers, Math math);
std::unique_ptr<Peer> make_lstm_peer(const Case& c, const Device& device, const Buffers& buffers, Math math);

/// A handle on the stream of a device.
class Handle {
 public:
  explicit Handle(const Device& device);
  ~Handle() { library().cudnnDestroy(raw_); }
  Handle(const Handle&) = delete;
  Handle& operator=(const Handle&) = delete;
  cudnnHandle_t get() const { return raw_; }
  cuda::Stream& stream() const { return stream_; }

 private:
  cuda::Stream& stream_;
  cudnnHandle_t raw_ = nullptr;
};

/// Best of three runs after a first one, milliseconds; of one run if the first takes ten times `best` and more.
double quick_ms(cuda::Stream& stream, double best, const std::function<void()>& run);

}  // namespace fovea::bench::cudnn

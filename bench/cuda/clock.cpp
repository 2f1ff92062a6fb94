// SPDX-License-Identifier: Apache-2.0
#include "bench/clock.h"

#include <algorithm>

#include "kernels/cuda/check.h"
#include "kernels/cuda/stream.h"
#include "tensor/graph.h"

namespace fovea::bench {
namespace {

constexpr double kLeastMs = 0.2;       // an event is good to about half a microsecond
constexpr double kGraphBelowMs = 0.1;  // launching costs a few microseconds, and not the same on both sides

class Event {
 public:
  Event() { CHECK_CUDA(cudaEventCreate(&raw_)); }
  ~Event() { cudaEventDestroy(raw_); }
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;
  cudaEvent_t get() const { return raw_; }

 private:
  cudaEvent_t raw_ = nullptr;
};

class CudaClock final : public Clock {
 public:
  explicit CudaClock(const Device& device)
      : device_(device), stream_(std::get<std::reference_wrapper<cuda::Stream>>(device.queue()).get()) {}

  Samplers samplers(const std::vector<Side*>& sides, int sets) override {
    stream_.make_current();
    std::vector<double> run_ms;
    for (Side* side : sides) run_ms.push_back(warm_up(*side, sets));
    if (*std::min_element(run_ms.begin(), run_ms.end()) < kGraphBelowMs) {
      try {
        Samplers made{.method = "graph"};
        for (std::size_t i = 0; i < sides.size(); ++i)
          made.sides.push_back(sampler(*sides[i], run_ms[i], sets, true));
        return made;
      } catch (const std::exception&) {  // one of them cannot be captured: then none is
      }
    }
    Samplers made{.method = "events"};
    for (std::size_t i = 0; i < sides.size(); ++i)
      made.sides.push_back(sampler(*sides[i], run_ms[i], sets, false));
    return made;
  }

 private:
  template <class F>
  double time(F&& enqueue) {
    CHECK_CUDA(cudaEventRecord(start_.get(), stream_.get()));
    enqueue();
    CHECK_CUDA(cudaEventRecord(end_.get(), stream_.get()));
    CHECK_CUDA(cudaEventSynchronize(end_.get()));
    float ms = 0;
    CHECK_CUDA(cudaEventElapsedTime(&ms, start_.get(), end_.get()));
    return static_cast<double>(ms);
  }

  /// A side that times itself decides for itself whether it makes a graph.
  Sampler sampler(Side& side, double run_ms, int sets, bool graph) {
    if (side.timed(0, sets, 1)) {
      const int batch = batch_size(run_ms, kLeastMs, 1);
      return [this, &side, batch, sets, next = 0]() mutable {
        stream_.synchronize();
        const Elapsed spent = *side.timed(next, sets, batch);
        next = (next + batch) % sets;
        return Sample{spent.wall_ms / batch, 0};
      };
    }
    return graph ? graph_sampler(side, run_ms, sets) : event_sampler(side, run_ms, sets);
  }

  /// Milliseconds of one run, roughly.
  double warm_up(Side& side, int sets) {
    for (int set = 0; set < sets; ++set) side.prepare(set);
    if (side.timed(0, sets, 1)) return side.timed(0, sets, 1)->wall_ms;
    side.run(0);
    stream_.synchronize();
    double best = 1e30;
    for (int i = 0; i < 3; ++i) best = std::min(best, time([&] { side.run(i % sets); }));
    return best;
  }

  Sampler event_sampler(Side& side, double run_ms, int sets) {
    const int batch = batch_size(run_ms, kLeastMs, 1);
    return [this, &side, batch, sets, next = 0]() mutable {
      const double ms = time([&] {
        for (int i = 0; i < batch; ++i, next = (next + 1) % sets) side.run(next);
      });
      return Sample{ms / batch, 0};
    };
  }

  Sampler graph_sampler(Side& side, double run_ms, int sets) {
    const int batch = batch_size(run_ms, kLeastMs, sets);
    const Graph graph = Graph::capture(device_, [&] {
      for (int i = 0; i < batch; ++i) side.run(i % sets);
    });
    graph.replay();
    return [this, graph, batch] { return Sample{time([&] { graph.replay(); }) / batch, 0}; };
  }

  Device device_;
  cuda::Stream& stream_;
  Event start_, end_;
};

}  // namespace

std::unique_ptr<Clock> make_cuda_clock(const Device& device) { return std::make_unique<CudaClock>(device); }

}  // namespace fovea::bench

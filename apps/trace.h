// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "autograd/tape.h"
#include "kernels/range.h"

namespace fovea::apps {

/// Where the time of a run goes, for chrome://tracing or Perfetto: spans within spans, of which the last ones are
/// kept, so that memory and file are bounded however long the run is. Times are the host's: on a GPU an op's span is
/// its enqueueing, and the spans that wait are those that read something back.
class Trace {
 public:
  /// A span takes at most 400 bytes of the file: 12.5 MiB for the default, some 1000 steps of Deep Retina.
  static constexpr std::size_t kMostSpans = 1 << 15;
  static constexpr std::size_t kMostSpanBytes = 400;

  explicit Trace(std::size_t most_spans = kMostSpans) : most_(most_spans) {}

  struct Event {
    std::string name, category, detail;
    std::int64_t start_ns = 0, duration_ns = 0;
  };
  std::int64_t now_ns() const;
  /// From `start_ns` until now. The next op begins here at the earliest.
  void add(std::string name, const char* category, std::int64_t start_ns, std::string detail = "");
  /// When the last span began or ended: ops are computed one after another, so an op's span begins here.
  std::int64_t last_ns() const { return last_ns_; }
  void mark() { last_ns_ = now_ns(); }

  /// In the order in which they ended. `dropped` counts those that had to go.
  std::vector<Event> events() const;
  std::size_t dropped() const { return dropped_; }
  std::string json() const;

 private:
  std::chrono::steady_clock::time_point begin_ = std::chrono::steady_clock::now();
  std::size_t most_, oldest_ = 0, dropped_ = 0;
  std::int64_t last_ns_ = 0;
  std::vector<Event> ring_;
};

/// A span from here to the end of the block, for a profiler of CUDA programs, too. Without a trace it is one comparison.
class Span {
 public:
  Span(Trace* trace, const char* name, const char* category)
      : trace_(trace), name_(name), category_(category), range_(name) {
    if (trace_ == nullptr) return;
    trace_->mark();
    start_ns_ = trace_->last_ns();
  }
  ~Span() {
    if (trace_ != nullptr) trace_->add(name_, category_, start_ns_);
  }
  Span(const Span&) = delete;
  Span& operator=(const Span&) = delete;

 private:
  Trace* trace_;
  const char *name_, *category_;
  std::int64_t start_ns_ = 0;
  Range range_;
};

/// Puts every op of a tape into a trace, forward and backward, with module and shapes.
class TraceOps final : public TapeObserver {
 public:
  explicit TraceOps(Trace& trace) : trace_(trace) {}
  void computed(const OpInfo& info, const std::string& module, std::span<const Var> inputs,
                std::span<const Var> results) override;
  void backward_begins(const Tape::Record& entry, const Grads& dys) override;
  void backward_ends(const Tape::Record& entry, const Grads& dxs) override;

 private:
  Trace& trace_;
  std::int64_t start_ns_ = 0;
};

}  // namespace fovea::apps

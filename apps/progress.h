// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <string>
#include <string_view>

namespace fovea::apps {

/// What the progress line tells.
struct ProgressState {
  std::int64_t step = 0;         ///< steps done, counted over all sittings of a resumed run
  std::int64_t total = 0;        ///< 0: not known; there is then no bar and no ETA
  double loss = 0;               ///< nan: this work has none
  std::string metric_name = {};  ///< "r"; empty: nothing evaluated yet
  double metric = 0;
  double steps_per_s = 0;  ///< 0: not known yet
  double elapsed_s = 0;
};

/// "42 s", "3 min 05 s", "2 h 07 min"
std::string duration_text(double seconds);

/// One line for a terminal, at most `columns` wide: parts are left out from the right when it is too narrow.
/// "  40 % ━━━━━━━━────────────  step 400/1000  loss 0.7132  r 0.412  12.5 steps/s  ETA 48 s"
std::string progress_line(const ProgressState& state, int columns);

/// One line for a file or a pipe: "step 400/1000  loss 0.7132  r 0.412  12.5 steps/s  ETA 48 s".
std::string progress_text(const ProgressState& state);

/// Shows how a run gets on. On a terminal: one line, redrawn at most ten times a second, the cursor hidden
/// meanwhile. Elsewhere: a line every `plain_every`. Lives on stderr, so that stdout stays clean for results.
class Progress {
 public:
  using Clock = std::chrono::steady_clock;

  struct Options {
    std::FILE* stream = stderr;
    std::chrono::milliseconds redraw_every{100};
    std::chrono::milliseconds plain_every{5000};
    bool quiet = false;
  };
  /// first_step: where this sitting starts; rate and ETA count from here
  Progress(std::int64_t first_step, std::int64_t total) : Progress(first_step, total, Options{}) {}
  Progress(std::int64_t first_step, std::int64_t total, Options options);
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  /// Cheap when called too soon after the last drawing.
  void step(std::int64_t steps_done, double loss);
  /// Shown from the next drawing on.
  void metric(std::string_view name, double value);
  /// A line of its own above the progress line: evaluations, checkpoints, warnings.
  void note(std::string_view text);
  /// Draws the last state and leaves the line; the cursor is back. Also done by the destructor.
  void finish();

 private:
  void draw();

  Options options_;
  ProgressState state_;
  std::int64_t first_step_;
  Clock::time_point start_, last_;
  bool terminal_, drawn_ = false, finished_ = false;
};

}  // namespace fovea::apps

// SPDX-License-Identifier: Apache-2.0
#include "apps/progress.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "apps/stop_signal.h"

namespace fovea::apps {
namespace {

constexpr int kBarCells = 20;

/// Bytes of UTF-8 that begin a character; each of ours is one column wide.
int columns_of(std::string_view text) {
  return static_cast<int>(std::count_if(
      text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; }));
}

std::string bar(double share) {
  const int full = static_cast<int>(std::floor(share * kBarCells));
  std::string out;
  for (int i = 0; i < kBarCells; ++i) out += i < full ? "━" : "─";
  return out;
}

std::string rate_text(double steps_per_s) {
  // Below one a second, seconds a step are easier to read.
  if (steps_per_s >= 0.95) return fmt::format("{:.{}f} steps/s", steps_per_s, steps_per_s < 100 ? 1 : 0);
  return fmt::format("{:.1f} s/step", 1 / steps_per_s);
}

std::vector<std::string> parts_of(const ProgressState& state) {
  std::vector<std::string> parts;
  parts.push_back(state.total > 0 ? fmt::format("step {}/{}", state.step, state.total)
                                  : fmt::format("step {}", state.step));
  if (!std::isnan(state.loss)) parts.push_back(fmt::format("loss {:.4g}", state.loss));
  if (!state.metric_name.empty()) parts.push_back(fmt::format("{} {:.3f}", state.metric_name, state.metric));
  if (state.steps_per_s > 0) {
    parts.push_back(rate_text(state.steps_per_s));
    if (state.total > 0 && state.step < state.total)
      parts.push_back("ETA " +
                      duration_text(static_cast<double>(state.total - state.step) / state.steps_per_s));
    else
      parts.push_back("in " + duration_text(state.elapsed_s));
  }
  return parts;
}

int terminal_columns(std::FILE* stream) {
  winsize size{};
  if (::ioctl(::fileno(stream), TIOCGWINSZ, &size) == 0 && size.ws_col > 0) return size.ws_col;
  return 80;
}

}  // namespace

std::string duration_text(double seconds) {
  if (!(seconds >= 0)) return "?";
  const auto whole = static_cast<std::int64_t>(std::min(std::round(seconds), 1e12));
  if (whole < 60) return fmt::format("{} s", whole);
  if (whole < 3600) return fmt::format("{} min {:02} s", whole / 60, whole % 60);
  return fmt::format("{} h {:02} min", whole / 3600, whole / 60 % 60);
}

std::string progress_line(const ProgressState& state, int columns) {
  std::vector<std::string> parts = parts_of(state);
  if (state.total > 0) {
    const double share =
        std::clamp(static_cast<double>(state.step) / static_cast<double>(state.total), 0.0, 1.0);
    parts.insert(parts.begin(), fmt::format("{:3.0f} % {}", std::floor(100 * share), bar(share)));
  }
  std::string line;
  for (const std::string& part : parts) {
    const std::string longer = line.empty() ? part : line + "  " + part;
    if (columns_of(longer) > columns) break;
    line = longer;
  }
  return line;
}

std::string progress_text(const ProgressState& state) {
  return fmt::format("{}", fmt::join(parts_of(state), "  "));
}

Progress::Progress(std::int64_t first_step, std::int64_t total, Options options)
    : options_(options),
      first_step_(first_step),
      start_(Clock::now()),
      last_(start_),
      terminal_(::isatty(::fileno(options.stream)) == 1) {
  state_.step = first_step;
  state_.total = total;
}

Progress::~Progress() {
  try {
    finish();
  } catch (const std::bad_alloc&) {  // a last line less
  }
}

void Progress::step(std::int64_t steps_done, double loss) {
  const auto now = Clock::now();
  state_.step = steps_done;
  state_.loss = loss;
  state_.elapsed_s = std::chrono::duration<double>(now - start_).count();
  if (state_.elapsed_s > 0)
    state_.steps_per_s = static_cast<double>(steps_done - first_step_) / state_.elapsed_s;
  if (drawn_ && now - last_ < (terminal_ ? options_.redraw_every : options_.plain_every)) return;
  last_ = now;
  draw();
}

void Progress::metric(std::string_view name, double value) {
  state_.metric_name = name;
  state_.metric = value;
}

void Progress::note(std::string_view text) {
  if (options_.quiet) return;
  if (terminal_) fmt::print(options_.stream, "\r\033[K");
  fmt::print(options_.stream, "{}\n", text);
  if (terminal_ && drawn_ && !finished_) draw();
  std::fflush(options_.stream);
}

void Progress::finish() {
  if (finished_) return;
  finished_ = true;
  if (!drawn_ || options_.quiet) return;
  draw();
  if (terminal_) {
    fmt::print(options_.stream, "\n\033[?25h");
    cursor_is_hidden(false);
  }
  std::fflush(options_.stream);
}

void Progress::draw() {
  drawn_ = true;
  if (options_.quiet) return;
  if (terminal_) {
    cursor_is_hidden(true);
    // One column stays free: a full last column would wrap on some terminals.
    fmt::print(options_.stream, "\r\033[?25l{}\033[K",
               progress_line(state_, terminal_columns(options_.stream) - 1));
  } else {
    fmt::print(options_.stream, "{}\n", progress_text(state_));
  }
  std::fflush(options_.stream);
}

}  // namespace fovea::apps

// SPDX-License-Identifier: Apache-2.0
#include "apps/progress.h"

#include <doctest/doctest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <string>

#include "apps/stop_signal.h"

namespace fovea::apps {
namespace {

const ProgressState kHalfWay{.step = 400,
                             .total = 1000,
                             .loss = 0.71321,
                             .metric_name = "r",
                             .metric = 0.412,
                             .steps_per_s = 12.5,
                             .elapsed_s = 32};

std::string content_of(std::FILE* file) {
  std::rewind(file);
  std::string text;
  for (int c = 0; (c = std::fgetc(file)) != EOF;) text += static_cast<char>(c);
  return text;
}

}  // namespace

TEST_CASE("durations in words") {
  CHECK(duration_text(0.4) == "0 s");
  CHECK(duration_text(59.4) == "59 s");
  CHECK(duration_text(185) == "3 min 05 s");
  CHECK(duration_text(2 * 3600 + 7 * 60 + 12) == "2 h 07 min");
  CHECK(duration_text(-1) == "?");
}

TEST_CASE("the progress line says everything if there is room") {
  CHECK(progress_line(kHalfWay, 200) ==
        " 40 % ━━━━━━━━────────────  step 400/1000  loss 0.7132  r 0.412  12.5 steps/s  ETA 48 s");
  CHECK(progress_line(kHalfWay, 60) == " 40 % ━━━━━━━━────────────  step 400/1000  loss 0.7132");
  CHECK(progress_line(kHalfWay, 3).empty());
  CHECK(progress_text(kHalfWay) == "step 400/1000  loss 0.7132  r 0.412  12.5 steps/s  ETA 48 s");
}

TEST_CASE("the progress line without an end, without a rate, and at the end") {
  CHECK(progress_line({.step = 7, .loss = -2}, 80) == "step 7  loss -2");
  CHECK(progress_text({.step = 7, .loss = std::nan("")}) == "step 7");
  CHECK(progress_text({.step = 1000, .total = 1000, .loss = 1, .steps_per_s = 0.25, .elapsed_s = 4000}) ==
        "step 1000/1000  loss 1  4.0 s/step  in 1 h 06 min");
  CHECK(progress_line({.step = 2000, .total = 1000, .loss = 1}, 80).find("100 % ━━━━━━━━━━━━━━━━━━━━") == 0);
}

TEST_CASE("a pipe gets plain lines, few of them") {
  std::FILE* file = std::tmpfile();
  {
    Progress progress(0, 100, {.stream = file, .plain_every = std::chrono::hours(1)});
    for (int step = 1; step <= 100; ++step) progress.step(step, 1.0 / step);
    progress.note("saved step 100");
  }
  const std::string text = content_of(file);
  CHECK(text.find('\033') == std::string::npos);
  CHECK(text.find("step 1/100  loss 1") == 0);
  CHECK(text.find("\nsaved step 100\nstep 100/100  loss 0.01") != std::string::npos);
  CHECK(std::count(text.begin(), text.end(), '\n') == 3);
  std::fclose(file);
}

TEST_CASE("quiet is quiet") {
  std::FILE* file = std::tmpfile();
  {
    Progress progress(0, 2, {.stream = file, .quiet = true});
    progress.step(1, 1);
    progress.note("x");
  }
  CHECK(content_of(file).empty());
  std::fclose(file);
}

TEST_CASE("the first signal asks, and says which it was") {
  {
    const StopSignal stop;
    CHECK_FALSE(stop.requested());
    CHECK(stop.exit_code() == kDone);
    ::raise(SIGINT);
    CHECK(stop.requested());
    CHECK(stop.exit_code() == kInterrupted);
  }
  const StopSignal stop;
  CHECK_FALSE(stop.requested());
  ::raise(SIGTERM);
  CHECK(stop.exit_code() == kTerminated);
}

TEST_CASE("the second signal ends the program") {
  const pid_t child = ::fork();
  if (child == 0) {
    const StopSignal stop;
    ::raise(SIGINT);
    ::raise(SIGINT);
    ::_exit(7);
  }
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  CHECK(WIFSIGNALED(status));
  CHECK(WTERMSIG(status) == SIGINT);
}

}  // namespace fovea::apps

// SPDX-License-Identifier: Apache-2.0
#include "nn/optim/schedule.h"

#include <doctest/doctest.h>

#include <limits>

#include "tests/nn/expect.h"

using namespace fovea;
using fovea::test::message;

namespace {

using Rates = std::vector<double>;

template <class Schedule>
Rates run(Schedule& schedule, int epochs) {
  Rates rates;
  for (int i = 0; i < epochs; ++i) {
    rates.push_back(schedule.lr());
    schedule.step();
  }
  return rates;
}

/// The rate after each metric.
Rates feed(nn::Plateau& plateau, const Rates& metrics) {
  Rates rates;
  for (const double metric : metrics) {
    plateau.step(metric);
    rates.push_back(plateau.lr());
  }
  return rates;
}

}  // namespace

TEST_CASE("step schedule") {
  nn::StepSchedule schedule(8.0, 3, 0.5);
  CHECK(run(schedule, 8) == Rates{8, 8, 8, 4, 4, 4, 2, 2});
  nn::StepSchedule resumed(8.0, 3, 0.5);
  resumed.load_state(schedule.state());
  CHECK(run(resumed, 2) == Rates{2, 1});
  CHECK(message([] { nn::StepSchedule(1.0, 0, 0.5); }) ==
        "step_schedule: every must be at least 1 epoch, got 0");
  CHECK(message([] { nn::StepSchedule(-1.0, 2, 0.5); }) ==
        "step_schedule: lr and factor must be at least 0, got -1 and 0.5");
  CHECK(message([&] { resumed.load_state({}); }) == "step_schedule: the state has no 'epoch'");
}

TEST_CASE("multi-step schedule") {
  nn::MultiStep schedule(1.0, {2, 3, 6}, 0.5);
  CHECK(run(schedule, 8) == Rates{1, 1, 0.5, 0.25, 0.25, 0.25, 0.125, 0.125});
  nn::MultiStep resumed(1.0, {2, 3, 6}, 0.5);
  resumed.load_state({{"epoch", 5}});
  CHECK(run(resumed, 2) == Rates{0.25, 0.125});
  CHECK(message([] { nn::MultiStep(1.0, {3, 3}, 0.5); }) == "multi_step: the milestones must increase");
}

TEST_CASE("warm-up and cosine") {
  nn::WarmUpCosine schedule(8.0, 2, 6, 4.0);
  const Rates rates = run(schedule, 8);
  const Rates want{4, 8, 8, 4 + 2 + 1.4142135623730951, 6, 4 + 2 - 1.4142135623730951, 4, 4};
  for (std::size_t i = 0; i < rates.size(); ++i) CHECK(rates[i] == doctest::Approx(want[i]).epsilon(1e-12));
  nn::WarmUpCosine resumed(8.0, 2, 6, 4.0), bare(1.0, 0, 2);
  resumed.load_state({{"epoch", 3}});
  CHECK(resumed.lr() == rates[3]);
  CHECK(schedule.state() == nn::ScheduleState{{"epoch", 8}});
  CHECK(bare.lr() == 1.0);
  CHECK(message([] { nn::WarmUpCosine(-1.0, 2, 6); }) ==
        "warm_up_cosine: lr and min_lr must be at least 0, got -1 and 0");
  CHECK(message([] { nn::WarmUpCosine(1.0, 2, 6, -1.0); }) ==
        "warm_up_cosine: lr and min_lr must be at least 0, got 1 and -1");
  CHECK(message([] { nn::WarmUpCosine(1.0, 6, 6); }) ==
        "warm_up_cosine: needs 0 ≤ warm_up < total, got 6 and 6");
  CHECK(message([] { nn::WarmUpCosine(1.0, -1, 6); }) ==
        "warm_up_cosine: needs 0 ≤ warm_up < total, got -1 and 6");
  CHECK(message([&] { resumed.load_state({}); }) == "warm_up_cosine: the state has no 'epoch'");
}

TEST_CASE("polynomial schedule") {
  nn::Polynomial line(5.0, 1.0, 4), curve(1.0, 0.0, 4, 2.0);
  CHECK(run(line, 6) == Rates{5, 4, 3, 2, 1, 1});
  CHECK(run(curve, 5) == Rates{1, 0.5625, 0.25, 0.0625, 0});
  nn::Polynomial resumed(5.0, 1.0, 4);
  resumed.load_state({{"epoch", 2}});
  CHECK(run(resumed, 2) == Rates{3, 2});
  CHECK(resumed.state() == nn::ScheduleState{{"epoch", 4}});
  CHECK(message([] { nn::Polynomial(-1.0, 0.0, 4); }) ==
        "polynomial: lr and end_lr must be at least 0, got -1 and 0");
  CHECK(message([] { nn::Polynomial(1.0, -2.0, 4); }) ==
        "polynomial: lr and end_lr must be at least 0, got 1 and -2");
  CHECK(message([] { nn::Polynomial(1.0, 0.0, 0); }) ==
        "polynomial: needs total of at least 1 and power above 0, got 0 and 1");
  CHECK(message([] { nn::Polynomial(1.0, 0.0, 4, 0.0); }) ==
        "polynomial: needs total of at least 1 and power above 0, got 4 and 0");
}

TEST_CASE("plateau waits for patience, then cuts, and counts afresh") {
  nn::Plateau plateau(1.0, {.factor = 0.5, .patience = 2, .threshold = 0.0});
  //                     best       bad 1, 2, cut   bad 1  best  bad 1, 2, cut
  CHECK(feed(plateau, {5, 4, 4, 4.5, 4, 4, 3, 3, 3, 3}) == Rates{1, 1, 1, 1, 0.5, 0.5, 0.5, 0.5, 0.5, 0.25});
}

TEST_CASE("plateau in max mode, with a threshold and a floor") {
  nn::Plateau plateau(
      1.0, {.mode = nn::PlateauMode::max, .factor = 0.1, .patience = 0, .threshold = 0.01, .min_lr = 0.05});
  CHECK(feed(plateau, {0.5, 0.504, 0.506, 0.505, 0.6}) == Rates{1, 0.1, 0.1, 0.05, 0.05});
  nn::Plateau low(0.01, {.patience = 0, .min_lr = 0.05});
  CHECK(feed(low, {1, 1, 1}) == Rates{0.01, 0.01, 0.01});  // a rate below the floor is not raised
}

TEST_CASE("plateau with negative losses: a loss of ground is no improvement, and neither is NaN") {
  nn::Plateau plateau(1.0, {.factor = 0.5, .patience = 0, .threshold = 0.01});
  CHECK(feed(plateau, {-2.0, -1.99, -2.01, -2.03, std::numeric_limits<double>::quiet_NaN()}) ==
        Rates{1, 0.5, 0.25, 0.25, 0.125});
  nn::Plateau first(1.0, {.factor = 0.5, .patience = 0});
  CHECK(feed(first, {std::numeric_limits<double>::quiet_NaN(), 3.0}) == Rates{0.5, 0.5});
}

TEST_CASE("plateau continues from its state") {
  const nn::PlateauOptions options{.factor = 0.5, .patience = 1, .threshold = 0.0};
  nn::Plateau whole(1.0, options), part(1.0, options), resumed(1.0, options);
  const Rates all = feed(whole, {3, 3, 3, 2, 2, 2});
  feed(part, {3, 3});
  resumed.load_state(part.state());
  CHECK(feed(resumed, {3, 2, 2, 2}) == Rates(all.begin() + 2, all.end()));
  CHECK(message([&] { resumed.load_state({{"lr", 1.0}}); }) == "plateau: the state has no 'best'");
}

TEST_CASE("plateau refuses what makes no sense") {
  CHECK(message([] { nn::Plateau(1.0, {.factor = 1.0}); }) == "plateau: factor must be in (0, 1), got 1");
  CHECK(message([] { nn::Plateau(1.0, {.patience = -1}); }) ==
        "plateau: patience, threshold and min_lr must be at least 0, got -1, 0.0001 and 0");
}

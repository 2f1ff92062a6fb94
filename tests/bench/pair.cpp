// SPDX-License-Identifier: Apache-2.0
#include "bench/pair.h"

#include <doctest/doctest.h>

#include <string>

#include "bench/clock.h"
#include "bench/run_case.h"

using namespace fovea::bench;

TEST_CASE("quantiles lie between neighbours") {
  CHECK(quantile({3.0}, 0.1) == 3.0);
  CHECK(quantile({4.0, 1.0, 3.0, 2.0}, 0.5) == 2.5);
  CHECK(quantile({5.0, 1.0, 3.0}, 0.5) == 3.0);
  CHECK(quantile({0, 10, 20, 30, 40, 50, 60, 70, 80, 90, 100}, 0.1) == 10.0);
  CHECK(quantile({0, 10, 20, 30, 40, 50, 60, 70, 80, 90, 100}, 0.9) == 90.0);
  CHECK(quantile({1.0, 2.0}, 0.1) == doctest::Approx(1.1));
  CHECK(quantile({2.0, 1.0}, 1.0) == 2.0);
}

TEST_CASE("sides take turns A B C, C B A, and a ratio belongs to its round") {
  std::string order;
  double ours = 0;
  const auto side = [&](char name, double ms) {
    return [&order, name, ms] {
      order += name;
      return Sample{ms, 10 * ms};
    };
  };
  const Sampler first = [&] {
    order += 'A';
    ours += 1;
    return Sample{ours, 10 * ours};
  };
  const auto still = [] { return 0.0; };
  const RoundLimits limits{.rounds = 5, .least_rounds = 3, .peer_seconds = 1, .seconds = 1};
  const Rounds two = take_turns({first, side('B', 2)}, limits, nullptr, still);
  CHECK(order == "ABBAABBAAB");
  const PairSamples samples = pair_of(two, 1, true);
  CHECK(samples.ours_ms() == 3.0);
  CHECK(samples.peer_ms() == 2.0);
  CHECK(samples.ratios() == std::vector<double>{0.5, 1.0, 1.5, 2.0, 2.5});
  CHECK(samples.ours_wall == std::vector<double>{10, 20, 30, 40, 50});
  CHECK(samples.peer_wall.size() == 5);
  CHECK_FALSE(two.noisy);

  order.clear();
  ours = 0;
  const Rounds three = take_turns({first, side('B', 2), side('C', 4)}, limits, nullptr, still);
  CHECK(order == "ABCCBAABCCBAABC");
  CHECK(pair_of(three, 2, false).ratios() == std::vector<double>{0.25, 0.5, 0.75, 1.0, 1.25});
  CHECK(pair_of(three, 1, false).ours == pair_of(three, 2, false).ours);
  CHECK(pair_of(three, 1, false).ours_wall.empty());
}

TEST_CASE("a machine that slows down leaves the ratios alone") {
  double slowness = 1;
  const auto side = [&](double ms) { return [&slowness, ms] { return Sample{ms * slowness, 0}; }; };
  const auto probe = [&] { return slowness; };
  int calls = 0;
  const auto now = [&] {  // asked twice for each side, and once before each round but the first three
    slowness = 1 + calls++ / 10;
    return 0.0;
  };
  const Rounds rounds = take_turns({side(3), side(4)}, {.rounds = 8, .least_rounds = 1}, nullptr, now);
  const PairSamples samples = pair_of(rounds, 1, false);
  CHECK(samples.ours.back() > 2 * samples.ours[0]);
  CHECK(quantile(samples.ratios(), 0.5) == 0.75);
  slowness = 1;
  CHECK(take_turns({side(3)}, {.rounds = 2, .least_rounds = 1}, probe, [] { return 0.0; }).discarded == 0);
}

TEST_CASE("rounds during which the probe moved are left out, unless too few would be left") {
  int probes = 0, samples = 0;
  const Sampler ours = [&] { return Sample{static_cast<double>(++samples), 0}; };
  const auto still = [] { return 0.0; };
  const RoundLimits limits{.rounds = 6, .least_rounds = 3};
  // Rounds 2 and 5 have another pace at their end.
  const auto moves_twice = [&] { return ++probes == 4 || probes == 10 ? 1.2 : 1.0; };
  const Rounds some = take_turns({ours}, limits, moves_twice, still);
  CHECK(pair_of(some, 0, false).ours == std::vector<double>{1, 3, 4, 6});
  CHECK(some.discarded == 2);
  CHECK_FALSE(some.noisy);
  samples = 0;
  const auto always_moves = [&] { return ++probes % 2 == 0 ? 0.9 : 1.0; };
  const Rounds all = take_turns({ours}, limits, always_moves, still);
  CHECK(all.noisy);
  CHECK(all.discarded == 0);
  CHECK(pair_of(all, 0, false).ours.size() == 6);
  // A drift of 5 % is not a change of pace.
  const auto drifts = [&] { return ++probes % 2 == 0 ? 1.04 : 1.0; };
  CHECK_FALSE(take_turns({ours}, limits, drifts, still).noisy);
}

TEST_CASE("time limits end the rounds, but not before three of them") {
  double time = 0;
  const Sampler slow = [&] {
    time += 10;
    return Sample{10, 10};
  };
  const auto count = [&](const RoundLimits& limits) {
    time = 0;
    return take_turns({slow, slow}, limits, nullptr, [&] { return time; }).sides[0].size();
  };
  CHECK(count({.rounds = 15, .least_rounds = 3, .peer_seconds = 1e9, .seconds = 5}) == 3);
  CHECK(count({.rounds = 15, .least_rounds = 3, .peer_seconds = 1e9, .seconds = 95}) == 5);
  CHECK(count({.rounds = 15, .least_rounds = 3, .peer_seconds = 40, .seconds = 1e9}) == 4);
  CHECK(count({.rounds = 15, .least_rounds = 3, .peer_seconds = 1e9, .seconds = 1e9}) == 15);
}

TEST_CASE("without a peer only our side is sampled") {
  const Rounds rounds = take_turns({[] {
                                     return Sample{1, 1};
                                   }},
                                   {.rounds = 4, .least_rounds = 3}, nullptr, [] { return 0.0; });
  const PairSamples samples = pair_of(rounds, 0, true);
  CHECK(samples.ours.size() == 4);
  CHECK(samples.peer.empty());
  CHECK(samples.ratios().empty());
}

TEST_CASE("a batch is long enough for its clock and passes every set") {
  CHECK(batch_size(1.0, 0.2, 1) == 1);
  CHECK(batch_size(0.05, 0.2, 1) == 4);
  CHECK(batch_size(0.05, 0.2, 100) == 100);
  CHECK(batch_size(0.0, 0.2, 1) == 4096);
  CHECK(cold_sets(10e6, 50e6) == 16);
  CHECK(cold_sets(1e9, 50e6) == 2);
  CHECK(cold_sets(1e6, 0) == 1);
  CHECK(cold_sets(1e3, 50e6) == 1);  // 150 000 sets
}

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

TEST_CASE("sides take turns A B B A, and a ratio belongs to its round") {
  std::string order;
  double ours = 0, time = 0;
  const PairSamples samples = alternate(
      [&] {
        order += 'A';
        return ours += 1;
      },
      [&] {
        order += 'B';
        return 2.0;
      },
      {.rounds = 5, .least_rounds = 3, .seconds = 1}, [&] { return time; });
  CHECK(order == "ABBAABBAAB");
  CHECK(samples.ours_ms() == 3.0);
  CHECK(samples.peer_ms() == 2.0);
  CHECK(samples.ratios() == std::vector<double>{0.5, 1.0, 1.5, 2.0, 2.5});
}

TEST_CASE("a machine that slows down leaves the ratios alone") {
  double slowness = 1;
  const auto side = [&](double ms) { return [&slowness, ms] { return ms * slowness; }; };
  int rounds = 0;
  const auto now = [&] {
    slowness = 1 << rounds++;  // asked once before each round
    return 0.0;
  };
  const PairSamples samples =
      alternate(side(3), side(4), {.rounds = 8, .least_rounds = 1, .seconds = 1}, now);
  CHECK(samples.ours.back() > 10 * samples.ours[0]);
  CHECK(quantile(samples.ratios(), 0.1) == 0.75);
  CHECK(quantile(samples.ratios(), 0.9) == 0.75);
}

TEST_CASE("the time limit ends a pair, but not before three rounds") {
  double time = 0;
  const auto slow = [&] { return time += 10; };
  const auto count = [&](const PairLimits& limits) {
    time = 0;
    return alternate(slow, slow, limits, [&] { return time; }).ours.size();
  };
  CHECK(count({.rounds = 15, .least_rounds = 3, .seconds = 5}) == 3);
  CHECK(count({.rounds = 15, .least_rounds = 3, .seconds = 95}) == 5);
  CHECK(count({.rounds = 15, .least_rounds = 3, .seconds = 1e9}) == 15);
}

TEST_CASE("without a peer only our side is sampled") {
  const PairSamples samples = alternate([] { return 1.0; }, nullptr,
                                        {.rounds = 4, .least_rounds = 3, .seconds = 1}, [] { return 0.0; });
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

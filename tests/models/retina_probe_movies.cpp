// SPDX-License-Identifier: Apache-2.0
#include "models/retina/probe_movies.h"

#include <algorithm>
#include <numeric>

#include <doctest/doctest.h>

#include "tensor/errors.h"

using namespace fovea::retina;

TEST_CASE("retina probes: a flash stands where it was put, a train ends one flash early") {
  CHECK(flash(2, 1, 5, -0.5f) == std::vector<float>{0, -0.5f, -0.5f, 0, 0});
  CHECK_THROWS_AS(flash(2, 4, 5, 1.0f), fovea::ValueError);
  CHECK_THROWS_AS(flash(0, 0, 5, 1.0f), fovea::ValueError);

  const FlashTrain train{.interval = 6, .duration = 2, .flashes = 8, .z = -2.0f};
  const std::vector<float> course = omitted_flash(train);
  // 76 frames in front, nine units of eight frames, 34 behind.
  CHECK(course.size() == 76 + 9 * 8 + 34);
  CHECK(train.onset(0) == 76 + 6);
  CHECK(std::count(course.begin(), course.end(), -2.0f) == 16);
  for (int i = 0; i < 8; ++i) {
    CHECK(course[static_cast<std::size_t>(train.onset(i))] == -2.0f);
    CHECK(course[static_cast<std::size_t>(train.onset(i) - 1)] == 0.0f);
    CHECK(course[static_cast<std::size_t>(train.onset(i) + 2)] == 0.0f);
  }
  CHECK(train.onset(8) == train.onset(7) + 8);
  CHECK(course[static_cast<std::size_t>(train.onset(8))] == 0.0f);
  CHECK_THROWS_AS(omitted_flash({.interval = 41}), fovea::ValueError);
  CHECK_THROWS_AS(omitted_flash({.duration = 0}), fovea::ValueError);

  const std::vector<float> movie = full_field(flash(1, 1, 2, 0.5f));
  CHECK(movie.size() == 2 * kPixels);
  CHECK(movie[kPixels - 1] == 0.0f);
  CHECK(movie[kPixels] == 0.5f);
}

TEST_CASE("retina probes: places of a moving bar") {
  CHECK(drift(-1.0, 1.0, 0.5) == std::vector<double>{-1.0, -0.5, 0.0, 0.5, 1.0});
  CHECK(drift(1.0, 0.0, 0.4) == std::vector<double>{1.0, 0.5, 0.0});  // 1 + floor(2.5) places, equal steps
  CHECK(drift(2.0, 2.0, 0.1) == std::vector<double>{2.0});
  CHECK(reversal(0.0, 1.0, 0.5) == std::vector<double>{0.0, 0.5, 1.0, 1.0, 0.5, 0.0});
  CHECK_THROWS_AS(drift(0.0, 1.0, -1.0), fovea::ValueError);
}

TEST_CASE("retina probes: a bar glides by fifths of a pixel and keeps its area") {
  const std::vector<double> centres{0.0, 0.2, -3.0, 25.0, 40.0};
  const std::vector<float> movie = bar_movie(centres, 2.0);
  auto at = [&](std::size_t t, int row, int col) {
    return movie[t * kPixels + static_cast<std::size_t>(row * kSize + col)];
  };
  auto area = [&](std::size_t t) {
    return -std::accumulate(movie.begin() + static_cast<std::ptrdiff_t>(t * kPixels),
                            movie.begin() + static_cast<std::ptrdiff_t>((t + 1) * kPixels), 0.0);
  };
  CHECK(at(0, 0, 23) == 0.0f);  // the middle of 50 pixels is between 24 and 25
  CHECK(at(0, 0, 24) == -1.0f);
  CHECK(at(0, 49, 25) == -1.0f);
  CHECK(at(0, 0, 26) == 0.0f);
  CHECK(at(1, 7, 24) == -0.8f);
  CHECK(at(1, 7, 26) == -0.2f);
  CHECK(at(2, 7, 21) == -1.0f);
  CHECK(area(0) == doctest::Approx(100.0));
  CHECK(area(1) == doctest::Approx(100.0));
  CHECK(area(3) == doctest::Approx(50.0));  // half of it has left the image
  CHECK(area(4) == 0.0);
  const std::vector<float> low = bar_movie(std::vector<double>{0.0}, 2.0, 6.0);
  CHECK(-std::accumulate(low.begin(), low.end(), 0.0) == doctest::Approx(12.0));
  CHECK(low[21 * kSize + 24] == 0.0f);
  CHECK(low[22 * kSize + 24] == -1.0f);
}

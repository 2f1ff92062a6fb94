// SPDX-License-Identifier: Apache-2.0
#include "models/retina/stimuli.h"

#include <algorithm>
#include <cmath>
#include <stdexcept>
#include <string>

#include <doctest/doctest.h>

using namespace fovea::retina;

namespace {

struct Moments {
  double mean, sd;
};
template <class Values>
Moments moments(const Values& values) {
  double sum = 0.0, squares = 0.0;
  for (double v : values) {
    sum += v;
    squares += v * v;
  }
  const double n = static_cast<double>(values.size());
  return {sum / n, std::sqrt(squares / n - sum * sum / (n * n))};
}

}  // namespace

TEST_CASE("retina: dead leaves have mean 1, stay in range and differ between sets and seeds") {
  const auto images = dead_leaves(4, 5, 0);
  for (const Image& image : images) {
    CHECK(image.height == 256);
    const Moments m = moments(image.pixel);
    CHECK(m.mean == doctest::Approx(1.0).epsilon(0.02));  // clipping moves it a little
    CHECK(m.sd > 0.3);
    CHECK(m.sd < 0.8);
    for (float v : image.pixel) REQUIRE((v >= kDarkest && v <= kBrightest));
  }
  CHECK(dead_leaves(4, 5, 0, 3)[3].pixel == images[3].pixel);
  CHECK(dead_leaves(1, 5, 1)[0].pixel != images[0].pixel);
  CHECK(dead_leaves(1, 6, 0)[0].pixel != images[0].pixel);
}

TEST_CASE("retina: dead leaves are self-similar, their differences grow slowly with distance") {
  // A 1/f² power spectrum means that the variance of differences grows with the logarithm of distance; for
  // independent pixels it would not grow at all, for a smooth picture as the square.
  const auto images = dead_leaves(12, 3, 0);
  auto variance = [&](int distance) {
    double sum = 0.0;
    int n = 0;
    for (const Image& image : images) {
      for (int r = 0; r < image.height; r += 3) {
        for (int c = 0; c + distance < image.width; ++c, ++n) {
          const double d =
              static_cast<double>(std::log(image.at(r, c + distance)) - std::log(image.at(r, c)));
          sum += d * d;
        }
      }
    }
    return sum / n;
  };
  const double at2 = variance(2), at8 = variance(8), at32 = variance(32);
  CHECK(at8 > 1.2 * at2);
  CHECK(at32 > 1.1 * at8);
  CHECK(at32 < 4.0 * at8);
}

TEST_CASE("retina: the gaze jumps to another image each second and drifts in between") {
  const auto images = dead_leaves(5, 1, 0);
  const auto path = gaze_path(images, 20000, 1, 0);
  std::vector<double> steps;
  for (std::size_t t = 1; t < path.size(); ++t) {
    if (t % kSaccadeFrames == 0) {
      REQUIRE(path[t].image != path[t - 1].image);
    } else {
      REQUIRE(path[t].image == path[t - 1].image);
      steps.push_back(static_cast<double>(path[t].row - path[t - 1].row));
      steps.push_back(static_cast<double>(path[t].col - path[t - 1].col));
    }
    REQUIRE((path[t].row >= 0.0f && path[t].row <= 256.0f - kSize - 1));
    REQUIRE((path[t].col >= 0.0f && path[t].col <= 256.0f - kSize - 1));
  }
  const Moments drift = moments(steps);
  CHECK(std::abs(drift.mean) < 0.005);
  CHECK(drift.sd == doctest::Approx(0.22).epsilon(0.02));
  // Over the 99 steps between two jumps the walk's variance is 99 times that of a step.
  std::vector<double> walks;
  for (std::size_t t = 99; t < path.size(); t += 100) {
    walks.push_back(static_cast<double>(path[t].row - path[t - 99].row));
    walks.push_back(static_cast<double>(path[t].col - path[t - 99].col));
  }
  CHECK(moments(walks).sd == doctest::Approx(0.22 * std::sqrt(99.0)).epsilon(0.12));
  CHECK(gaze_path(images, 300, 1, 1)[0].row != path[0].row);
}

TEST_CASE("retina: a natural movie shows the window, interpolated") {
  Image ramp{.name = "ramp", .height = 80, .width = 90, .pixel = {}};
  for (int r = 0; r < 80; ++r) {
    for (int c = 0; c < 90; ++c)
      ramp.pixel.push_back(0.5f + 0.01f * static_cast<float>(r) + 0.02f * static_cast<float>(c));
  }
  const std::vector<Gaze> path{{0, 3.5f, 7.25f}, {0, 0.0f, 0.0f}};
  const Movie movie = natural_movie(std::span(&ramp, 1), path);
  REQUIRE(movie.frames() == 2);
  for (int r : {0, 17, 49}) {
    for (int c : {0, 30, 49}) {
      const double intensity = 0.5 + 0.01 * (r + 3.5) + 0.02 * (c + 7.25);
      CHECK(std::abs(movie.frame(0)[static_cast<std::size_t>(r * kSize + c)] - intensity * 63.75) < 0.51);
    }
  }
  const auto images = dead_leaves(6, 2, 0);
  const auto walk = gaze_path(images, 350, 2, 0);
  CHECK(natural_movie(images, walk, 1).pixel == natural_movie(images, walk, 3).pixel);
}

TEST_CASE("retina: a natural movie needs images that hold a window") {
  CHECK_THROWS_AS(gaze_path({}, 10, 1, 0), std::invalid_argument);
  const Image small{
      .name = "stamp.png", .height = 60, .width = 200, .pixel = std::vector<float>(12000, 1.0f)};
  CHECK_THROWS_WITH_AS(gaze_path(std::span(&small, 1), 10, 1, 0), doctest::Contains("stamp.png is 60x200"),
                       std::invalid_argument);
  Image black{.name = "night.png", .height = 2, .width = 1, .pixel = {0.0f, 0.0f}};
  CHECK_THROWS_WITH_AS(normalise(black), doctest::Contains("night.png"), std::invalid_argument);
}

TEST_CASE("retina: white noise has mean 1, contrast 0.5 before clipping, and is held for 30 ms") {
  const Movie movie = white_noise_movie(301, 4, 0);
  REQUIRE(movie.frames() == 301);
  std::vector<double> intensities;
  for (int t = 0; t < 301; t += 3) {
    for (std::uint8_t v : movie.frame(t)) intensities.push_back(v / 63.75);
    for (int held = t + 1; held < std::min(t + 3, 301); ++held) {
      REQUIRE(std::equal(movie.frame(t).begin(), movie.frame(t).end(), movie.frame(held).begin()));
    }
  }
  CHECK(!std::equal(movie.frame(0).begin(), movie.frame(0).end(), movie.frame(3).begin()));
  const Moments m = moments(intensities);
  CHECK(m.mean == doctest::Approx(1.0).epsilon(0.005));
  CHECK(m.sd == doctest::Approx(0.480).epsilon(0.01));  // N(1, 0.5²) clipped at ±2 σ: 0.5·√0.9205
  CHECK(white_noise_movie(301, 4, 0, 3).pixel == movie.pixel);
  CHECK(white_noise_movie(301, 4, 1).pixel != movie.pixel);
  CHECK(white_noise_movie(301, 5, 0).pixel != movie.pixel);
}

// SPDX-License-Identifier: Apache-2.0
#include "models/retina/probe_movies.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "tensor/errors.h"

namespace fovea::retina {
namespace {

/// How much of each pixel along one axis lies between middle − length/2 and middle + length/2, in fifths.
std::array<float, kSize> coverage(double middle_px, double length_px) {
  constexpr int kFine = 5;
  std::array<float, kSize> covered{};
  for (int i = 0; i < kSize * kFine; ++i) {
    const double from_middle = (i + 0.5) / kFine - 0.5 * kSize - middle_px;
    if (from_middle >= -0.5 * length_px && from_middle < 0.5 * length_px) covered[i / kFine] += 1.0f;
  }
  for (float& part : covered) part /= kFine;
  return covered;
}

}  // namespace

std::vector<float> flash(int duration, int delay, int frames, float z) {
  if (duration < 1 || delay < 0 || delay + duration > frames)
    reject<ValueError>("flash", "frames {} to {} are not within the {} of the movie; shorten the flash",
                       delay, delay + duration - 1, frames);
  std::vector<float> course(static_cast<std::size_t>(frames));
  std::fill_n(course.begin() + delay, duration, z);
  return course;
}

std::vector<float> omitted_flash(const FlashTrain& train) {
  if (train.interval < 1 || train.duration < 1 || train.flashes < 1 || train.lead < train.interval)
    reject<ValueError>("omitted flash",
                       "{} flashes of {} frames, {} apart, {} in front: expected at least 1 of each, and a "
                       "lead no shorter than the interval",
                       train.flashes, train.duration, train.interval, train.lead);
  const int end = train.onset(train.flashes) + train.duration;  // of the flash that does not come
  std::vector<float> course(static_cast<std::size_t>(end + train.lead - train.interval));
  for (int i = 0; i < train.flashes; ++i)
    std::fill_n(course.begin() + train.onset(i), train.duration, train.z);
  return course;
}

std::vector<float> full_field(std::span<const float> course) {
  std::vector<float> movie;
  movie.reserve(course.size() * kPixels);
  for (const float z : course) movie.insert(movie.end(), kPixels, z);
  return movie;
}

std::vector<double> drift(double from, double to, double speed) {
  if (!(speed > 0.0)) reject<ValueError>("drift", "speed is {} px per frame, expected a positive one", speed);
  const auto steps = static_cast<int>(std::floor(std::abs(to - from) / speed));
  std::vector<double> centres;
  for (int i = 0; i <= steps; ++i) centres.push_back(steps == 0 ? from : from + (to - from) * i / steps);
  return centres;
}

std::vector<double> reversal(double from, double flip, double speed) {
  std::vector<double> centres = drift(from, flip, speed);
  const std::vector<double> back = drift(flip, from, speed);
  centres.insert(centres.end(), back.begin(), back.end());
  return centres;
}

std::vector<float> bar_movie(std::span<const double> centres, double width_px, double height_px) {
  std::vector<float> movie;
  movie.reserve(centres.size() * kPixels);
  const std::array<float, kSize> rows = coverage(0.0, height_px);
  for (const double centre : centres) {
    const std::array<float, kSize> cols = coverage(centre, width_px);
    for (const float row : rows)
      for (const float col : cols) movie.push_back(-row * col);
  }
  return movie;
}

}  // namespace fovea::retina

// SPDX-License-Identifier: Apache-2.0
#include "models/retina/simulator.h"

#include <algorithm>
#include <cmath>

#include "models/retina/stimuli.h"

namespace fovea::retina {
namespace {

// Numbers of gaze paths, beyond those of all training blocks and of the test movie.
constexpr std::uint32_t kCalibrationBlock = (1u << 20) + 1, kLeadBlock = kCalibrationBlock + 1;
constexpr int kLeadFrames = 1000, kGreyFrames = 100;

Movie scene(std::span<const Image> scenes, int frames, std::uint64_t seed, std::uint32_t block, int threads) {
  return natural_movie(scenes, gaze_path(scenes, frames, seed, block), threads);
}

}  // namespace

Alpha calibrate_on(std::span<const Image> scenes, std::uint64_t seed, double seconds, FrontEnd& front_end,
                   int threads) {
  const int frames = static_cast<int>(std::lround(seconds * kFramesPerSecond));
  const Movie movie = scene(scenes, frames, seed, kCalibrationBlock, threads);
  front_end.reset();
  return calibrate(front_end.run(std::span<const std::uint8_t>(movie.pixel)), seed, threads);
}

Simulator::Simulator(std::span<const Image> scenes, std::uint64_t seed, int threads,
                     double calibration_seconds, Circuit circuit)
    : adapted_(threads, circuit), alpha_(calibrate_on(scenes, seed, calibration_seconds, adapted_, threads)) {
  adapted_.reset();
  const Movie lead = scene(scenes, kLeadFrames, seed, kLeadBlock, threads);
  adapted_.run(std::span<const std::uint8_t>(lead.pixel));
  const std::vector<float> grey(std::size_t{kGreyFrames} * kPixels, 1.0f);
  adapted_.run(std::span<const float>(grey));
}

std::vector<float> Simulator::rates(std::span<const float> z) const {
  std::vector<float> light(z.size());
  std::ranges::transform(z, light.begin(), [](float value) {
    return std::clamp(1.0f + kProbeContrast * value, 0.0f, kBrightest);
  });
  FrontEnd front_end(adapted_);
  std::vector<float> rate = front_end.run(std::span<const float>(light));
  const std::size_t frames = z.size() / kPixels;
  for (std::size_t i = 0; i < rate.size(); ++i) {
    const std::size_t cell = i / frames;
    rate[i] =
        static_cast<float>(noiseless_rate_hz(static_cast<double>(rate[i]), kRetina[cell].type, alpha_[cell]));
  }
  return rate;
}

}  // namespace fovea::retina

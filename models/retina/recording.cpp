// SPDX-License-Identifier: Apache-2.0
#include "models/retina/recording.h"

#include <algorithm>
#include <cmath>
#include <stdexcept>

#include <fmt/format.h>

#include "models/retina/front_end.h"
#include "models/retina/simulator.h"

namespace fovea::retina {
namespace {

constexpr int kLeavesPerSet = 40;
constexpr std::uint32_t kTrainSet = 0, kTestSet = 1;
constexpr std::uint32_t kTestBlock = 1u << 20;  // beyond all training blocks
constexpr int kProgressFrames = 3000;

void need(bool fine, std::string_view option, double value, std::string_view range) {
  if (!fine)
    throw std::invalid_argument(
        fmt::format("simulated recording: {} is {}, it must be {}", option, value, range));
}

int frames_of(double seconds) { return static_cast<int>(std::lround(seconds * kFramesPerSecond)); }

void check(const RecordingOptions& o) {
  // Written so that NaN fails.
  need(o.minutes * 60.0 > kAdaptationFrames * kFrame_s + 1.0 && o.minutes <= 1e4, "minutes", o.minutes,
       "0.07 to 10000");
  need(o.block_minutes * 60.0 > kAdaptationFrames * kFrame_s + 1.0 && o.block_minutes <= 60.0,
       "block_minutes", o.block_minutes, "0.07 to 60");
  need(o.test_seconds > kAdaptationFrames * kFrame_s + 1.0 && o.test_seconds <= 3600.0, "test_seconds",
       o.test_seconds, "4 to 3600");
  need(o.calibration_seconds >= 10.0 && o.calibration_seconds <= 3600.0, "calibration_seconds",
       o.calibration_seconds, "10 to 3600");
  need(o.trials >= 1 && o.trials <= 1000, "trials", o.trials, "1 to 1000");
  need(o.oracle_trials >= 1 && o.oracle_trials <= 5000, "oracle_trials", o.oracle_trials, "1 to 5000");
  need(o.threads >= 1, "threads", o.threads, "at least 1");
}

/// Counts frames done and tells the caller.
class Progress {
 public:
  Progress(const RecordingOptions& options, double all_frames) : tell_(options.progress), all_(all_frames) {}
  void add(double frames, std::string_view what) {
    done_ += frames;
    if (tell_) tell_(std::min(1.0, done_ / all_), what);
  }

 private:
  const std::function<void(double, std::string_view)>& tell_;
  double all_, done_ = 0.0;
};

/// The drive of a movie that starts from grey, with progress on the way.
std::vector<float> drive_of(const Movie& movie, FrontEnd& front_end, Progress& progress,
                            std::string_view what) {
  front_end.reset();
  const auto frames = static_cast<std::size_t>(movie.frames());
  std::vector<float> drive(kCells * frames);
  for (std::size_t first = 0; first < frames; first += kProgressFrames) {
    const std::size_t count = std::min<std::size_t>(kProgressFrames, frames - first);
    const auto piece = front_end.run(std::span(movie.pixel).subspan(first * kPixels, count * kPixels));
    for (std::size_t cell = 0; cell < kCells; ++cell) {
      std::copy_n(piece.begin() + static_cast<std::ptrdiff_t>(cell * count), count,
                  drive.begin() + static_cast<std::ptrdiff_t>(cell * frames + first));
    }
    progress.add(static_cast<double>(count), what);
  }
  return drive;
}

struct ImageSets {
  std::vector<Image> train, test;
};

ImageSets image_sets(const RecordingOptions& o) {
  if (o.stimulus == Stimulus::kPhotographs) {
    const PhotographSplit split = split_photographs(o.photographs);
    return {load_photographs(split.train, o.threads), load_photographs(split.test, o.threads)};
  }
  // White noise needs no test images, but its cells are calibrated on a natural movie.
  const int test_images = o.stimulus == Stimulus::kDeadLeaves ? kLeavesPerSet : 0;
  return {dead_leaves(kLeavesPerSet, o.seed, kTrainSet, o.threads),
          dead_leaves(test_images, o.seed, kTestSet, o.threads)};
}

std::vector<std::string> names(const std::vector<Image>& images) {
  std::vector<std::string> result;
  for (const Image& image : images) result.push_back(image.name);
  return result;
}

}  // namespace

std::string_view name(Stimulus stimulus) {
  switch (stimulus) {
    case Stimulus::kPhotographs:
      return "photographs";
    case Stimulus::kDeadLeaves:
      return "dead-leaves";
    case Stimulus::kWhiteNoise:
      break;
  }
  return "white-noise";
}

Recording simulate_recording(const RecordingOptions& options) {
  check(options);
  const auto blocks = static_cast<int>(std::ceil(options.minutes / options.block_minutes - 1e-9));
  const int block_frames = frames_of(options.minutes * 60.0 / blocks);
  const int test_frames = frames_of(options.test_seconds),
            calibration_frames = frames_of(options.calibration_seconds);
  const bool noise = options.stimulus == Stimulus::kWhiteNoise;
  Progress progress(options, static_cast<double>(block_frames) * blocks + test_frames + calibration_frames);
  const std::uint64_t seed = options.seed;
  const int threads = options.threads;
  FrontEnd front_end(threads, options.circuit);

  progress.add(0, "images");
  const ImageSets images = image_sets(options);
  auto movie_of = [&](const std::vector<Image>& set, int frames, std::uint32_t block) {
    return natural_movie(set, gaze_path(set, frames, seed, block), threads);
  };

  Recording recording{.stimulus = options.stimulus,
                      .circuit = options.circuit,
                      .seed = seed,
                      .alpha = {},
                      .train_images = {},
                      .test_images = {},
                      .train = {},
                      .test = {}};
  if (!noise) {
    recording.train_images = names(images.train);
    recording.test_images = names(images.test);
  }
  recording.alpha = calibrate_on(images.train, seed, options.calibration_seconds, front_end, threads);
  progress.add(calibration_frames, "calibration");

  TestMovie& test = recording.test;
  test.movie = noise ? white_noise_movie(test_frames, seed, kTestBlock, threads)
                     : movie_of(images.test, test_frames, kTestBlock);
  test.drive = drive_of(test.movie, front_end, progress, "test movie");
  test.trials = simulate_trials(test.drive, recording.alpha, options.trials, seed,
                                philox::stream_id("retina.test"), 0, threads);
  test.rates = trial_rates(test.trials, threads);
  test.true_rate = mean_rate(simulate_trials(test.drive, recording.alpha, options.oracle_trials, seed,
                                             philox::stream_id("retina.oracle"), 0, threads),
                             threads);

  for (int b = 0; b < blocks; ++b) {
    TrainBlock block;
    const auto number = static_cast<std::uint32_t>(b);
    block.movie = noise ? white_noise_movie(block_frames, seed, number, threads)
                        : movie_of(images.train, block_frames, number);
    block.drive = drive_of(block.movie, front_end, progress, "training movie");
    Trials once = simulate_trials(block.drive, recording.alpha, 1, seed, philox::stream_id("retina.train"),
                                  number, threads);
    block.rate = trial_rates(once, threads);
    block.count = std::move(once.count);
    recording.train.push_back(std::move(block));
  }
  return recording;
}

}  // namespace fovea::retina

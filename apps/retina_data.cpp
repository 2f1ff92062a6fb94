// SPDX-License-Identifier: Apache-2.0
#include "apps/retina_data.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <thread>

#include "apps/atomic_file.h"
#include "apps/exit_code.h"
#include "apps/names.h"
#include "apps/progress.h"
#include "apps/retina_models.h"
#include "models/retina/photographs.h"
#include "nn/data/hdf5.h"
#include "tensor/views.h"

namespace fovea::apps {
namespace {

/// Length of the pieces that are held out: as long as asked for, or as short as the share asks for in a short
/// recording, but with some windows in each.
std::int64_t held_out_frames(const Config& config, std::int64_t frames) {
  const auto longest = static_cast<std::int64_t>(config.real("data.hold_out_seconds") / retina::kFrame_s);
  const auto wanted = static_cast<std::int64_t>(config.real("data.hold_out") * static_cast<double>(frames));
  return std::max(std::min(longest, wanted), 2 * config.integer("model.history"));
}

retina::Stimulus parse_stimulus(const std::string& text) {
  using retina::Stimulus;
  if (text == "natural")
    return std::filesystem::exists(retina::packaged_photographs()) ? Stimulus::kPhotographs
                                                                   : Stimulus::kDeadLeaves;
  if (text == "whitenoise") return Stimulus::kWhiteNoise;
  for (const Stimulus stimulus : {Stimulus::kPhotographs, Stimulus::kDeadLeaves, Stimulus::kWhiteNoise})
    if (text == retina::name(stimulus)) return stimulus;
  throw UsageError(fmt::format("--stimulus {}: expected natural, photographs, dead-leaves or white-noise{}",
                               text, did_you_mean(text, stimulus_names())));
}

/// Frames at the start of a block that are left out.
std::int64_t skipped(const Config& config, const retina::RecordingData& recording) {
  constexpr std::int64_t kRecorded = 6000;  // the first minute of ten, as published
  const std::int64_t asked = config.integer("data.skip");
  if (asked >= 0) return asked;
  if (recording.simulated()) return retina::kAdaptationFrames;
  return *std::min_element(recording.blocks.begin(), recording.blocks.end()) >= 2 * kRecorded ? kRecorded : 0;
}

/// A model sees windows of one size, and a block or a test movie must have some.
void check_lengths(const std::filesystem::path& path, const retina::RecordingData& recording,
                   std::int64_t skip, std::int64_t test_skip, std::int64_t history) {
  const auto need = [&](const std::string& what, std::int64_t frames, std::int64_t left_out) {
    if (frames <= left_out + history)
      throw IoError(fmt::format("{}: {} has {} frames, fewer than data.skip {} + model.history {} + 1",
                                path.string(), what, frames, left_out, history));
  };
  for (std::size_t b = 0; b < recording.blocks.size(); ++b)
    need(fmt::format("block {} of the training movie", b), recording.blocks[b], skip);
  need("the test movie", recording.test_stimulus.size(0), test_skip);
  const Shape frame = recording.train_stimulus.shape().without(0);
  if (frame != Shape{retina::kSize, retina::kSize})
    throw IoError(fmt::format("{}: its frames are {}, the models see [{}, {}]", path.string(), frame,
                              retina::kSize, retina::kSize));
}

/// Of `name`, a path or empty: the standard recording, made now if it is not there yet.
std::filesystem::path recording_path(const std::string& name) {
  if (!name.empty()) return name;
  const RecordingRequest standard;
  const std::filesystem::path path = cached_recording(standard);
  if (!std::filesystem::exists(path)) {
    fmt::print(stderr, "simulating {} minutes of recording (kept in {})\n", standard.minutes, path.string());
    make_recording(standard, path);
  }
  return path;
}

void tell(const std::filesystem::path& path, const retina::RecordingData& recording) {
  for (const std::string& note : recording.notes) fmt::print(stderr, "{}: {}\n", path.string(), note);
  for (const std::string& oddity : oddities(recording))
    fmt::print(stderr, "warning: {}: {}\n", path.string(), oddity);
}

/// Reads the recording, and does what data.* say before windows are cut.
retina::RecordingData prepared(const Config& config, const std::filesystem::path& path) {
  const Device host = Device::cpu({.threads = 1});
  const std::string& response = config.text("data.response");
  retina::RecordingData recording = retina::load_recording(path, host, response);
  try {
    if (const std::string& other = config.text("data.test"); !other.empty())
      retina::take_test(recording, retina::load_recording(other, host, response));
    if (const std::int64_t pieces = config.integer("data.blocks"); pieces > 0)
      retina::split_blocks(recording, pieces);
    if (const auto& cells = config.integers("data.cells"); !cells.empty())
      retina::select_cells(recording, cells);
    if (const double minutes = config.real("data.minutes"); minutes > 0)
      retina::keep_frames(recording, std::llround(minutes * 60 / retina::kFrame_s));
  } catch (const ValueError& error) {
    throw UsageError(fmt::format("{}: {}", path.string(), error.what()));
  }
  tell(path, recording);
  if (config.flag("data.shift_null"))
    retina::shift_responses(recording, static_cast<std::uint64_t>(config.integer("train.seed")));
  return recording;
}

retina::Circuit parse_circuit(const std::string& text) {
  using retina::Circuit;
  std::vector<std::string> names;
  for (const Circuit circuit : {Circuit::kStandard, Circuit::kPredictive}) {
    if (text == retina::name(circuit)) return circuit;
    names.emplace_back(retina::name(circuit));
  }
  throw UsageError(
      fmt::format("--circuit {}: expected standard or predictive{}", text, did_you_mean(text, names)));
}

}  // namespace

std::vector<Key> retina_data_keys() {
  return {
      {"data.hold_out", 0.05, "share of the training data that is held out for evaluation, in whole pieces",
       0.001, 0.9},
      {"data.hold_out_seconds", 30.0, "length of these pieces at most, s", 1, 3600},
      {"data.skip", std::int64_t{-1},
       "frames left out at the start of each block; -1: 300 of the simulated retina, 6000 of a recording "
       "whose "
       "blocks have twice as many",
       -1, 1e9},
      {"data.cells", Integers{}, "which cells, by index from 0; empty: all", 0, 1e6},
      {"data.minutes", 0.0, "only so much of the training movie, from its start, min; 0: all", 0, 1e6},
      {"data.blocks", std::int64_t{0},
       "equal pieces that the training movie was recorded in; 0: as the file says", 0, 1e6},
      {.name = "data.normalize",
       .default_value = std::string("scalar"),
       .doc = "mean and SD of the training movie: one of all pixels, or of each pixel over time",
       .choices = {"scalar", "pixel"}},
      {"data.response", std::string(retina::kFiringRate),
       "dataset below train/response and test/response; STIMULUS/DATASET for interneurons"},
      {"data.test", std::string(),
       "another recording of the same cells whose test movie is used; empty: its own"},
      {"data.shift_null", false, "the null model: training responses of other times, in groups of 200 bins"},
  };
}

const std::vector<std::string>& stimulus_names() {
  static const std::vector<std::string> names{"natural", "photographs", "dead-leaves", "white-noise",
                                              "whitenoise"};
  return names;
}

std::filesystem::path cache_folder() {
  if (const char* cache = std::getenv("XDG_CACHE_HOME"); cache != nullptr && *cache != '\0')
    return std::filesystem::path(cache) / "fovea";
  if (const char* home = std::getenv("HOME"); home != nullptr && *home != '\0')
    return std::filesystem::path(home) / ".cache" / "fovea";
  return "fovea-cache";
}

std::filesystem::path cached_recording(const RecordingRequest& request) {
  const std::string circuit = request.circuit == "standard" ? "" : request.circuit + "-";
  return cache_folder() / fmt::format("retina-{}{}-{:g}min-seed{}.{}", circuit,
                                      retina::name(parse_stimulus(request.stimulus)), request.minutes,
                                      request.seed, nn::hdf5_version().empty() ? "safetensors" : "h5");
}

void make_recording(const RecordingRequest& request, const std::filesystem::path& path) {
  retina::RecordingOptions options;
  options.stimulus = parse_stimulus(request.stimulus);
  options.circuit = parse_circuit(request.circuit);
  options.minutes = request.minutes;
  options.seed = request.seed;
  options.threads = static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
  Progress progress(0, 1000);
  options.progress = [&](double share, std::string_view) {
    progress.step(static_cast<std::int64_t>(1000 * share), std::nan(""));
  };
  const retina::Recording recording = retina::simulate_recording(options);
  progress.finish();
  make_folder(path.has_parent_path() ? path.parent_path() : ".");
  retina::RecordingData data = retina::recording_data(recording, Device::cpu({.threads = 1}));
  replace_file(path,
               [&](const std::filesystem::path& temporary) { retina::save_recording(temporary, data); });
}

RetinaData load_retina_data(const Config& config) {
  const std::filesystem::path path = recording_path(config.text("data.path"));
  retina::RecordingData recording = prepared(config, path);
  const std::int64_t history = config.integer("model.history");
  const std::int64_t skip = skipped(config, recording);
  // The test movie of a recording is one minute, so all of it counts: only ours starts from even grey.
  const std::int64_t test_skip = recording.simulated() ? skip : 0;
  check_lengths(path, recording, skip, test_skip, history);
  retina::PixelStatistics pixels;
  if (config.text("data.normalize") == "pixel") pixels = retina::normalize_pixels(recording, skip);

  const bool past = sees_past(config);
  if (past && !recording.train_counts.defined())
    throw IoError(fmt::format(
        "{}: has no spike counts, which a {} sees; add train/response/binned, or spikes/cellNN and "
        "train/time, or train another model",
        path.string(), config.text("model.name")));
  nn::WindowDataset all(
      recording.train_stimulus, past ? retina::unsmoothed_rate(recording.train_counts) : recording.train_rate,
      nn::ResponseLayout::cells_time, {.history = history, .skip = skip, .blocks = recording.blocks});
  if (past) all.set_past(recording.train_counts, nn::ResponseLayout::cells_time);
  auto parts =
      all.hold_out(config.real("data.hold_out"), held_out_frames(config, recording.train_stimulus.size(0)),
                   static_cast<std::uint64_t>(config.integer("train.seed")));
  nn::WindowDataset test(recording.test_stimulus, recording.test_rate, nn::ResponseLayout::cells_time,
                         {.history = history, .skip = test_skip});
  const nn::Normalization normalization = parts.train.measure();
  parts.train.set_normalization(normalization);
  parts.validation.set_normalization(normalization);
  test.set_normalization(normalization);
  const std::int64_t first = test_skip + history;
  std::vector<double> ceiling = retina::noise_ceilings(recording, first);
  Tensor repeats = slice(recording.test_repeats, 2, first, recording.test_repeats.size(2));
  return {std::move(recording),
          path,
          fmt::format("{:016x}", file_checksum(path)),
          std::move(parts.train),
          std::move(parts.validation),
          std::move(test),
          std::move(repeats),
          std::move(ceiling),
          std::move(pixels)};
}

}  // namespace fovea::apps

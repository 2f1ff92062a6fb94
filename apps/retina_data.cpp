// SPDX-License-Identifier: Apache-2.0
#include "apps/retina_data.h"

#include <fmt/format.h>

#include <cmath>
#include <cstdlib>
#include <thread>

#include "apps/atomic_file.h"
#include "apps/exit_code.h"
#include "apps/names.h"
#include "apps/progress.h"

namespace fovea::apps {
namespace {

/// Length of the pieces that are held out: 30 s (neighbouring windows share 39 of 40 frames), or as short as
/// the share asks for in a short recording, but with some windows in each.
std::int64_t held_out_frames(std::int64_t frames, double share, std::int64_t history) {
  constexpr std::int64_t kLongest = 3000;
  const auto wanted = static_cast<std::int64_t>(share * static_cast<double>(frames));
  return std::max(std::min(kLongest, wanted), 2 * history);
}

retina::Stimulus parse_stimulus(const std::string& text) {
  using retina::Stimulus;
  std::vector<std::string> names;
  for (const Stimulus stimulus : {Stimulus::kPhotographs, Stimulus::kDeadLeaves, Stimulus::kWhiteNoise}) {
    if (text == retina::name(stimulus)) return stimulus;
    names.emplace_back(retina::name(stimulus));
  }
  throw UsageError(fmt::format("--stimulus {}: expected photographs, dead-leaves or white-noise{}", text,
                               did_you_mean(text, names)));
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
      {"data.hold_out", 0.05,
       "share of the training data that is held out for evaluation, in pieces of at most 30 s", 0.001, 0.9},
  };
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
  return cache_folder() / fmt::format("retina-{}{}-{:g}min-seed{}.safetensors", circuit, request.stimulus,
                                      request.minutes, request.seed);
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
  data.metadata["circuit"] = retina::name(recording.circuit);
  replace_file(path,
               [&](const std::filesystem::path& temporary) { retina::save_recording(temporary, data); });
}

RetinaData load_retina_data(const Config& config) {
  std::filesystem::path path = config.text("data.path");
  if (path.empty()) {
    const RecordingRequest standard;
    path = cached_recording(standard);
    if (!std::filesystem::exists(path)) {
      fmt::print(stderr, "simulating {} minutes of recording (kept in {})\n", standard.minutes,
                 path.string());
      make_recording(standard, path);
    }
  }
  const Device host = Device::cpu({.threads = 1});
  retina::RecordingData recording = retina::load_recording(path, host);

  const bool simulated =
      recording.metadata.contains("source") && recording.metadata.at("source") == "simulated retina";
  const std::int64_t history = config.integer("model.history");
  const std::int64_t skip = simulated ? retina::kAdaptationFrames : 0;
  nn::WindowDataset all(recording.train_stimulus, recording.train_rate, nn::ResponseLayout::cells_time,
                        {.history = history, .skip = skip, .blocks = recording.blocks});
  auto parts =
      all.hold_out(config.real("data.hold_out"),
                   held_out_frames(recording.train_stimulus.size(0), config.real("data.hold_out"), history),
                   static_cast<std::uint64_t>(config.integer("train.seed")));
  nn::WindowDataset test(recording.test_stimulus, recording.test_rate, nn::ResponseLayout::cells_time,
                         {.history = history, .skip = skip});
  const nn::Normalization normalization = parts.train.measure();
  parts.train.set_normalization(normalization);
  parts.validation.set_normalization(normalization);
  test.set_normalization(normalization);
  std::vector<double> ceiling = retina::noise_ceilings(recording, skip + history);
  return {std::move(recording),
          path,
          fmt::format("{:016x}", file_checksum(path)),
          std::move(parts.train),
          std::move(parts.validation),
          std::move(test),
          std::move(ceiling)};
}

}  // namespace fovea::apps

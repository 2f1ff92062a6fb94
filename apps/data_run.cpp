// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <chrono>
#include <nlohmann/json.hpp>

#include "apps/atomic_file.h"
#include "apps/data.h"
#include "apps/exit_code.h"
#include "nn/metrics/responses.h"
#include "tensor/views.h"

namespace fovea::apps {
namespace {

double mean_of(const Tensor& x) {
  double sum = 0;
  for (const float v : x.to_vector<float>()) sum += v;
  return sum / static_cast<double>(x.numel());
}

nlohmann::ordered_json describe(const std::filesystem::path& path, const retina::RecordingData& data) {
  nlohmann::ordered_json json{{"path", path.string()},
                              {"checksum", fmt::format("{:016x}", file_checksum(path))},
                              {"cells", data.cells()},
                              {"train_frames", data.train_stimulus.size(0)},
                              {"train_blocks", data.blocks},
                              {"test_frames", data.test_stimulus.size(0)},
                              {"test_repeats", data.test_repeats.size(0)}};
  const auto ceiling = retina::noise_ceilings(data, retina::kAdaptationFrames);
  for (std::int64_t c = 0; c < data.cells(); ++c)
    json["mean_rate_hz"].push_back(mean_of(select(data.train_rate, 0, c)));
  json["noise_ceiling"] = ceiling;
  json["mean_noise_ceiling"] = nn::summarize(ceiling).mean;
  for (const auto& [key, value] : data.metadata) json[key] = value;
  return json;
}

}  // namespace

int make_data(const DataRequest& request) {
  std::filesystem::path path = request.name;
  if (request.name == "retina") {
    path = request.out.value_or(cached_recording(request.recording));
    if (std::filesystem::exists(path)) {
      fmt::print(stderr, "{} is there already\n", path.string());
    } else {
      const auto start = std::chrono::steady_clock::now();
      make_recording(request.recording, path);
      fmt::print(stderr, "made {} in {:.1f} s\n", path.string(),
                 std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
    }
  } else if (request.out) {
    throw UsageError("--out: only a generated data set can be written; give its name instead of a path");
  }
  const auto description = describe(path, retina::load_recording(path, Device::cpu({.threads = 1})));
  if (request.json) {
    fmt::print("{}\n", description.dump(2));
  } else {
    for (const auto& [key, value] : description.items())
      fmt::print("{:<20} {}\n", key, value.is_string() ? value.get<std::string>() : value.dump());
  }
  return kDone;
}

}  // namespace fovea::apps

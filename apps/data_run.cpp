// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <chrono>
#include <nlohmann/json.hpp>

#include "apps/atomic_file.h"
#include "apps/data.h"
#include "apps/data_file.h"
#include "apps/exit_code.h"
#include "nn/metrics/responses.h"
#include "tensor/names.h"
#include "tensor/views.h"

namespace fovea::apps {
namespace {

double mean_of(const Tensor& x) {
  double sum = 0;
  for (const float v : x.to_vector<float>()) sum += v;
  return sum / static_cast<double>(x.numel());
}

using Json = nlohmann::ordered_json;

void describe_recording(Json& json, const retina::RecordingData& data) {
  json["cells"] = data.cells();
  json["train_frames"] = data.train_stimulus.size(0);
  json["frame"] = {data.train_stimulus.size(1), data.train_stimulus.size(2)};
  json["train_blocks"] = data.blocks;
  json["test_frames"] = data.test_stimulus.size(0);
  json["test_repeats"] = data.test_repeats.size(0);
  const auto ceiling = retina::noise_ceilings(data, data.simulated() ? retina::kAdaptationFrames : 0);
  for (std::int64_t c = 0; c < data.cells(); ++c)
    json["mean_rate_hz"].push_back(mean_of(select(data.train_rate, 0, c)));
  json["noise_ceiling"] = ceiling;  // null: nobody knows it, or the test movie is too short
  json["mean_noise_ceiling"] = nn::summarize(ceiling).mean;
  json["spike_counts"] = data.train_counts.defined();
  json["notes"] = data.notes;
  json["warnings"] = oddities(data);
}

Json describe(const std::filesystem::path& path) {
  const DataFile file = load_data_file(path);
  Json json{{"path", path.string()},
            {"checksum", fmt::format("{:016x}", file_checksum(path))},
            {"kind", file.kind},
            {"tensors", Json::array()}};
  if (file.kind == "recording")
    describe_recording(json, retina::load_recording(path, Device::cpu({.threads = 1})));
  for (const auto& [name, array] : file.arrays)
    json["tensors"].push_back({{"name", name},
                               {"dtype", array.type},
                               {"shape", std::vector<std::int64_t>(array.shape.begin(), array.shape.end())}});
  for (const auto& [key, value] : file.metadata)
    if (!json.contains(key)) json[key] = value;
  return json;
}

/// One line an entry, a note, a warning and a tensor.
void print(const Json& json) {
  for (const auto& [key, value] : json.items()) {
    if (key == "tensors") continue;
    if (key == "notes" || key == "warnings") {
      for (const Json& text : value)
        fmt::print("{:<20} {}\n", key == "notes" ? "note" : "warning",
                   printable(text.get<std::string>(), 400));
      continue;
    }
    fmt::print("{:<20} {}\n", printable(key),
               value.is_string() ? printable(value.get<std::string>(), 400) : value.dump());
  }
  for (const Json& tensor : json.at("tensors"))
    fmt::print("{:<32} {:<4} [{}]\n", printable(tensor.at("name").get<std::string>()),
               tensor.at("dtype").get<std::string>(),
               fmt::join(tensor.at("shape").get<std::vector<std::int64_t>>(), ", "));
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
    throw UsageError(fmt::format(
        "--out {}: only a generated data set can be written; give its name (retina) instead of {}",
        request.out->string(), request.name));
  }
  const Json description = describe(path);
  if (request.json)
    fmt::print("{}\n", description.dump(2, ' ', false, Json::error_handler_t::replace));
  else
    print(description);
  return kDone;
}

}  // namespace fovea::apps

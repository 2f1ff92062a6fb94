// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>

#include "apps/atomic_file.h"
#include "apps/checkpoint.h"
#include "apps/cli.h"
#include "apps/data.h"
#include "apps/train.h"

namespace fovea::apps {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

/// The file that says that a demo made the folder and may replace what is in it.
constexpr const char* kMark = ".fovea-demo";

/// Takes the folder over: it must be absent, empty, or an earlier demo, whose runs are removed.
void claim(const fs::path& out) {
  std::error_code error;
  if (fs::exists(out) && !fs::is_directory(out))
    throw UsageError(fmt::format("--out {}: is a file, expected a folder", out.string()));
  if (fs::exists(out) && !fs::is_empty(out) && !fs::exists(out / kMark))
    throw UsageError(
        fmt::format("--out {}: holds something that no demo made; name a new folder", out.string()));
  make_folder(out);
  replace_file(out / kMark, "made by fovea demo, which may replace it\n");
  for (const char* made : {"ln", "deep-retina"}) fs::remove_all(out / made, error);
  for (const char* made : {"summary.json", "report.html"}) fs::remove(out / made, error);
}

int train_one(const TrainOptions& options) {
  std::vector<std::string> notes;
  const TrainRequest request = resolve_train(options, notes);
  RunFolder run = RunFolder::open(*options.out, false);
  return train(request, run);
}

/// Each part says which command does the same alone.
int run_demo(const fs::path& out, std::int64_t seed, const std::string& device) {
  const auto start = Clock::now();
  claim(out);
  const std::string seed_text = seed == 1 ? "" : fmt::format(" --seed {}", seed);

  fmt::print("1 of 3: a simulated retina watches ten minutes of photographs\n        fovea data retina{}\n",
             seed_text);
  std::fflush(stdout);
  DataRequest data;
  data.name = "retina";
  data.recording.seed = static_cast<std::uint64_t>(seed);
  const fs::path recording = cached_recording(data.recording);
  if (!fs::exists(recording))
    make_recording(data.recording, recording);
  else
    fmt::print("        {} is there already\n", recording.string());

  TrainOptions ln;
  ln.model = "ln";
  ln.preset = "demo";
  ln.data = recording.string();
  ln.device = device;
  ln.seed = seed;
  ln.out = out / "ln";
  fmt::print(
      "2 of 3: the baseline, one linear filter a cell\n        fovea train ln --preset demo --out {}\n",
      ln.out->string());
  std::fflush(stdout);
  if (const int code = train_one(ln); code != kDone) return code;

  TrainOptions deep = ln;
  deep.model = "deep-retina";
  deep.out = out / "deep-retina";
  deep.set = {fmt::format("eval.baseline={}", ln.out->string())};
  fmt::print(
      "3 of 3: Deep Retina\n        fovea train deep-retina --preset demo --set eval.baseline={} --out {}\n",
      ln.out->string(), deep.out->string());
  std::fflush(stdout);
  if (const int code = train_one(deep); code != kDone) return code;

  nlohmann::ordered_json summary = nlohmann::ordered_json::parse(read_file(*deep.out / "summary.json"));
  summary["seconds"] = std::chrono::duration<double>(Clock::now() - start).count();  // data and both models
  replace_file(out / "summary.json", summary.dump(2) + "\n");
  replace_file(out / "report.html", read_file(*deep.out / "report.html"));
  fmt::print(
      "\nPearson correlation with the mean of six trials of a movie neither model has seen, mean of {} "
      "cells\n",
      summary.at("test_pearson_per_cell").size());
  fmt::print("  LN {:.3f}   Deep Retina {:.3f}   knowing the true rate {:.3f}\n",
             summary.at("ln_test_pearson").get<double>(), summary.at("test_pearson").get<double>(),
             summary.at("noise_ceiling").get<double>());
  fmt::print("  {:.0f} s in all; {} and {}\n", summary.at("seconds").get<double>(),
             (out / "report.html").string(), (out / "summary.json").string());
  return kDone;
}

}  // namespace

void register_demo(CLI::App& program, Action& action) {
  const auto out = std::make_shared<fs::path>("runs/demo");
  const auto seed = std::make_shared<std::int64_t>(1);
  const auto device = std::make_shared<std::string>("auto");
  CLI::App* command =
      program.add_subcommand("demo", "Recording, baseline and Deep Retina in a few minutes, with a report");
  command->add_option("--out", *out, "Folder; an earlier demo in it is replaced")->capture_default_str();
  command->add_option("--seed", *seed, "Fixes every random number")->capture_default_str();
  command->add_option("--device", *device, "auto (the GPU if there is one), cpu, cuda or cuda:N")
      ->capture_default_str();
  command->callback([out, seed, device, &action] {
    action = [out, seed, device] {
      check_device_name(*device);
      return run_demo(*out, *seed, *device);
    };
  });
}

}  // namespace fovea::apps

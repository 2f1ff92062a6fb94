// SPDX-License-Identifier: Apache-2.0
// Whole error texts of the libraries that no other test brings about; throw_sites.py finds those that are missing.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <fstream>
#include <functional>

#include "apps/model_list.h"
#include "apps/report/png.h"
#include "apps/run_folder.h"
#include "autograd/ops/conv2d.h"
#include "autograd/ops/matmul.h"
#include "models/retina/front_end.h"
#include "models/retina/image.h"
#include "models/retina/photographs.h"
#include "models/retina/probe_movies.h"
#include "models/retina/recording.h"
#include "models/retina/reliability.h"
#include "models/retina/spikes.h"
#include "models/retina/stimuli.h"
#include "nn/data/idx.h"
#include "nn/data/loader.h"
#include "tensor/io.h"
#include "tensor/views.h"
#include "tests/golden.h"
#include "tests/host.h"
#include "tests/temporary_folder.h"

namespace fovea {
using test::host;
namespace {

Tensor zeros(const Shape& shape, DType dtype = DType::f32) { return Tensor::zeros(shape, dtype, host()); }

void write(const std::filesystem::path& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary) << bytes;
}

retina::RecordingOptions recording(const std::function<void(retina::RecordingOptions&)>& change) {
  retina::RecordingOptions options{.stimulus = retina::Stimulus::kWhiteNoise, .minutes = 0.1};
  change(options);
  return options;
}

/// A picture of one grey level as a PNG file.
void write_png(const std::filesystem::path& path, int width, int height, std::uint8_t level) {
  apps::Image image{.height = height, .width = width, .rgba = {}};
  image.rgba.assign(static_cast<std::size_t>(width * height) * 4, level);
  for (std::size_t i = 3; i < image.rgba.size(); i += 4) image.rgba[i] = 255;
  const std::vector<std::uint8_t> bytes = apps::encode_png(image);
  write(path, {bytes.begin(), bytes.end()});
}

}  // namespace

TEST_CASE("error texts of the libraries, whole") {
  const test::TemporaryFolder folder;
  const std::filesystem::path in = folder.path();
  std::string golden;
  const auto says = [&](const char* name, const std::function<void()>& wrong) {
    std::string text = "nothing was thrown";
    try {
      wrong();
    } catch (const std::exception& error) {
      text = error.what();
    }
    CAPTURE(name);
    CHECK(text != "nothing was thrown");
    golden += fmt::format("{}: {}\n", name, test::replaced(text, in.string(), "DIR"));
  };

  says("shape, rank", [] { Shape(std::vector<std::int64_t>(7, 1)); });
  says("shape, growing", [] { Shape{1, 1, 1, 1, 1, 1}.push_back(1); });
  says("tensor, negative", [] { zeros({2, -1}); });
  says("tensor, too large", [] { zeros({std::int64_t{1} << 62, 4}); });
  says("tensor, undefined", [] { (void)Tensor().raw(); });
  says("tensor, undefined device", [] { (void)Tensor().device(); });
  says("expand, rank", [] { expand(zeros({2, 3}), {3}); });
  says("expand, to a scalar", [] { expand(zeros({2, 3}), {}); });
  says("unsqueeze", [] { unsqueeze(zeros({2, 3}), 4); });
  says("rolling window, scalar", [] { rolling_window(zeros({}), 1); });
  says("conv2d, stride", [] { conv2d(zeros({1, 1, 3, 3}), zeros({1, 1, 2, 2}), Var(), {.stride = 0}); });
  says("conv2d, padding", [] { conv2d(zeros({1, 1, 3, 3}), zeros({1, 1, 2, 2}), Var(), {.padding = -1}); });
  says("matmul, extents", [] { matmul(zeros({std::int64_t{1} << 31, 0}), zeros({0, 1})); });
  says("npz, name", [&] { save_npz(in / "x.npz", {{std::string(1025, 'n'), zeros({1})}}); });
  says("npz, dtype", [&] { save_npz(in / "x.npz", {{"x", zeros({1}, DType::bf16)}}); });
  says("IDX, dtype", [&] { nn::save_idx(in / "x", zeros({1}, DType::i64)); });

  const nn::WindowDataset windows(zeros({9, 2, 3}), zeros({9, 2}), nn::ResponseLayout::time_cells,
                                  {.history = 3});
  const std::int64_t samples[] = {0, 1};
  says("gather, x", [&] { windows.gather(samples, zeros({2, 3, 3, 2}), zeros({2, 2})); });
  says("gather, y", [&] { windows.gather(samples, zeros({2, 3, 2, 3}), zeros({2, 3})); });
  says("loader, position", [&] {
    nn::Loader loader(windows, {.batch = 2}, host());
    loader.seek({.epoch = 0, .batch = 99});
  });

  says("front end", [] { (void)retina::FrontEnd().run(std::vector<std::uint8_t>(2501)); });
  says("flash", [] { (void)retina::flash(2, 69, 70, -1.0f); });
  says("flash train", [] { (void)retina::omitted_flash({.interval = 41}); });
  says("drift", [] { (void)retina::drift(-9.0, 9.0, 0.0); });
  says("dark picture", [] {
    retina::Image image{.name = "night.png", .height = 1, .width = 2, .pixel = {0, 0}};
    normalise(image);
  });
  says("photographs, folder", [&] { (void)retina::split_photographs(in / "nowhere"); });
  says("photographs, number", [&] { (void)retina::split_photographs(in); });
  write(in / "text.png", "not a picture at all");
  says("picture, kind", [&] { (void)retina::load_photograph(in / "text.png"); });
  says("picture, missing", [&] { (void)retina::load_photograph(in / "nowhere.png"); });
  write(in / "cut.png", std::string("\x89PNG\r\n\x1a\n\0\0\0\rIHDR", 16));
  says("picture, PNG cut off", [&] { (void)retina::load_photograph(in / "cut.png"); });
  write(in / "cut.jpg", "\xff\xd8\xff");
  says("picture, JPEG cut off", [&] { (void)retina::load_photograph(in / "cut.jpg"); });
  write_png(in / "small.png", 8, 8, 100);
  says("picture, small", [&] { (void)retina::load_photograph(in / "small.png"); });
  write_png(in / "black.png", 400, 400, 0);
  says("picture, black", [&] { (void)retina::load_photograph(in / "black.png"); });

  using Options = retina::RecordingOptions;
  const auto simulate = [&](const char* name, const std::function<void(Options&)>& change) {
    says(name, [&] { (void)retina::simulate_recording(recording(change)); });
  };
  simulate("recording, minutes", [](Options& o) { o.minutes = 0; });
  simulate("recording, blocks", [](Options& o) { o.block_minutes = 61; });
  simulate("recording, test", [](Options& o) { o.test_seconds = 1; });
  simulate("recording, calibration", [](Options& o) { o.calibration_seconds = 1; });
  simulate("recording, trials", [](Options& o) { o.trials = 0; });
  simulate("recording, oracle", [](Options& o) { o.oracle_trials = 0; });
  simulate("recording, threads", [](Options& o) { o.threads = 0; });
  says("correlation", [] { (void)retina::correlation(std::vector<float>{1, 2}, std::vector<float>{1}); });
  says("split half", [] { (void)retina::split_half({.trials = 1, .frames = 10, .count = {}}, 0); });
  says("calibration, frames", [] { (void)retina::calibrate(std::vector<float>(retina::kCells * 10), 1); });
  says("calibration, silence",
       [] { (void)retina::calibrate(std::vector<float>(retina::kCells * 400, -1e6f), 1); });
  says("natural movie, nothing", [] { (void)retina::gaze_path({}, 10, 1, 0); });
  says("natural movie, small", [] {
    const std::vector<retina::Image> images{
        {.name = "stamp.png", .height = 2, .width = 3, .pixel = std::vector<float>(6)}};
    (void)retina::gaze_path(images, 10, 1, 0);
  });

  says("png, nothing", [] { (void)apps::encode_png({}); });
  says("preset of a model without any",
       [] { (void)apps::find_preset({.name = "plain", .summary = {}, .keys = {}, .presets = {}}, "demo"); });
  says("a run that is going on", [&] {
    const apps::RunFolder run = apps::RunFolder::open(in / "run", false);
    run.write("config.toml", "");  // so that the folder stays
    try {
      (void)apps::RunFolder::open(in / "run", false);
    } catch (const std::exception& error) {  // the process and the time differ
      const std::string text = error.what();
      throw IoError(text.substr(0, text.find("(process")) + "(process …" + text.substr(text.find(')')));
    }
  });
  test::check_golden("library", golden);
}

}  // namespace fovea

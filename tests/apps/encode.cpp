// SPDX-License-Identifier: Apache-2.0
#include "apps/encode.h"

#include <doctest/doctest.h>

#include <cmath>
#include <fstream>

#include "apps/atomic_file.h"
#include "apps/checkpoint.h"
#include "apps/exit_code.h"
#include "apps/model_list.h"
#include "apps/retina_models.h"
#include "models/retina/predict.h"
#include "models/retina/recording_file.h"
#include "tensor/io.h"
#include "tensor/views.h"
#include "tests/apps/stderr_of.h"
#include "tests/apps/tiny_training.h"

namespace fovea::apps {
namespace fs = std::filesystem;
using test::has;
namespace {

const Device& host() {
  static const Device device = Device::cpu({.threads = 2});
  return device;
}

/// A trained model that sees four frames, and the program called on it.
struct Scene : Bench {
  explicit Scene(std::vector<std::string> settings = {}) {
    settings.insert(settings.end(), {"--steps", "2"});
    REQUIRE(train(run("model"), settings).code == kDone);
  }

  fs::path out = folder.path() / "out.npz";

  Outcome encode(const fs::path& movie, const std::vector<std::string>& more = {}) {
    std::vector<std::string> arguments{
        "encode", run("model").string(), movie.string(), "--out", out.string(), "--device", "cpu"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    Outcome outcome;
    notes = StderrOf([&] { outcome = fovea(arguments); }).text;
    return outcome;
  }
  fs::path save(const Tensor& movie) const {
    save_npy(folder.path() / "movie.npy", movie);
    return folder.path() / "movie.npy";
  }
  std::string notes;
};

Tensor movie_of(const Shape& shape) {
  return Tensor::uniform(shape, {7, philox::stream_id("movie"), 0, nullptr}, 0, 255, host());
}

double largest_difference(const Tensor& a, const Tensor& b) {
  REQUIRE(a.shape() == b.shape());
  const std::vector<float> x = a.to_vector<float>(), y = b.to_vector<float>();
  double largest = 0.0;
  for (std::size_t i = 0; i < x.size(); ++i)
    largest = std::max(largest, std::abs(static_cast<double>(x[i] - y[i])));
  return largest;
}

}  // namespace

TEST_CASE("encode: rates of a recording's movie are those that eval scores") {
  Scene scene;
  REQUIRE(scene.encode(scene.data, {"--contrast", "keep"}).code == kDone);
  CHECK(has(scene.notes, "300 bins of 10 ms, 50x50"));
  CHECK(has(scene.notes, "rates [296, 2]: 2 kB"));
  const TensorMap file = load_npz(scene.out, host());

  const Checkpoint best = find_checkpoint(scene.run("model"), "best");
  const auto model = load_retina_model(read_run_config(scene.run("model")), best.path, host());
  const retina::RecordingData recording = retina::load_recording(scene.data, host());
  nn::WindowDataset test(recording.test_stimulus, recording.test_rate, nn::ResponseLayout::cells_time,
                         {.history = 4});
  const nn::State saved = read_checkpoint(best.path).tensors;
  test.set_normalization(
      {static_cast<float>(saved.at("norm.mean").item()), static_cast<float>(saved.at("norm.sd").item())});
  CHECK(largest_difference(file.at("rates"), retina::predict(*model, test, host()).rate) < 1e-4);

  CHECK(file.at("time").size(0) == 296);
  CHECK(file.at("time").to_vector<double>().front() == doctest::Approx(0.04));
  CHECK(file.at("time").to_vector<double>().back() == doctest::Approx(2.99));
  CHECK(file.at("first_bin").item() == 4);
  CHECK(file.at("fps").item() == 100);
  CHECK(file.at("norm_sd").item() == doctest::Approx(saved.at("norm.sd").item()));
  CHECK_FALSE(file.contains("stride_px"));
}

TEST_CASE("encode: contrast, rate and size of a movie") {
  Scene scene;
  const Tensor movie = movie_of({30, 50, 50});
  const auto rates = [&](const fs::path& path, const std::vector<std::string>& more) {
    const Outcome outcome = scene.encode(path, more);
    REQUIRE_MESSAGE(outcome.code == kDone, outcome.err);
    return load_npz(scene.out, host()).at("rates");
  };
  const Tensor matched = rates(scene.save(movie), {});
  CHECK(matched.shape() == Shape{26, 2});
  CHECK(largest_difference(rates(scene.save(movie), {"--every", "5"}),
                           slice(matched, 0, 0, 26, 5).contiguous()) < 1e-5);

  // A dimmer movie of less contrast looks the same once it is matched, and not if its levels are kept.
  std::vector<float> pixels = movie.to_vector<float>(), normal = pixels;
  double sum = 0.0, squares = 0.0;
  for (const float x : pixels) sum += static_cast<double>(x);
  const double mean = sum / static_cast<double>(pixels.size());
  for (const float x : pixels) squares += (static_cast<double>(x) - mean) * (static_cast<double>(x) - mean);
  const double sd = std::sqrt(squares / static_cast<double>(pixels.size()));
  for (float& x : normal) x = static_cast<float>((static_cast<double>(x) - mean) / sd);
  for (float& x : pixels) x = 10.0f + 0.2f * x;
  const fs::path dim = scene.save(Tensor::from(pixels, {30, 50, 50}, host()));
  CHECK(largest_difference(rates(dim, {}), matched) < 1e-3);
  CHECK(largest_difference(rates(dim, {"--contrast", "keep"}), matched) > 1e-3);
  CHECK(largest_difference(
            rates(scene.save(Tensor::from(normal, {30, 50, 50}, host())), {"--contrast", "none"}), matched) <
        1e-3);

  CHECK(rates(scene.save(movie), {"--fps", "50"}).shape() == Shape{56, 2});
  CHECK(load_npz(scene.out, host()).at("movie_fps").item() == 50);

  // The model reads 50x50 only.
  (void)rates(scene.save(movie_of({10, 100, 80})), {});
  CHECK(
      has(scene.notes,
          "note: the model reads frames of 50x50: those of 100x80 are averaged or interpolated; --crop would "
          "keep their proportions"));
  (void)rates(scene.save(movie_of({10, 100, 80})), {"--crop"});
  CHECK_FALSE(has(scene.notes, "proportions"));
}

TEST_CASE("encode: maps of a convolutional model, for frames of any size") {
  Scene scene({"--set", "model.readout=one-hot", "--set", "model.norm=channel"});
  const Tensor movie = movie_of({9, 60, 55});
  const auto arrays = [&](const Tensor& of, const std::vector<std::string>& more) {
    const Outcome outcome = scene.encode(scene.save(of), more);
    REQUIRE_MESSAGE(outcome.code == kDone, outcome.err);
    return load_npz(scene.out, host());
  };
  const TensorMap whole = arrays(movie, {"--contrast", "none"});
  CHECK(has(scene.notes, "maps [5, 2, 16, 11]: 7 kB"));
  CHECK(whole.at("maps").shape() == Shape{5, 2, 16, 11});  // the kernels are 21, 15 and 11
  CHECK(whole.at("offset_px").to_vector<double>() == std::vector<double>{22, 22});
  CHECK(whole.at("stride_px").to_vector<double>() == std::vector<double>{1, 1});
  CHECK(whole.at("frame_size").to_vector<double>() == std::vector<double>{60, 55});

  const TensorMap pooled = arrays(movie, {"--contrast", "none", "--pool", "1", "--every", "2"});
  CHECK(pooled.at("maps").shape() == Shape{3, 2, 1, 1});
  double sum = 0.0;
  for (const float x : slice(whole.at("maps"), 0, 0, 1).to_vector<float>()) sum += static_cast<double>(x);
  const std::vector<float> first = pooled.at("maps").to_vector<float>();
  CHECK(static_cast<double>(first[0] + first[1]) == doctest::Approx(sum / (16 * 11)));
  CHECK(pooled.at("stride_px").to_vector<double>() == std::vector<double>{16, 11});
  CHECK(pooled.at("offset_px").to_vector<double>() == std::vector<double>{29.5, 27});
  CHECK(pooled.at("time").to_vector<double>().back() == doctest::Approx(0.08));

  CHECK(arrays(movie, {"--crop", "--size", "50x47"}).at("maps").shape() == Shape{5, 2, 6, 3});
  CHECK(arrays(movie, {"--what", "rates"}).at("rates").shape() == Shape{5, 2});
  CHECK(has(scene.notes, "note: the model reads frames of 50x50"));

  fs::remove(scene.out);
  check_one_line(scene.encode(scene.save(movie_of({9, 44, 60}))), kFailed,
                 "encode: frames of 44x60 are too small for maps: the model sees 45 pixels at once");
  CHECK_FALSE(fs::exists(scene.out));
}

TEST_CASE("encode: what is refused leaves nothing behind") {
  Scene scene;
  const auto refused = [&](const fs::path& movie, const std::vector<std::string>& more, int code,
                           const std::string& part) {
    check_one_line(scene.encode(movie, more), code, part);
    CHECK_FALSE(fs::exists(scene.out));
    for (const std::string& name : names_in(scene.folder.path())) CHECK_FALSE(is_temporary_file(name));
  };
  const fs::path good = scene.save(movie_of({10, 50, 50}));
  refused(good, {"--what", "map"}, kWrongUsage,
          "--what map: expected auto, rates or maps; did you mean 'maps'?");
  refused(good, {"--contrast", "macth"}, kWrongUsage, "did you mean 'match'?");
  refused(good, {"--what", "maps"}, kWrongUsage,
          "--what maps: deep-retina has none, its cells see the whole frame; use --what rates");
  refused(good, {"--pool", "3"}, kWrongUsage,
          "--pool: rates have no places to average over; it is for --what maps");
  refused(good, {"--pool", "-1"}, kWrongUsage, "--pool -1: expected at least 1");
  refused(good, {"--every", "0"}, kWrongUsage, "--every 0: expected at least 1");
  refused(good, {"--fps", "-3"}, kWrongUsage, "--fps -3: expected more than 0");
  refused(good, {"--size", "60x"}, kWrongUsage, "--size 60x: expected HEIGHTxWIDTH in pixels, as 60x80");
  for (const char* size : {"x60", "0x5", "60x70x", "100000x5"})
    refused(good, {"--size", size}, kWrongUsage, "expected HEIGHTxWIDTH");
  refused(good, {"--size", "60x70"}, kWrongUsage, "--size 60x70: the model reads frames of 50x50 only");
  refused(good, {"--checkpoint", "7"}, kFailed, "7");
  refused(scene.folder.path() / "move.npy", {}, kFailed, "did you mean");
  refused(scene.save(movie_of({4, 50, 50})), {}, kFailed,
          "movie.npy: has 4 bins of 10 ms, but the model needs at least 5: 4 of history and the one to tell");
  refused(scene.save(Tensor::full({10, 50, 50}, 3, DType::u8, host())), {}, kFailed,
          "movie.npy: is one even grey, there is no contrast to match; use --contrast keep");

  scene.out = "out.zip";
  refused(good, {}, kWrongUsage, "--out out.zip: expected a name that ends in .npz");
  scene.out = good / "out.npz";  // below a file
  check_one_line(scene.encode(good), kFailed, "movie.npy");
}

TEST_CASE("encode: a model of pixels with statistics of their own knows no other movies") {
  Scene scene({"--set", "data.normalize=pixel"});
  check_one_line(scene.encode(scene.save(movie_of({10, 50, 50}))), kWrongUsage,
                 ": was trained with data.normalize = pixel, by the mean and SD of each pixel of its own "
                 "screen, which other "
                 "movies do not have; train with data.normalize = scalar to encode them");
}

TEST_CASE("encode: an output that is there stays until the new one is whole") {
  Scene scene;
  std::ofstream(scene.out) << "precious";
  CHECK(scene.encode(scene.save(movie_of({4, 50, 50}))).code == kFailed);
  CHECK(read_file(scene.out) == "precious");
  CHECK(scene.encode(scene.save(movie_of({6, 50, 50}))).code == kDone);
  CHECK(load_npz(scene.out, host()).at("rates").shape() == Shape{2, 2});
}

}  // namespace fovea::apps

// SPDX-License-Identifier: Apache-2.0
#include "models/retina/recording_file.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <fstream>

#include "models/retina/known_recording.h"
#include "models/retina/linear_nonlinear.h"
#include "models/retina/predict.h"
#include "models/retina/reliability.h"
#include "models/retina/separable.h"
#include "models/retina/spike_triggered_average.h"
#include "nn/data/array_file.h"
#include "nn/data/hdf5.h"
#include "nn/init.h"
#include "tensor/io.h"
#include "tensor/views.h"
#include "tests/host.h"
#include "tests/nn/expect.h"
#include "tests/temporary_folder.h"

using namespace fovea;
using namespace fovea::retina;
using namespace fovea::test;

namespace {

Tensor uniform(const Shape& shape, const char* stream, float low, float high) {
  return Tensor::uniform(shape, {9, philox::stream_id(stream), 0, nullptr}, low, high, host());
}

RecordingData synthetic(std::int64_t frames = 60, std::int64_t test_frames = 30) {
  RecordingData data;
  data.train_stimulus = uniform({frames, 6, 5}, "train", 0, 255).to(DType::u8);
  data.train_rate = uniform({2, frames}, "rate", 0, 30);
  data.blocks = {frames / 3, frames - frames / 3};
  data.test_stimulus = uniform({test_frames, 6, 5}, "test", 0, 255).to(DType::u8);
  data.test_rate = uniform({2, test_frames}, "test rate", 0, 30);
  data.test_repeats = uniform({3, 2, test_frames}, "repeats", 0, 30);
  data.test_true_rate = uniform({2, test_frames}, "true", 0, 30);
  data.metadata = {{"source", "numbers"}, {"cell_types", "a;b"}};
  return data;
}

template <class T>
bool equal(const Tensor& a, const Tensor& b) {
  return a.shape() == b.shape() && a.to_vector<T>() == b.to_vector<T>();
}

/// What load_recording says of a file with one array replaced (or, if undefined, left out).
std::string complaint(const std::string& name, const Tensor& replacement) {
  const TemporaryFolder folder;
  const auto path = folder.path() / "r.safetensors";
  save_recording(path, synthetic());
  Safetensors file = load_safetensors(path, host());
  file.tensors.erase(name);
  if (replacement.defined()) file.tensors.emplace(name, replacement);
  save_safetensors(path, file.tensors);
  const std::string text = text_of<IoError>([&] { load_recording(path, host()); });
  const std::string start = path.string() + ": ";
  REQUIRE(text.starts_with(start));
  return text.substr(start.size());
}

std::string bytes_of(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

}  // namespace

TEST_CASE("a recording survives its file, of either kind") {
  const TemporaryFolder folder;
  for (const char* name : {"r.safetensors", "r.h5"}) {
    if (std::string_view(name) == "r.h5" && nn::hdf5_version().empty()) {
      MESSAGE("skipped: built without HDF5");
      continue;
    }
    CAPTURE(name);
    const auto path = folder.path() / name;
    RecordingData saved = synthetic();
    saved.train_counts = uniform({2, 60}, "counts", 0, 3).to(DType::u8).to(DType::f32);
    saved.test_repeat_counts = uniform({3, 2, 30}, "test counts", 0, 3).to(DType::u8).to(DType::f32);
    saved.stas = uniform({2, 4, 6, 5}, "stas", -1, 1);
    save_recording(path, saved);
    CHECK(nn::is_hdf5(path) == (path.extension() == ".h5"));
    const RecordingData loaded = load_recording(path, host());
    CHECK(equal<std::uint8_t>(loaded.train_stimulus, saved.train_stimulus));
    CHECK(equal<float>(loaded.train_rate, saved.train_rate));
    CHECK(loaded.blocks == saved.blocks);
    CHECK(equal<std::uint8_t>(loaded.test_stimulus, saved.test_stimulus));
    CHECK(equal<float>(loaded.test_rate, saved.test_rate));
    CHECK(equal<float>(loaded.test_repeats, saved.test_repeats));
    CHECK(equal<float>(loaded.test_true_rate, saved.test_true_rate));
    CHECK(equal<float>(loaded.train_counts, saved.train_counts));
    CHECK(equal<float>(loaded.test_repeat_counts, saved.test_repeat_counts));
    CHECK(equal<float>(loaded.stas, saved.stas));
    CHECK(loaded.metadata == saved.metadata);
    CHECK(loaded.notes.empty());
    CHECK(loaded.cells() == 2);
    // The type tells the kind, not the name.
    std::filesystem::rename(path, folder.path() / "other");
    CHECK(equal<float>(load_recording(folder.path() / "other", host()).train_rate, saved.train_rate));
    save_recording(path, saved);
    CHECK(bytes_of(path) == bytes_of(folder.path() / "other"));

    RecordingData nobody_knows = saved;
    nobody_knows.test_true_rate = nobody_knows.train_counts = nobody_knows.test_repeat_counts = Tensor();
    save_recording(path, nobody_knows);
    CHECK_FALSE(load_recording(path, host()).test_true_rate.defined());
    CHECK_FALSE(load_recording(path, host()).train_counts.defined());
  }
}

TEST_CASE("a file that is no recording says what is wrong with it") {
  const auto zeros = [](const Shape& shape, DType dtype = DType::f32) {
    return Tensor::zeros(shape, dtype, host());
  };
  CHECK(complaint("train/stimulus", Tensor()) ==
        "is not a recording: 'train/stimulus' is missing (fovea data retina makes one)");
  CHECK(complaint("train/stimulus", zeros({60, 6})) ==
        "'train/stimulus' is f32 [60, 6], expected numbers of rank 3");
  CHECK(
      complaint("train/stimulus", zeros({6, 5, 60}, DType::u8)) ==
      "'train/stimulus' [6, 5, 60] has its axes in another order, expected [frames, height, width]: turn it "
      "round");
  CHECK(complaint("train/response/firing_rate_10ms", zeros({60, 2})) ==
        "'train/response/firing_rate_10ms' [60, 2] has its axes in another order, expected [cells, frames] = "
        "[2, 60]: turn it round");
  CHECK(complaint("train/response/firing_rate_10ms", zeros({2, 59})) ==
        "'train/response/firing_rate_10ms' [2, 59] has 59 bins, expected one for each of the 60 frames");
  CHECK(complaint("train/time", zeros({59})) == "'train/time' [59] has 59 times for 60 frames");
  CHECK(complaint("train/time", Tensor::full({60}, std::nan(""), DType::f64, host())) ==
        "'train/time' [60] has nan at element 0, expected seconds");
  CHECK(complaint("test/repeats/cell02", zeros({3, 29})) ==
        "'test/repeats/cell02' is [3, 29], expected [repeats, frames] = [3, 30]");
  CHECK(complaint("test/repeats/cell02", Tensor()) ==
        "'test/repeats' holds 1 cells, expected the 2 of the responses");
  CHECK(complaint("test/repeats", zeros({4, 3, 30})) ==
        "'test/repeats' is [4, 3, 30], expected [repeats, cells, frames] = [4, 2, 30]");
  CHECK(complaint("test/response/firing_rate_10ms", zeros({3, 30})) ==
        "test/response/firing_rate_10ms [3, 30] has 3 cells, train/response/firing_rate_10ms [2, 60] has 2");
  CHECK(complaint("test/true_rate", zeros({3, 30})) ==
        "test/true_rate [3, 30] has 3 cells, train/response/firing_rate_10ms [2, 60] has 2");
  CHECK(complaint("test/stimulus", zeros({30, 5, 6}, DType::u8)) ==
        "train/stimulus [60, 6, 5] and test/stimulus [30, 5, 6] differ in height or width");
  CHECK(complaint("train/response/binned", zeros({3, 60})) ==
        "train/response/binned [3, 60] and train/response/firing_rate_10ms [2, 60] differ in shape");
  CHECK(text_of<IoError>([] { load_recording("/tmp", host()); }) == "/tmp: is a folder, expected a file");
}

TEST_CASE("rates are made from counts that are counts") {
  const TemporaryFolder folder;
  const auto path = folder.path() / "r.safetensors";
  save_recording(path, synthetic());
  Safetensors file = load_safetensors(path, host());
  file.tensors.erase("train/response/firing_rate_10ms");
  file.tensors["train/response/binned"] = Tensor::full({2, 60}, 1, DType::i32, host());
  save_safetensors(path, file.tensors);
  const RecordingData data = load_recording(path, host());
  REQUIRE(data.notes.size() == 1);
  CHECK(data.notes[0] == "train/response/firing_rate_10ms is missing: rates made from spike counts");
  CHECK(data.train_rate.to_vector<float>()[10] == doctest::Approx(100));  // one spike in each bin of 10 ms
  file.tensors["train/response/binned"] = Tensor::full({2, 60}, 0.5, DType::f32, host());
  save_safetensors(path, file.tensors);
  CHECK(
      has(text_of<IoError>([&] { load_recording(path, host()); }),
          "'train/response/binned' [2, 60] has 0.5 at element 0, expected spike counts: whole numbers from 0 "
          "to 65535"));
}

TEST_CASE("a published recording is told by size and checksum") {
  const TemporaryFolder folder;
  const auto path = folder.path() / "abc";
  std::ofstream(path) << "abc";
  const KnownRecording known[] = {
      {"another one", 4, "", 1},
      {"the letters", 3, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad", 6}};
  REQUIRE(recognise(path, known).has_value());
  CHECK(recognise(path, known)->name == "the letters");
  CHECK(recognise(path, known)->blocks == 6);
  CHECK_FALSE(recognise(path).has_value());
  std::ofstream(path) << "abd";
  CHECK(text_of<IoError>([&] { (void)recognise(path, known); }) ==
        path.string() +
            ": has the size of the letters, but its SHA-256 is "
            "a52d159f262b2c6ddb724a61840befc36eb30c88877a4030b65cbe86298449c9 instead of "
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad; it is damaged, get it again");
  CHECK(known_recordings()[0].bytes == 1026445952);
}

TEST_CASE("the noise ceiling is the correlation of the truth with the mean of the repeats") {
  RecordingData data = synthetic();
  const auto truth = data.test_true_rate.to_vector<float>(), mean = data.test_rate.to_vector<float>();
  const std::vector<double> ceilings = noise_ceilings(data, 4);
  REQUIRE(ceilings.size() == 2);
  for (std::size_t cell = 0; cell < 2; ++cell) {
    const Floats x(truth.begin() + static_cast<std::ptrdiff_t>(cell * 30 + 4),
                   truth.begin() + static_cast<std::ptrdiff_t>(cell * 30 + 30));
    const Floats y(mean.begin() + static_cast<std::ptrdiff_t>(cell * 30 + 4),
                   mean.begin() + static_cast<std::ptrdiff_t>(cell * 30 + 30));
    CHECK(ceilings[cell] == correlation(x, y));
  }
  CHECK(ceilings != noise_ceilings(data, 0));
  data.test_true_rate = data.test_rate;
  for (const double ceiling : noise_ceilings(data, 4)) CHECK(ceiling == doctest::Approx(1));
  for (const double ceiling : noise_ceilings(data, 28)) CHECK_FALSE(std::isnan(ceiling));
  for (const std::int64_t first : {29, 30, 31, 340})  // a test movie shorter than what is left out of it
    for (const double ceiling : noise_ceilings(data, first)) CHECK(std::isnan(ceiling));
  // Nobody knows the true rate: the repeats tell, if there are two.
  data.test_true_rate = Tensor();
  data.test_repeats = expand(data.test_rate, {3, 2, 30}).contiguous();
  for (const double ceiling : noise_ceilings(data, 4)) CHECK(ceiling == doctest::Approx(1));
  data.test_repeats = slice(data.test_repeats, 0, 0, 1);
  for (const double ceiling : noise_ceilings(data, 4)) CHECK(std::isnan(ceiling));
}

TEST_CASE("a cell without spikes has a spike-triggered average of zeros") {
  RecordingData data = synthetic();
  select(data.train_rate, 0, 1).fill(0);
  const nn::WindowDataset windows(data.train_stimulus, data.train_rate, nn::ResponseLayout::cells_time,
                                  {.history = 4});
  const Tensor average = spike_triggered_average(windows);
  const auto has_values = [&](std::int64_t cell) {
    const auto values = select(average, 0, cell).to_vector<float>();
    for (const float v : values) CHECK(std::isfinite(v));
    return std::any_of(values.begin(), values.end(), [](float v) { return v != 0; });
  };
  CHECK(has_values(0));
  CHECK_FALSE(has_values(1));
}

TEST_CASE("the spike-triggered average is the mean of the windows, weighted by the rate") {
  const RecordingData data = synthetic();
  constexpr std::int64_t kFrames = 4, kPixels = 30, kCellCount = 2;
  nn::WindowDataset windows(data.train_stimulus, data.train_rate, nn::ResponseLayout::cells_time,
                            {.history = kFrames, .skip = 3, .blocks = data.blocks});
  windows.set_normalization({.mean = 120, .sd = 70});
  const Tensor average = spike_triggered_average(windows);
  REQUIRE(average.shape() == Shape{kCellCount, kFrames, 6, 5});
  const auto got = average.to_vector<float>();

  const auto pixel = data.train_stimulus.to_vector<std::uint8_t>();
  const auto rate = data.train_rate.to_vector<float>();
  for (std::int64_t cell = 0; cell < kCellCount; ++cell) {
    std::vector<double> sum(kFrames * kPixels);
    double weight = 0;
    std::int64_t start = 0;
    for (const std::int64_t frames : data.blocks) {
      for (std::int64_t t = start + 3 + kFrames; t < start + frames; ++t) {
        const double r = rate[static_cast<std::size_t>(cell * 60 + t)];
        weight += r;
        for (std::int64_t i = 0; i < kFrames * kPixels; ++i)
          sum[static_cast<std::size_t>(i)] +=
              r * (pixel[static_cast<std::size_t>((t - kFrames) * kPixels + i)] - 120.0) / 70.0;
      }
      start += frames;
    }
    for (std::int64_t i = 0; i < kFrames * kPixels; ++i)
      CHECK(got[static_cast<std::size_t>(cell * kFrames * kPixels + i)] ==
            doctest::Approx(sum[static_cast<std::size_t>(i)] / weight).epsilon(1e-4).scale(1));
  }
}

TEST_CASE("a product of time and space is found again") {
  const std::vector<double> time{0.5, -4, 2, 0}, space{0.6, 0, -0.8};
  std::vector<double> filter;
  for (const double t : time)
    for (const double s : space) filter.push_back(t * s);
  const Separable found = separate(filter, 4);
  CHECK(found.share == doctest::Approx(1));
  for (std::size_t t = 0; t < 4; ++t)
    CHECK(found.time[t] == doctest::Approx(-time[t]));  // the largest is > 0
  for (std::size_t p = 0; p < 3; ++p) CHECK(found.space[p] == doctest::Approx(-space[p]));
}

TEST_CASE("of two products the stronger one is found, wherever the single strongest frame lies") {
  // Two orthogonal pictures: one in a single strong frame, one in four weaker ones: 1 against 4·0.81.
  const std::vector<double> filter{1, 0, 0, 0.9, 0, 0.9, 0, -0.9, 0, 0.9};
  const Separable found = separate(filter, 5);
  CHECK(found.share == doctest::Approx(3.24 / 4.24));
  CHECK(std::abs(found.space[0]) < 1e-12);
  CHECK(found.space[1] == doctest::Approx(1));
  const double expected[] = {0, 0.9, 0.9, -0.9, 0.9};
  for (std::size_t t = 0; t < 5; ++t) CHECK(found.time[t] == doctest::Approx(expected[t]));
}

TEST_CASE("separating filters of no size, of odd sizes and of any scale") {
  const Separable none = separate(std::vector<double>(12, 0.0), 4);
  CHECK(none.share == 0);
  CHECK(none.time == std::vector<double>(4, 0.0));
  CHECK(none.space == std::vector<double>(3, 0.0));
  for (const double scale : {1e-60, 1e60}) {
    const Separable found = separate(std::vector<double>{3 * scale, 0, 0, scale}, 2);
    CHECK(found.share == doctest::Approx(0.9));
    CHECK(found.time[0] / scale == doctest::Approx(3));
  }
  CHECK(message([] { separate(std::vector<double>(7), 2); }) ==
        "separate: 7 values are no whole number of pixels in 2 frames");
  CHECK(message([] { separate(std::vector<double>(7), 0); }) ==
        "separate: 7 values are no whole number of pixels in 0 frames");
}

TEST_CASE("predict gives what the model gives, sample by sample") {
  const RecordingData data = synthetic();
  nn::WindowDataset windows(data.train_stimulus, data.train_rate, nn::ResponseLayout::cells_time,
                            {.history = 4, .blocks = data.blocks});
  windows.set_normalization({.mean = 120, .sd = 70});
  LinearNonlinear model({.cells = 2, .history = 4, .size = 1}, host());
  model.filter().weight.value = uniform({2, 4 * 30}, "weights", -0.1f, 0.1f);
  model.filter().bias.value.fill(0.25);
  REQUIRE(model.training());
  const Predictions found = predict(model, windows, host(), 7);
  CHECK(model.training());
  model.eval();
  (void)predict(model, windows, host());
  CHECK_FALSE(model.training());

  std::vector<std::int64_t> all(static_cast<std::size_t>(windows.size()));
  for (std::size_t i = 0; i < all.size(); ++i) all[i] = static_cast<std::int64_t>(i);
  const Tensor x = Tensor::empty({windows.size(), 4, 6, 5}, DType::f32, host());
  const Tensor target = Tensor::empty({windows.size(), 2}, DType::f32, host());
  windows.gather(all, x, target);
  CHECK(equal<float>(found.target, target));
  REQUIRE(found.rate.shape() == Shape{windows.size(), 2});
  const auto rate = found.rate.to_vector<float>(), direct = model(x).value().to_vector<float>();
  for (std::size_t i = 0; i < rate.size(); ++i) CHECK(rate[i] == doctest::Approx(direct[i]).epsilon(1e-5));
  CHECK(equal<float>(predict(model, windows, host(), 1).target, target));
}

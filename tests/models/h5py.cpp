// SPDX-License-Identifier: Apache-2.0
// Reads what lab_files.py has written with h5py into the folder FOVEA_H5PY; run by lab_files.sh, never alone.
#include <doctest/doctest.h>

#include <cmath>
#include <cstdlib>

#include "models/retina/noise_ceiling.h"
#include "models/retina/recording_file.h"
#include "models/retina/reliability.h"
#include "models/retina/spikes.h"
#include "nn/data/array_file.h"
#include "tensor/errors.h"
#include "tensor/views.h"
#include "tests/host.h"
#include "tests/temporary_folder.h"

using namespace fovea;
using namespace fovea::retina;
using namespace fovea::test;

namespace {

constexpr std::int64_t kCellCount = 3, kFrames = 240, kTest = 90, kRepeats = 4;

std::filesystem::path file(const std::string& name) {
  const char* folder = std::getenv("FOVEA_H5PY");
  REQUIRE(folder != nullptr);
  return std::filesystem::path(folder) / (name + ".h5");
}
RecordingData load(const std::string& name, const std::string& response = kFiringRate) {
  return load_recording(file(name), host(), response);
}
std::string complaint(const std::string& name, const std::string& response = kFiringRate) {
  const std::string text = text_of<IoError>([&] { load(name, response); });
  const std::string start = file(name).string() + ": ";
  REQUIRE(text.starts_with(start));
  return text.substr(start.size());
}

std::int64_t pixel(std::int64_t t, std::int64_t y, std::int64_t x) { return (7 * t + 3 * y + 5 * x) % 256; }
double rate(std::int64_t cell, std::int64_t t) { return static_cast<double>((cell + 1) * (13 * t % 17)); }
int count(std::int64_t cell, std::int64_t t) {
  return 5 * t % 4 == cell % 4 ? static_cast<int>((t + 2 * cell) % 3) : 0;
}

void check_movie(const Tensor& movie, std::int64_t frames, double scale = 1, double shift = 0) {
  REQUIRE(movie.shape() == Shape{frames, 50, 50});
  const auto values = movie.to_vector<float>();
  bool same = true;
  for (std::int64_t t = 0, i = 0; t < frames; ++t)
    for (std::int64_t y = 0; y < 50; ++y)
      for (std::int64_t x = 0; x < 50; ++x, ++i) {
        const double expected = static_cast<double>(pixel(t, y, x)) * scale + shift;
        same = same && std::abs(static_cast<double>(values[static_cast<std::size_t>(i)]) - expected) < 1e-6;
      }
  CHECK(same);
}
/// value(cell, bin) of [cells, bins].
template <class F>
void check_responses(const Tensor& got, std::int64_t bins, F&& value) {
  REQUIRE(got.shape() == Shape{kCellCount, bins});
  const auto values = got.to_vector<double>();
  for (std::int64_t cell = 0; cell < kCellCount; ++cell)
    for (std::int64_t t = 0; t < bins; ++t)
      CHECK(values[static_cast<std::size_t>(cell * bins + t)] == doctest::Approx(value(cell, t)));
}
bool notes_have(const RecordingData& data, std::string_view part) {
  for (const std::string& note : data.notes)
    if (has(note, part)) return true;
  return false;
}

}  // namespace

TEST_CASE("h5py: the labs' layout" * doctest::skip()) {
  const RecordingData data = load("usual");
  CHECK(data.train_stimulus.dtype() == DType::u8);
  check_movie(data.train_stimulus, kFrames);
  check_movie(data.test_stimulus, kTest);
  check_responses(data.train_rate, kFrames, rate);
  check_responses(data.train_counts, kFrames, count);
  check_responses(data.test_rate, kTest, rate);
  CHECK(data.blocks == std::vector<std::int64_t>{80, 80, 80});
  REQUIRE(data.test_repeats.shape() == Shape{kRepeats, kCellCount, kTest});
  for (std::int64_t n = 0; n < kRepeats; ++n)
    check_responses(select(data.test_repeats, 0, n), kTest, [&](std::int64_t cell, std::int64_t t) {
      return rate(cell, t) + (static_cast<double>(n) - 1.5) * 0.25 + 2;
    });
  REQUIRE(data.stas.shape() == Shape{kCellCount, 40, 50, 50});
  CHECK(select(data.stas, 0, 2).to_vector<float>().back() == 2.5f);
  CHECK_FALSE(data.test_true_rate.defined());
  CHECK_FALSE(data.simulated());
  CHECK(data.metadata == std::map<std::string, std::string>{
                             {"source", "salamander"}, {"author", "somebody"}, {"temperature", "21.5"}});
  CHECK(oddities(data).empty());
  for (const double ceiling : noise_ceilings(data, 0)) CHECK(ceiling == doctest::Approx(1));
}

TEST_CASE("h5py: another order, a movie stored as floats in packed chunks, one array of repeats" *
          doctest::skip()) {
  const RecordingData data = load("other_order");
  CHECK(data.train_stimulus.dtype() == DType::u8);
  check_movie(data.train_stimulus, kFrames);
  check_movie(data.test_stimulus, kTest);
  check_responses(data.train_rate, kFrames, rate);
  CHECK(data.blocks == std::vector<std::int64_t>{kFrames});
  REQUIRE(data.test_repeats.shape() == Shape{kRepeats, kCellCount, kTest});
  check_responses(select(data.test_repeats, 0, 3), kTest,
                  [](std::int64_t cell, std::int64_t t) { return rate(cell, t) + 1; });
  CHECK_FALSE(data.test_repeat_counts.defined());  // whole numbers, but rates
  CHECK_FALSE(data.train_counts.defined());
  CHECK_FALSE(data.stas.defined());  // of one cell only
  CHECK(data.notes.empty());
}

TEST_CASE("h5py: a movie of contrast stays as it is" * doctest::skip()) {
  const RecordingData data = load("signed");
  CHECK(data.train_stimulus.dtype() == DType::f32);
  check_movie(data.train_stimulus, kFrames, 1 / 127.5, -1);
  check_movie(data.test_stimulus, kTest, 1 / 127.5, -1);
}

TEST_CASE("h5py: rates and counts from spike times" * doctest::skip()) {
  const RecordingData data = load("only_spikes");
  check_responses(data.train_counts, kFrames, count);
  CHECK(data.blocks == std::vector<std::int64_t>{80, 80, 80});
  for (const std::string_view note :
       {"train/time jumps between 3 blocks", "train/response/binned is missing: spikes counted from spikes/",
        "train/response/firing_rate_10ms is missing: rates made from spike counts",
        "test/repeats holds spike counts: rates made from them",
        "test/response/firing_rate_10ms is missing: the mean of the repeats"})
    CHECK(notes_have(data, note));
  // Each block on its own: the last spikes of one say nothing of the next.
  for (std::int64_t block = 0; block < 3; ++block) {
    std::vector<std::uint16_t> counts;
    for (std::int64_t t = 0; t < 80; ++t)
      counts.push_back(static_cast<std::uint16_t>(count(1, 80 * block + t)));
    CHECK(slice(select(data.train_rate, 0, 1), 0, 80 * block, 80 * block + 80).to_vector<float>() ==
          estimate_rate(counts));
  }
  REQUIRE(data.test_repeat_counts.shape() == Shape{2, kCellCount, kTest});
  check_responses(select(data.test_repeat_counts, 0, 0), kTest, count);
  const auto first = select(select(data.test_repeats, 0, 0), 0, 0).to_vector<float>(),
             second = select(select(data.test_repeats, 0, 1), 0, 0).to_vector<float>(),
             mean = select(data.test_rate, 0, 0).to_vector<float>();
  for (std::size_t t = 0; t < mean.size(); ++t) CHECK(mean[t] == doctest::Approx((first[t] + second[t]) / 2));
}

TEST_CASE("h5py: potentials, in either layout" * doctest::skip()) {
  const RecordingData chosen = load("potentials", "membrane_potential");
  check_responses(chosen.train_rate, kFrames,
                  [](std::int64_t cell, std::int64_t t) { return rate(cell, t) - 50; });
  CHECK(notes_have(chosen, "test/repeats is missing: the mean response stands for a single repeat"));
  REQUIRE(oddities(chosen).size() == 1);
  CHECK(oddities(chosen)[0] ==
        "the test movie was shown once: nobody knows the noise ceiling, so scores have no share");
  for (const double ceiling : noise_ceilings(chosen, 0)) CHECK(std::isnan(ceiling));

  const RecordingData boxes = load("interneurons", "boxes/detrended_membrane_potential");
  REQUIRE(boxes.train_stimulus.shape() == Shape{80, 50, 50});
  REQUIRE(boxes.test_stimulus.shape() == Shape{20, 50, 50});
  check_responses(boxes.train_rate, 80, [](std::int64_t c, std::int64_t t) { return rate(c, t) - 10; });
  check_responses(boxes.test_rate, 20, [](std::int64_t c, std::int64_t t) { return rate(c, t + 80) - 10; });
  const auto frame = select(boxes.test_stimulus, 0, 3).to_vector<float>();
  CHECK(frame[0] == 0);  // grey around
  for (std::int64_t y = 0; y < 38; ++y)
    CHECK(frame[static_cast<std::size_t>((y + 6) * 50 + 6)] == (pixel(83, y, 0) % 2 == 1 ? 1.0f : -1.0f));

  CHECK(complaint("interneurons") ==
        "holds potentials of interneurons; choose which with "
        "data.response=boxes/detrended_membrane_potential");
  CHECK(complaint("interneurons", "lines/detrended_membrane_potential") ==
        "'lines/stimuli' is f64 [100, 76], expected numbers of rank 3");
  CHECK(complaint("potentials") ==
        "is not a recording: 'train/response/firing_rate_10ms' is missing; there: membrane_potential "
        "(data.response chooses one)");
}

TEST_CASE("h5py: what labs get wrong is named" * doctest::skip()) {
  CHECK(
      complaint("matlab") ==
      "'train/stimulus' [50, 50, 240] has its axes in another order, expected [frames, height, width]: turn "
      "it round");
  CHECK(complaint("transposed_rates") ==
        "'train/response/firing_rate_10ms' [240, 3] has its axes in another order, expected [cells, frames] "
        "= [3, 240]: turn it round");
  CHECK(complaint("external") ==
        "'train/stimulus' is data of another file [240, 50, 50], expected numbers of rank 3");
  CHECK(complaint("packed") ==
        "'train/stimulus' is packed by lzf, which libhdf5 lacks here (store it with gzip), [240, 50, 50], "
        "expected "
        "numbers of rank 3");
  CHECK(complaint("huge") ==
        "'train/response/firing_rate_10ms' [1, 1099511627776] of f32 cannot be in the 0 bytes that the file "
        "has for it");
  CHECK(text_of<IoError>([] {
          (void)nn::ArrayFile::open(file("text"))->read("train/stimulus", DType::f32, host());
        }) == file("text").string() + ": 'train/stimulus' is text, expected numbers in this file");
  CHECK(complaint("text") == "'train/stimulus' is text [], expected numbers of rank 3");
  CHECK(complaint("empty_group") ==
        "is not a recording: group 'train' is missing (fovea data retina makes one)");
}

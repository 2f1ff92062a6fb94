// SPDX-License-Identifier: Apache-2.0
#include "models/retina/recording_edit.h"

#include <doctest/doctest.h>

#include <cmath>

#include "models/retina/reliability.h"
#include "tensor/views.h"
#include "tests/host.h"
#include "tests/nn/expect.h"

using namespace fovea;
using namespace fovea::retina;
using namespace fovea::test;

namespace {

using Blocks = std::vector<std::int64_t>;

Tensor uniform(const Shape& shape, const char* stream, float low, float high) {
  return Tensor::uniform(shape, {9, philox::stream_id(stream), 0, nullptr}, low, high, host());
}

RecordingData synthetic(std::int64_t frames = 60) {
  RecordingData data;
  data.train_stimulus = uniform({frames, 6, 5}, "train", 0, 255).to(DType::u8);
  data.train_rate = uniform({3, frames}, "rate", 0, 30);
  data.train_counts = uniform({3, frames}, "counts", 0, 3);
  data.blocks = {20, 30, frames - 50};
  data.test_stimulus = uniform({30, 6, 5}, "test", 0, 255).to(DType::u8);
  data.test_repeats = uniform({2, 3, 30}, "repeats", 0, 30);
  data.test_rate = uniform({3, 30}, "test rate", 0, 30);
  data.metadata = {{"cell_types", "a;b;c"}, {"seed", "1"}};
  return data;
}
std::vector<float> row(const Tensor& x, std::int64_t cell) { return select(x, 0, cell).to_vector<float>(); }

}  // namespace

TEST_CASE("cells are chosen by index, with all that is theirs") {
  const RecordingData all = synthetic();
  RecordingData data = all;
  select_cells(data, Blocks{2, 0});
  CHECK(data.cells() == 2);
  for (const auto& [got, from] : {std::pair<Tensor, Tensor>{data.train_rate, all.train_rate},
                                  {data.train_counts, all.train_counts},
                                  {data.test_rate, all.test_rate},
                                  {select(data.test_repeats, 0, 1), select(all.test_repeats, 0, 1)}}) {
    CHECK(row(got, 0) == row(from, 2));
    CHECK(row(got, 1) == row(from, 0));
  }
  CHECK_FALSE(data.test_true_rate.defined());
  CHECK(data.metadata ==
        std::map<std::string, std::string>{{"cell_types", "c;a"}, {"cells", "2;0"}, {"seed", "1"}});
  CHECK(message([&] { select_cells(data, Blocks{2}); }) ==
        "cells: there is no cell 2, the recording has 0 to 1");
  CHECK(message([&] { select_cells(data, Blocks{1, 1}); }) == "cells: cell 1 is named twice");
}

TEST_CASE("less of the training movie cuts its blocks, too") {
  const RecordingData all = synthetic();
  for (const auto& [frames, blocks] : {std::pair{15, Blocks{15}},
                                       {20, Blocks{20}},
                                       {45, Blocks{20, 25}},
                                       {60, all.blocks},
                                       {99, all.blocks}}) {
    RecordingData data = all;
    keep_frames(data, frames);
    CHECK(data.blocks == blocks);
    const std::int64_t kept = std::min(frames, 60);
    CHECK(data.train_stimulus.size(0) == kept);
    CHECK(row(data.train_rate, 1) == slice(select(all.train_rate, 0, 1), 0, 0, kept).to_vector<float>());
    CHECK(data.train_counts.size(1) == kept);
    CHECK(data.test_stimulus.size(0) == 30);
  }
  RecordingData data = all;
  CHECK(message([&] { keep_frames(data, 0); }) ==
        "keep_frames: 0 frames of the training movie leave nothing");
  split_blocks(data, 7);
  CHECK(data.blocks == Blocks{8, 8, 8, 8, 8, 8, 12});
  CHECK(message([&] { split_blocks(data, 61); }) ==
        "split_blocks: 60 frames of the training movie cannot be 61 blocks");
}

TEST_CASE("the test movie of another recording of the same cells") {
  RecordingData data = synthetic(), other = synthetic(80);
  other.test_rate = uniform({3, 30}, "other", 0, 30);
  take_test(data, other);
  CHECK(row(data.test_rate, 1) == row(other.test_rate, 1));
  CHECK(data.train_stimulus.size(0) == 60);
  select_cells(other, Blocks{0});
  CHECK(message([&] { take_test(data, other); }) ==
        "take_test: the test recording has 1 cells, the training one 3");
  other = synthetic();
  other.test_stimulus = Tensor::zeros({30, 5, 6}, DType::u8, host());
  CHECK(message([&] { take_test(data, other); }) ==
        "take_test: the test movie [30, 5, 6] and the training movie [60, 6, 5] differ in height or width");
}

TEST_CASE("the null model's responses are those of other times, in groups") {
  constexpr std::int64_t kBins = 5000, kGroup = 200;
  RecordingData all = synthetic(kBins), data = all;
  shift_responses(data, 1);
  const auto before = row(all.train_rate, 0), after = row(data.train_rate, 0),
             counts_before = row(all.train_counts, 2), counts_after = row(data.train_counts, 2);
  CHECK(std::abs(correlation(before, after)) < 0.06);
  for (std::int64_t group = 0; group < kBins / kGroup; ++group) {
    const auto first = static_cast<std::size_t>(group * kGroup);
    const auto found =
        static_cast<std::size_t>(std::find(before.begin(), before.end(), after[first]) - before.begin());
    REQUIRE(found < before.size());
    const std::size_t away = (found + before.size() - first) % before.size();
    CHECK(away >= kGroup);
    CHECK(away <= before.size() - kGroup);
    bool moved_as_one = true;  // rates and counts, and all bins of the group
    for (std::size_t k = 0; k < kGroup; ++k) {
      const std::size_t from = (found + k) % before.size();
      moved_as_one =
          moved_as_one && after[first + k] == before[from] && counts_after[first + k] == counts_before[from];
    }
    CHECK(moved_as_one);
  }
  CHECK(row(data.test_rate, 0) == row(all.test_rate, 0));
  RecordingData again = all, other = all;
  shift_responses(again, 1);
  shift_responses(other, 2);
  CHECK(row(again.train_rate, 0) == after);
  CHECK(row(other.train_rate, 0) != after);
}

TEST_CASE("pixels are normalised over time, the test movie by the statistics of training") {
  const RecordingData all = synthetic();
  RecordingData data = all;
  const PixelStatistics found = normalize_pixels(data, 5);
  const auto movie = all.train_stimulus.to_vector<double>(), test = all.test_stimulus.to_vector<double>();
  for (const std::size_t pixel : {0u, 17u, 29u}) {
    std::vector<double> values;
    for (std::size_t t = 0; t < 60; ++t)
      if (!(t < 5 || (t >= 20 && t < 25) || (t >= 50 && t < 55))) values.push_back(movie[t * 30 + pixel]);
    double mean = 0, square = 0;
    for (const double v : values) mean += v / static_cast<double>(values.size());
    for (const double v : values) square += (v - mean) * (v - mean) / static_cast<double>(values.size());
    CHECK(found.mean.to_vector<double>()[pixel] == doctest::Approx(mean));
    CHECK(found.sd.to_vector<double>()[pixel] == doctest::Approx(std::sqrt(square)));
    CHECK(data.train_stimulus.to_vector<double>()[7 * 30 + pixel] ==
          doctest::Approx((movie[7 * 30 + pixel] - mean) / std::sqrt(square)).epsilon(1e-4));
    CHECK(data.test_stimulus.to_vector<double>()[29 * 30 + pixel] ==
          doctest::Approx((test[29 * 30 + pixel] - mean) / std::sqrt(square)).epsilon(1e-4));
  }
  CHECK(all.train_stimulus.dtype() == DType::u8);  // shared, so untouched
}

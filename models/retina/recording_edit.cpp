// SPDX-License-Identifier: Apache-2.0
#include "models/retina/recording_edit.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "kernels/philox.h"
#include "tensor/views.h"

namespace fovea::retina {
namespace {

/// The chosen indices along an axis; an undefined tensor stays so.
Tensor chosen(const Tensor& x, int axis, std::span<const std::int64_t> indices) {
  if (!x.defined()) return {};
  Shape shape = x.shape();
  shape[axis] = static_cast<std::int64_t>(indices.size());
  const Tensor result = Tensor::empty(shape, x.dtype(), x.device(), "response");
  for (std::size_t i = 0; i < indices.size(); ++i)
    select(result, axis, static_cast<std::int64_t>(i)).copy_from(select(x, axis, indices[i]));
  return result;
}

/// The same of a list in the metadata, "fast OFF;ON".
void choose_text(std::map<std::string, std::string>& metadata, const std::string& key, std::int64_t cells,
                 std::span<const std::int64_t> indices) {
  const auto entry = metadata.find(key);
  if (entry == metadata.end()) return;
  std::vector<std::string> parts;
  std::istringstream list(entry->second);
  for (std::string part; std::getline(list, part, ';');) parts.push_back(part);
  if (static_cast<std::int64_t>(parts.size()) != cells) return;
  std::vector<std::string> kept;
  for (const std::int64_t i : indices) kept.push_back(parts[static_cast<std::size_t>(i)]);
  entry->second = fmt::format("{}", fmt::join(kept, ";"));
}

}  // namespace

void select_cells(RecordingData& data, std::span<const std::int64_t> cells) {
  const std::int64_t all = data.cells();
  std::set<std::int64_t> seen;
  for (const std::int64_t cell : cells) {
    if (cell < 0 || cell >= all)
      reject<ValueError>("cells", "there is no cell {}, the recording has 0 to {}", cell, all - 1);
    if (!seen.insert(cell).second) reject<ValueError>("cells", "cell {} is named twice", cell);
  }
  for (Tensor* response :
       {&data.train_rate, &data.train_counts, &data.test_rate, &data.test_true_rate, &data.stas})
    *response = chosen(*response, 0, cells);
  for (Tensor* response : {&data.test_repeats, &data.test_repeat_counts})
    *response = chosen(*response, 1, cells);
  std::vector<std::int64_t> numbers(static_cast<std::size_t>(all));
  std::iota(numbers.begin(), numbers.end(), 0);
  data.metadata.emplace("cells",
                        fmt::format("{}", fmt::join(numbers, ";")));  // as they are counted in the file
  for (const char* key : {"cells", "cell_types", "cell_centres", "alpha_hz"})
    choose_text(data.metadata, key, all, cells);
}

void keep_frames(RecordingData& data, std::int64_t frames) {
  if (frames < 1) reject<ValueError>("keep_frames", "{} frames of the training movie leave nothing", frames);
  if (frames >= data.train_stimulus.size(0)) return;
  data.train_stimulus = slice(data.train_stimulus, 0, 0, frames);
  for (Tensor* response : {&data.train_rate, &data.train_counts})
    if (response->defined()) *response = slice(*response, 1, 0, frames).contiguous();
  std::int64_t left = frames;
  std::vector<std::int64_t> blocks;
  for (const std::int64_t block : data.blocks) {
    if (left > 0) blocks.push_back(std::min(block, left));
    left -= block;
  }
  data.blocks = std::move(blocks);
}

void split_blocks(RecordingData& data, std::int64_t blocks) {
  const std::int64_t frames = data.train_stimulus.size(0);
  if (blocks < 1 || blocks > frames)
    reject<ValueError>("split_blocks", "{} frames of the training movie cannot be {} blocks", frames, blocks);
  data.blocks.assign(static_cast<std::size_t>(blocks), frames / blocks);
  data.blocks.back() += frames % blocks;
}

void take_test(RecordingData& data, const RecordingData& other) {
  if (other.cells() != data.cells())
    reject<ValueError>("take_test", "the test recording has {} cells, the training one {}", other.cells(),
                       data.cells());
  if (other.test_stimulus.shape().without(0) != data.train_stimulus.shape().without(0))
    reject<ValueError>("take_test", "the test movie {} and the training movie {} differ in height or width",
                       other.test_stimulus.shape(), data.train_stimulus.shape());
  data.test_stimulus = other.test_stimulus;
  data.test_rate = other.test_rate;
  data.test_repeats = other.test_repeats;
  data.test_true_rate = other.test_true_rate;
  data.test_repeat_counts = other.test_repeat_counts;
}

void shift_responses(RecordingData& data, std::uint64_t seed) {
  constexpr std::int64_t kGroup = 200;
  const std::int64_t bins = data.train_rate.size(1), rows = data.cells();
  const philox::Key key{seed, philox::stream_id("shift_responses"), 0, nullptr};
  const std::int64_t room = bins > 2 * kGroup ? bins - 2 * kGroup : bins;
  std::vector<std::int64_t> source(static_cast<std::size_t>(bins));
  for (std::int64_t t = 0; t < bins; ++t) {
    const auto group = static_cast<std::uint64_t>(t / kGroup);
    const float draw = philox::uniform(philox::bits(key, group).word[0]);
    const auto offset = static_cast<std::int64_t>(draw * static_cast<float>(room));
    source[static_cast<std::size_t>(t)] = (t + offset + (room < bins ? kGroup : 0)) % bins;
  }
  for (Tensor* response : {&data.train_rate, &data.train_counts}) {
    if (!response->defined()) continue;
    const auto from = response->to_vector<float>();
    std::vector<float> to(from.size());
    for (std::int64_t row = 0; row < rows; ++row)
      for (std::int64_t t = 0; t < bins; ++t)
        to[static_cast<std::size_t>(row * bins + t)] =
            from[static_cast<std::size_t>(row * bins + source[static_cast<std::size_t>(t)])];
    *response = Tensor::from(to, response->shape(), response->device(), "response");
  }
}

PixelStatistics normalize_pixels(RecordingData& data, std::int64_t skip) {
  const Tensor movie = data.train_stimulus.to(DType::f32).contiguous();
  const std::int64_t height = movie.size(1), width = movie.size(2), plane = height * width;
  const float* pixel = movie.data();
  std::vector<double> mean(static_cast<std::size_t>(plane)), square(mean.size());
  // Two passes, as in WindowDataset::measure.
  for (const bool second : {false, true}) {
    double frames = 0;
    std::int64_t start = 0;
    for (const std::int64_t block : data.blocks) {
      for (std::int64_t t = start + std::min(skip, block); t < start + block; ++t, ++frames)
        for (std::size_t i = 0; i < mean.size(); ++i) {
          const auto x = static_cast<double>(pixel[t * plane + static_cast<std::int64_t>(i)]);
          if (second)
            square[i] += (x - mean[i]) * (x - mean[i]);
          else
            mean[i] += x;
        }
      start += block;
    }
    for (double& sum : second ? square : mean) sum /= std::max(frames, 1.0);
  }
  std::vector<float> means(mean.begin(), mean.end()), sds;
  for (const double s : square) sds.push_back(static_cast<float>(std::sqrt(s) + 1e-7));
  for (Tensor* stimulus : {&data.train_stimulus, &data.test_stimulus}) {
    const Tensor scaled = stimulus->dtype() == DType::f32 ? stimulus->clone("stimulus")
                                                          : stimulus->to(DType::f32).contiguous("stimulus");
    float* x = scaled.data();
    for (std::int64_t k = 0; k < scaled.numel(); ++k) {
      const auto i = static_cast<std::size_t>(k % plane);
      x[k] = (x[k] - means[i]) / sds[i];
    }
    *stimulus = scaled;
  }
  const Device& host = movie.device();
  return {Tensor::from(means, {height, width}, host), Tensor::from(sds, {height, width}, host)};
}

}  // namespace fovea::retina

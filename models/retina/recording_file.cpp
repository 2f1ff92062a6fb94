// SPDX-License-Identifier: Apache-2.0
#include "models/retina/recording_file.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>

#include "autograd/ops/elementwise.h"
#include "models/retina/reliability.h"
#include "tensor/io.h"
#include "tensor/names.h"
#include "tensor/views.h"

namespace fovea::retina {
namespace {

constexpr std::string_view kTensors[] = {
    "train/stimulus", "train/response/firing_rate_10ms", "train/response/binned", "train/blocks",
    "test/stimulus",  "test/response/firing_rate_10ms",  "test/repeats",          "test/true_rate"};

Tensor movie_tensor(const Movie& movie, const Device& device) {
  return Tensor::from(movie.pixel, {movie.frames(), kSize, kSize}, device, "stimulus");
}

}  // namespace

RecordingData recording_data(const Recording& recording, const Device& device) {
  RecordingData data;
  std::int64_t frames = 0;
  for (const TrainBlock& block : recording.train) frames += block.movie.frames();
  data.train_stimulus = Tensor::empty({frames, kSize, kSize}, DType::u8, device, "stimulus");
  data.train_rate = Tensor::empty({kCells, frames}, DType::f32, device, "response");
  data.train_counts = Tensor::empty({kCells, frames}, DType::f32, device, "response");
  std::int64_t first = 0;
  for (const TrainBlock& block : recording.train) {
    const std::int64_t count = block.movie.frames();
    slice(data.train_stimulus, 0, first, first + count).copy_from(movie_tensor(block.movie, device));
    slice(data.train_rate, 1, first, first + count)
        .copy_from(Tensor::from(block.rate, {kCells, count}, device));
    slice(data.train_counts, 1, first, first + count)
        .copy_from(Tensor::from(block.count, {kCells, count}, device).to(DType::f32));
    data.blocks.push_back(count);
    first += count;
  }
  const TestMovie& test = recording.test;
  const std::int64_t test_frames = test.movie.frames();
  data.test_stimulus = movie_tensor(test.movie, device);
  data.test_rate = Tensor::from(mean_rate(test.trials), {kCells, test_frames}, device, "response");
  data.test_repeats = Tensor::from(test.rates, {test.trials.trials, kCells, test_frames}, device, "response");
  data.test_true_rate = Tensor::from(test.true_rate, {kCells, test_frames}, device, "response");

  std::vector<std::string> kinds, centres, alphas;
  for (std::size_t c = 0; c < kCells; ++c) {
    kinds.emplace_back(name(recording.cells[c].type));
    centres.push_back(fmt::format("{},{}", recording.cells[c].row, recording.cells[c].col));
    alphas.push_back(fmt::format("{:.4f}", recording.alpha[c]));
  }
  data.metadata = {{"source", "simulated retina"},
                   {"stimulus", std::string(name(recording.stimulus))},
                   {"seed", std::to_string(recording.seed)},
                   {"cell_types", fmt::format("{}", fmt::join(kinds, ";"))},
                   {"cell_centres", fmt::format("{}", fmt::join(centres, ";"))},
                   {"alpha_hz", fmt::format("{}", fmt::join(alphas, ";"))},
                   {"train_images", fmt::format("{}", fmt::join(recording.train_images, ";"))},
                   {"test_images", fmt::format("{}", fmt::join(recording.test_images, ";"))}};
  return data;
}

void save_recording(const std::filesystem::path& path, const RecordingData& data) {
  TensorMap tensors{
      {"train/stimulus", data.train_stimulus},
      {"train/response/firing_rate_10ms", data.train_rate},
      {"train/blocks",
       Tensor::from(data.blocks, {static_cast<std::int64_t>(data.blocks.size())}, Device::cpu())},
      {"test/stimulus", data.test_stimulus},
      {"test/response/firing_rate_10ms", data.test_rate},
      {"test/repeats", data.test_repeats},
  };
  if (data.train_counts.defined()) tensors.emplace("train/response/binned", data.train_counts);
  if (data.test_true_rate.defined()) tensors.emplace("test/true_rate", data.test_true_rate);
  save_safetensors(path, tensors, data.metadata);
}

RecordingData load_recording(const std::filesystem::path& path, const Device& device) {
  Safetensors file = load_safetensors(path, device);
  const auto bad = [&](const std::string& why) { throw IoError(fmt::format("{}: {}", path.string(), why)); };
  std::vector<std::string> strangers;  // a missing tensor may stand there under a wrong name
  for (const auto& [name, tensor] : file.tensors)
    if (std::find(std::begin(kTensors), std::end(kTensors), name) == std::end(kTensors))
      strangers.push_back(name);
  const auto take = [&](const char* name, DType dtype, int rank, bool needed) {
    const auto found = file.tensors.find(name);
    if (found == file.tensors.end()) {
      if (needed)
        bad(fmt::format("is not a recording: tensor '{}' is missing{} (fovea data retina makes one)", name,
                        printable(did_you_mean(name, strangers), 120)));
      return Tensor();
    }
    const Tensor& tensor = found->second;
    if (tensor.dtype() != dtype || tensor.rank() != rank)
      bad(fmt::format("tensor '{}' is {} {}, expected {} of rank {}", name, dtype_name(tensor.dtype()),
                      tensor.shape(), dtype_name(dtype), rank));
    if (tensor.numel() == 0)
      bad(fmt::format("tensor '{}' {} is empty, expected at least one element", name, tensor.shape()));
    if (dtype == DType::f32) {
      const std::vector<float> values = tensor.to_vector<float>();
      const auto wrong =
          std::find_if(values.begin(), values.end(), [](float v) { return !(v >= 0) || std::isinf(v); });
      if (wrong != values.end())
        bad(fmt::format("tensor '{}' {} has {} at element {}, expected rates in Hz: finite and at least 0",
                        name, tensor.shape(), *wrong, wrong - values.begin()));
    }
    return tensor;
  };
  RecordingData data;
  data.train_stimulus = take("train/stimulus", DType::u8, 3, true);
  data.train_rate = take("train/response/firing_rate_10ms", DType::f32, 2, true);
  data.train_counts = take("train/response/binned", DType::f32, 2, false);
  data.blocks = take("train/blocks", DType::i64, 1, true).to_vector<std::int64_t>();
  data.test_stimulus = take("test/stimulus", DType::u8, 3, true);
  data.test_rate = take("test/response/firing_rate_10ms", DType::f32, 2, true);
  data.test_repeats = take("test/repeats", DType::f32, 3, true);
  data.test_true_rate = take("test/true_rate", DType::f32, 2, false);
  data.metadata = std::move(file.metadata);

  const std::int64_t frames = data.train_stimulus.size(0), test_frames = data.test_stimulus.size(0);
  if (data.train_rate.size(1) != frames)
    bad(fmt::format("train/stimulus {} has {} frames, the responses {} have {} bins",
                    data.train_stimulus.shape(), frames, data.train_rate.shape(), data.train_rate.size(1)));
  if (data.train_counts.defined() && data.train_counts.shape() != data.train_rate.shape())
    bad(fmt::format("train/response/binned is {}, expected the shape {} of the rates",
                    data.train_counts.shape(), data.train_rate.shape()));
  std::int64_t left = frames;
  for (const std::int64_t block : data.blocks) {
    if (block < 1 || block > left)
      bad(fmt::format("train/blocks has a block of {} frames where {} of {} are left", block, left, frames));
    left -= block;
  }
  if (left != 0)
    bad(fmt::format("train/blocks leaves {} of the {} frames of train/stimulus out", left, frames));
  const Shape rates{data.cells(), test_frames};
  const auto need_rates = [&](const char* name, const Shape& shape) {
    if (shape != rates)
      bad(fmt::format("{} is {} for each trial, expected [cells, frames] = {}", name, shape, rates));
  };
  need_rates("test/response/firing_rate_10ms", data.test_rate.shape());
  need_rates("test/repeats", data.test_repeats.shape().without(0));
  if (data.test_true_rate.defined()) need_rates("test/true_rate", data.test_true_rate.shape());
  if (data.test_stimulus.shape().without(0) != data.train_stimulus.shape().without(0))
    bad(fmt::format("train/stimulus {} and test/stimulus {} differ in height or width",
                    data.train_stimulus.shape(), data.test_stimulus.shape()));
  return data;
}

Tensor unsmoothed_rate(const Tensor& counts) { return affine(counts, 1 / kFrame_s, 0).value(); }

std::vector<double> noise_ceilings(const RecordingData& data, std::int64_t first_bin) {
  std::vector<double> ceilings;
  // A test movie that ends before first_bin, or right after it, says nothing.
  const bool known = data.test_true_rate.defined() && data.test_rate.size(1) >= first_bin + 2;
  for (std::int64_t cell = 0; cell < data.cells(); ++cell) {
    if (!known) {
      ceilings.push_back(std::nan(""));
      continue;
    }
    const auto after = [&](const Tensor& rate) {
      return slice(select(rate, 0, cell), 0, first_bin, rate.size(1)).to_vector<float>();
    };
    ceilings.push_back(correlation(after(data.test_true_rate), after(data.test_rate)));
  }
  return ceilings;
}

}  // namespace fovea::retina

// SPDX-License-Identifier: Apache-2.0
#include "models/retina/recording_file.h"

#include <fmt/ranges.h>

#include <cmath>

#include "models/retina/reliability.h"
#include "tensor/io.h"
#include "tensor/views.h"

namespace fovea::retina {
namespace {

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
  std::int64_t first = 0;
  for (const TrainBlock& block : recording.train) {
    const std::int64_t count = block.movie.frames();
    slice(data.train_stimulus, 0, first, first + count).copy_from(movie_tensor(block.movie, device));
    slice(data.train_rate, 1, first, first + count)
        .copy_from(Tensor::from(block.rate, {kCells, count}, device));
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
  if (data.test_true_rate.defined()) tensors.emplace("test/true_rate", data.test_true_rate);
  save_safetensors(path, tensors, data.metadata);
}

RecordingData load_recording(const std::filesystem::path& path, const Device& device) {
  Safetensors file = load_safetensors(path, device);
  const auto bad = [&](const std::string& why) { throw IoError(fmt::format("{}: {}", path.string(), why)); };
  const auto take = [&](const char* name, DType dtype, int rank, bool needed) {
    const auto found = file.tensors.find(name);
    if (found == file.tensors.end()) {
      if (needed)
        bad(fmt::format("is not a recording: tensor '{}' is missing (fovea data retina makes one)", name));
      return Tensor();
    }
    const Tensor& tensor = found->second;
    if (tensor.dtype() != dtype || tensor.rank() != rank)
      bad(fmt::format("tensor '{}' is {} {}, expected {} of rank {}", name, dtype_name(tensor.dtype()),
                      tensor.shape(), dtype_name(dtype), rank));
    return tensor;
  };
  RecordingData data;
  data.train_stimulus = take("train/stimulus", DType::u8, 3, true);
  data.train_rate = take("train/response/firing_rate_10ms", DType::f32, 2, true);
  data.blocks = take("train/blocks", DType::i64, 1, true).to_vector<std::int64_t>();
  data.test_stimulus = take("test/stimulus", DType::u8, 3, true);
  data.test_rate = take("test/response/firing_rate_10ms", DType::f32, 2, true);
  data.test_repeats = take("test/repeats", DType::f32, 3, true);
  data.test_true_rate = take("test/true_rate", DType::f32, 2, false);
  data.metadata = std::move(file.metadata);

  const std::int64_t frames = data.train_stimulus.size(0), test_frames = data.test_stimulus.size(0);
  std::int64_t in_blocks = 0;
  for (const std::int64_t block : data.blocks) in_blocks += block;
  if (data.train_rate.size(1) != frames || in_blocks != frames)
    bad(fmt::format("train/stimulus has {} frames, the responses {} bins, the blocks {} frames", frames,
                    data.train_rate.size(1), in_blocks));
  const Shape rates{data.cells(), test_frames};
  if (!(data.test_rate.shape() == rates) || !(data.test_repeats.shape().without(0) == rates) ||
      (data.test_true_rate.defined() && !(data.test_true_rate.shape() == rates)))
    bad(fmt::format("the test responses do not have the shape [cells, frames] = {}", rates));
  if (data.test_stimulus.size(1) != data.train_stimulus.size(1) ||
      data.test_stimulus.size(2) != data.train_stimulus.size(2))
    bad(fmt::format("train/stimulus {} and test/stimulus {} differ in height or width",
                    data.train_stimulus.shape(), data.test_stimulus.shape()));
  return data;
}

std::vector<double> noise_ceilings(const RecordingData& data, std::int64_t first_bin) {
  std::vector<double> ceilings;
  for (std::int64_t cell = 0; cell < data.cells(); ++cell) {
    if (!data.test_true_rate.defined()) {
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

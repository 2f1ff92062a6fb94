// SPDX-License-Identifier: Apache-2.0
#include "models/retina/recording_file.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>

#include "autograd/ops/elementwise.h"
#include "models/retina/noise_ceiling.h"
#include "models/retina/reliability.h"
#include "nn/data/array_file.h"
#include "tensor/views.h"

namespace fovea::retina {
namespace {

constexpr const char* kSource = "simulated retina";
constexpr double kPause_s = 1.0;  // between two blocks on the clock of train/time

Tensor movie_tensor(const Movie& movie, const Device& device) {
  return Tensor::from(movie.pixel, {movie.frames(), kSize, kSize}, device, "stimulus");
}
Tensor counts_tensor(const std::vector<std::uint8_t>& counts, const Shape& shape, const Device& device) {
  return Tensor::from(counts, shape, device, "counts").to(DType::f32);
}

/// Seconds at which the bins begin.
Tensor clock(const std::vector<std::int64_t>& blocks) {
  std::vector<double> time;
  for (std::size_t b = 0; b < blocks.size(); ++b)
    for (std::int64_t t = 0; t < blocks[b]; ++t)
      time.push_back(static_cast<double>(time.size()) * kFrame_s + static_cast<double>(b) * kPause_s);
  return Tensor::from(time, {static_cast<std::int64_t>(time.size())}, Device::cpu({.threads = 1}));
}

/// Times of a cell's spikes, as exact as counts in bins are: evenly within their bin.
Tensor spike_times(const std::vector<float>& counts, const std::vector<double>& time) {
  std::vector<double> spikes;
  for (std::size_t t = 0; t < counts.size(); ++t) {
    const auto n = static_cast<int>(counts[t]);
    for (int k = 0; k < n; ++k) spikes.push_back(time[t] + kFrame_s * (k + 0.5) / n);
  }
  return Tensor::from(spikes, {static_cast<std::int64_t>(spikes.size())}, Device::cpu({.threads = 1}));
}

/// One array for each cell, as the labs have them: `group`/cell01 is x[0] (along the axis of cells).
void add_cells(TensorMap& arrays, const std::string& group, const Tensor& x, int axis) {
  for (std::int64_t cell = 0; cell < x.size(axis); ++cell)
    arrays.emplace(fmt::format("{}/cell{:02d}", group, cell + 1), select(x, axis, cell));
}

double mean_of(const std::vector<float>& x) {
  double sum = 0;
  for (const float v : x) sum += static_cast<double>(v);
  return sum / static_cast<double>(x.size());
}

}  // namespace

bool RecordingData::simulated() const {
  const auto source = metadata.find("source");
  return source != metadata.end() && source->second == kSource;
}

RecordingData recording_data(const Recording& recording, const Device& device) {
  RecordingData data;
  std::int64_t frames = 0;
  for (const TrainBlock& block : recording.train) frames += block.movie.frames();
  data.train_stimulus = Tensor::empty({frames, kSize, kSize}, DType::u8, device, "stimulus");
  data.train_rate = Tensor::empty({kCells, frames}, DType::f32, device, "response");
  data.train_counts = Tensor::empty({kCells, frames}, DType::f32, device, "counts");
  std::int64_t first = 0;
  for (const TrainBlock& block : recording.train) {
    const std::int64_t count = block.movie.frames();
    slice(data.train_stimulus, 0, first, first + count).copy_from(movie_tensor(block.movie, device));
    slice(data.train_rate, 1, first, first + count)
        .copy_from(Tensor::from(block.rate, {kCells, count}, device));
    slice(data.train_counts, 1, first, first + count)
        .copy_from(counts_tensor(block.count, {kCells, count}, device));
    data.blocks.push_back(count);
    first += count;
  }
  const TestMovie& test = recording.test;
  const Shape repeats{test.trials.trials, kCells, test.movie.frames()};
  data.test_stimulus = movie_tensor(test.movie, device);
  data.test_rate = Tensor::from(mean_rate(test.trials), repeats.without(0), device, "response");
  data.test_repeats = Tensor::from(test.rates, repeats, device, "response");
  data.test_repeat_counts = counts_tensor(test.trials.count, repeats, device);
  data.test_true_rate = Tensor::from(test.true_rate, repeats.without(0), device, "response");

  std::vector<std::string> kinds, centres, alphas;
  for (std::size_t c = 0; c < kCells; ++c) {
    kinds.emplace_back(name(recording.cells[c].type));
    centres.push_back(fmt::format("{},{}", recording.cells[c].row, recording.cells[c].col));
    alphas.push_back(fmt::format("{:.4f}", recording.alpha[c]));
  }
  data.metadata = {{"source", kSource},
                   {"stimulus", std::string(name(recording.stimulus))},
                   {"circuit", std::string(name(recording.circuit))},
                   {"seed", std::to_string(recording.seed)},
                   {"cell_types", fmt::format("{}", fmt::join(kinds, ";"))},
                   {"cell_centres", fmt::format("{}", fmt::join(centres, ";"))},
                   {"alpha_hz", fmt::format("{}", fmt::join(alphas, ";"))},
                   {"train_images", fmt::format("{}", fmt::join(recording.train_images, ";"))},
                   {"test_images", fmt::format("{}", fmt::join(recording.test_images, ";"))}};
  return data;
}

void save_recording(const std::filesystem::path& path, const RecordingData& data) {
  const Device host = Device::cpu({.threads = 1});
  const std::string rate = std::string("response/") + kFiringRate;
  const Tensor time = clock(data.blocks);
  TensorMap arrays{
      {"train/stimulus", data.train_stimulus},
      {"train/time", time},
      {"train/" + rate, data.train_rate},
      {"train/blocks", Tensor::from(data.blocks, {static_cast<std::int64_t>(data.blocks.size())}, host)},
      {"test/stimulus", data.test_stimulus},
      {"test/time", clock({data.test_stimulus.size(0)})},
      {"test/" + rate, data.test_rate},
  };
  add_cells(arrays, "test/repeats", data.test_repeats, 1);
  if (data.test_true_rate.defined()) arrays.emplace("test/true_rate", data.test_true_rate);
  if (data.test_repeat_counts.defined())
    add_cells(arrays, "test/repeat_counts", data.test_repeat_counts.to(DType::i32), 1);
  if (data.stas.defined()) add_cells(arrays, "train/stas", data.stas, 0);
  if (data.train_counts.defined()) {
    arrays.emplace("train/response/binned", data.train_counts.to(DType::i32));
    const auto seconds = time.to_vector<double>();
    for (std::int64_t cell = 0; cell < data.cells(); ++cell)
      arrays.emplace(fmt::format("spikes/cell{:02d}", cell + 1),
                     spike_times(select(data.train_counts, 0, cell).to_vector<float>(), seconds));
  }
  nn::save_arrays(path, arrays, data.metadata);
}

Tensor unsmoothed_rate(const Tensor& counts) { return affine(counts, 1 / kFrame_s, 0).value(); }

std::vector<double> noise_ceilings(const RecordingData& data, std::int64_t first_bin) {
  std::vector<double> ceilings(static_cast<std::size_t>(data.cells()), std::nan(""));
  const std::int64_t bins = data.test_rate.size(1);
  if (bins < first_bin + 2)
    return ceilings;  // a test movie that ends before it, or right after, says nothing
  for (std::int64_t cell = 0; cell < data.cells(); ++cell) {
    const auto after = [&](const Tensor& response) {
      return slice(response, response.rank() - 1, first_bin, bins).to_vector<float>();
    };
    double& ceiling = ceilings[static_cast<std::size_t>(cell)];
    if (data.test_true_rate.defined()) {
      ceiling =
          correlation(after(select(data.test_true_rate, 0, cell)), after(select(data.test_rate, 0, cell)));
    } else {
      const std::vector<float> repeats = after(select(data.test_repeats, 1, cell));
      ceiling = ceiling_of({.response = repeats, .trials = data.test_repeats.size(0)});
    }
  }
  return ceilings;
}

std::vector<std::string> oddities(const RecordingData& data) {
  constexpr double kWild_hz = 200, kFaint_hz = 0.02, kAlike = 0.95;  // faint: a spike in 50 s
  std::vector<std::string> found;
  const std::int64_t bins = data.test_rate.size(1), repeats = data.test_repeats.size(0);
  for (const auto& [what, movie] :
       {std::pair{"training", data.train_stimulus}, {"test", data.test_stimulus}}) {
    const auto pixels =
        slice(movie, 0, 0, movie.size(0), std::max<std::int64_t>(1, movie.size(0) / 100)).to_vector<float>();
    if (std::all_of(pixels.begin(), pixels.end(), [&](float v) { return v == pixels[0]; }))
      found.push_back(fmt::format("the {} movie is constant", what));
  }
  if (const Shape frame = data.train_stimulus.shape().without(0); frame != Shape{kSize, kSize})
    found.push_back(fmt::format("its frames are {}, the models see [{}, {}]: average them to that size",
                                frame, kSize, kSize));
  const auto shortest = std::min_element(data.blocks.begin(), data.blocks.end());
  if (*shortest < *std::max_element(data.blocks.begin(), data.blocks.end()) / 2)
    found.push_back(fmt::format("block {} of the training movie has only {} frames",
                                shortest - data.blocks.begin(), *shortest));
  if (repeats < 2)
    found.push_back("the test movie was shown once: nobody knows the noise ceiling, so scores have no share");
  for (std::int64_t cell = 0; cell < data.cells(); ++cell) {
    const auto rate = select(data.train_rate, 0, cell).to_vector<float>();
    const auto mean = select(data.test_rate, 0, cell).to_vector<float>();
    if (std::all_of(rate.begin(), rate.end(), [&](float v) { return v == rate[0]; }))
      found.push_back(fmt::format("the response of cell {} never changes", cell));
    else if (mean_of(rate) > kWild_hz)
      found.push_back(
          fmt::format("cell {} has {:.0f} Hz on average: is that a rate in Hz?", cell, mean_of(rate)));
    else if (mean_of(rate) < kFaint_hz && *std::min_element(rate.begin(), rate.end()) >= 0)  // no potential
      found.push_back(
          fmt::format("cell {} has {:.2g} Hz on average: are its spike times in seconds, its rates in Hz?",
                      cell, mean_of(rate)));
    if (repeats < 2 || bins < 2) continue;
    const auto trials = select(data.test_repeats, 1, cell).to_vector<float>();
    const double r = correlation(Repeats{.response = trials, .trials = repeats}.mean(), mean);
    if (r < kAlike)
      found.push_back(fmt::format(
          "the mean of cell {}'s repeats correlates with its test response with {:.2f} only", cell, r));
  }
  return found;
}

}  // namespace fovea::retina

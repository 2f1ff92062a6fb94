// SPDX-License-Identifier: Apache-2.0
#include "nn/data/window_dataset.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "nn/data/shuffle.h"
#include "tensor/views.h"

namespace fovea::nn {

namespace {

/// [T, n] f32 of either layout, on the movie's device.
Tensor by_time(const Tensor& signal, ResponseLayout layout, const Tensor& movie, const char* name) {
  const int time_axis = layout == ResponseLayout::cells_time ? 1 : 0;
  if (signal.rank() != 2 || signal.shape()[time_axis] != movie.shape()[0])
    reject("window_dataset", "{} {} are not [{}] for movie {}", name, signal.shape(),
           time_axis == 1 ? "cells, T" : "T, cells", movie.shape());
  return (time_axis == 1 ? transpose(signal, 0, 1) : signal)
      .to(DType::f32)
      .to(movie.device())
      .contiguous(name);
}

}  // namespace

WindowDataset::WindowDataset(Tensor movie, const Tensor& responses, ResponseLayout layout,
                             WindowOptions options)
    : movie_(std::move(movie)), history_(options.history) {
  constexpr const char* kName = "window_dataset";
  if (movie_.rank() != 3) reject(kName, "movie {} is not [T, H, W]", movie_.shape());
  if (movie_.dtype() != DType::u8 && movie_.dtype() != DType::f32)
    reject<DTypeError>(kName, "movie {} is {}, expected u8 or f32", movie_.shape(),
                       dtype_name(movie_.dtype()));
  if (!movie_.device().host_memory())  // coverage: only a movie on a GPU is refused here
    reject<DeviceError>(kName,         // untested: needs a GPU
                        "movie {} is on {}, but windows are made by the host; keep it on cpu", movie_.shape(),
                        movie_.device().name());
  const std::int64_t frames = movie_.shape()[0];
  Tensor rates = by_time(responses, layout, movie_, "responses");
  if (history_ < 1 || options.skip < 0)
    reject<ValueError>(kName, "history must be at least 1 and skip at least 0, got {} and {}", history_,
                       options.skip);
  movie_ = movie_.contiguous("movie");
  responses_ = std::move(rates);

  const std::vector<std::int64_t> blocks =
      options.blocks.empty() ? std::vector<std::int64_t>{frames} : options.blocks;
  if (std::accumulate(blocks.begin(), blocks.end(), std::int64_t{0}) != frames)
    reject<ValueError>(kName, "the blocks have {} frames together, movie {} has {}",
                       std::accumulate(blocks.begin(), blocks.end(), std::int64_t{0}), movie_.shape(),
                       frames);
  std::vector<Run> runs;
  std::int64_t start = 0;
  for (std::size_t b = 0; b < blocks.size(); ++b) {
    const std::int64_t count = blocks[b] - options.skip - history_;
    if (count < 1)
      reject<ValueError>(kName, "block {} has {} frames, but a sample needs skip {} + history {} + 1", b,
                         blocks[b], options.skip, history_);
    runs.push_back({start + options.skip, count});
    start += blocks[b];
  }
  *this = with_runs(std::move(runs));
}

void WindowDataset::set_past(const Tensor& signal, ResponseLayout layout) {
  past_ = by_time(signal, layout, movie_, "past signals");
}

WindowDataset WindowDataset::with_runs(std::vector<Run> runs) const {
  WindowDataset part = *this;
  part.runs_ = std::move(runs);
  part.offsets_ = {0};
  for (const Run& run : part.runs_) part.offsets_.push_back(part.offsets_.back() + run.count);
  return part;
}

std::int64_t WindowDataset::first_frame(std::int64_t sample) const {
  if (sample < 0 || sample >= size())
    reject<ValueError>("window_dataset", "there is no sample {}, it has {}", sample, size());
  const auto after = std::upper_bound(offsets_.begin(), offsets_.end(), sample);
  const auto run = static_cast<std::size_t>(after - offsets_.begin()) - 1;
  return runs_[run].first_frame + (sample - offsets_[run]);
}

Normalization WindowDataset::measure() const {
  const std::int64_t plane = movie_.shape()[1] * movie_.shape()[2];
  double count = 0.0, mean = 0.0, squares = 0.0;
  // Two passes: a sum of squares minus a squared sum would cancel for a bright movie of low contrast.
  for (const bool second : {false, true}) {
    double sum = 0.0;
    for (const Run& run : runs_) {
      const std::int64_t first = run.first_frame * plane, last = first + (run.count + history_ - 1) * plane;
      const auto add = [&](const auto* pixels) {
        for (std::int64_t i = first; i < last; ++i) {
          const double x = static_cast<double>(pixels[i]) - mean;
          sum += second ? x * x : x;
        }
      };
      if (movie_.dtype() == DType::u8)
        add(movie_.data<std::uint8_t>());
      else
        add(movie_.data<float>());
      if (!second) count += static_cast<double>(last - first);
    }
    (second ? squares : mean) = sum / count;
  }
  return {static_cast<float>(mean), static_cast<float>(std::sqrt(squares) + 1e-7)};
}

WindowDataset::Parts WindowDataset::hold_out(double fraction, std::int64_t chunk_frames,
                                             std::uint64_t seed) const {
  constexpr const char* kName = "hold_out";
  if (!(fraction > 0.0 && fraction < 1.0))
    reject<ValueError>(kName, "fraction must be in (0, 1), got {}", fraction);
  if (chunk_frames < history_ + 1)
    reject<ValueError>(kName, "a chunk of {} frames has no sample: it needs history {} + 1", chunk_frames,
                       history_);
  struct Chunk {
    std::int64_t first, last;  // frames first … last-1, the last target bin included
    std::size_t run;
  };
  std::vector<Chunk> chunks;
  for (std::size_t r = 0; r < runs_.size(); ++r) {
    const std::int64_t first = runs_[r].first_frame, last = first + runs_[r].count + history_;
    const std::int64_t parts = std::max<std::int64_t>(1, (last - first) / chunk_frames);
    for (std::int64_t k = 0; k < parts; ++k)
      chunks.push_back({first + k * chunk_frames, k + 1 == parts ? last : first + (k + 1) * chunk_frames, r});
  }
  const auto total = static_cast<std::int64_t>(chunks.size());
  const std::int64_t held = std::max<std::int64_t>(1, std::llround(fraction * static_cast<double>(total)));
  if (held >= total)
    reject<ValueError>(kName, "{} of {} chunks of {} frames would be held out, which leaves none to train on",
                       held, total, chunk_frames);
  std::vector<bool> is_held(chunks.size(), false);
  const std::vector<std::int64_t> order = shuffled(total, {seed, philox::stream_id("hold_out"), 0, nullptr});
  for (std::int64_t k = 0; k < held; ++k)
    is_held[static_cast<std::size_t>(order[static_cast<std::size_t>(k)])] = true;

  std::vector<Run> parts[2];
  for (std::size_t k = 0; k < chunks.size();) {  // neighbours of one kind and one run are joined
    std::size_t end = k + 1;
    while (end < chunks.size() && is_held[end] == is_held[k] && chunks[end].run == chunks[k].run) ++end;
    parts[is_held[k] ? 1 : 0].push_back({chunks[k].first, chunks[end - 1].last - chunks[k].first - history_});
    k = end;
  }
  return {with_runs(std::move(parts[0])), with_runs(std::move(parts[1]))};
}

void WindowDataset::normalize(std::int64_t first_element, std::int64_t count, float* out) const {
  const auto [mean, sd] = normalization_;
  if (movie_.dtype() == DType::u8) {
    float table[256];  // the same quotient for each of the 256 grey levels
    for (int level = 0; level < 256; ++level) table[level] = (static_cast<float>(level) - mean) / sd;
    const std::uint8_t* pixels = movie_.data<std::uint8_t>() + first_element;
    for (std::int64_t i = 0; i < count; ++i) out[i] = table[pixels[i]];
  } else {
    const float* pixels = movie_.data<float>() + first_element;
    for (std::int64_t i = 0; i < count; ++i) out[i] = (pixels[i] - mean) / sd;
  }
}

void WindowDataset::gather(std::span<const std::int64_t> samples, const Tensor& x, const Tensor& y,
                           const Tensor& past) const {
  const std::int64_t plane = movie_.shape()[1] * movie_.shape()[2], window = history_ * plane;
  const auto batch = static_cast<std::int64_t>(samples.size());
  if (x.shape() != Shape{batch, history_, movie_.shape()[1], movie_.shape()[2]} || !x.is_contiguous())
    reject("gather", "x {} is not the contiguous [{}, {}, {}, {}] of this batch", x.shape(), batch, history_,
           movie_.shape()[1], movie_.shape()[2]);
  if (y.shape() != Shape{batch, cells()} || !y.is_contiguous())
    reject("gather", "y {} is not the contiguous [{}, {}] of this batch", y.shape(), batch, cells());
  const std::int64_t signals = past_.defined() ? past_.shape()[1] : 0;
  if (past_.defined() &&
      (!past.defined() || past.shape() != Shape{batch, history_, signals} || !past.is_contiguous()))
    reject("gather", "past {} is not the contiguous [{}, {}, {}] of this batch",
           past.defined() ? past.shape() : Shape{}, batch, history_, signals);
  for (std::int64_t b = 0; b < batch; ++b) {
    const std::int64_t first = first_frame(samples[static_cast<std::size_t>(b)]);
    normalize(first * plane, window, x.data() + b * window);  // successive frames lie side by side
    const float* target = responses_.data() + (first + history_) * cells();
    std::copy(target, target + cells(), y.data() + b * cells());
    if (!past_.defined()) continue;
    const float* seen = past_.data() + first * signals;
    std::copy(seen, seen + history_ * signals, past.data() + b * history_ * signals);
  }
}

Tensor WindowDataset::frames(std::int64_t first, std::int64_t count) const {
  const Tensor part = slice(movie_, 0, first, first + count);
  if (movie_.dtype() == DType::f32 && normalization_.identity()) return part;
  Tensor result = Tensor::empty(part.shape(), DType::f32, movie_.device(), "frames");
  normalize(part.offset(), part.numel(), result.data());
  return result;
}

Tensor WindowDataset::targets(std::int64_t first_frame, std::int64_t count) const {
  return slice(responses_, 0, first_frame + history_, first_frame + history_ + count);
}

}  // namespace fovea::nn

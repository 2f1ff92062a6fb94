// SPDX-License-Identifier: Apache-2.0
#include "nn/data/binned_movie.h"

#include <algorithm>
#include <cmath>

#include "tensor/errors.h"

namespace fovea::nn {
namespace {

std::int64_t pixels(Size2d size) { return size.height * size.width; }

Size2d cropped(Size2d size, bool square) { return square ? Size2d(std::min(size.height, size.width)) : size; }

double rate(const Movie& movie, const BinOptions& options) {
  if (options.bins_per_s <= 0 || !std::isfinite(options.bins_per_s))
    reject<ValueError>("binned_movie", "{} bins a second, expected more than 0", options.bins_per_s);
  const double fps = options.fps != 0.0 ? options.fps : movie.fps() != 0.0 ? movie.fps() : options.bins_per_s;
  if (!(fps > 0.0) || fps > 1e6)
    reject<ValueError>("binned_movie", "{} frames a second, expected more than 0 and at most 1e6", fps);
  return fps;
}

}  // namespace

BinnedMovie::BinnedMovie(std::unique_ptr<Movie> movie, const BinOptions& options)
    : movie_(std::move(movie)),
      fps_(rate(*movie_, options)),
      bins_per_s_(options.bins_per_s),
      crop_(cropped(movie_->size(), options.square)),
      size_(options.size == Size2d(0) ? crop_ : options.size),
      resample_(crop_, size_),
      whole_(static_cast<std::size_t>(pixels(movie_->size()))),
      cropped_(static_cast<std::size_t>(pixels(crop_))),
      shown_(static_cast<std::size_t>(pixels(size_))) {}

bool BinnedMovie::next(float* frame) {
  const auto wanted =
      static_cast<std::int64_t>(std::floor((static_cast<double>(bin_) + 0.5) * fps_ / bins_per_s_));
  const bool same = frames_ > wanted;  // frame `wanted` is the last that was read
  while (frames_ <= wanted) {
    if (!movie_->next(whole_.data())) return false;
    ++frames_;
  }
  if (!same) {
    const auto [height, width] = movie_->size();
    const float* first = whole_.data() + (height - crop_.height) / 2 * width + (width - crop_.width) / 2;
    for (std::int64_t row = 0; row < crop_.height; ++row)
      std::copy_n(first + row * width, crop_.width, cropped_.data() + row * crop_.width);
    resample_(cropped_.data(), shown_.data());
  }
  if (normalization_.identity())
    std::copy(shown_.begin(), shown_.end(), frame);
  else
    std::transform(shown_.begin(), shown_.end(), frame,
                   [z = normalization_](float x) { return (x - z.mean) / z.sd; });
  ++bin_;
  return true;
}

void BinnedMovie::rewind() {
  movie_->rewind();
  bin_ = frames_ = 0;
}

MovieStatistics measure(BinnedMovie& movie, const std::function<bool(std::int64_t bins)>& go_on) {
  std::vector<float> frame(static_cast<std::size_t>(pixels(movie.size())));
  const auto size = static_cast<double>(frame.size());
  MovieStatistics result;
  double squares = 0.0;  // Σ (x − mean)² of all bins so far
  while (go_on(result.bins) && movie.next(frame.data())) {
    double sum = 0.0, own = 0.0;
    for (const float x : frame) sum += static_cast<double>(x);
    const double mean = sum / size;
    for (const float x : frame) own += (static_cast<double>(x) - mean) * (static_cast<double>(x) - mean);
    if (!std::isfinite(own))
      throw IoError(fmt::format("{}: bin {} has values that are not finite numbers", movie.movie().name(),
                                result.bins));
    // Joined as in Chan, Golub and LeVeque 1983: a sum of squares less a squared sum would cancel.
    const auto before = static_cast<double>(result.bins++), both = before + 1.0, step = mean - result.mean;
    squares += own + step * step * size * before / both;
    result.mean += step / both;
  }
  if (result.bins > 0) result.sd = std::sqrt(squares / (size * static_cast<double>(result.bins)));
  movie.rewind();
  return result;
}

}  // namespace fovea::nn

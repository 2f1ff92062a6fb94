// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "nn/data/movie.h"
#include "nn/data/resample.h"
#include "nn/data/window_dataset.h"

namespace fovea::nn {

struct BinOptions {
  double bins_per_s = 100.0;
  double fps =
      0.0;  ///< frames a second of the movie; 0: what it says itself, and a frame a bin if it says nothing
  bool square = false;  ///< first cut out the largest square in the middle
  Size2d size = 0;      ///< then average or interpolate to this (Resample); 0: as it is
};

/// A movie in bins of equal length, at the size and in the units in which a model wants it: bin i shows the frame that
/// is on the screen in its middle, frame ⌊(i + 1/2)·fps/bins_per_s⌋. Slow movies hold their frames, fast ones lose some.
class BinnedMovie {
 public:
  /// throws ValueError for a rate or a size that is none
  BinnedMovie(std::unique_ptr<Movie> movie, const BinOptions& options);

  Size2d size() const { return size_; }
  double fps() const { return fps_; }
  const Movie& movie() const { return *movie_; }

  /// Applied to all that next() gives; the identity at first.
  void set_normalization(Normalization normalization) { normalization_ = normalization; }
  /// Puts the next bin [H, W] f32 where `frame` points; false after the last. throws IoError
  bool next(float* frame);
  void rewind();

 private:
  std::unique_ptr<Movie> movie_;
  double fps_, bins_per_s_;
  Size2d crop_, size_;
  Resample resample_;
  Normalization normalization_;
  std::vector<float> whole_, cropped_, shown_;  // the frame on the screen: as read, cut out, at its size
  std::int64_t bin_ = 0, frames_ = 0;
};

struct MovieStatistics {
  std::int64_t bins = 0;
  double mean = 0.0, sd = 0.0;  ///< of all pixels of all bins, in double; grey levels
};

/// Reads the movie from beginning to end, and winds it back. `go_on` gets the number of bins so far; false ends it early.
/// throws IoError; also for values that are not finite
MovieStatistics measure(BinnedMovie& movie, const std::function<bool(std::int64_t bins)>& go_on);

}  // namespace fovea::nn

// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cmath>

#include "autograd/ops/conv2d.h"
#include "tests/op_case.h"

/// The convolution by its definition, for the rows of conv2d.
namespace fovea::test {

/// Images as the reference sees them: element (n, c, i, j) stands at n·image + c·channel + i·width + j.
struct Layout {
  std::int64_t batch, channels, height, width, image, channel;
};

inline Layout dense(const Shape& x) { return {x[0], x[1], x[2], x[3], x[1] * x[2] * x[3], x[2] * x[3]}; }
/// `length` frames of a movie [T, H, W] make a window.
inline Layout rolling(const Shape& movie, std::int64_t length) {
  const std::int64_t plane = movie[1] * movie[2];
  return {movie[0] - length + 1, length, movie[1], movie[2], plane, plane};
}

/// y and Σ|terms|.
struct Sums {
  Doubles y, magnitude;
};
inline Sums convolve(const Layout& x, std::span<const Doubles> in, const Shape& w,
                     const Conv2dOptions& options) {
  const Padding2d& padding = options.padding;
  const Size2d &stride = options.stride, &dilation = options.dilation;
  const std::int64_t rows = w[2], columns = w[3], per_group = w[0] / options.groups;
  const std::int64_t tall = x.height + padding.top + padding.bottom - (rows - 1) * dilation.height - 1;
  const std::int64_t wide = x.width + padding.left + padding.right - (columns - 1) * dilation.width - 1;
  Sums sums;
  for (std::int64_t n = 0; n < x.batch; ++n)
    for (std::int64_t o = 0; o < w[0]; ++o)
      for (std::int64_t p = 0; p * stride.height <= tall; ++p)
        for (std::int64_t q = 0; q * stride.width <= wide; ++q) {
          double y = in.size() > 2 ? in[2][static_cast<std::size_t>(o)] : 0.0, magnitude = std::abs(y);
          for (std::int64_t c = 0; c < w[1]; ++c)
            for (std::int64_t r = 0; r < rows; ++r)
              for (std::int64_t s = 0; s < columns; ++s) {
                const std::int64_t i = p * stride.height + r * dilation.height - padding.top;
                const std::int64_t j = q * stride.width + s * dilation.width - padding.left;
                if (i < 0 || i >= x.height || j < 0 || j >= x.width) continue;
                const std::int64_t channel = o / per_group * w[1] + c;
                const std::int64_t at = n * x.image + channel * x.channel + i * x.width + j;
                const double term =
                    in[0][static_cast<std::size_t>(at)] *
                    in[1][static_cast<std::size_t>(((o * w[1] + c) * rows + r) * columns + s)];
                y += term;
                magnitude += std::abs(term);
              }
          sums.y.push_back(y);
          sums.magnitude.push_back(magnitude);
        }
  return sums;
}

inline double conv2d_terms(const Sample& sample) {
  const Shape& w = sample.shapes[1];
  return static_cast<double>(w[1] * w[2] * w[3] + 1);
}

}  // namespace fovea::test

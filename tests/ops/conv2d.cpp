// SPDX-License-Identifier: Apache-2.0
#include "autograd/ops/conv2d.h"

#include <doctest/doctest.h>

#include <cmath>

#include "tensor/views.h"
#include "tests/op_case.h"

namespace fovea::test {
namespace {

/// Images as the reference sees them: element (n, c, i, j) stands at n·image + c·channel + i·width + j.
struct Layout {
  std::int64_t batch, channels, height, width, image, channel;
};

Layout dense(const Shape& x) { return {x[0], x[1], x[2], x[3], x[1] * x[2] * x[3], x[2] * x[3]}; }
/// params[1] frames of a movie [T, H, W] make a window.
Layout rolling(const Sample& sample) {
  const Shape& movie = sample.shapes[0];
  const std::int64_t plane = movie[1] * movie[2], length = sample.params[1];
  return {movie[0] - length + 1, length, movie[1], movie[2], plane, plane};
}

/// y and Σ|terms| by the definition.
struct Sums {
  Doubles y, magnitude;
};
Sums convolve(const Layout& x, std::span<const Doubles> in, const Sample& sample) {
  const Shape& w = sample.shapes[1];
  const std::int64_t padding = sample.params[0], rows = w[2], columns = w[3];
  const std::int64_t out_height = x.height + 2 * padding - rows + 1;
  const std::int64_t out_width = x.width + 2 * padding - columns + 1;
  Sums sums;
  for (std::int64_t n = 0; n < x.batch; ++n)
    for (std::int64_t o = 0; o < w[0]; ++o)
      for (std::int64_t p = 0; p < out_height; ++p)
        for (std::int64_t q = 0; q < out_width; ++q) {
          double y = in.size() > 2 ? in[2][static_cast<std::size_t>(o)] : 0.0, magnitude = std::abs(y);
          for (std::int64_t c = 0; c < x.channels; ++c)
            for (std::int64_t r = 0; r < rows; ++r) {
              const std::int64_t i = p + r - padding;
              if (i < 0 || i >= x.height) continue;
              const double* from = in[0].data() + n * x.image + c * x.channel + i * x.width + q - padding;
              const double* weight = in[1].data() + ((o * w[1] + c) * rows + r) * columns;
              for (std::int64_t s = 0; s < columns; ++s) {
                if (q + s < padding || q + s - padding >= x.width) continue;
                y += from[s] * weight[s];
                magnitude += std::abs(from[s] * weight[s]);
              }
            }
          sums.y.push_back(y);
          sums.magnitude.push_back(magnitude);
        }
  return sums;
}

double terms(const Sample& sample) {
  const Shape& w = sample.shapes[1];
  return static_cast<double>(w[1] * w[2] * w[3] + 1);
}

Var zeros(const Shape& shape, const Device& device, DType dtype = DType::f32) {
  return Tensor::zeros(shape, dtype, device);
}
Reject wrong_option(const char* name, Conv2dOptions options, const char* text) {
  return {name,
          [=](const Device& d) {
            conv2d(zeros({1, 2, 5, 5}, d), zeros({3, 2, 3, 3}, d), Var(), options);
          },
          std::string("conv2d: ") + text + " (x [1, 2, 5, 5], w [3, 2, 3, 3])"};
}

/// Batches around the 16, 8 and 4 images of a vector, outputs around the 16 to 48 columns of a row of vectors
/// and the 64 of a GPU tile, output channels around the tile of 8 and its halves, kernel columns around the
/// 3 and 24 of a weight gradient tile, kernel rows around the 4 of a GPU tile.
TEST_CASE("conv2d") {
  check({
      .info = conv2d_info,
      .samples = {{{{2, 2, 4, 5}, {3, 2, 3, 2}, {3}}, {1}},
                  {{{1, 1, 1, 1}, {1, 1, 1, 1}, {1}}, {0}},
                  {{{0, 2, 5, 5}, {3, 2, 3, 3}, {3}}, {0}},
                  {{{2, 2, 4, 5}, {3, 2, 3, 2}}, {1}},
                  {{{3, 2, 3, 3}, {2, 2, 5, 5}, {2}}, {3}},
                  {{{15, 2, 4, 6}, {7, 2, 4, 2}, {7}}, {0}},
                  {{{16, 2, 3, 6}, {8, 2, 2, 3}, {8}}, {0}},
                  {{{17, 1, 4, 5}, {9, 1, 3, 4}, {9}}, {1}},
                  {{{33, 3, 3, 4}, {4, 3, 3, 3}, {4}}, {1}},
                  {{{1, 3, 5, 38}, {8, 3, 4, 4}, {8}}, {0}},
                  {{{2, 2, 5, 36}, {8, 2, 1, 1}, {8}}, {0}},
                  {{{1, 2, 4, 39}, {5, 2, 3, 3}, {5}}, {0}},
                  {{{3, 2, 12, 13}, {8, 2, 11, 11}, {8}}, {0}},
                  {{{1, 1, 3, 67}, {2, 1, 3, 3}, {2}}, {0}},
                  {{{1, 2, 3, 60}, {2, 2, 2, 26}, {2}}, {0}},
                  {{{16, 1, 2, 51}, {1, 1, 2, 2}, {1}}, {0}},
                  {{{1, 1, 20, 20}, {1, 1, 18, 18}, {1}}, {0}},
                  {{{1, 1, 47, 48}, {1, 1, 45, 45}, {1}}, {0}},
                  {{{1, 8, 36, 36}, {8, 8, 11, 11}, {8}}, {0}},
                  {{{1, 8, 14, 36}, {16, 8, 9, 9}, {16}}, {0}},
                  {{{1, 40, 18, 50}, {8, 40, 15, 15}, {8}}, {0}},
                  {{{40, 3, 9, 9}, {8, 3, 5, 5}, {8}}, {2}, DType::f32, true}},
      .apply =
          [](std::span<const Var> in, const Sample& sample) {
            return conv2d(in[0], in[1], in.size() > 2 ? in[2] : Var(),
                          {.padding = static_cast<int>(sample.params[0])});
          },
      .reference = [](std::span<const Doubles> in,
                      const Sample& sample) { return convolve(dense(sample.shapes[0]), in, sample).y; },
      .magnitude =
          [](std::span<const Doubles> in, const Sample& sample) {
            return convolve(dense(sample.shapes[0]), in, sample).magnitude;
          },
      .terms = terms,
      .rejects =
          {{"another number of channels",
            [](const Device& d) {
              conv2d(zeros({8, 3, 32, 32}, d), zeros({16, 4, 5, 5}, d), Var());
            },
            "conv2d: x [8, 3, 32, 32] has 3 channels, w [16, 4, 5, 5] expects 4"},
           {"a kernel that is too large",
            [](const Device& d) {
              conv2d(zeros({1, 2, 4, 9}, d), zeros({3, 2, 7, 7}, d), Var(), {.padding = 1});
            },
            "conv2d: the 7×7 kernel of w [3, 2, 7, 7] does not fit into x [1, 2, 4, 9], which is 6×11 with "
            "padding 1"},
           {"too few dimensions",
            [](const Device& d) {
              conv2d(zeros({2, 4, 9}, d), zeros({3, 2, 3, 3}, d), Var());
            },
            "conv2d: x [2, 4, 9] and w [3, 2, 3, 3] must be [N, C, H, W] and [O, C, R, S]"},
           {"a bias of another size",
            [](const Device& d) {
              conv2d(zeros({1, 2, 5, 5}, d), zeros({3, 2, 3, 3}, d), zeros({4}, d));
            },
            "conv2d: bias [4] does not fit w [3, 2, 3, 3], expected [3] (x [1, 2, 5, 5])"},
           {"no weights",
            [](const Device& d) {
              conv2d(zeros({1, 2, 5, 5}, d), zeros({0, 2, 3, 3}, d), Var());
            },
            "conv2d: w [0, 2, 3, 3] is empty (x [1, 2, 5, 5])"},
           wrong_option("stride", {.stride = 2}, "stride 2 is not supported, only 1"),
           wrong_option("dilation", {.dilation = 3}, "dilation 3 is not supported, only 1"),
           wrong_option("groups", {.groups = 2}, "groups 2 is not supported, only 1"),
           wrong_option("padding", {.padding = -1}, "padding -1 is negative"),
           {"f64",
            [](const Device& d) {
              conv2d(zeros({1, 2, 5, 5}, d, DType::f64), zeros({3, 2, 3, 3}, d), Var());
            },
            "conv2d: x [1, 2, 5, 5] is f64, expected f32; convert it with to()"},
           {"two devices",
            [](const Device&) {
              conv2d(zeros({1, 2, 5, 5}, Device::cpu()), zeros({3, 2, 3, 3}, Device::simt()), Var());
            },
            "conv2d: [1, 2, 5, 5] is on cpu and [3, 2, 3, 3] on simt; move one with to()"}},
  });
}

/// Windows over a movie, params {padding, frames in a window}. Strided movies make strided planes, which are
/// copied; the result must not change by a bit.
TEST_CASE("conv2d_rolling") {
  check({
      .info = conv2d_info,
      .samples = {{{{5, 4, 5}, {3, 3, 3, 2}, {3}}, {1, 3}},
                  {{{2, 4, 5}, {3, 2, 3, 3}, {3}}, {0, 2}},
                  {{{19, 4, 4}, {8, 4, 2, 3}, {8}}, {0, 4}},
                  {{{17, 4, 4}, {5, 2, 3, 3}, {5}}, {1, 2}},
                  {{{6, 6, 20}, {8, 3, 4, 4}, {8}}, {0, 3}},
                  {{{41, 18, 50}, {8, 40, 15, 15}, {8}}, {0, 40}},
                  {{{38, 9, 8}, {8, 6, 3, 3}, {8}}, {0, 6}, DType::f32, true}},
      .apply =
          [](std::span<const Var> in, const Sample& sample) {
            const Tensor windows = rolling_window(in[0].value(), sample.params[1]);
            return conv2d(in[0].tape()->input(windows), in[1], in[2],
                          {.padding = static_cast<int>(sample.params[0])});
          },
      .reference = [](std::span<const Doubles> in,
                      const Sample& sample) { return convolve(rolling(sample), in, sample).y; },
      .magnitude = [](std::span<const Doubles> in,
                      const Sample& sample) { return convolve(rolling(sample), in, sample).magnitude; },
      .terms = terms,
      .gradient_inputs = 0b110,
  });
}

}  // namespace
}  // namespace fovea::test

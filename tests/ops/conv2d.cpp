// SPDX-License-Identifier: Apache-2.0
#include "autograd/ops/conv2d.h"

#include <doctest/doctest.h>

#include "tensor/views.h"
#include "tests/ops/conv2d_reference.h"

namespace fovea::test {
namespace {

Conv2dOptions padded(const Sample& sample) { return {.padding = sample.params[0]}; }

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
            return conv2d(in[0], in[1], in.size() > 2 ? in[2] : Var(), padded(sample));
          },
      .reference =
          [](std::span<const Doubles> in, const Sample& sample) {
            return convolve(dense(sample.shapes[0]), in, sample.shapes[1], padded(sample)).y;
          },
      .magnitude =
          [](std::span<const Doubles> in, const Sample& sample) {
            return convolve(dense(sample.shapes[0]), in, sample.shapes[1], padded(sample)).magnitude;
          },
      .terms = conv2d_terms,
      .rounded_inputs = 0b11,
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
            return conv2d(in[0].tape()->input(windows), in[1], in[2], padded(sample));
          },
      .reference =
          [](std::span<const Doubles> in, const Sample& sample) {
            return convolve(rolling(sample.shapes[0], sample.params[1]), in, sample.shapes[1], padded(sample))
                .y;
          },
      .magnitude =
          [](std::span<const Doubles> in, const Sample& sample) {
            return convolve(rolling(sample.shapes[0], sample.params[1]), in, sample.shapes[1], padded(sample))
                .magnitude;
          },
      .terms = conv2d_terms,
      .gradient_inputs = 0b110,
      .rounded_inputs = 0b11,
  });
}

}  // namespace
}  // namespace fovea::test

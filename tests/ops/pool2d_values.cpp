// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <cmath>
#include <limits>

#include "autograd/ops/pool2d.h"
#include "tests/op_case.h"

/// Pooling by hand: padding, ceil_mode, ties and NaN. The rows stand in pool2d.cpp.
namespace fovea::test {
namespace {

Tensor floats(const std::vector<float>& values, const Shape& shape, const Device& device) {
  return Tensor::from(values, shape, device);
}

std::vector<float> values_of(const Var& y) { return y.value().to_vector<float>(); }

}  // namespace

// TensorFlow pads 7 columns by one on the right for 2×2 windows of stride 2: four results, the last of one pixel.
TEST_CASE("pool2d_same_7_to_4") {
  std::vector<float> ramp(49);
  for (std::size_t i = 0; i < ramp.size(); ++i)
    ramp[i] = static_cast<float>(i) - 60;  // below 0: padding never wins
  const Pool2dOptions same{.stride = 2, .padding = same_padding(7, 2, 2)};
  for (const Device& device : devices()) {
    INFO(device.description());
    const Tensor x = floats(ramp, {1, 1, 7, 7}, device);
    const Var y = max_pool2d(x, 2, same);
    CHECK(y.shape() == Shape{1, 1, 4, 4});
    CHECK(values_of(y) ==
          std::vector<float>{-52, -50, -48, -47, -38, -36, -34, -33, -24, -22, -20, -19, -17, -15, -13, -12});
    CHECK(values_of(average_pool2d(x, 2, same)) == std::vector<float>{-56, -54, -52, -50.5, -42, -40, -38,
                                                                      -36.5, -28, -26, -24, -22.5, -17.5,
                                                                      -15.5, -13.5, -12});
    Pool2dOptions counted = same;
    counted.count_padding = true;
    CHECK(values_of(average_pool2d(x, 2, counted))[3] == -25.25f);  // (-54 - 47)/4
    CHECK(values_of(average_pool2d(x, 2, counted))[15] == -3.0f);
  }
}

// One row of 6 in windows of 3, two apart: ceil_mode adds a window of the last two; with padding 1 the window that
// would start in the right padding is left out.
TEST_CASE("pool2d_ceil_mode") {
  for (const Device& device : devices()) {
    INFO(device.description());
    const Tensor x = floats({1, 2, 3, 4, 5, 6}, {1, 1, 1, 6}, device);
    CHECK(values_of(max_pool2d(x, {1, 3}, {.stride = {1, 2}})) == std::vector<float>{3, 5});
    CHECK(values_of(max_pool2d(x, {1, 3}, {.stride = {1, 2}, .ceil_mode = true})) ==
          std::vector<float>{3, 5, 6});
    CHECK(
        values_of(average_pool2d(x, {1, 3}, {.stride = {1, 2}, .ceil_mode = true, .count_padding = true})) ==
        std::vector<float>{2, 4, 5.5});
    const Pool2dOptions padded{.stride = {1, 3}, .padding = {0, 0, 1, 1}, .ceil_mode = true};
    CHECK(values_of(max_pool2d(x, {1, 2}, padded)) == std::vector<float>{1, 4, 6});  // starts at -1, 2, 5
    const Tensor five = floats({1, 2, 3, 4, 5}, {1, 1, 1, 5}, device);
    CHECK(values_of(max_pool2d(five, {1, 2}, padded)) == std::vector<float>{1, 4});  // not at 5
  }
}

// Of equal maxima, and of NaN, the first in row-major order takes the slope.
TEST_CASE("max_pool2d_ties_and_nan") {
  const float nan = std::numeric_limits<float>::quiet_NaN(),
              infinity = std::numeric_limits<float>::infinity();
  const auto slopes = [](const Tensor& x, Size2d kernel, const Pool2dOptions& options) {
    Tape tape;
    const Var leaf = tape.leaf(x);
    const Var y = max_pool2d(leaf, kernel, options);
    const Tape::Root root{y, Tensor::full(y.shape(), 1.0, DType::f32, x.device())};
    tape.backward(std::span(&root, 1));
    return tape.grad(leaf).to_vector<float>();
  };
  for (const Device& device : devices()) {
    INFO(device.description());
    for (const std::int64_t width : {2, 36}) {  // alone, and in lanes
      INFO(width);
      const auto plane = [&](float a, float b, float c, float d) {
        std::vector<float> values;
        for (std::int64_t i = 0; i < 2 * width; ++i)
          values.push_back(i < width ? (i % 2 == 0 ? a : b) : (i % 2 == 0 ? c : d));
        return floats(values, {1, 1, 2, width}, device);
      };
      const auto winner = [&](const Tensor& x) {
        const std::vector<float> dx = slopes(x, 2, {});
        std::vector<float> first{dx[0], dx[1], dx[static_cast<std::size_t>(width)],
                                 dx[static_cast<std::size_t>(width) + 1]};
        for (std::int64_t i = 0; i < 2 * width; ++i)
          CHECK(dx[static_cast<std::size_t>(i)] == first[static_cast<std::size_t>(i / width * 2 + i % 2)]);
        return first;
      };
      CHECK(winner(plane(1, 2, 2, 2)) == std::vector<float>{0, 1, 0, 0});
      CHECK(winner(plane(-infinity, -infinity, -infinity, -infinity)) == std::vector<float>{1, 0, 0, 0});
      CHECK(winner(plane(1, 0, nan, 3)) == std::vector<float>{0, 0, 1, 0});
      CHECK(winner(plane(7, nan, nan, infinity)) == std::vector<float>{0, 1, 0, 0});
      CHECK(std::isnan(values_of(max_pool2d(plane(7, nan, 2, infinity), 2))[0]));
      CHECK(std::isnan(values_of(max_pool2d(plane(nan, 0, 0, 0), 2))[0]));
    }
    // Windows that overlap: the pixel in the middle wins all four.
    const Tensor x = floats({0, 0, 0, 0, 9, 0, 0, 0, 0}, {1, 1, 3, 3}, device);
    CHECK(slopes(x, 2, {.stride = 1}) == std::vector<float>{0, 0, 0, 0, 4, 0, 0, 0, 0});
  }
}

TEST_CASE("max_pool2d_keeps_a_byte_for_each_result") {
  for (const Device& device : devices()) {
    INFO(device.description());
    const auto kept = [&](Size2d kernel) {
      Tape tape;
      max_pool2d(tape.leaf(Tensor::zeros({1, 1, 20, 20}, DType::f32, device)), kernel, {.stride = 1});
      return tape.records()[0].kept[0].dtype();
    };
    CHECK(kept(16) == DType::u8);
    CHECK(kept({16, 17}) == DType::i32);
  }
}

}  // namespace fovea::test

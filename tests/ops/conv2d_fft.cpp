// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <cmath>
#include <limits>

#include "tensor/views.h"
#include "tests/ops/conv2d_reference.h"

namespace fovea::test {
namespace {

/// params {top, bottom, left, right}. Other devices have no transforms; the row is then one more of direct sums.
Conv2dOptions options(const Sample& sample, const Device& device) {
  const auto& p = sample.params;
  return {.padding = {p[0], p[1], p[2], p[3]},
          .algorithm = device.kind() == DeviceKind::cpu ? ConvAlgorithm::fft : ConvAlgorithm::automatic};
}
Conv2dOptions plain_options(const Sample& sample) {
  const auto& p = sample.params;
  return {.padding = {p[0], p[1], p[2], p[3]}};
}

/// For each result Σ_c ‖x_c‖·‖w_oc‖: a transform rounds relative to the norm of a plane, not to the terms of one sum.
/// Two images are one complex plane, so the norm is that of both.
Doubles norms(const Layout& x, std::span<const Doubles> in, const Shape& w, const Conv2dOptions& options) {
  const std::int64_t taps = w[2] * w[3], plane = x.height * x.width;
  const Padding2d& p = options.padding;
  const std::int64_t results =
      (x.height + p.top + p.bottom - w[2] + 1) * (x.width + p.left + p.right - w[3] + 1);
  const auto square = [&](const Doubles& values, std::int64_t first, std::int64_t count) {
    double sum = 0;
    for (std::int64_t i = first; i < first + count; ++i)
      sum += values[static_cast<std::size_t>(i)] * values[static_cast<std::size_t>(i)];
    return sum;
  };
  Doubles norms;
  for (std::int64_t n = 0; n < x.batch; ++n)
    for (std::int64_t o = 0; o < w[0]; ++o) {
      double sum = in.size() > 2 ? std::abs(in[2][static_cast<std::size_t>(o)]) : 0.0;
      for (std::int64_t c = 0; c < w[1]; ++c) {
        const std::int64_t other = (n ^ 1) < x.batch ? n ^ 1 : n;
        const double images = square(in[0], n * x.image + c * x.channel, plane) +
                              square(in[0], other * x.image + c * x.channel, plane);
        sum += std::sqrt(images * square(in[1], (o * w[1] + c) * taps, taps));
      }
      norms.insert(norms.end(), static_cast<std::size_t>(results), sum);
    }
  return norms;
}

/// log2 of the longest transform, about: each butterfly adds a rounding.
constexpr double kStages = 7;

/// Batches around the 32, 16 and 8 images of a group, output channels around the tile of 8 and of 4, every length of a
/// transform, kernels as large as the plane, paddings up to and beyond the kernel.
TEST_CASE("conv2d_fft") {
  check({
      .info = conv2d_info,
      .samples = {{{{2, 2, 4, 5}, {3, 2, 3, 2}, {3}}, {1, 1, 1, 1}},
                  {{{1, 1, 1, 1}, {1, 1, 1, 1}, {1}}, {0, 0, 0, 0}},
                  {{{0, 2, 5, 5}, {3, 2, 3, 3}, {3}}, {0, 0, 0, 0}},
                  {{{3, 2, 3, 3}, {2, 2, 5, 5}}, {3, 3, 3, 3}},
                  {{{2, 1, 3, 4}, {2, 1, 2, 2}, {2}}, {0, 3, 4, 1}},
                  {{{7, 2, 9, 11}, {7, 2, 9, 11}, {7}}, {0, 0, 0, 0}},
                  {{{8, 3, 6, 5}, {8, 3, 2, 4}, {8}}, {0, 1, 2, 0}},
                  {{{9, 1, 17, 4}, {9, 1, 5, 3}, {9}}, {2, 2, 1, 1}},
                  {{{15, 2, 4, 23}, {4, 2, 3, 7}, {4}}, {0, 0, 0, 0}},
                  {{{17, 3, 8, 20}, {5, 3, 4, 13}, {5}}, {1, 0, 6, 6}},
                  {{{31, 1, 5, 6}, {2, 1, 3, 3}, {2}}, {0, 0, 0, 0}},
                  {{{33, 2, 6, 7}, {3, 2, 4, 4}, {3}}, {2, 1, 1, 2}},
                  {{{66, 1, 4, 4}, {1, 1, 2, 2}, {1}}, {0, 0, 0, 0}},
                  {{{1, 1, 36, 40}, {1, 1, 11, 5}, {1}}, {0, 0, 0, 0}},
                  {{{1, 2, 48, 50}, {1, 2, 3, 15}, {1}}, {0, 0, 0, 0}},
                  {{{2, 1, 58, 61}, {1, 1, 3, 4}}, {1, 1, 0, 0}},
                  {{{1, 1, 80, 97}, {1, 1, 3, 3}}, {0, 0, 1, 1}, DType::f32, true},
                  {{{1, 1, 25, 32}, {1, 1, 7, 9}, {1}}, {0, 0, 0, 0}},
                  {{{40, 3, 9, 9}, {8, 3, 5, 5}, {8}}, {2, 2, 2, 2}, DType::f32, true},
                  {{{2, 10, 16, 50}, {8, 10, 15, 15}, {8}}, {0, 0, 0, 0}, DType::f32, true}},
      .apply =
          [](std::span<const Var> in, const Sample& sample) {
            return conv2d(in[0], in[1], in.size() > 2 ? in[2] : Var(),
                          options(sample, in[0].value().device()));
          },
      .reference =
          [](std::span<const Doubles> in, const Sample& sample) {
            return convolve(dense(sample.shapes[0]), in, sample.shapes[1], plain_options(sample)).y;
          },
      .magnitude =
          [](std::span<const Doubles> in, const Sample& sample) {
            return norms(dense(sample.shapes[0]), in, sample.shapes[1], plain_options(sample));
          },
      .ulps = kStages,
      .rounded_inputs = 0b11,
  });
}

/// Windows over a movie; the last param is the frames of one.
TEST_CASE("conv2d_fft_rolling") {
  const auto windows = [](const Sample& sample) { return rolling(sample.shapes[0], sample.params[4]); };
  check({
      .info = conv2d_info,
      .samples = {{{{5, 4, 5}, {3, 3, 3, 2}, {3}}, {1, 1, 1, 1, 3}},
                  {{{2, 4, 5}, {3, 2, 3, 3}, {3}}, {0, 0, 0, 0, 2}},
                  {{{19, 4, 4}, {8, 4, 2, 3}, {8}}, {0, 0, 0, 0, 4}},
                  {{{36, 4, 4}, {5, 5, 3, 3}, {5}}, {1, 0, 0, 1, 5}},
                  {{{70, 3, 4}, {2, 37, 2, 3}, {2}}, {0, 0, 0, 0, 37}, DType::f32, true},
                  {{{110, 3, 4}, {2, 3, 3, 3}, {2}}, {1, 1, 1, 1, 3}},
                  {{{13, 16, 50}, {8, 10, 15, 15}, {8}}, {0, 0, 0, 0, 10}, DType::f32, true}},
      .apply =
          [](std::span<const Var> in, const Sample& sample) {
            const Tensor view = rolling_window(in[0].value(), sample.params[4]);
            return conv2d(in[0].tape()->input(view), in[1], in[2], options(sample, view.device()));
          },
      .reference =
          [=](std::span<const Doubles> in, const Sample& sample) {
            return convolve(windows(sample), in, sample.shapes[1], plain_options(sample)).y;
          },
      .magnitude =
          [=](std::span<const Doubles> in, const Sample& sample) {
            return norms(windows(sample), in, sample.shapes[1], plain_options(sample));
          },
      .gradient_inputs = 0b110,
      .ulps = kStages,
      .rounded_inputs = 0b11,
  });
}

/// Windows that share frames give the bits of windows that do not; an odd number of them shares none.
TEST_CASE("conv2d_fft_shared_frames") {
  for (const Device& device : devices()) {
    CAPTURE(device.description());
    for (const std::int64_t frames : {41, 42}) {
      const Tensor movie =
          Tensor::normal({frames, 9, 8}, {7, philox::stream_id("movie"), 0}, 0.0f, 1.0f, device);
      const Tensor view = rolling_window(movie, 6);
      const auto run = [&](const Tensor& x) {
        Tape tape;
        const Var w =
            tape.leaf(Tensor::normal({5, 6, 4, 3}, {7, philox::stream_id("weights"), 0}, 0.0f, 1.0f, device));
        const Var y = conv2d(tape.input(x), w, Var(), options({{}, {0, 0, 0, 0}}, device));
        const Tape::Root root{y, y.value()};
        tape.backward(std::span(&root, 1));
        return std::pair(y.value().to_vector<float>(), tape.grad(w).to_vector<float>());
      };
      CHECK(run(view) == run(view.contiguous("test")));
    }
  }
}

/// A number that is not finite reaches every result that it belongs to, and no image outside of its pair.
TEST_CASE("conv2d_fft_not_finite") {
  for (const Device& device : devices()) {
    if (device.kind() != DeviceKind::cpu) continue;
    CAPTURE(device.description());
    std::vector<float> values(5 * 16, 1.0f);
    values[2 * 16 + 5] = std::numeric_limits<float>::quiet_NaN();
    const Var x(Tensor::from(values, {5, 1, 4, 4}, device)),
        w(Tensor::from(std::vector<float>(4, 1.0f), {1, 1, 2, 2}, device));
    const auto y = conv2d(x, w, Var(), {.algorithm = ConvAlgorithm::fft}).value().to_vector<float>();
    for (std::size_t i = 0; i < y.size(); ++i) {
      const std::size_t image = i / 9, p = i % 9 / 3, q = i % 3;
      if (image == 2 && p <= 1 && q <= 1) CHECK(std::isnan(y[i]));
      if (image / 2 != 1) CHECK(y[i] == doctest::Approx(4.0));
    }
  }
}

TEST_CASE("conv2d_algorithm_rejects") {
  for (const Device& device : devices()) {
    CAPTURE(device.description());
    const auto message = [&](const Shape& x, const Shape& w, const Conv2dOptions& options) -> std::string {
      try {
        conv2d(Var(Tensor::zeros(x, DType::f32, device)), Var(Tensor::zeros(w, DType::f32, device)), Var(),
               options);
      } catch (const ValueError& error) {
        return error.what();
      }
      return "";
    };
    const Shape x{1, 2, 5, 5}, w{3, 2, 3, 3};
    if (device.kind() != DeviceKind::cpu) {
      CHECK(message(x, w, {.algorithm = ConvAlgorithm::direct}) ==
            fmt::format("conv2d: an algorithm can be chosen on the cpu only, x [1, 2, 5, 5] is on {}; leave "
                        "it automatic",
                        device.description()));
      continue;
    }
    CHECK(message(x, w, {.algorithm = ConvAlgorithm::gemm}) ==
          "conv2d: algorithm gemm needs a kernel of one pixel, stride 1, no padding and one group (x [1, 2, "
          "5, 5], w "
          "[3, 2, 3, 3])");
    CHECK(message(x, w, {.stride = 2, .algorithm = ConvAlgorithm::fft}) ==
          "conv2d: algorithm fft needs stride 1, dilation 1, one group, and planes that fit a transform of "
          "100 (x [1, 2, 5, 5], w [3, 2, 3, 3])");
    CHECK(message({1, 2, 5, 101}, w, {.algorithm = ConvAlgorithm::fft}) ==
          "conv2d: algorithm fft needs stride 1, dilation 1, one group, and planes that fit a transform of "
          "100 (x [1, 2, 5, 101], w [3, 2, 3, 3])");
    CHECK(message(x, w, {.algorithm = ConvAlgorithm::fft}).empty());
  }
}

/// All algorithms agree, and `automatic` is one of them to the bit.
TEST_CASE("conv2d_algorithms") {
  for (const Device& device : devices()) {
    if (device.kind() != DeviceKind::cpu) continue;
    CAPTURE(device.description());
    const auto run = [&](const Shape& x, const Shape& w, ConvAlgorithm algorithm) {
      return conv2d(Var(Tensor::normal(x, {7, philox::stream_id("x"), 0}, 0.0f, 1.0f, device)),
                    Var(Tensor::normal(w, {7, philox::stream_id("w"), 0}, 0.0f, 1.0f, device)), Var(),
                    {.algorithm = algorithm})
          .value()
          .to_vector<float>();
    };
    const Shape large{32, 8, 30, 30}, wide{8, 8, 11, 11};
    CHECK(run(large, wide, ConvAlgorithm::automatic) == run(large, wide, ConvAlgorithm::fft));
    CHECK(run(large, wide, ConvAlgorithm::automatic) != run(large, wide, ConvAlgorithm::direct));
    const Shape one{2, 16, 8, 8}, pixel{16, 16, 1, 1};
    CHECK(run(one, pixel, ConvAlgorithm::automatic) == run(one, pixel, ConvAlgorithm::gemm));
    const Shape few{1, 2, 9, 9}, small{2, 2, 3, 3};
    CHECK(run(few, small, ConvAlgorithm::automatic) == run(few, small, ConvAlgorithm::direct));
    for (const Shape& x : {one, few}) {
      const Shape& w = x == one ? pixel : small;
      const auto direct = run(x, w, ConvAlgorithm::direct), fft = run(x, w, ConvAlgorithm::fft);
      for (std::size_t i = 0; i < direct.size(); ++i)
        CHECK(fft[i] == doctest::Approx(direct[i]).epsilon(1e-4).scale(1));
    }
  }
}

}  // namespace
}  // namespace fovea::test

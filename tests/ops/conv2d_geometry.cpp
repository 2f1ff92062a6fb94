// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <cmath>
#include <limits>

#include "autograd/ops/reduce.h"
#include "tensor/views.h"
#include "tests/ops/conv2d_reference.h"

namespace fovea::test {
namespace {

/// params {stride, stride, dilation, dilation, groups, top, bottom, left, right}, heights first.
Conv2dOptions options(const Sample& sample) {
  const auto& p = sample.params;
  return {
      .stride = {p[0], p[1]}, .padding = {p[5], p[6], p[7], p[8]}, .dilation = {p[2], p[3]}, .groups = p[4]};
}

/// A sample with "same" padding.
Sample same(const Shape& x, const Shape& w, Size2d stride, Size2d dilation = 1, std::int64_t groups = 1) {
  const Padding2d p = same_padding({x[2], x[3]}, {w[2], w[3]}, stride, dilation);
  return {{x, w, {w[0]}},
          {stride.height, stride.width, dilation.height, dilation.width, groups, p.top, p.bottom, p.left,
           p.right}};
}

/// Too much for the emulation.
Sample large(Sample sample) {
  sample.fast_only = true;
  return sample;
}

OpCase row(std::vector<Sample> samples, std::uint32_t rounded_inputs) {
  return {
      .info = conv2d_info,
      .samples = std::move(samples),
      .apply =
          [](std::span<const Var> in, const Sample& sample) {
            return conv2d(in[0], in[1], in.size() > 2 ? in[2] : Var(), options(sample));
          },
      .reference =
          [](std::span<const Doubles> in, const Sample& sample) {
            return convolve(dense(sample.shapes[0]), in, sample.shapes[1], options(sample)).y;
          },
      .magnitude =
          [](std::span<const Doubles> in, const Sample& sample) {
            return convolve(dense(sample.shapes[0]), in, sample.shapes[1], options(sample)).magnitude;
          },
      .terms = conv2d_terms,
      .rounded_inputs = rounded_inputs,
  };
}

/// Strides and dilations of each axis alone, together, with and without a common divisor; strides longer
/// than the kernel, which leave pixels out; batches that fill the lanes with images, and rows that fill
/// them with pixels; rows whose last columns are done with rows and columns exchanged.
TEST_CASE("conv2d_strided") {
  check(row({{{{2, 2, 7, 6}, {3, 2, 3, 2}, {3}}, {2, 2, 1, 1, 1, 1, 0, 0, 1}},
             {{{1, 1, 1, 1}, {1, 1, 1, 1}, {1}}, {3, 2, 4, 5, 1, 0, 0, 0, 0}},
             {{{0, 2, 5, 5}, {3, 2, 3, 3}, {3}}, {2, 2, 1, 1, 1, 0, 0, 0, 0}},
             {{{2, 2, 4, 5}, {3, 2, 3, 2}}, {1, 1, 1, 1, 1, 0, 2, 3, 1}},
             {{{2, 1, 8, 8}, {2, 1, 2, 2}, {2}}, {3, 3, 1, 1, 1, 0, 0, 0, 0}},
             {{{1, 2, 9, 10}, {2, 2, 1, 1}, {2}}, {2, 2, 1, 1, 1, 0, 0, 0, 0}},
             {{{1, 1, 9, 9}, {2, 1, 3, 2}, {2}}, {1, 1, 2, 3, 1, 0, 0, 1, 1}},
             {{{1, 1, 9, 10}, {2, 1, 3, 3}, {2}}, {2, 2, 2, 2, 1, 1, 1, 1, 1}},
             {{{2, 1, 9, 9}, {1, 1, 2, 3}, {1}}, {2, 3, 3, 2, 1, 1, 2, 0, 1}},
             {{{1, 1, 13, 12}, {2, 1, 3, 2}, {2}}, {4, 6, 2, 4, 1, 1, 0, 0, 1}},
             same({2, 3, 14, 13}, {8, 3, 7, 7}, 2),
             same({17, 2, 7, 8}, {5, 2, 3, 3}, 2),
             same({16, 2, 6, 7}, {9, 2, 2, 4}, {1, 2}),
             same({33, 2, 7, 5}, {4, 2, 3, 3}, 3, 1),
             same({1, 2, 6, 70}, {3, 2, 3, 3}, {1, 2}, {1, 3}),
             same({1, 2, 5, 40}, {8, 2, 3, 4}, {2, 1}, {3, 1}),
             same({2, 2, 15, 17}, {9, 2, 3, 3}, 1, 4),
             same({19, 2, 5, 4}, {8, 2, 1, 3}, 1, 2),
             {{{1, 1, 3, 131}, {1, 1, 1, 45}, {1}}, {1, 2, 1, 2, 1, 1, 0, 0, 0}},
             {{{1, 1, 90, 91}, {8, 1, 3, 3}, {8}}, {1, 1, 30, 30, 1, 0, 0, 0, 0}},
             {{{1, 1, 60, 260}, {1, 1, 2, 2}, {1}}, {20, 4, 30, 50, 1, 0, 0, 0, 0}},
             {{{1, 8, 30, 31}, {8, 8, 7, 7}, {8}}, {2, 2, 1, 1, 1, 3, 3, 3, 3}},
             same({2, 1, 6, 66}, {1, 1, 3, 26}, 1),
             large({{{1, 12, 67, 74}, {7, 12, 6, 5}, {7}}, {1, 2, 1, 1, 1, 2, 1, 1, 0}}),
             large({{{1, 8, 40, 50}, {8, 8, 5, 9}, {8}}, {1, 1, 2, 1, 1, 0, 0, 0, 0}}),
             {{{32, 8, 20, 21}, {16, 8, 3, 3}, {16}}, {2, 2, 1, 1, 1, 1, 1, 1, 1}, DType::f32, true}},
            0b11));
}

/// Groups of several channels and of one, with multipliers 1, 2 and more than the channels a thread or a
/// tile has. None is wide enough for tensor cores.
TEST_CASE("conv2d_groups") {
  check(row({{{{2, 4, 4, 5}, {6, 2, 3, 2}, {6}}, {1, 1, 1, 1, 2, 1, 0, 0, 1}},
             {{{2, 3, 4, 4}, {3, 1, 3, 3}, {3}}, {1, 1, 1, 1, 3, 1, 1, 1, 1}},
             {{{1, 2, 5, 4}, {4, 1, 2, 3}, {4}}, {2, 1, 1, 1, 2, 0, 1, 1, 1}},
             {{{0, 2, 5, 4}, {4, 1, 2, 3}, {4}}, {1, 1, 1, 1, 2, 0, 1, 1, 1}},
             {{{1, 3, 1, 1}, {3, 1, 1, 1}}, {1, 1, 1, 1, 3, 0, 0, 0, 0}},
             same({17, 4, 6, 7}, {8, 2, 3, 3}, 1, 1, 2),
             same({3, 6, 7, 19}, {27, 2, 3, 3}, 2, 1, 3),
             same({2, 8, 9, 9}, {8, 4, 3, 3}, 1, 2, 2),
             same({18, 5, 7, 7}, {5, 1, 7, 7}, 1, 1, 5),
             same({3, 5, 14, 14}, {5, 1, 5, 5}, 1, 1, 5),
             same({1, 3, 20, 18}, {6, 1, 3, 3}, 1, 1, 3),
             same({16, 3, 5, 9}, {6, 1, 4, 2}, 1, 1, 3),
             same({17, 2, 8, 7}, {6, 1, 3, 3}, 2, 1, 2),
             same({2, 2, 9, 10}, {18, 1, 3, 3}, 2, 1, 2),
             same({1, 3, 5, 70}, {3, 1, 3, 5}, {1, 3}, {2, 1}, 3),
             same({2, 2, 40, 37}, {2, 1, 11, 9}, 1, 1, 2),
             same({1, 2, 33, 70}, {4, 1, 3, 3}, 1, 1, 2),
             same({32, 16, 14, 14}, {16, 1, 7, 7}, 1, 1, 16),
             same({3, 33, 14, 14}, {33, 1, 5, 5}, 1, 1, 33)},
            0));
}

/// Kernels of one pixel: products of matrices where planes and channels are large enough, around their tiles of 256.
TEST_CASE("conv2d_pointwise") {
  check(row({same({2, 3, 2, 3}, {2, 3, 1, 1}, 1),
             same({2, 16, 4, 8}, {16, 16, 1, 1}, 1),
             same({3, 17, 6, 7}, {19, 17, 1, 1}, 1),
             {{{2, 16, 5, 7}, {18, 16, 1, 1}}, {1, 1, 1, 1, 1, 0, 0, 0, 0}},
             same({2, 16, 4, 8}, {15, 16, 1, 1}, 1),
             same({2, 15, 4, 8}, {16, 15, 1, 1}, 1),
             same({2, 16, 31, 1}, {16, 16, 1, 1}, 1),
             same({2, 16, 6, 7}, {16, 8, 1, 1}, 1, 1, 2),
             same({2, 16, 12, 7}, {16, 16, 1, 1}, 2),
             {{{2, 16, 5, 7}, {16, 16, 1, 1}, {16}}, {1, 1, 1, 1, 1, 0, 0, 1, 0}},
             same({18, 16, 4, 8}, {16, 16, 1, 1}, 1),
             same({1, 16, 15, 18}, {17, 16, 1, 1}, 1),
             same({1, 16, 4, 8}, {257, 16, 1, 1}, 1),
             same({2, 257, 4, 8}, {16, 257, 1, 1}, 1)},
            0b11));
}

/// For tensor cores: outputs around the 16, 32 and 64 of a block, channels of one stage, of several and of an odd
/// number, groups just wide enough, planes of which a block takes several.
TEST_CASE("conv2d_wide") {
  check(row({same({2, 10, 9, 11}, {40, 10, 3, 3}, 1),
             same({1, 21, 7, 8}, {33, 21, 3, 3}, 1),
             same({5, 9, 5, 3}, {17, 9, 2, 3}, 1),
             same({9, 3, 3, 3}, {65, 3, 3, 3}, 1),
             same({2, 18, 7, 9}, {20, 9, 3, 3}, 2, 1, 2),
             same({2, 16, 6, 7}, {16, 8, 3, 2}, 1, 2, 2),
             same({1, 2, 3, 130}, {34, 2, 2, 3}, 1),
             same({70, 1, 3, 2}, {4, 1, 2, 2}, 1),
             {{{2, 24, 14, 14}, {48, 24, 3, 3}}, {1, 1, 1, 1, 1, 1, 1, 1, 1}, DType::f32, true}},
            0b11));
}

/// For lanes that hold output channels: outputs around the 16, 32 and 64 of a panel and a part, rows around the 14
/// pixels of a tile, inputs around the 64 of a part and the 256 of a chain of sums, images of several strips, rows too
/// wide for them, rows and columns that are left out of the copy of x, groups, rows and columns of padding alone.
TEST_CASE("conv2d_channels") {
  check(row(
      {same({2, 5, 6, 7}, {34, 5, 3, 3}, 1), large(same({2, 70, 6, 9}, {35, 70, 3, 3}, 1)),
       large(same({1, 300, 4, 5}, {18, 300, 2, 3}, 1)), large(same({2, 20, 30, 33}, {16, 20, 5, 5}, 1)),
       large(same({2, 5, 21, 40}, {66, 5, 7, 7}, 2)), large(same({3, 18, 11, 15}, {34, 18, 3, 3}, 2, 2)),
       large(same({2, 18, 11, 14}, {34, 18, 1, 3}, {2, 1})),
       large(same({2, 17, 12, 7}, {48, 17, 3, 1}, {1, 2})), large(same({1, 17, 3, 530}, {16, 17, 3, 3}, 1)),
       large(same({5, 36, 7, 9}, {40, 18, 3, 3}, 1, 1, 2)), large(same({33, 16, 8, 8}, {32, 16, 3, 3}, 1)),
       large({{{1, 3, 5, 6}, {16, 3, 3, 3}, {16}}, {1, 1, 1, 1, 1, 5, 4, 6, 5}}),
       large({{{1, 3, 5, 16}, {16, 3, 3, 3}, {16}}, {2, 2, 1, 1, 1, 5, 4, 6, 5}})},
      0b11));
}

/// A number that is not finite reaches the results that it belongs to, as what it is, and no others.
TEST_CASE("conv2d_not_finite") {
  const auto same_kind = [](float x, float kind) { return std::isnan(kind) ? std::isnan(x) : x == kind; };
  for (const Math math : kAllMath)
    for (const auto& group : device_groups(math))
      for (const float kind :
           {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()})
        for (const int bad : {0, 3}) {
          const Device& device = group[0];
          CAPTURE(device.description());
          std::vector<float> values{1, 2, 3, 4};
          values[static_cast<std::size_t>(bad)] = kind;
          Tape tape;
          const Var x = tape.leaf(Tensor::from(values, {1, 1, 1, 4}, device));
          const Var w = tape.leaf(Tensor::from(std::vector<float>{1, 2}, {1, 1, 1, 2}, device));
          const Var y = conv2d(x, w, Var());
          tape.backward(sum(y));
          const auto got = y.value().to_vector<float>(), dw = tape.grad(w).to_vector<float>(),
                     dx = tape.grad(x).to_vector<float>();
          for (int q = 0; q < 3; ++q) {
            const float value = got[static_cast<std::size_t>(q)];
            CHECK((q == bad || q + 1 == bad ? same_kind(value, kind) : std::isfinite(value)));
          }
          CHECK(dx == std::vector<float>{1, 3, 3, 2});
          // The cpu fills rows of slopes up with zeros, and multiplies those, too.
          if (device.kind() == DeviceKind::cpu) continue;
          CHECK((bad == 0 ? same_kind(dw[0], kind) : std::isfinite(dw[0])));
          CHECK((bad == 3 ? same_kind(dw[1], kind) : std::isfinite(dw[1])));
        }
}

/// Channels that are all the same plane: their stride is 0.
TEST_CASE("conv2d_repeated") {
  const auto repeated = [](const Sample& sample) {
    const Shape &x = sample.shapes[0], &w = sample.shapes[1];
    return Layout{x[0], w[1], x[2], x[3], x[2] * x[3], 0};
  };
  check({
      .info = conv2d_info,
      .samples = {{{{2, 1, 6, 7}, {17, 16, 1, 1}, {17}}, {1, 1, 1, 1, 1, 0, 0, 0, 0}},
                  {{{3, 1, 5, 4}, {3, 2, 3, 2}, {3}}, {1, 2, 1, 1, 1, 1, 0, 0, 1}}},
      .apply =
          [](std::span<const Var> in, const Sample& sample) {
            const Shape &x = sample.shapes[0], &w = sample.shapes[1];
            const Tensor planes = expand(in[0].value(), {x[0], w[1], x[2], x[3]});
            return conv2d(in[0].tape()->input(planes), in[1], in[2], options(sample));
          },
      .reference =
          [=](std::span<const Doubles> in, const Sample& sample) {
            return convolve(repeated(sample), in, sample.shapes[1], options(sample)).y;
          },
      .magnitude =
          [=](std::span<const Doubles> in, const Sample& sample) {
            return convolve(repeated(sample), in, sample.shapes[1], options(sample)).magnitude;
          },
      .terms = conv2d_terms,
      .gradient_inputs = 0b110,
  });
}

/// Windows over a movie, in place; one more param: frames in a window.
TEST_CASE("conv2d_rolling_geometry") {
  const auto windows = [](const Sample& sample) { return rolling(sample.shapes[0], sample.params[9]); };
  check({
      .info = conv2d_info,
      .samples = {{{{5, 5, 6}, {4, 2, 3, 2}, {4}}, {2, 1, 1, 1, 2, 1, 0, 0, 1, 4}},
                  {{{3, 4, 5}, {2, 1, 3, 3}, {2}}, {1, 1, 1, 1, 2, 1, 1, 1, 1, 2}},
                  {{{6, 6, 20}, {3, 1, 2, 3}, {3}}, {1, 2, 1, 1, 3, 0, 0, 0, 1, 3}},
                  {{{20, 5, 4}, {8, 2, 2, 3}, {8}}, {1, 1, 2, 1, 2, 0, 0, 1, 1, 4}},
                  {{{18, 6, 6}, {16, 16, 1, 1}, {16}}, {1, 1, 1, 1, 1, 0, 0, 0, 0, 16}},
                  {{{21, 6, 5}, {3, 3, 3, 3}, {3}}, {2, 2, 1, 1, 1, 1, 1, 1, 1, 3}}},
      .apply =
          [](std::span<const Var> in, const Sample& sample) {
            const Tensor movie = rolling_window(in[0].value(), sample.params[9]);
            return conv2d(in[0].tape()->input(movie), in[1], in[2], options(sample));
          },
      .reference =
          [=](std::span<const Doubles> in, const Sample& sample) {
            return convolve(windows(sample), in, sample.shapes[1], options(sample)).y;
          },
      .magnitude =
          [=](std::span<const Doubles> in, const Sample& sample) {
            return convolve(windows(sample), in, sample.shapes[1], options(sample)).magnitude;
          },
      .terms = conv2d_terms,
      .gradient_inputs = 0b110,
  });
}

Var zeros(const Shape& shape, const Device& device, DType dtype = DType::f32) {
  return Tensor::zeros(shape, dtype, device);
}
/// x and w of these shapes and no bias.
Reject rejects(const char* name, const Shape& x, const Shape& w, const Conv2dOptions& options,
               const char* text) {
  return {name, [=](const Device& d) { conv2d(zeros(x, d), zeros(w, d), Var(), options); },
          std::string("conv2d: ") + text};
}

TEST_CASE("conv2d_rejects") {
  const Shape x{1, 2, 5, 5}, w{3, 2, 3, 3};
  OpCase op = row({{{{1, 1, 2, 2}, {1, 1, 1, 1}}, {1, 1, 1, 1, 1, 0, 0, 0, 0}}}, 0b11);
  op.rejects = {
      rejects("another number of channels", {8, 3, 32, 32}, {16, 4, 5, 5}, {},
              "x [8, 3, 32, 32] has 3 channels, w [16, 4, 5, 5] expects 4"),
      rejects("another number of channels in groups", {8, 6, 32, 32}, {16, 4, 5, 5}, {.groups = 2},
              "x [8, 6, 32, 32] has 6 channels, w [16, 4, 5, 5] in 2 groups expects 8"),
      rejects("groups that do not divide x", {1, 5, 9, 9}, {4, 2, 3, 3}, {.groups = 2},
              "x [1, 5, 9, 9] has 5 channels, which do not divide into 2 groups (w [4, 2, 3, 3])"),
      rejects("groups that do not divide y", {1, 4, 9, 9}, {5, 2, 3, 3}, {.groups = 2},
              "w [5, 2, 3, 3] makes 5 channels, which do not divide into 2 groups (x [1, 4, 9, 9])"),
      rejects(
          "a kernel that is too large", {1, 2, 4, 9}, {3, 2, 7, 7}, {.padding = 1},
          "the 7×7 kernel of w [3, 2, 7, 7] does not fit into x [1, 2, 4, 9], which is 6×11 with padding 1"),
      rejects("a kernel that is too wide", {1, 2, 9, 4}, {3, 2, 2, 7}, {.padding = {0, 0, 2, 0}},
              "the 2×7 kernel of w [3, 2, 2, 7] does not fit into x [1, 2, 9, 4], which is 9×6 with padding "
              "{top 0, bottom 0, left 2, right 0}"),
      rejects(
          "a dilated kernel that is too large", x, w, {.dilation = {1, 3}},
          "the kernel of w [3, 2, 3, 3] with dilation 1×3 is 3×7 and does not fit into x [1, 2, 5, 5], which "
          "is 5×5 with padding 0"),
      rejects(
          "a dilated kernel that is too tall", x, w, {.dilation = 3},
          "the kernel of w [3, 2, 3, 3] with dilation 3 is 7×7 and does not fit into x [1, 2, 5, 5], which "
          "is 5×5 with padding 0"),
      rejects("too few dimensions", {2, 4, 9}, w, {},
              "x [2, 4, 9] and w [3, 2, 3, 3] must be [N, C, H, W] and [O, C/groups, R, S]"),
      rejects("too few dimensions of w", x, {3, 2, 3}, {},
              "x [1, 2, 5, 5] and w [3, 2, 3] must be [N, C, H, W] and [O, C/groups, R, S]"),
      rejects("no weights", x, {0, 2, 3, 3}, {}, "w [0, 2, 3, 3] is empty (x [1, 2, 5, 5])"),
      rejects("stride", x, w, {.stride = 0}, "stride 0 must be at least 1 (x [1, 2, 5, 5], w [3, 2, 3, 3])"),
      rejects("stride across", x, w, {.stride = {2, -1}},
              "stride 2×-1 must be at least 1 (x [1, 2, 5, 5], w [3, 2, 3, 3])"),
      rejects("dilation", x, w, {.dilation = 0},
              "dilation 0 must be at least 1 (x [1, 2, 5, 5], w [3, 2, 3, 3])"),
      rejects("groups", x, w, {.groups = 0}, "groups 0 must be at least 1 (x [1, 2, 5, 5], w [3, 2, 3, 3])"),
      rejects("padding", x, w, {.padding = -1}, "padding -1 is negative (x [1, 2, 5, 5], w [3, 2, 3, 3])"),
      rejects("padding of one side", x, w, {.padding = {1, 1, 1, -1}},
              "padding {top 1, bottom 1, left 1, right -1} is negative (x [1, 2, 5, 5], w [3, 2, 3, 3])"),
      rejects("padding at the bottom", x, w, {.padding = {1, -1, 1, 1}},
              "padding {top 1, bottom -1, left 1, right 1} is negative (x [1, 2, 5, 5], w [3, 2, 3, 3])"),
      rejects("padding at the left", x, w, {.padding = {1, 1, -1, 1}},
              "padding {top 1, bottom 1, left -1, right 1} is negative (x [1, 2, 5, 5], w [3, 2, 3, 3])"),
      {"a bias of another size", [=](const Device& d) { conv2d(zeros(x, d), zeros(w, d), zeros({4}, d)); },
       "conv2d: bias [4] does not fit w [3, 2, 3, 3], expected [3] (x [1, 2, 5, 5])"},
      {"f64", [=](const Device& d) { conv2d(zeros(x, d, DType::f64), zeros(w, d), Var()); },
       "conv2d: x [1, 2, 5, 5] is f64, expected f32; convert it with to()"},
      {"two devices",
       [=](const Device&) { conv2d(zeros(x, Device::cpu()), zeros(w, Device::simt()), Var()); },
       "conv2d: [1, 2, 5, 5] is on cpu and [3, 2, 3, 3] on simt; move one with to()"}};
  check(op);
}

}  // namespace
}  // namespace fovea::test

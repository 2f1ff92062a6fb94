// SPDX-License-Identifier: Apache-2.0
#include "autograd/ops/pool2d.h"

#include <doctest/doctest.h>

#include <cmath>
#include <limits>

#include "tests/op_case.h"

namespace fovea::test {
namespace {

Var zeros(const Shape& shape, const Device& device, DType dtype = DType::f32) {
  return Tensor::zeros(shape, dtype, device);
}

/// A row's params: kernel and stride (height, width), padding (top, bottom, left, right), ceil_mode, count_padding.
struct Params {
  Size2d kernel;
  Pool2dOptions options;
};
Params params_of(const Sample& s) {
  const auto& p = s.params;
  return {{p[0], p[1]},
          {.stride = {p[2], p[3]},
           .padding = {p[4], p[5], p[6], p[7]},
           .ceil_mode = p[8] != 0,
           .count_padding = p[9] != 0}};
}

/// How many windows fit along an axis, by trying them one after the other.
std::int64_t windows_along(std::int64_t in, std::int64_t kernel, std::int64_t stride, std::int64_t before,
                           std::int64_t after, bool ceil_mode) {
  std::int64_t count = 0;
  for (std::int64_t start = -before;; start += stride, ++count) {
    if (start + kernel <= in + after) continue;
    // The first that stands out over the padding: with ceil_mode it counts if it starts before the input's end, and if
    // the one before it has not reached the end of the padding.
    const bool unfinished = count == 0 || start - stride + kernel < in + after;
    return ceil_mode && unfinished && start < in && start + kernel < in + after + stride ? count + 1 : count;
  }
}

/// Calls f(results so far, pixels of the window in x as offsets, their places in the window, size with padding).
template <class F>
void for_windows(const Sample& sample, F&& f) {
  const auto [kernel, o] = params_of(sample);
  const Shape& x = sample.shapes[0];
  const std::int64_t step_down = o.stride.height == 0 ? kernel.height : o.stride.height;
  const std::int64_t step_right = o.stride.width == 0 ? kernel.width : o.stride.width;
  const auto rows =
      windows_along(x[2], kernel.height, step_down, o.padding.top, o.padding.bottom, o.ceil_mode);
  const auto columns =
      windows_along(x[3], kernel.width, step_right, o.padding.left, o.padding.right, o.ceil_mode);
  for (std::int64_t n = 0; n < x[0] * x[1]; ++n)
    for (std::int64_t p = 0; p < rows; ++p)
      for (std::int64_t q = 0; q < columns; ++q) {
        std::vector<std::size_t> pixels;
        std::int64_t padded = 0;
        for (std::int64_t r = 0; r < kernel.height; ++r)
          for (std::int64_t c = 0; c < kernel.width; ++c) {
            const std::int64_t i = p * step_down + r - o.padding.top, j = q * step_right + c - o.padding.left;
            if (i < x[2] + o.padding.bottom && j < x[3] + o.padding.right) ++padded;
            if (i >= 0 && i < x[2] && j >= 0 && j < x[3])
              pixels.push_back(static_cast<std::size_t>((n * x[2] + i) * x[3] + j));
          }
        f(pixels, padded);
      }
}

/// Differences of at least 0.001 within any window here, far more than the steps of numerical slopes: no kinks.
double distinct(int, std::int64_t index, double) {
  return 0.001 * static_cast<double>(index * 7919 % 10007) - 5;
}

/// Widths around the 4, 8 and 16 lanes of a vector and packs of 4; windows of one pixel, of all pixels, of 256 and
/// more (places as i32); strides 1, 2, 3 and beyond the kernel; TensorFlow's SAME; windows cut at each side.
std::vector<Sample> samples() {
  return {{{{2, 2, 4, 4}}, {2, 2, 2, 2, 0, 0, 0, 0, 0, 0}},
          {{{1, 1, 1, 1}}, {1, 1, 1, 1, 0, 0, 0, 0, 0, 0}},
          {{{0, 2, 3, 3}}, {2, 2, 2, 2, 0, 0, 0, 0, 0, 0}},
          {{{2, 0, 3, 3}}, {2, 2, 2, 2, 0, 0, 0, 0, 0, 0}},
          {{{1, 2, 5, 4}}, {3, 2, 0, 0, 1, 1, 0, 0, 0, 1}},
          {{{1, 2, 3, 3}}, {2, 2, 2, 2, 1, 1, 1, 1, 1, 1}},
          {{{2, 3, 7, 7}}, {2, 2, 2, 2, 0, 1, 0, 1, 0, 0}},
          {{{1, 2, 7, 7}}, {3, 3, 2, 2, 1, 1, 1, 1, 0, 1}},
          {{{1, 2, 8, 8}}, {3, 3, 2, 2, 0, 1, 0, 1, 0, 0}},
          {{{1, 2, 6, 6}}, {3, 3, 2, 2, 0, 0, 0, 0, 1, 1}},
          {{{1, 2, 7, 9}}, {3, 2, 2, 3, 1, 0, 0, 1, 1, 1}},
          {{{1, 1, 2, 2}}, {3, 3, 2, 2, 0, 0, 0, 0, 1, 0}},
          {{{1, 1, 5, 5}}, {2, 2, 3, 3, 1, 1, 1, 1, 1, 1}},
          {{{1, 2, 9, 9}}, {1, 1, 3, 2, 0, 0, 0, 0, 0, 0}},
          {{{1, 2, 5, 37}}, {3, 3, 1, 1, 1, 1, 1, 1, 0, 0}},
          {{{1, 2, 4, 34}}, {2, 2, 2, 2, 0, 0, 0, 0, 0, 0}},
          {{{1, 2, 4, 69}}, {2, 2, 2, 2, 0, 0, 0, 0, 0, 0}},
          {{{1, 1, 6, 67}}, {3, 3, 2, 2, 1, 1, 1, 1, 0, 0}},
          {{{1, 1, 5, 20}}, {2, 3, 1, 3, 0, 1, 2, 1, 0, 1}},
          {{{1, 1, 17, 19}}, {17, 17, 1, 1, 0, 0, 0, 0, 0, 0}},
          {{{1, 1, 16, 18}}, {16, 16, 1, 2, 3, 3, 3, 3, 0, 1}},
          {{{2, 3, 20, 9}}, {20, 9, 0, 0, 0, 0, 0, 0, 0, 0}},
          {{{3, 50, 14, 14}}, {2, 2, 2, 2, 0, 0, 0, 0, 0, 0}},
          {{{2, 64, 28, 28}}, {3, 3, 2, 2, 1, 1, 1, 1, 0, 0}, DType::f32, true}};
}

/// The same mistakes, named by either op.
template <class Op>
std::vector<Reject> rejects(const std::string& op, Op pool) {
  const auto images = [](const Device& d) { return zeros({1, 2, 4, 9}, d); };
  return {{"rank 3",
           [=](const Device& d) {
             pool(zeros({2, 4, 9}, d), 2, {});
           },
           op + ": x [2, 4, 9] is not [N, C, H, W] with at least one pixel in each plane"},
          {"planes without rows",
           [=](const Device& d) {
             pool(zeros({1, 2, 0, 9}, d), 2, {});
           },
           op + ": x [1, 2, 0, 9] is not [N, C, H, W] with at least one pixel in each plane"},
          {"planes without columns",
           [=](const Device& d) {
             pool(zeros({1, 2, 4, 0}, d), 2, {});
           },
           op + ": x [1, 2, 4, 0] is not [N, C, H, W] with at least one pixel in each plane"},
          {"f64",
           [=](const Device& d) {
             pool(zeros({1, 2, 4, 9}, d, DType::f64), 2, {});
           },
           op + ": x [1, 2, 4, 9] is f64, expected f32; convert it with to()"},
          {"kernel without rows",
           [=](const Device& d) {
             pool(images(d), {0, 3}, {});
           },
           op + ": kernel 0×3 has a side outside of 1..2147483647"},
          {"huge kernel",
           [=](const Device& d) {
             pool(images(d), {3, std::int64_t{1} << 31}, {});
           },
           op + ": kernel 3×2147483648 has a side outside of 1..2147483647"},
          {"negative stride",
           [=](const Device& d) {
             pool(images(d), 2, {.stride = {-1, 2}});
           },
           op + ": stride -1×2 has a side outside of 0..2147483647"},
          {"padding as large as the kernel",
           [=](const Device& d) {
             pool(images(d), {2, 3}, {.padding = {1, 2, 0, 0}});
           },
           op + ": padding 1, 2, 0, 0 (top, bottom, left, right) must be at least 0 and less than the 2×3 "
                "kernel: each "
                "window needs a pixel of its own"},
          {"negative padding",
           [=](const Device& d) {
             pool(images(d), {2, 3}, {.padding = {0, 0, 2, -1}});
           },
           op + ": padding 0, 0, 2, -1 (top, bottom, left, right) must be at least 0 and less than the 2×3 "
                "kernel: each "
                "window needs a pixel of its own"},
          {"a kernel that is too high", [=](const Device& d) { pool(images(d), 7, {.padding = 1}); },
           op + ": the 7×7 kernel does not fit into x [1, 2, 4, 9], which is 6×11 with its padding"},
          {"a kernel that is too wide, by a whole stride",
           [=](const Device& d) {
             pool(images(d), {2, 11}, {.stride = 2, .ceil_mode = true});
           },
           op + ": the 2×11 kernel does not fit into x [1, 2, 4, 9], which is 4×9 with its padding"}};
}

}  // namespace

TEST_CASE("max_pool2d") {
  OpCase op{.info = max_pool2d_info,
            .samples = samples(),
            .apply =
                [](std::span<const Var> in, const Sample& s) {
                  const Params p = params_of(s);
                  return max_pool2d(in[0], p.kernel, p.options);
                },
            .reference =
                [](std::span<const Doubles> in, const Sample& s) {
                  Doubles y;
                  for_windows(s, [&](const std::vector<std::size_t>& pixels, std::int64_t) {
                    double best = -std::numeric_limits<double>::infinity();
                    for (const std::size_t at : pixels) best = std::max(best, in[0][at]);
                    y.push_back(best);
                  });
                  return y;
                },
            .value = distinct};
  op.rejects = rejects("max_pool2d",
                       [](const Var& x, Size2d kernel, const Pool2dOptions& o) { max_pool2d(x, kernel, o); });
  op.rejects.push_back(
      {"a window of 2³² pixels",
       [](const Device& d) {
         max_pool2d(zeros({1, 1, 1, 1}, d), 65536, {.padding = 65535});
       },
       "max_pool2d: the 65536×65536 kernel has more than 2147483647 pixels (x [1, 1, 1, 1])"});
  check(op);
}

TEST_CASE("average_pool2d") {
  const auto averages = [](std::span<const Doubles> in, const Sample& s, bool magnitude) {
    Doubles y;
    const bool count_padding = params_of(s).options.count_padding;
    for_windows(s, [&](const std::vector<std::size_t>& pixels, std::int64_t padded) {
      double sum = 0;
      for (const std::size_t at : pixels) sum += magnitude ? std::abs(in[0][at]) : in[0][at];
      y.push_back(sum / (count_padding ? static_cast<double>(padded) : static_cast<double>(pixels.size())));
    });
    return y;
  };
  OpCase op{.info = average_pool2d_info,
            .samples = samples(),
            .apply =
                [](std::span<const Var> in, const Sample& s) {
                  const Params p = params_of(s);
                  return average_pool2d(in[0], p.kernel, p.options);
                },
            .reference = [=](std::span<const Doubles> in, const Sample& s) { return averages(in, s, false); },
            .magnitude = [=](std::span<const Doubles> in, const Sample& s) { return averages(in, s, true); },
            .terms = [](const Sample& s) { return static_cast<double>(s.params[0] * s.params[1]); }};
  op.rejects = rejects("average_pool2d", [](const Var& x, Size2d kernel, const Pool2dOptions& o) {
    average_pool2d(x, kernel, o);
  });
  check(op);
}

/// Params are P and Q.
TEST_CASE("adaptive_average_pool2d") {
  const auto averages = [](std::span<const Doubles> in, const Sample& s, bool magnitude) {
    const Shape& x = s.shapes[0];
    const auto first = [](std::int64_t p, std::int64_t size, std::int64_t out) {
      return static_cast<std::int64_t>(std::floor(static_cast<double>(p * size) / static_cast<double>(out)));
    };
    const auto last = [](std::int64_t p, std::int64_t size, std::int64_t out) {
      return static_cast<std::int64_t>(
          std::ceil(static_cast<double>((p + 1) * size) / static_cast<double>(out)));
    };
    const std::int64_t rows = s.params[0], columns = s.params[1];
    Doubles y;
    for (std::int64_t n = 0; n < x[0] * x[1]; ++n)
      for (std::int64_t p = 0; p < rows; ++p)
        for (std::int64_t q = 0; q < columns; ++q) {
          double sum = 0, count = 0;
          for (std::int64_t i = first(p, x[2], rows); i < last(p, x[2], rows); ++i)
            for (std::int64_t j = first(q, x[3], columns); j < last(q, x[3], columns); ++j, ++count) {
              const double value = in[0][static_cast<std::size_t>((n * x[2] + i) * x[3] + j)];
              sum += magnitude ? std::abs(value) : value;
            }
          y.push_back(sum / count);
        }
    return y;
  };
  check({.info = adaptive_average_pool2d_info,
         .samples = {{{{2, 2, 4, 4}}, {2, 2}},
                     {{{1, 1, 1, 1}}, {1, 1}},
                     {{{0, 2, 3, 3}}, {2, 2}},
                     {{{1, 2, 5, 7}}, {3, 2}},
                     {{{1, 2, 2, 3}}, {5, 4}},
                     {{{1, 2, 8, 8}}, {8, 8}},
                     {{{2, 3, 7, 9}}, {1, 1}},
                     {{{1, 2, 40, 12}}, {3, 2}},
                     {{{1, 1, 17, 36}}, {8, 8}},
                     {{{1, 2, 3, 70}}, {2, 1}},
                     {{{2, 40, 14, 14}}, {8, 8}},
                     {{{1, 2, 112, 100}}, {1, 1}}},
         .apply =
             [](std::span<const Var> in, const Sample& s) {
               return adaptive_average_pool2d(in[0], {s.params[0], s.params[1]});
             },
         .reference = [=](std::span<const Doubles> in, const Sample& s) { return averages(in, s, false); },
         .magnitude = [=](std::span<const Doubles> in, const Sample& s) { return averages(in, s, true); },
         .terms =
             [](const Sample& s) {
               return static_cast<double>((s.shapes[0][2] / s.params[0] + 2) *
                                          (s.shapes[0][3] / s.params[1] + 2));
             },
         .rejects =
             {{"rank 2",
               [](const Device& d) {
                 adaptive_average_pool2d(zeros({4, 9}, d), 2);
               },
               "adaptive_average_pool2d: x [4, 9] is not [N, C, H, W] with at least one pixel in each plane"},
              {"f64",
               [](const Device& d) {
                 adaptive_average_pool2d(zeros({1, 2, 4, 9}, d, DType::f64), 2);
               },
               "adaptive_average_pool2d: x [1, 2, 4, 9] is f64, expected f32; convert it with to()"},
              {"no columns",
               [](const Device& d) {
                 adaptive_average_pool2d(zeros({1, 2, 4, 9}, d), {2, 0});
               },
               "adaptive_average_pool2d: out 2×0 has a side outside of 1..2147483647"}}});
}

TEST_CASE("global_average_pool2d") {
  const auto averages = [](const Doubles& in, const Sample& s, bool magnitude) {
    const Shape& x = s.shapes[0];
    const std::int64_t pixels = x[2] * x[3];
    Doubles y;
    for (std::int64_t n = 0; n < x[0] * x[1]; ++n) {
      double sum = 0;
      for (std::int64_t i = 0; i < pixels; ++i) {
        const double value = in[static_cast<std::size_t>(n * pixels + i)];
        sum += magnitude ? std::abs(value) : value;
      }
      y.push_back(sum / static_cast<double>(pixels));
    }
    return y;
  };
  check(
      {.info = global_average_pool2d_info,
       .samples = {{{{2, 3, 4, 4}}},
                   {{{1, 1, 1, 1}}},
                   {{{0, 2, 3, 3}}},
                   {{{3, 5, 7, 7}}},
                   {{{2, 2, 17, 19}}, {}, DType::f64},
                   {{{1, 2, 5, 60}}}},
       .apply = [](std::span<const Var> in, const Sample&) { return global_average_pool2d(in[0]); },
       .reference = [=](std::span<const Doubles> in, const Sample& s) { return averages(in[0], s, false); },
       .magnitude = [=](std::span<const Doubles> in, const Sample& s) { return averages(in[0], s, true); },
       .terms = [](const Sample& s) { return static_cast<double>(s.shapes[0][2] * s.shapes[0][3]); },
       .rejects =
           {{"rank 3",
             [](const Device& d) {
               global_average_pool2d(zeros({2, 4, 9}, d));
             },
             "global_average_pool2d: x [2, 4, 9] is not [N, C, H, W] with at least one pixel in each plane"},
            {"i32",
             [](const Device& d) {
               global_average_pool2d(zeros({1, 2, 4, 9}, d, DType::i32));
             },
             "global_average_pool2d: x [1, 2, 4, 9] is i32, expected f32 or f64; convert it with to()"}}});
}

}  // namespace fovea::test

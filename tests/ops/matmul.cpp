// SPDX-License-Identifier: Apache-2.0
#include "autograd/ops/matmul.h"

#include <doctest/doctest.h>

#include <cmath>

#include "tests/op_case.h"

namespace fovea::test {
namespace {

/// params: whether a, whether b is stored transposed.
struct Extents {
  std::int64_t m, n, k;
};
Extents extents(const Sample& sample) {
  const int ta = static_cast<int>(sample.params[0]), tb = static_cast<int>(sample.params[1]);
  return {sample.shapes[0][ta], sample.shapes[1][1 - tb], sample.shapes[0][1 - ta]};
}

template <class Term>
Doubles sum(std::span<const Doubles> in, const Sample& sample, Term term) {
  const auto [m, n, k] = extents(sample);
  Doubles y(static_cast<std::size_t>(m * n), 0.0);
  for (std::int64_t i = 0; i < m; ++i)
    for (std::int64_t j = 0; j < n; ++j)
      for (std::int64_t l = 0; l < k; ++l) {
        const double a = in[0][static_cast<std::size_t>(sample.params[0] != 0 ? l * m + i : i * k + l)];
        const double b = in[1][static_cast<std::size_t>(sample.params[1] != 0 ? j * k + l : l * n + j)];
        y[static_cast<std::size_t>(i * n + j)] += term(a, b);
      }
  return y;
}

Var zeros(const Shape& shape, const Device& device, DType dtype = DType::f32) {
  return Tensor::zeros(shape, dtype, device);
}

/// Extents around the 256x256 tiles of the cpu and the 256 terms of its chains of sums, the 64x64 (f64: 32x32) tiles
/// and the steps of 16 of the tiled kernel; around the 8 rows of a thin product, its parts of 4 to 32 rows or 512
/// columns, its groups of 4 and pieces of 1024 terms; Deep Retina's readout.
TEST_CASE("matmul") {
  check({
      .info = matmul_info,
      .samples = {{{{2, 3}, {3, 4}}, {0, 0}},
                  {{{3, 2}, {3, 4}}, {1, 0}},
                  {{{2, 3}, {4, 3}}, {0, 1}},
                  {{{3, 2}, {4, 3}}, {1, 1}},
                  {{{1, 1}, {1, 1}}, {0, 0}},
                  {{{0, 3}, {3, 2}}, {0, 0}},
                  {{{2, 0}, {0, 3}}, {0, 0}},
                  {{{2, 3}, {3, 0}}, {0, 0}},
                  {{{63, 15}, {15, 65}}, {0, 0}},
                  {{{17, 64}, {64, 17}}, {1, 1}},
                  {{{65, 16}, {63, 16}}, {0, 1}},
                  {{{7, 541}, {5, 541}}, {0, 1}},
                  {{{32, 5}, {32, 257}}, {1, 0}},
                  {{{3, 2}, {4, 3}}, {1, 1}, DType::f64},
                  {{{31, 17}, {17, 33}}, {0, 0}, DType::f64},
                  {{{16, 33}, {31, 16}}, {1, 1}, DType::f64},
                  {{{2, 0}, {0, 3}}, {0, 0}, DType::f64},
                  {{{257, 40}, {40, 257}}, {0, 0}, DType::f32, true},
                  {{{40, 255}, {256, 40}}, {1, 1}, DType::f32, true},
                  {{{30, 600}, {600, 70}}, {0, 0}, DType::f32, true},
                  {{{513, 47}, {49, 513}}, {1, 1}, DType::f32, true},
                  {{{16, 257}, {257, 513}}, {0, 0}, DType::f32, true},
                  {{{37, 1045}, {5, 1045}}, {0, 1}, DType::f32, true},
                  {{{7, 1030}, {33, 1030}}, {0, 1}, DType::f32, true},
                  {{{35, 2100}, {8, 2100}}, {0, 1}, DType::f32, true},
                  {{{1, 600}, {130, 600}}, {0, 1}, DType::f32, true},
                  {{{127, 5}, {127, 530}}, {1, 0}, DType::f32, true},
                  {{{8, 33}, {33, 1039}}, {0, 0}, DType::f32, true},
                  {{{3, 50}, {50, 513}}, {0, 0}, DType::f32, true},
                  {{{258, 33}, {257, 33}}, {0, 1}, DType::f64, true}},
      .apply =
          [](std::span<const Var> in, const Sample& sample) {
            return matmul(in[0], in[1], sample.params[0] != 0, sample.params[1] != 0);
          },
      .reference =
          [](std::span<const Doubles> in, const Sample& sample) {
            return sum(in, sample, [](double a, double b) { return a * b; });
          },
      .magnitude =
          [](std::span<const Doubles> in, const Sample& sample) {
            return sum(in, sample, [](double a, double b) { return std::abs(a * b); });
          },
      .terms = [](const Sample& sample) { return static_cast<double>(extents(sample).k); },
      .rejects = {{"extents that do not meet",
                   [](const Device& d) {
                     matmul(zeros({2, 3}, d), zeros({2, 3}, d));
                   },
                   "matmul: a [2, 3] and b [2, 3] do not fit: 3 columns meet 2 rows"},
                  {"extents that do not meet, transposed",
                   [](const Device& d) {
                     matmul(zeros({3, 2}, d), zeros({3, 2}, d), true, true);
                   },
                   "matmul: a [3, 2] transposed and b [3, 2] transposed do not fit: 3 columns meet 2 rows"},
                  {"a vector",
                   [](const Device& d) {
                     matmul(zeros({3}, d), zeros({3, 2}, d));
                   },
                   "matmul: a [3] and b [3, 2] must both have rank 2"},
                  {"two dtypes",
                   [](const Device& d) {
                     matmul(zeros({2, 3}, d), zeros({3, 2}, d, DType::f64));
                   },
                   "matmul: b [3, 2] is f64, expected f32; convert it with to()"},
                  {"integers",
                   [](const Device& d) {
                     matmul(zeros({2, 3}, d, DType::i32), zeros({3, 2}, d, DType::i32));
                   },
                   "matmul: a [2, 3] is i32, expected f32 or f64; convert it with to()"},
                  {"two devices",
                   [](const Device&) {
                     matmul(zeros({2, 3}, Device::cpu()), zeros({3, 2}, Device::simt()));
                   },
                   "matmul: [2, 3] is on cpu and [3, 2] on simt; move one with to()"}},
      .rounded_inputs = 0b11,
      .library_on_cuda = true,
  });
}

}  // namespace
}  // namespace fovea::test

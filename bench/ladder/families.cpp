// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cassert>
#include <type_traits>

#include "bench/cases/builders.h"
#include "bench/ladder/conv/rungs.h"
#include "bench/ladder/fft/rungs.h"
#include "bench/ladder/gemm/rungs.h"
#include "bench/ladder/ladder.h"
#include "kernels/cpu/pool.h"

/// Rungs with what was expected of them. Predictions are counted for one core with a 512-bit multiply-add, a 512-bit
/// load (half of one if it crosses a cache line) and half a 512-bit store in a cycle, and additions of three to four
/// cycles; the counting is at the head of each rung's file. They stay as they are when the measurement disagrees.
namespace fovea::bench::ladder {
namespace {

const float* in(const Pointers& p, std::size_t k) { return static_cast<const float*>(p[k]); }
float* out(const Pointers& p) { return static_cast<float*>(p[2]); }

/// A rung that knows nothing of the machine.
template <class Shape>
auto plain(void (*rung)(const Shape&, const float*, const float*, float*), const Shape& shape) {
  return [rung, shape](const Device&, const Pointers& p) { rung(shape, in(p, 0), in(p, 1), out(p)); };
}

/// f(queue) for a CPU's queue, of the type of its instruction set.
template <class F>
void on_cpu(const Device& device, const F& f) {
  on(device.queue(), [&](auto& q) {
    if constexpr (std::is_base_of_v<cpu::Pool, std::remove_reference_t<decltype(q)>>) f(q);
  });
}

void add_library(Family& family, double predicted, const char* change) {
  const auto run = [run = family.problem.run](const Device& device, const Pointers& p) {
    run(device, p, {});
  };
  family.rungs.push_back({"library", change, predicted, run});
  family.rungs.push_back({"library_both_cores", "two threads", 1.9, run, 2});
}

void check(const Conv2d& s) {
  assert(s.stride.height == 1 && s.stride.width == 1 && s.groups == 1 && s.dilation.height == 1);
  assert(s.padding.top + s.padding.bottom + s.padding.left + s.padding.right == 0);
  (void)s;
}

}  // namespace

Family gemm_family(const Matmul& s) {
  Family family{"gemm", matmul_case("ladder.gemm", s), {}};
  family.rungs = {
      {"gemm_triple_loop", "the definition", 0, plain(gemm_triple_loop, s)},
      {"gemm_row_updates", "loops along rows, which the compiler turns into four lanes", 20,
       plain(gemm_row_updates, s)},
      {"gemm_row_sums", "16 lanes; a strip of c stays in registers", 1,
       [s](const Device& device, const Pointers& p) {
         on_cpu(device, [&](auto& q) { gemm_row_sums(q, s, in(p, 0), in(p, 1), out(p)); });
       }},
      {"gemm_tile", "a tile of 8 rows by 3 vectors in registers: each load is used more than once", 5,
       [s](const Device& device, const Pointers& p) {
         on_cpu(device, [&](auto& q) { gemm_tile(q, s, in(p, 0), in(p, 1), out(p)); });
       }},
      {"gemm_packed", "operands copied into the order of their use, in blocks for each cache", 1.4,
       [s](const Device& device, const Pointers& p) {
         on_cpu(device, [&](auto& q) { gemm_packed(q, s, in(p, 0), in(p, 1), out(p)); });
       }}};
  add_library(family, 1.0, "kernels::matmul: blocks by the shape, more numbers in a tile");
  return family;
}

Family conv_family(const std::string& name, const Conv2d& s) {
  check(s);
  // Lanes that rung 4 leaves empty are what rung 5 can win, less a tenth for the copy.
  const double rows =
      static_cast<double>((s.out_width() + 15) / 16 * 16) / static_cast<double>(s.out_width());
  const bool large_kernel = s.kernel_height * s.kernel_width >= 49;
  Family family{name, conv_case("ladder." + name, s, Pass::forward), {}};
  family.rungs = {{"conv2d_loops", "the definition", 0, plain(conv2d_loops, s)},
                  {"conv2d_row_updates", "loops along rows, which the compiler turns into four lanes", 5,
                   plain(conv2d_row_updates, s)},
                  {"conv2d_row_sums", "16 lanes; a row of y stays in registers", 3,
                   [s](const Device& device, const Pointers& p) {
                     on_cpu(device, [&](auto& q) { conv2d_row_sums(q, s, in(p, 0), in(p, 1), out(p)); });
                   }},
                  {"conv2d_tile", "8 channels of a row in registers: each load is used eight times", 2.2,
                   [s](const Device& device, const Pointers& p) {
                     on_cpu(device, [&](auto& q) { conv2d_tile(q, s, in(p, 0), in(p, 1), out(p)); });
                   }},
                  {"conv2d_images", "lanes are images: none is empty, loads are aligned",
                   large_kernel ? 0.9 * rows : 0.95 * rows, [s](const Device& device, const Pointers& p) {
                     on_cpu(device, [&](auto& q) { conv2d_images(q, s, in(p, 0), in(p, 1), out(p)); });
                   }}};
  add_library(family, large_kernel ? 4 : 1.0, "kernels::conv2d, which chooses its method by the shape");
  return family;
}

Family fft_family(const std::string& name, const Conv2d& s) {
  check(s);
  Family family{name, conv_case("ladder." + name, s, Pass::forward), {}};
  family.rungs = {{"conv2d_tile", "rung 4 of the direct convolution, to compare with", 0,
                   [s](const Device& device, const Pointers& p) {
                     on_cpu(device, [&](auto& q) { conv2d_tile(q, s, in(p, 0), in(p, 1), out(p)); });
                   }},
                  {"conv2d_dft_matrix", "a product of spectra; transforms by matrix, plane by plane", 0.5,
                   plain(conv2d_dft_matrix, s)},
                  {"conv2d_fft_scalar", "fast transforms, plane by plane, number by number", 1.5,
                   plain(conv2d_fft_scalar, s)},
                  {"conv2d_fft_lanes", "16 lanes, each a pair of images in real and imaginary part", 15,
                   [s](const Device& device, const Pointers& p) {
                     on_cpu(device, [&](auto& q) { conv2d_fft_lanes(q, s, in(p, 0), in(p, 1), out(p)); });
                   }},
                  {"conv2d_fft_columns",
                   "columns, product and columns back while they are in the second-level cache", 1.5,
                   [s](const Device& device, const Pointers& p) {
                     on_cpu(device, [&](auto& q) { conv2d_fft_columns(q, s, in(p, 0), in(p, 1), out(p)); });
                   }},
                  {"conv2d_fft_transposed", "pixels come into lanes by transposing squares in registers", 1.8,
                   [s](const Device& device, const Pointers& p) {
                     on_cpu(device,
                            [&](auto& q) { conv2d_fft_transposed(q, s, in(p, 0), in(p, 1), out(p)); });
                   }}};
  add_library(family, 1.3, "kernels::conv2d, which chooses its method by the shape");
  return family;
}

std::vector<Family> families() {
  const auto valid = [](std::int64_t batch, std::int64_t channels, std::int64_t side,
                        std::int64_t out_channels, std::int64_t kernel) {
    return Conv2d{.batch = batch,
                  .in_channels = channels,
                  .in_height = side,
                  .in_width = side,
                  .out_channels = out_channels,
                  .kernel_height = kernel,
                  .kernel_width = kernel};
  };
  return {
      gemm_family({.m = 1024, .n = 1024, .k = 1024}), conv_family("direct_15x15", valid(16, 40, 50, 8, 15)),
      conv_family("direct_3x3", valid(16, 64, 30, 64, 3)), fft_family("fft_15x15", valid(32, 40, 50, 8, 15))};
}

}  // namespace fovea::bench::ladder

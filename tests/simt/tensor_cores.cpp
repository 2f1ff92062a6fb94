// SPDX-License-Identifier: Apache-2.0
/// mma and ldmatrix: who holds which element, the bound on rounding, and a product that uses both with cp.async.
#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <vector>

#include "kernels/philox.h"
#include "tests/simt/aligned_memory.h"
#include "tests/simt/orders.h"
#include "tests/simt/tensor_core_kernels.cuh"

namespace fovea {
namespace {

using test::Mma;
using test::Slip;

/// Where the PTX ISA puts the values of a lane: (row, column) of a [16, K], b [K, 8] and d [16, 8], in the order of
/// the registers, low half first.
struct At {
  int row, column;
};
constexpr int depth(Mma type) { return type == Mma::tf32 ? 8 : 16; }
At place_of_a(Mma type, int lane, int value) {
  const int group = lane >> 2, inside = lane & 3;
  if (type == Mma::tf32)
    return {value == 0 || value == 2 ? group : group + 8, value == 0 || value == 1 ? inside : inside + 4};
  const bool upper = value < 2 || (value >= 4 && value < 6);
  return {upper ? group : group + 8, inside * 2 + (value & 1) + (value >= 4 ? 8 : 0)};
}
At place_of_b(Mma type, int lane, int value) {
  const int group = lane >> 2, inside = lane & 3;
  if (type == Mma::tf32) return {value == 0 ? inside : inside + 4, group};
  return {inside * 2 + (value & 1) + (value >= 2 ? 8 : 0), group};
}
At place_of_d(int lane, int value) {
  return {value < 2 ? lane >> 2 : (lane >> 2) + 8, (lane & 3) * 2 + (value & 1)};
}

std::uint32_t encode(Mma type, float x) {
  if (type == Mma::tf32) return std::bit_cast<std::uint32_t>(x);
  if (type == Mma::bf16) return to_bf16(x).bits;
  if (x == 0.0f) return 0;  // f16, exact for what is used here
  int exponent = 0;
  const float fraction = std::frexp(std::abs(x), &exponent);
  return (x < 0 ? 0x8000u : 0u) | static_cast<std::uint32_t>(exponent + 14) << 10 |
         static_cast<std::uint32_t>(std::ldexp(fraction, 11) - 1024.0f);
}

/// The registers of a warp for matrices given by element.
struct Fragments {
  std::vector<std::uint32_t> a = std::vector<std::uint32_t>(128), b = std::vector<std::uint32_t>(64);
  std::vector<float> c = std::vector<float>(128), d = std::vector<float>(128);

  template <class A, class B, class C>
  Fragments(Mma type, const A& at_a, const B& at_b, const C& at_c) {
    const int each = type == Mma::tf32 ? 1 : 2;  // values in a register
    for (int lane = 0; lane < 32; ++lane) {
      for (int v = 0; v < 4 * each; ++v) {
        const At p = place_of_a(type, lane, v);
        a[static_cast<std::size_t>(lane * 4 + v / each)] |= encode(type, at_a(p.row, p.column))
                                                            << (v % each * 16);
      }
      for (int v = 0; v < 2 * each; ++v) {
        const At p = place_of_b(type, lane, v);
        b[static_cast<std::size_t>(lane * 2 + v / each)] |= encode(type, at_b(p.row, p.column))
                                                            << (v % each * 16);
      }
      for (int v = 0; v < 4; ++v) {
        const At p = place_of_d(lane, v);
        c[static_cast<std::size_t>(lane * 4 + v)] = at_c(p.row, p.column);
      }
    }
  }
  void run(simt::Grid& grid, Mma type) {
    auto* const kernel = type == Mma::tf32   ? test::mma_kernel<Mma::tf32>
                         : type == Mma::bf16 ? test::mma_kernel<Mma::bf16>
                                             : test::mma_kernel<Mma::f16>;
    launch(grid, "mma", kernel, 1, 32, 0, a.data(), b.data(), c.data(), d.data());
  }
};

constexpr Mma kTypes[] = {Mma::tf32, Mma::bf16, Mma::f16};

TEST_CASE("the layouts of the fragments name each element once") {
  for (const Mma type : kTypes) {
    std::vector<int> a(static_cast<std::size_t>(16 * depth(type))),
        b(static_cast<std::size_t>(8 * depth(type))), d(128);
    const int each = type == Mma::tf32 ? 1 : 2;
    for (int lane = 0; lane < 32; ++lane) {
      for (int v = 0; v < 4 * each; ++v) {
        const At p = place_of_a(type, lane, v);
        ++a[static_cast<std::size_t>(p.row * depth(type) + p.column)];
      }
      for (int v = 0; v < 2 * each; ++v) {
        const At p = place_of_b(type, lane, v);
        ++b[static_cast<std::size_t>(p.row * 8 + p.column)];
      }
      for (int v = 0; v < 4; ++v)
        ++d[static_cast<std::size_t>(place_of_d(lane, v).row * 8 + place_of_d(lane, v).column)];
    }
    CHECK(std::ranges::count(a, 1) == 16 * depth(type));
    CHECK(std::ranges::count(b, 1) == 8 * depth(type));
    CHECK(std::ranges::count(d, 1) == 128);
  }
  // Corners, read off the figures of the ISA.
  CHECK(place_of_a(Mma::tf32, 31, 3).row == 15);
  CHECK(place_of_a(Mma::tf32, 31, 1).column == 3);
  CHECK(place_of_a(Mma::bf16, 0, 5).column == 9);
  CHECK(place_of_a(Mma::bf16, 31, 2).row == 15);
  CHECK(place_of_b(Mma::bf16, 31, 3).row == 15);
}

/// One element of a is 1, the others 0: row r of d is then row k of b, and so names where the unit has found it. The
/// elements of b are all distinct.
TEST_CASE("mma finds each element of a and b where the ISA puts it, and d comes out where it says") {
  in_all_orders([](simt::Grid& grid) {
    for (const Mma type : kTypes) {
      const int k_count = depth(type);
      int wrong = 0;
      for (int r = 0; r < 16; ++r)
        for (int k = 0; k < k_count; ++k) {
          const auto b = [](int row, int column) { return static_cast<float>(1 + row * 8 + column); };
          const auto c = [](int row, int column) { return static_cast<float>(1000 * (row * 8 + column)); };
          Fragments f(
              type, [&](int row, int column) { return row == r && column == k ? 1.0f : 0.0f; }, b, c);
          f.run(grid, type);
          for (int lane = 0; lane < 32; ++lane)
            for (int v = 0; v < 4; ++v) {
              const At p = place_of_d(lane, v);
              const float want = c(p.row, p.column) + (p.row == r ? b(k, p.column) : 0.0f);
              wrong += f.d[static_cast<std::size_t>(lane * 4 + v)] == want ? 0 : 1;
            }
        }
      CHECK(wrong == 0);
    }
  });
}

TEST_CASE("mma against a product in double, within its bound") {
  simt::Grid grid;
  for (const Mma type : kTypes) {
    const auto value = [](std::uint32_t stream, int i) {
      const float x = philox::normal_at({5, stream, 0}, static_cast<std::uint64_t>(i));
      // Bits that all three types hold: six after the leading one.
      return std::bit_cast<float>(std::bit_cast<std::uint32_t>(x) & 0xfffe0000u);
    };
    const auto a = [&](int row, int column) {
      return std::abs(value(1, row * 16 + column)) < 1e-3f ? 0.5f : value(1, row * 16 + column);
    };
    const auto b = [&](int row, int column) {
      return std::abs(value(2, row * 8 + column)) < 1e-3f ? 0.25f : value(2, row * 8 + column);
    };
    const auto c = [&](int row, int column) { return value(3, row * 8 + column); };
    Fragments f(type, a, b, c);
    f.run(grid, type);
    double worst = 0;
    for (int lane = 0; lane < 32; ++lane)
      for (int v = 0; v < 4; ++v) {
        const At p = place_of_d(lane, v);
        double want = c(p.row, p.column), scale = std::abs(want);
        for (int k = 0; k < depth(type); ++k) {
          want += double{a(p.row, k)} * double{b(k, p.column)};
          scale += std::abs(double{a(p.row, k)} * double{b(k, p.column)});
        }
        const double off = std::abs(f.d[static_cast<std::size_t>(lane * 4 + v)] - want);
        worst = std::max(worst, off / ((depth(type) + 1) * 0x1p-23 * scale));
      }
    CHECK(worst <= 1.0);
    CHECK(worst > 0.0);  // the products do need rounding
  }
}

__global__ void to_tf32_kernel(int n, const float* x, unsigned* y) {
  for (int i = 0; i < n; ++i) y[i] = gpu::to_tf32(x[i]);
}

TEST_CASE("tf32 drops 13 bits of its operands, and to_tf32 rounds them to nearest, ties away from zero") {
  simt::Grid grid;
  const float low = std::nextafter(1.0f + 0x1p-10f, 0.0f);  // all 13 dropped bits are set
  Fragments f(
      Mma::tf32, [&](int, int column) { return column == 0 ? low : 0.0f; },
      [](int row, int) { return row == 0 ? 1.0f : 0.0f; }, [](int, int) { return 0.0f; });
  f.run(grid, Mma::tf32);
  CHECK(f.d[0] == 1.0f);

  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  const std::vector<float> x = {1.0f,
                                low,
                                1.0f + 0x1p-11f,
                                -1.0f - 0x1p-11f,
                                1.0f + 0x1p-12f,
                                -0.0f,
                                kInfinity,
                                std::numeric_limits<float>::max()};
  const std::vector<float> want = {1.0f, 1.0f + 0x1p-10f, 1.0f + 0x1p-10f, -1.0f - 0x1p-10f,
                                   1.0f, -0.0f,           kInfinity,       kInfinity};
  std::vector<unsigned> y(x.size());
  launch(grid, "to_tf32", to_tf32_kernel, 1, 1, 0, static_cast<int>(x.size()), x.data(), y.data());
  for (std::size_t i = 0; i < x.size(); ++i) CHECK(y[i] == std::bit_cast<unsigned>(want[i]));
  const std::vector<float> nan = {std::numeric_limits<float>::quiet_NaN()};
  launch(grid, "to_tf32", to_tf32_kernel, 1, 1, 0, 1, nan.data(), y.data());
  CHECK(std::isnan(std::bit_cast<float>(y[0])));
}

__global__ void to_bf16_pair_kernel(int n, const float* low, const float* high, unsigned* y) {
  for (int i = 0; i < n; ++i) y[i] = gpu::to_bf16_pair(low[i], high[i]);
}

TEST_CASE("to_bf16_pair rounds to nearest, ties to even, and puts its first argument into the low half") {
  simt::Grid grid;
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  const std::vector<float> low = {1.0f, 1.0f + 0x1p-8f, -1.0f - 0x3p-8f,
                                  std::nextafter(1.0f + 0x1p-8f, 2.0f)},
                           high = {2.0f, -0.0f, -kInfinity, std::numeric_limits<float>::max()};
  std::vector<unsigned> y(low.size());
  launch(grid, "to_bf16_pair", to_bf16_pair_kernel, 1, 1, 0, static_cast<int>(low.size()), low.data(),
         high.data(), y.data());
  CHECK(y == std::vector<unsigned>{0x40003f80u, 0x80003f80u, 0xff80bf82u, 0x7f803f81u});
}

TEST_CASE("f16 operands: subnormal, largest, infinite") {
  simt::Grid grid;
  for (const auto& [bits, value] : {std::pair{0x0001u, 0x1p-24f},
                                    {0x83ffu, -0x3ffp-24f},
                                    {0x0400u, 0x1p-14f},
                                    {0x7bffu, 65504.0f},
                                    {0xfc00u, -std::numeric_limits<float>::infinity()}}) {
    Fragments f(
        Mma::f16, [](int, int) { return 0.0f; }, [](int, int column) { return column == 0 ? 1.0f : 0.0f; },
        [](int, int) { return 0.0f; });
    f.a[0] = bits;  // row 0, column 0
    f.run(grid, Mma::f16);
    CHECK(f.d[0] == value);
    CHECK(f.d[2] == 0.0f);  // row 8
  }
}

// ---- ldmatrix -------------------------------------------------------------------------------------------

template <int N, bool kTranspose>
int wrong_elements(simt::Grid& grid, int pitch) {
  std::vector<std::uint16_t> x(static_cast<std::size_t>(8 * N * pitch));
  for (std::size_t i = 0; i < x.size(); ++i) x[i] = static_cast<std::uint16_t>(i);
  std::vector<unsigned> r(32 * N);
  launch(grid, "load_matrices", test::load_matrices_kernel<N, kTranspose>, 1, 32, 0, pitch, x.data(),
         r.data());
  int wrong = 0;
  for (int lane = 0; lane < 32; ++lane)
    for (int matrix = 0; matrix < N; ++matrix)
      for (int h = 0; h < 2; ++h) {
        const int outer = lane / 4, inner = lane % 4 * 2 + h;
        const int row = kTranspose ? inner : outer, column = kTranspose ? outer : inner;
        const unsigned got = r[static_cast<std::size_t>(lane * N + matrix)] >> (16 * h) & 0xffffu;
        wrong += got == static_cast<unsigned>((8 * matrix + row) * pitch + column) ? 0 : 1;
      }
  return wrong;
}

TEST_CASE("load_matrices deals out rows or columns, for one, two and four matrices") {
  in_all_orders([](simt::Grid& grid) {
    for (const int pitch : {8, 16, 24}) {
      CHECK(wrong_elements<1, false>(grid, pitch) == 0);
      CHECK(wrong_elements<2, false>(grid, pitch) == 0);
      CHECK(wrong_elements<4, false>(grid, pitch) == 0);
      CHECK(wrong_elements<1, true>(grid, pitch) == 0);
      CHECK(wrong_elements<2, true>(grid, pitch) == 0);
      CHECK(wrong_elements<4, true>(grid, pitch) == 0);
    }
  });
}

__global__ void bad_rows_kernel(int offset, const std::uint16_t* other, unsigned* out) {
  FOVEA_SHARED(std::uint16_t, tile, [8 * 8]);
  for (int i = static_cast<int>(threadIdx.x); i < 64; i += 32) tile[i] = 0;
  __syncwarp();
  unsigned r[1];
  gpu::load_matrices<1>(
      r, other != nullptr ? other : tile + threadIdx.x % 8 * 8 + static_cast<unsigned>(offset));
  out[threadIdx.x] = r[0];
}
__global__ void half_a_warp_kernel(unsigned* out) {
  float d[4] = {};
  gpu::mma_bf16(d, {0, 0, 0, 0}, {0, 0});
  out[threadIdx.x] = 0;
}
__global__ void mma_in_branch_kernel(unsigned* out) {
  float d[4] = {};
  if (threadIdx.x != 9) gpu::mma_bf16(d, {0, 0, 0, 0}, {0, 0});
  out[threadIdx.x] = 0;
}

TEST_CASE("rows that ldmatrix cannot read, and lanes that are missing, are reported") {
  in_all_orders([](simt::Grid& grid) {
    std::vector<unsigned> out(32);
    alignas(16) const std::uint16_t elsewhere[8] = {};
    const auto run = [&](int offset, const std::uint16_t* other) {
      return fault_of([&] { launch(grid, "rows", bad_rows_kernel, 1, 32, 0, offset, other, out.data()); });
    };
    CHECK(run(0, nullptr).empty());
    CHECK(contains(run(4, nullptr), "calls load_matrices at "));
    CHECK(contains(run(4, nullptr), "of shared variable tile, which is not a multiple of 16"));
    CHECK(contains(run(8, nullptr), "expected shared memory"));  // the last row begins at the end
    CHECK(contains(run(0, elsewhere), "expected shared memory"));
    CHECK(contains(fault_of([&] { launch(grid, "half", half_a_warp_kernel, 1, 16, 0, out.data()); }),
                   "in a warp of 16 lanes; it takes all 32"));
    const std::string text =
        fault_of([&] { launch(grid, "branch", mma_in_branch_kernel, 1, 32, 0, out.data()); });
    CHECK(contains(
        text, "branch: warp collective divergence in block (0, 0, 0): thread (0, 0, 0) waits in mma_bf16"));
    CHECK(contains(text, "but thread (9, 0, 0) has returned"));
  });
}

// ---- a product ------------------------------------------------------------------------------------------

struct Product {
  int m, n, k;
  AlignedMemory<bf16> a, b;
  std::vector<float> c;

  Product(int rows, int columns, int terms)
      : m(rows),
        n(columns),
        k(terms),
        a(static_cast<std::size_t>(m * k)),
        b(static_cast<std::size_t>(k * n)),
        c(static_cast<std::size_t>(m * n)) {
    for (int i = 0; i < m * k; ++i)
      a.get()[i] = to_bf16(philox::normal_at({7, 1, 0}, static_cast<std::uint64_t>(i)));
    for (int i = 0; i < k * n; ++i)
      b.get()[i] = to_bf16(philox::normal_at({7, 2, 0}, static_cast<std::uint64_t>(i)));
  }
  template <Slip kSlip = Slip::none>
  void run(simt::Grid& grid) {
    std::ranges::fill(c, -1.0f);
    launch(grid, "product", test::product_kernel<kSlip>,
           dim3(static_cast<unsigned>(n + 31) / 32, static_cast<unsigned>(m + 31) / 32), 128, 0, m, n, k,
           a.get(), b.get(), c.data());
  }
  /// Elements outside of the bound of k + 1 roundings.
  int wrong() const {
    int count = 0;
    for (int i = 0; i < m; ++i)
      for (int j = 0; j < n; ++j) {
        double want = 0, scale = 0;
        for (int p = 0; p < k; ++p) {
          const double term = double{to_float(a.get()[i * k + p])} * double{to_float(b.get()[p * n + j])};
          want += term;
          scale += std::abs(term);
        }
        const double got = c[static_cast<std::size_t>(i * n + j)];
        count += std::abs(got - want) <= (k + 1) * 0x1p-23 * scale ? 0 : 1;  // NaN counts
      }
    return count;
  }
};

TEST_CASE("a tiled product by cp.async, ldmatrix and mma, with edges, in all orders and to the same bits") {
  for (const auto& size : {std::array{32, 32, 16}, {32, 32, 64}, {1, 8, 8}, {33, 40, 24}, {70, 72, 104}}) {
    CAPTURE(size[0]);
    Product product(size[0], size[1], size[2]);
    std::vector<float> first;
    in_all_orders([&](simt::Grid& grid) {
      product.run(grid);
      CHECK(product.wrong() == 0);
      if (first.empty()) first = product.c;
      CHECK(std::memcmp(first.data(), product.c.data(), first.size() * sizeof(float)) == 0);
    });
  }
}

TEST_CASE("slips in the product show in every order") {
  in_all_orders([](simt::Grid& grid) {
    Product product(32, 32, 64);
    product.run<Slip::no_wait>(grid);
    CHECK(product.wrong() > 500);
    product.run<Slip::late_wait>(grid);
    CHECK(product.wrong() > 500);
    product.run<Slip::no_barrier>(grid);
    CHECK(product.wrong() > 500);
    product.run<Slip::early_copy>(grid);
    CHECK(product.wrong() > 500);
    CHECK(contains(fault_of([&] { product.run<Slip::misaligned>(grid); }),
                   "of shared variable tile_a, which is not a multiple of 16"));
  });
}

}  // namespace
}  // namespace fovea

// SPDX-License-Identifier: Apache-2.0
/// Bank conflicts and sectors of kernels whose counts are known by hand. Compiled as races.cpp is.
#include <algorithm>
#include <ostream>

#include "kernels/cuda/access.cuh"
#include "kernels/simt/access_report.h"
#include "tests/simt/aligned_memory.h"
#include "tests/simt/orders.h"

namespace fovea {
namespace {

struct Counts {
  std::int64_t requests, units, ideal, worst;
  bool operator==(const Counts&) const = default;
};
std::ostream& operator<<(std::ostream& out, const Counts& c) {
  return out << c.requests << " requests, " << c.units << " units for " << c.ideal << ", worst " << c.worst;
}

/// What the kernel's loads or stores of that memory come to, whatever lines they are at.
Counts counts(simt::Grid& grid, bool shared, bool write) {
  const simt::AccessReport report = grid.access_report();
  REQUIRE(report.kernels.size() == 1);
  Counts sum{0, 0, 0, 0};
  for (const simt::AccessSite& site : report.kernels[0].sites) {
    if (site.shared != shared || site.write != write) continue;
    sum.requests += site.requests;
    sum.units += site.units;
    sum.ideal += site.ideal;
    sum.worst = std::max(sum.worst, site.worst);
  }
  return sum;
}

// ---- shared memory --------------------------------------------------------------------------------------

/// Each lane writes its own word first, without conflicts, and then reads at a stride.
template <class T>
__global__ void strided_reads_kernel(int stride, int words, T* out) {
  FOVEA_DYNAMIC_SHARED(T, row);
  const int lane = static_cast<int>(threadIdx.x);
  for (int i = lane; i < words; i += 32) row[i] = T(1);
  __syncthreads();
  out[lane] = row[lane * stride % words];
}

template <class T>
Counts strided_reads(simt::Grid& grid, int stride) {
  const int words = 32 * std::max(stride, 1);
  const AlignedMemory<T> out(32);
  grid.count_accesses(true);
  launch(grid, "strided", strided_reads_kernel<T>, 1, 32, static_cast<std::size_t>(words) * sizeof(T), stride,
         words, out.get());
  return counts(grid, true, false);
}

TEST_CASE("bank conflicts of strided reads of 4 bytes") {
  in_all_orders([](simt::Grid& grid) {
    CHECK(strided_reads<float>(grid, 1) == Counts{1, 1, 1, 1});
    CHECK(strided_reads<float>(grid, 0) == Counts{1, 1, 1, 1});  // all lanes read one word: a broadcast
    CHECK(strided_reads<float>(grid, 2) == Counts{1, 2, 1, 2});
    CHECK(strided_reads<float>(grid, 3) == Counts{1, 1, 1, 1});  // odd: every bank once
    CHECK(strided_reads<float>(grid, 4) == Counts{1, 4, 1, 4});
    CHECK(strided_reads<float>(grid, 32) == Counts{1, 32, 1, 32});
    CHECK(strided_reads<float>(grid, 33) == Counts{1, 1, 1, 1});
  });
}

TEST_CASE("bank conflicts of narrow and wide reads") {
  simt::Grid grid;
  CHECK(strided_reads<unsigned char>(grid, 1) == Counts{1, 1, 1, 1});  // four lanes to a word
  CHECK(strided_reads<unsigned char>(grid, 4) == Counts{1, 1, 1, 1});
  CHECK(strided_reads<unsigned char>(grid, 8) == Counts{1, 2, 1, 2});
  CHECK(strided_reads<double>(grid, 1) == Counts{1, 2, 2, 1});  // a half of the warp after the other
  CHECK(strided_reads<double>(grid, 2) == Counts{1, 4, 2, 2});
  CHECK(strided_reads<double>(grid, 16) == Counts{1, 32, 2, 16});
}

__global__ void wide_reads_kernel(int stride, float* out) {
  FOVEA_SHARED(float, row, [4 * 32 * 8]);
  const int lane = static_cast<int>(threadIdx.x);
  for (int i = 0; i < 8; ++i) gpu::store_pack<4>(row, i * 32 + lane, {{1, 2, 3, 4}});
  __syncthreads();
  gpu::store_pack<4>(out, lane, gpu::load_pack<4>(row, lane * stride));
}

TEST_CASE("bank conflicts of packs of 16 bytes, a quarter of the warp at a time") {
  in_all_orders([](simt::Grid& grid) {
    const AlignedMemory<float> out(128);
    const auto read = [&](int stride) {
      grid.count_accesses(true);
      launch(grid, "wide", wide_reads_kernel, 1, 32, 0, stride, out.get());
      CHECK(counts(grid, true, true) == Counts{8, 32, 32, 1});
      CHECK(counts(grid, false, true) == Counts{1, 16, 16, 16});
      return counts(grid, true, false);
    };
    CHECK(read(1) == Counts{1, 4, 4, 1});
    CHECK(read(2) == Counts{1, 8, 4, 2});
    CHECK(read(8) == Counts{1, 32, 4, 8});
    CHECK(read(0) == Counts{1, 4, 4, 1});
  });
}

/// A 32x32 tile through shared memory, rows in, columns out.
template <int kPad>
__global__ void transpose_tile_kernel(const float* x, float* y) {
  FOVEA_SHARED(float, tile, [32][32 + kPad]);
  const unsigned column = threadIdx.x;
  for (unsigned row = threadIdx.y; row < 32; row += blockDim.y) tile[row][column] = x[row * 32 + column];
  __syncthreads();
  for (unsigned row = threadIdx.y; row < 32; row += blockDim.y) y[row * 32 + column] = tile[column][row];
}

TEST_CASE("columns of a tile of 32 x 32 conflict 32 ways, with a column of padding not at all") {
  in_all_orders([](simt::Grid& grid) {
    const AlignedMemory<float> x(1024), y(1024);
    grid.count_accesses(true);
    launch(grid, "transpose", transpose_tile_kernel<0>, 1, dim3(32, 8), 0, x.get(), y.get());
    CHECK(counts(grid, true, true) == Counts{32, 32, 32, 1});
    CHECK(counts(grid, true, false) == Counts{32, 1024, 32, 32});
    grid.count_accesses(true);
    launch(grid, "transpose", transpose_tile_kernel<1>, 1, dim3(32, 8), 0, x.get(), y.get());
    CHECK(counts(grid, true, true) == Counts{32, 32, 32, 1});
    CHECK(counts(grid, true, false) == Counts{32, 32, 32, 1});
    CHECK(counts(grid, false, false) == Counts{32, 128, 128, 4});
    CHECK(counts(grid, false, true) == Counts{32, 128, 128, 4});
  });
}

// ---- global memory --------------------------------------------------------------------------------------

__global__ void direct_transpose_kernel(const float* x, float* y) {
  y[threadIdx.x * 32 + threadIdx.y] = x[threadIdx.y * 32 + threadIdx.x];
}

TEST_CASE("a transposed store touches 32 sectors a warp") {
  in_all_orders([](simt::Grid& grid) {
    const AlignedMemory<float> x(1024), y(1024);
    grid.count_accesses(true);
    launch(grid, "direct", direct_transpose_kernel, 1, dim3(32, 32), 0, x.get(), y.get());
    CHECK(counts(grid, false, false) == Counts{32, 128, 128, 4});
    CHECK(counts(grid, false, true) == Counts{32, 1024, 128, 32});
  });
}

template <int kPack>
__global__ void copy_kernel(std::int64_t packs, const float* x, float* y) {
  for (const std::int64_t i : gpu::grid_stride(packs)) gpu::store_pack(y, i, gpu::load_pack<kPack>(x, i));
}

TEST_CASE("packs of 16 bytes ask for 16 sectors, which is what they need") {
  in_all_orders([](simt::Grid& grid) {
    const AlignedMemory<float> x(4096), y(4096);
    grid.count_accesses(true);
    launch(grid, "copy", copy_kernel<4>, 2, 64, 0, 1024, x.get(), y.get());
    CHECK(counts(grid, false, false) == Counts{32, 512, 512, 16});
    CHECK(counts(grid, false, true) == Counts{32, 512, 512, 16});
    grid.count_accesses(true);
    launch(grid, "copy", copy_kernel<1>, 2, 64, 0, 4096, x.get(), y.get());
    CHECK(counts(grid, false, false) == Counts{128, 512, 512, 4});
    // One element off the boundary: five sectors for the bytes of four.
    grid.count_accesses(true);
    launch(grid, "copy", copy_kernel<1>, 1, 32, 0, 4064, x.get() + 1, y.get());
    CHECK(counts(grid, false, false) == Counts{127, 635, 508, 5});
  });
}

/// The mistake that packs are for: each lane walks through four neighbours.
__global__ void four_each_kernel(const float* x, float* y) {
  float sum = 0.0f;
  for (int i = 0; i < 4; ++i) sum += x[threadIdx.x * 4 + static_cast<unsigned>(i)];
  y[threadIdx.x] = sum;
}

TEST_CASE("four single loads of neighbours are not mistaken for a pack") {
  simt::Grid grid;
  const AlignedMemory<float> x(128), y(32);
  grid.count_accesses(true);
  launch(grid, "four_each", four_each_kernel, 1, 32, 0, x.get(), y.get());
  CHECK(counts(grid, false, false) == Counts{4, 64, 16, 16});
  CHECK(counts(grid, false, true) == Counts{1, 4, 4, 4});
}

// ---- matching -------------------------------------------------------------------------------------------

/// Lanes that stay behind have fewer requests, and those of the others stay together.
__global__ void triangle_kernel(const float* x, float* y) {
  float sum = 0.0f;
  for (unsigned i = 0; i <= threadIdx.x; ++i) sum += x[i * 32 + threadIdx.x];
  y[threadIdx.x] = sum;
}

TEST_CASE("a loop whose lanes end one after another") {
  in_all_orders([](simt::Grid& grid) {
    const AlignedMemory<float> x(1024), y(32);
    grid.count_accesses(true);
    launch(grid, "triangle", triangle_kernel, 1, 32, 0, x.get(), y.get());
    // Row i is read by lanes i..31: (32 − i)·4 bytes in ceil((32 − i)/8) sectors: 8·(4 + 3 + 2 + 1).
    CHECK(counts(grid, false, false) == Counts{32, 80, 80, 4});
  });
}

TEST_CASE("launches add up by name, counting starts and stops") {
  simt::Grid grid;
  const AlignedMemory<float> x(4096), y(4096);
  const auto run = [&](const char* name) {
    launch(grid, name, copy_kernel<4>, 1, 32, 0, 32, x.get(), y.get());
  };
  run("before");
  CHECK(grid.access_report().kernels.empty());
  grid.count_accesses(true);
  run("b");
  run("a");
  run("b");
  grid.count_accesses(false);
  run("after");
  const simt::AccessReport report = grid.access_report();
  REQUIRE(report.kernels.size() == 2);
  CHECK(report.kernels[0].kernel == "a");
  CHECK(report.kernels[1].launches == 2);
  CHECK(report.find("b")->total(false).units == 64);
  CHECK(report.find("b")->total(true).units == 0);
  CHECK(report.find("after") == nullptr);
  CHECK(report.kernels[0].dropped == 0);
}

TEST_CASE("the table names the lines that waste") {
  simt::Grid grid;
  const AlignedMemory<float> x(1024), y(1024);
  CHECK(grid.access_report().text() == "no kernel was launched\n");
  grid.count_accesses(true);
  launch(grid, "direct", direct_transpose_kernel, 1, dim3(32, 32), 0, x.get(), y.get());
  launch(grid, "transpose", transpose_tile_kernel<0>, 1, dim3(32, 8), 0, x.get(), y.get());
  const std::string text = grid.access_report().text();
  CAPTURE(text);
  CHECK(contains(text,
                 "direct                              1 |         0           -      -        - |        64"
                 "     18.00   4.00     22 %\n"));
  CHECK(contains(text, "global write  4 B: 32.00 sectors for 4.00, worst 32; 32 requests at accesses.cpp:"));
  CHECK(contains(text,
                 "shared read   4 B: 32.00 wavefronts for 1.00, worst 32-way; 32 requests at accesses.cpp:"));
}

}  // namespace
}  // namespace fovea

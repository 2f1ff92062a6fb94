// SPDX-License-Identifier: Apache-2.0
//
// # Lesson 3: a kernel in the debugger
//
// A GPU runs thousands of threads at once, and when their result is wrong there is little to look at. The
// emulation runs the same source with **one thread at a time, on the host**, so a kernel can be stopped in a
// given thread, its variables read, and its lines stepped, with an ordinary debugger and no GPU. This lesson
// does that with a kernel that has a bug. [Lesson 2](02_one_op.cpp) says where kernels come from, and [the
// emulation's page](../../kernels/simt/README.md) how it works.
//
// You need gdb (`apt-get install gdb`). Build this program, without optimisation so that every line can be
// stepped:
//
// ```sh
// cmake --preset dev
// cmake --build build/dev --target lesson_03_kernel_in_gdb
// build/dev/lessons/03_kernel_in_gdb
// ```

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "kernels/simt/simt.h"

using namespace fovea;

// ## The kernel
//
// It transposes a matrix: `out[c][r] = in[r][c]`. Reading along rows and writing along columns would be slow
// on a GPU, which moves memory in runs of consecutive addresses. So a block of 8×8 threads reads a tile of
// the matrix row by row into **shared memory**, memory that all threads of a block can see, and writes it out
// row by row of the *result*.
//
// The thread that reads an element is therefore not the thread that writes it. Thread (x, y) puts its element
// into `tile[y][x]` and takes another one from `tile[x][y]`, which thread (y, x) put there. It must not do so
// before that thread has come by: this is what `__syncthreads()` is for. It makes each thread of the block
// wait until all are there. The version with `kWait = false` has forgotten it.
//
// (The row of 9 in a tile of 8 is on purpose: with 8, a column would lie in few memory banks, and be read
// slowly.)

constexpr int kTile = 8;

template <bool kWait>
__global__ void transpose_kernel(int rows, int cols, const float* in, float* out) {
  FOVEA_SHARED(float, tile, [kTile][kTile + 1]);
  const int x = static_cast<int>(threadIdx.x), y = static_cast<int>(threadIdx.y);
  int r = static_cast<int>(blockIdx.y) * kTile + y, c = static_cast<int>(blockIdx.x) * kTile + x;
  if (r < rows && c < cols) tile[y][x] = in[r * cols + c];
  if (kWait) __syncthreads();
  r = static_cast<int>(blockIdx.x) * kTile + y, c = static_cast<int>(blockIdx.y) * kTile + x;
  if (r < cols && c < rows) out[r * rows + c] = tile[x][y];
}

// We try both on a matrix of 8 rows and 16 columns, two blocks, whose element in row r and column c is 100·r
// + c, so that a number tells where it came from. `launch` is what a `<<<…>>>` would be on a GPU.

template <bool kWait>
int wrong_elements(simt::Order order) {
  const int rows = 8, cols = 16;
  std::vector<float> in, out(rows * cols, -1.0f);
  for (int r = 0; r < rows; ++r)
    for (int c = 0; c < cols; ++c) in.push_back(static_cast<float>(100 * r + c));
  simt::Grid grid(order);
  launch(grid, "transpose", transpose_kernel<kWait>, dim3(2, 1), dim3(kTile, kTile), 0, rows, cols, in.data(),
         out.data());
  int wrong = 0;
  for (int r = 0; r < rows; ++r)
    for (int c = 0; c < cols; ++c) {
      const float got = out[static_cast<std::size_t>(c * rows + r)];
      wrong += got == static_cast<float>(100 * r + c) ? 0 : 1;
    }
  return wrong;
}

// ## See it fail
//
// Without the barrier 56 of the 128 elements come out wrong, in each of the three orders in which the
// emulation can let threads take turns. On a GPU it might be none of them, today: threads there run nearly
// side by side, and a race shows once the machine is busy, or new. The emulation does the opposite. **A
// thread runs as far as it can before the next one starts**, so whoever does not wait is too early, every
// time.
//
// Which thread goes wrong, and what does it see? Start gdb, and stop before the kernel's last line, in one
// thread: the second one of the first block. `threadIdx` and `blockIdx` are real variables here, so a
// condition can name them.
//
// ```gdb
// $ gdb -q build/dev/lessons/03_kernel_in_gdb
// (gdb) break 03_kernel_in_gdb.cpp:54 if blockIdx.x == 0 && threadIdx.x == 1 && threadIdx.y == 0
// Breakpoint 1 at …: 03_kernel_in_gdb.cpp:54. (2 locations)
// (gdb) run
// Breakpoint 1…, transpose_kernel<false> (rows=8, cols=16, in=…, out=…) at …/03_kernel_in_gdb.cpp:54
// 54	  if (r < cols && c < rows) out[r * rows + c] = tile[x][y];
// (gdb) print threadIdx
// $1 = {x = 1, y = 0, z = 0}
// (gdb) print tile[x][y]
// $2 = -nan(0x7fffff)
// ```
//
// (Two locations, since the template is compiled for `true` and for `false`; the second one runs first.) The
// thread is about to write out a NaN. The matrix holds none: the emulation fills shared memory with NaN
// before a block starts, so that **what was never written can be seen**. Who should have written
// `tile[1][0]`? Let us look at the first two rows of the tile.
//
// ```gdb
// (gdb) print tile[0]
// $3 = {0, 1, -nan(0x7fffff), …}
// (gdb) print tile[1]
// $4 = {-nan(0x7fffff), -nan(0x7fffff), …}
// ```
//
// Row 0 holds what thread (0, 0) and our thread (1, 0) have read. Row 1 is empty: `tile[1][0]` is for thread
// (0, 1), the ninth of the block, which has not begun. Nothing made us wait for it.
//
// ## See it wait
//
// Now the same thread of the version that waits. Stop where its kernel begins, and step: `next` runs one line
// *of this thread*, up to the barrier.
//
// ```gdb
// $ gdb -q build/dev/lessons/03_kernel_in_gdb
// (gdb) break transpose_kernel<true> if blockIdx.x == 0 && threadIdx.x == 1 && threadIdx.y == 0
// (gdb) run
// Breakpoint 1, transpose_kernel<true> (rows=8, cols=16, in=…, out=…) at …/03_kernel_in_gdb.cpp:48
// (gdb) next
// (gdb) next
// (gdb) next
// 51	  if (r < rows && c < cols) tile[y][x] = in[r * cols + c];
// (gdb) next
// 52	  if (kWait) __syncthreads();
// (gdb) print tile[0]
// $1 = {0, 1, -nan(0x7fffff), …}
// (gdb) next
// (gdb) print threadIdx
// $2 = {x = 1, y = 0, z = 0}
// (gdb) print tile[0]
// $3 = {0, 1, 2, 3, 4, 5, 6, 7, -nan(0x7fffff)}
// (gdb) print tile[1][0]
// $4 = 100
// ```
//
// One `next`, from the barrier to the line after it, and the tile is full. In that step all other 63 threads
// of the block ran up to the barrier too; then the scheduler came back to ours. The NaN that is left in the
// row is the ninth column, which nobody uses. `tile[1][0]` is 100: row 1, column 0 of the matrix.
//
// ## What to take along
//
// - A breakpoint with a condition on `blockIdx` and `threadIdx` picks one thread out of thousands.
// - NaN in shared memory means: not written *yet*. Ask who should have, and what makes the reader wait for
//   it.
// - `next` over a barrier runs everyone else. `step` would take you into the emulation's scheduler; `finish`
//   leads out.
// - `break fovea::simt::Scheduler::report_divergence` stops when threads wait for others that never come.
//
// ## Exercises
//
// **1. Find a bug by yourself.** This kernel adds the numbers of a block in a tree: in each round half of the
// threads add what stands a stride further on. Run `03_kernel_in_gdb --exercise 1`: the sum is NaN. Stop in
// it with `break tree_sum_kernel if threadIdx.x == 3`, step with `next`, and look at `scratch` before and
// after each barrier. Which element was never written, and who should have? Mend it here.

constexpr int kThreads = 64;

__global__ void tree_sum_kernel(int count, const float* in, float* sum) {
  FOVEA_SHARED(float, scratch, [kThreads]);
  const int x = static_cast<int>(threadIdx.x);
#ifdef FOVEA_ANSWERS
  // Threads past the end have nothing to read, but their place in scratch is read in the first round: it must hold 0.
  scratch[x] = x < count ? in[x] : 0.0f;
#else
  if (x < count) scratch[x] = in[x];
#endif
  for (int stride = kThreads / 2; stride > 0; stride /= 2) {
    __syncthreads();
    if (x < stride) scratch[x] += scratch[x + stride];
  }
  if (x == 0) *sum = scratch[0];
}

// **2. Why 56?** Without the barrier, in order forward: which elements of a tile come out right? (Which
// threads have run before thread (x, y)?) Put the number of *right* elements of one tile here, and ask with
// `--exercise 2`.

#ifdef FOVEA_ANSWERS
// Thread (x, y) reads tile[x][y], written by thread (y, x): number 8·x + y, its own number is 8·y + x. It has
// run if 8·x + y ≤ 8·y + x, which is x ≤ y: the triangle with its diagonal.
constexpr int kRightInOneTile = 36;
#else
constexpr int kRightInOneTile = 0;  // your answer
#endif

// **3. Divergence.** Put `__syncthreads()` inside the `if` of the tree sum. Predict what the emulation says,
// then run exercise 1 again. On a GPU, what could happen instead?

int exercise(int number) {
  bool right = false;
  if (number == 1) {
    const std::vector<float> in(50, 1.0f);
    float sum = 0;
    simt::Grid grid;
    launch(grid, "tree_sum", tree_sum_kernel, 1, kThreads, 0, 50, in.data(), &sum);
    std::printf("the sum of 50 ones is %g\n", static_cast<double>(sum));
    right = sum == 50.0f;
  } else if (number == 2) {
    right = 2 * (kTile * kTile - kRightInOneTile) == wrong_elements<false>(simt::Order::forward);
  } else {
    std::fprintf(stderr, "error: there is no check of exercise %d\nhint: exercises 1 and 2 have one\n",
                 number);
    return 2;
  }
  std::printf("exercise %d: %s\n", number, right ? "right" : "not yet");
  return right ? 0 : 1;
}

// ## The program

int main(int argc, char** argv) {
  if (argc == 3 && std::strcmp(argv[1], "--exercise") == 0) return exercise(std::atoi(argv[2]));
  bool as_told = true;
  for (const simt::Order order : {simt::Order::forward, simt::Order::reversed, simt::Order::shuffled}) {
    const int without = wrong_elements<false>(order), with = wrong_elements<true>(order);
    std::printf("without the barrier %d wrong, with it %d\n", without, with);
    as_told = as_told && without > 0 && with == 0;
  }
  return as_told ? 0 : 1;
}

// It prints
//
// ```output
// without the barrier 56 wrong, with it 0
// without the barrier 56 wrong, with it 0
// without the barrier 56 wrong, with it 0
// ```

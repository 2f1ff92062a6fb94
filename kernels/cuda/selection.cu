// SPDX-License-Identifier: Apache-2.0
#include "kernels/ops/selection.h"

#include "kernels/cuda/row_group.cuh"
#include "kernels/exactly_one.h"

/// A row for each recorded cell and a position for each place of a map: 5 rows of 289 are 6 kB, so the time
/// is that of the launches whatever the kernels do. Hence the plain form, in double: 8 bytes an element and
/// direction, 12 for the gradient of the weights, rows read again from the first cache; half of the memory
/// roof is expected where there are thousands of rows.
namespace fovea {
namespace {

using std::int64_t;

constexpr double kLeastSum = 1e-12;

template <int kThreads>
__global__ void __launch_bounds__(gpu::kRowBlock)
    selection_rows(int64_t rows, int64_t width, const float* __restrict__ w, float* __restrict__ p,
                   float* __restrict__ inv_sum) {
  using Group = gpu::RowGroup<kThreads>;
  FOVEA_SHARED(float, least_of, [gpu::kRowWarps]);
  FOVEA_SHARED(double, sum_of, [gpu::kRowWarps]);
  for (int64_t row = Group::first(); row < rows; row += Group::step()) {
    const float* x = w + row * width;
    float least = x[0];
    for (int64_t i = Group::lane(); i < width; i += kThreads) least = gpu::Min{}(least, x[i]);
    least = Group::reduce(least, gpu::Min{}, least_of);
    double sum = 0.0;
    for (int64_t i = Group::lane(); i < width; i += kThreads) sum += static_cast<double>(x[i] - least);
    sum = Group::reduce(sum, gpu::Add{}, sum_of);
    const float factor = sum <= kLeastSum ? 0.0f : static_cast<float>(1.0 / sum);  // of NaN: NaN
    if (Group::lane() == 0) inv_sum[row] = factor;
    for (int64_t i = Group::lane(); i < width; i += kThreads) p[row * width + i] = (x[i] - least) * factor;
  }
}

/// What the gradient of a row needs of all its elements.
struct RowSums {
  double dot, total;
  int64_t first;  // where p is 0
};
struct AddRowSums {
  __device__ RowSums operator()(RowSums a, RowSums b) const {
    return {a.dot + b.dot, a.total + b.total, a.first < b.first ? a.first : b.first};
  }
};

template <int kThreads>
__global__ void __launch_bounds__(gpu::kRowBlock)
    selection_grad_rows(int64_t rows, int64_t width, const float* __restrict__ p,
                        const float* __restrict__ inv_sum, const float* __restrict__ dp,
                        float* __restrict__ dw) {
  using Group = gpu::RowGroup<kThreads>;
  FOVEA_SHARED(RowSums, scratch, [gpu::kRowWarps]);
  for (int64_t row = Group::first(); row < rows; row += Group::step()) {
    const float *y = p + row * width, *dy = dp + row * width;
    RowSums sums{0.0, 0.0, width};
    for (int64_t i = Group::lane(); i < width; i += kThreads) {
      const double slope = static_cast<double>(dy[i]);
      sums = AddRowSums{}(sums, {slope * static_cast<double>(y[i]), slope, y[i] == 0.0f ? i : width});
    }
    sums = Group::reduce(sums, AddRowSums{}, scratch);
    const double factor = static_cast<double>(inv_sum[row]);
    const double of_all = sums.total - static_cast<double>(width) * sums.dot;
    for (int64_t i = Group::lane(); i < width; i += kThreads) {
      const double du = static_cast<double>(dy[i]) - sums.dot;
      dw[row * width + i] = static_cast<float>(factor * (i == sums.first ? du - of_all : du));
    }
  }
}

template <int kThreads>
__global__ void __launch_bounds__(gpu::kRowBlock)
    exactly_one_rows(int64_t rows, int64_t width, const float* __restrict__ p, double* __restrict__ of_row) {
  using Group = gpu::RowGroup<kThreads>;
  FOVEA_SHARED(double, scratch, [gpu::kRowWarps]);
  for (int64_t row = Group::first(); row < rows; row += Group::step()) {
    ExactlyOne mine;
    for (int64_t i = Group::lane(); i < width; i += kThreads) mine.include(p[row * width + i]);
    const double log_none = Group::reduce(mine.log_of_none(), gpu::Add{}, scratch);
    const double odds = Group::reduce(mine.odds, gpu::Add{}, scratch);
    if (Group::lane() == 0) of_row[row] = -(log_none + log(odds));
  }
}

template <int kThreads>
__global__ void __launch_bounds__(gpu::kRowBlock)
    exactly_one_grad_rows(int64_t rows, int64_t width, const float* __restrict__ p,
                          const float* __restrict__ dloss, float* __restrict__ dp) {
  using Group = gpu::RowGroup<kThreads>;
  FOVEA_SHARED(double, scratch, [gpu::kRowWarps]);
  const double scale = static_cast<double>(*dloss);
  for (int64_t row = Group::first(); row < rows; row += Group::step()) {
    double odds = 0.0;
    // Unrolled, the loops hold more registers than the subroutine of a division in double leaves them.
#pragma unroll 1
    for (int64_t i = Group::lane(); i < width; i += kThreads) odds += ExactlyOne::odds_of(p[row * width + i]);
    const double inv_odds = 1.0 / Group::reduce(odds, gpu::Add{}, scratch);
#pragma unroll 1
    for (int64_t i = Group::lane(); i < width; i += kThreads)
      dp[row * width + i] = static_cast<float>(scale * ExactlyOne::slope(p[row * width + i], inv_odds));
  }
}

template <class... P, class... A>
void launch_rows(gpu::Queue& q, const char* name, void (*by_warp)(int64_t, int64_t, P...),
                 void (*by_block)(int64_t, int64_t, P...), int64_t rows, int64_t width, A... args) {
  launch(q, name, width <= gpu::kWarpRow ? by_warp : by_block, gpu::row_blocks(rows, width), gpu::kRowBlock,
         0, rows, width, args...);
}

}  // namespace

void kernels::selection_weights(gpu::Queue& q, int64_t rows, int64_t width, const float* w, float* p,
                                float* inv_sum) {
  launch_rows(q, "selection_weights", selection_rows<32>, selection_rows<gpu::kRowBlock>, rows, width, w, p,
              inv_sum);
}

void kernels::selection_weights_grad(gpu::Queue& q, int64_t rows, int64_t width, const float* p,
                                     const float* inv_sum, const float* dp, float* dw) {
  launch_rows(q, "selection_weights_grad", selection_grad_rows<32>, selection_grad_rows<gpu::kRowBlock>, rows,
              width, p, inv_sum, dp, dw);
}

void kernels::exactly_one_loss(gpu::Queue& q, int64_t rows, int64_t width, const float* p, float* loss) {
  Scratch<double> of_row(q, rows, "exactly_one_loss");
  launch_rows(q, "exactly_one_loss", exactly_one_rows<32>, exactly_one_rows<gpu::kRowBlock>, rows, width, p,
              of_row.data());
  launch(q, "exactly_one_total", gpu::row_total<gpu::kRowBlock>, 1, gpu::kRowBlock, 0, rows, 1.0,
         of_row.data(), loss);
}

void kernels::exactly_one_loss_grad(gpu::Queue& q, int64_t rows, int64_t width, const float* p,
                                    const float* dloss, float* dp) {
  launch_rows(q, "exactly_one_loss_grad", exactly_one_grad_rows<32>, exactly_one_grad_rows<gpu::kRowBlock>,
              rows, width, p, dloss, dp);
}

}  // namespace fovea

// SPDX-License-Identifier: Apache-2.0
#include "kernels/ops/selection.h"

#include "kernels/cpu/queue.h"
#include "kernels/cpu/rows.h"
#include "kernels/exactly_one.h"

/// A few rows of some hundred positions: what counts is that sums are in double and a row is gone over at
/// most three times. 8 bytes an element and direction, 12 for the gradient of the weights.
namespace fovea {
namespace {

using std::int64_t;

constexpr double kLeastSum = 1e-12;

}  // namespace

void kernels::selection_weights(cpu::Queue& q, int64_t rows, int64_t width, const float* w, float* p,
                                float* inv_sum) {
  cpu::for_rows(q, rows, width, [=](int64_t row) {
    const float* x = w + row * width;
    float* y = p + row * width;
    float least = x[0];
    for (int64_t i = 1; i < width; ++i) least = x[i] < least ? x[i] : least;
    const double sum = cpu::sum_of(width, [=](int64_t i) { return x[i] - least; });
    const float factor = sum <= kLeastSum ? 0.0f : static_cast<float>(1.0 / sum);  // of NaN: NaN
    inv_sum[row] = factor;
    for (int64_t i = 0; i < width; ++i) y[i] = (x[i] - least) * factor;
  });
}

void kernels::selection_weights_grad(cpu::Queue& q, int64_t rows, int64_t width, const float* p,
                                     const float* inv_sum, const float* dp, float* dw) {
  cpu::for_rows(q, rows, width, [=](int64_t row) {
    const float *y = p + row * width, *dy = dp + row * width;
    float* dx = dw + row * width;
    const double dot =
        cpu::sum_of(width, [=](int64_t i) { return static_cast<double>(dy[i]) * static_cast<double>(y[i]); });
    const double total = cpu::sum_of(width, [=](int64_t i) { return dy[i]; });
    const double factor = static_cast<double>(inv_sum[row]);
    for (int64_t i = 0; i < width; ++i)
      dx[i] = static_cast<float>(factor * (static_cast<double>(dy[i]) - dot));
    int64_t first = 0;
    while (first < width && y[first] != 0.0f) ++first;
    if (first == width) return;  // a row of NaN
    const double of_all = total - static_cast<double>(width) * dot;
    dx[first] = static_cast<float>(factor * (static_cast<double>(dy[first]) - dot - of_all));
  });
}

void kernels::exactly_one_loss(cpu::Queue& q, int64_t rows, int64_t width, const float* p, float* loss) {
  cpu::sum_over_rows(q, rows, width, 1.0, loss, "exactly_one_loss", [=](int64_t row) -> double {
    ExactlyOne one;
    for (int64_t i = 0; i < width; ++i) one.include(p[row * width + i]);
    return -(one.log_of_none() + __builtin_log(one.odds));
  });
}

void kernels::exactly_one_loss_grad(cpu::Queue& q, int64_t rows, int64_t width, const float* p,
                                    const float* dloss, float* dp) {
  const double scale = static_cast<double>(*dloss);
  cpu::for_rows(q, rows, width, [=](int64_t row) {
    const float* x = p + row * width;
    const double inv_odds = 1.0 / cpu::sum_of(width, [=](int64_t i) { return ExactlyOne::odds_of(x[i]); });
    for (int64_t i = 0; i < width; ++i)
      dp[row * width + i] = static_cast<float>(scale * ExactlyOne::slope(x[i], inv_odds));
  });
}

}  // namespace fovea

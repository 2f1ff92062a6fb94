// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "kernels/queues.h"

/// Rows that each choose one of `width` ≥ 1 positions, [rows, width], f32. Sums in double.
namespace fovea::kernels {

/// u = w − min w, p = u·inv_sum with inv_sum = 1/Σu, and 0 where Σu ≤ 1e-12; inv_sum[rows] is kept for the
/// gradient.
FOVEA_KERNEL(selection_weights, std::int64_t rows, std::int64_t width, const float* w, float* p,
             float* inv_sum);
/// du_j = inv_sum·(dp_j − Σ dp·p); dw = du, from which the row's least entry, the first where p is 0, gets
/// Σdu taken off.
FOVEA_KERNEL(selection_weights_grad, std::int64_t rows, std::int64_t width, const float* p,
             const float* inv_sum, const float* dp, float* dw);

/// loss = Σ_row −log S, S the chance of exactly one success (kernels/exactly_one.h); one float in device
/// memory.
FOVEA_KERNEL(exactly_one_loss, std::int64_t rows, std::int64_t width, const float* p, float* loss);
/// dp_j = *dloss·(1/(1 − p_j) − 1/((1 − p_j)²·R)), 0 where p was cut.
FOVEA_KERNEL(exactly_one_loss_grad, std::int64_t rows, std::int64_t width, const float* p, const float* dloss,
             float* dp);

}  // namespace fovea::kernels

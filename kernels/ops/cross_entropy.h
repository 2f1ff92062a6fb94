// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "kernels/queues.h"

namespace fovea {

/// logits[rows, classes], labels[rows]. The target of a row is smoothing/classes everywhere, and 1 −
/// smoothing more at its label.
struct CrossEntropy {
  std::int64_t rows = 0, classes = 0;
  float smoothing = 0.0f;
};

}  // namespace fovea

namespace fovea::kernels {

/// loss = 1/rows·Σ_row mask·−Σ_c target·log softmax(logits)[c], written to one float in device memory; mask[rows] may
/// be null, which is 1 everywhere. shares[rows, 2] gets each row's maximum m and 1/Σ exp(logits − m), from which the gradient has its
/// softmax. A row whose label is not in 0..classes-1 has NaN for both and for its loss.
FOVEA_KERNEL(cross_entropy, const CrossEntropy& shape, const float* logits, const std::int64_t* labels,
             const float* mask, float* loss, float* shares);
/// dlogits = *dloss/rows·mask·(softmax − target).
FOVEA_KERNEL(cross_entropy_grad, const CrossEntropy& shape, const float* logits, const std::int64_t* labels,
             const float* mask, const float* shares, const float* dloss, float* dlogits);

}  // namespace fovea::kernels

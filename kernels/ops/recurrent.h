// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "kernels/host_device.h"
#include "kernels/queues.h"

/// The part of a recurrent layer that goes step by step, for one direction: what h and c of the step before add,
/// and the gates. The products with x, over all steps at once, are matmul's. All f32, contiguous.
///
/// LSTM, gates i, f, g, o:  c ← f·c + i·g,  h ← o·tanh(c);  i, f, o = sigmoid(·), g = tanh(·)
/// GRU,  gates r, z, n:     h ← (1 − z)·n + z·h;  r, z = sigmoid(·), n = tanh(x's part + r·(h's part))
///
/// Sample b takes part in the steps 0..length − 1, length = lengths[b] limited to 0..steps, or steps if lengths is
/// null.
namespace fovea {

enum class Cell : std::uint8_t { lstm, gru };

struct Recurrent {
  Cell cell = Cell::lstm;
  std::int64_t steps = 0, batch = 0, hidden = 0;  ///< steps ≥ 1
  bool reverse = false;                           ///< from the last step of a sample to its first

  constexpr std::int64_t gates() const { return cell == Cell::lstm ? 4 : 3; }
  FOVEA_HOST_DEVICE constexpr std::int64_t length(const std::int64_t* lengths, std::int64_t b) const {
    if (lengths == nullptr) return steps;
    return lengths[b] < 0 ? 0 : lengths[b] < steps ? lengths[b] : steps;
  }
  /// Time of the i-th step to be computed, and the times before and after t in that order; may be outside of a
  /// sample's 0..length − 1: then t was the first, or is the last.
  FOVEA_HOST_DEVICE constexpr std::int64_t time(std::int64_t i) const { return reverse ? steps - 1 - i : i; }
  FOVEA_HOST_DEVICE constexpr std::int64_t before(std::int64_t t) const { return reverse ? t + 1 : t - 1; }
  FOVEA_HOST_DEVICE constexpr std::int64_t after(std::int64_t t) const { return reverse ? t - 1 : t + 1; }
};

/// Biases, h0, c0 and lengths may be null: zeros, and all steps. Of a GRU c0 and c_last are null.
struct RecurrentForward {
  const float* w_hidden;     ///< [gates, hidden, hidden]
  const float* bias_input;   ///< [gates, hidden]
  const float* bias_hidden;  ///< [gates, hidden]
  const float *h0, *c0;      ///< [batch, hidden]
  const std::int64_t* lengths;
  float* gates;            ///< [steps, batch, gates, hidden]: the products with x, on return the gates
  float* y;                ///< [steps, batch, hidden]: h; 0 where a sample takes no part
  float* inner;            ///< [steps, batch, hidden]: LSTM c, GRU h's part of n; not written where no part
  float *h_last, *c_last;  ///< [batch, hidden]
};

/// Gradients dy, dh_last, dc_last may be null, and so may every output but dhidden.
struct RecurrentBackward {
  const float* w_hidden;
  const float *h0, *c0;
  const std::int64_t* lengths;
  const float *gates, *y, *inner;  ///< as the forward pass left them
  const float *dy, *dh_last, *dc_last;
  float* dhidden;   ///< [steps, batch, gates, hidden]: by the sums with h; 0 where a sample takes no part
  float* dinput;    ///< the same by the sums with x. Of an LSTM it is dhidden, and must be null
  float* h_before;  ///< [steps, batch, hidden]: h of the step before; 0 where a sample takes no part
  float *dh0, *dc0;
};

namespace kernels {

FOVEA_KERNEL(recurrent, const Recurrent& shape, const RecurrentForward& p);
FOVEA_KERNEL(recurrent_grad, const Recurrent& shape, const RecurrentBackward& p);

}  // namespace kernels
}  // namespace fovea

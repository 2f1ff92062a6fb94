// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "kernels/cell_math.h"
#include "kernels/queues.h"

namespace fovea {

/// Elements of one state and what makes them new. Pointers that are null count as zeros (inputs) or are not
/// written (results).
struct CellPart {
  CellRule rule;
  std::int64_t size = 0;  ///< elements of an image: C·H·W
  /// Gate k of image n begins at gate[k] + n·gate_stride[k]: gates may be slices of one map.
  const float* gate[kCellGates] = {};
  std::int64_t gate_stride[kCellGates] = {};
  const float* in[kCellInputs] = {};  ///< [batch, size]
  float* out[kCellResults] = {};      ///< [batch, size]
  const float* scale = nullptr;       ///< one number; of decay
};

/// The states of one cell, of one kind, in one launch: c' and h' may differ in width.
struct CellUpdate {
  CellKind kind = CellKind::blend;
  std::int64_t batch = 0;
  int parts = 0;
  CellPart part[2];
};

/// Slopes of each part; gate slopes lie as the gates do (gate_stride).
struct CellSlopes {
  struct Part {
    const float* dout[kCellResults] = {};
    float* dgate[kCellGates] = {};
    float* din[kCellInputs] = {};
  };
  Part part[2];
};

}  // namespace fovea

namespace fovea::kernels {

/// out = cell_values(rule, gates, inputs) for each element of each part, f32 (kernels/cell_math.h). An out
/// may be an in.
FOVEA_KERNEL(cell_update, const CellUpdate& cell);

/// dgate, din = cell_slopes(…) for each part; the outs of `cell` are not read. Any kind but decay.
FOVEA_KERNEL(cell_update_grad, const CellUpdate& cell, const CellSlopes& slopes);

}  // namespace fovea::kernels

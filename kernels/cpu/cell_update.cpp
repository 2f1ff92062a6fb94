// SPDX-License-Identifier: Apache-2.0
#include "kernels/ops/cell_update.h"

#include "kernels/cpu/loops.h"
#include "kernels/cpu/queue.h"

namespace fovea {
namespace {

/// Calls f(gates, inputs, at, gate_at) for the elements of a part: `at` is the place in inputs and results,
/// gate_at[k] that in gate k.
template <class F>
void for_elements(cpu::Queue& queue, std::int64_t batch, const CellPart& part, F&& f) {
  cpu::for_ranges(
      queue, batch * part.size,
      [&](std::int64_t first, std::int64_t last) {
        for (std::int64_t i = first; i < last;) {
          const std::int64_t image = i / part.size, place = i - image * part.size;
          const std::int64_t n = cpu::least(part.size - place, last - i);
          std::int64_t gate_at[kCellGates];
          for (int k = 0; k < kCellGates; ++k) gate_at[k] = image * part.gate_stride[k] + place;
          for (std::int64_t e = 0; e < n; ++e, ++i) {
            CellGates gates;
            CellInputs inputs;
            for (int k = 0; k < kCellGates; ++k)
              gates.of[k] = part.gate[k] != nullptr ? part.gate[k][gate_at[k] + e] : 0.0f;
            for (int k = 0; k < kCellInputs; ++k) inputs.of[k] = part.in[k] != nullptr ? part.in[k][i] : 0.0f;
            f(gates, inputs, i, gate_at, e);
          }
        }
      },
      4096);
}

}  // namespace

void kernels::cell_update(cpu::Queue& queue, const CellUpdate& cell) {
  with_cell_kind(cell.kind, [&]<CellKind kKind>(CellKindTag<kKind>) {
    for (int p = 0; p < cell.parts; ++p) {
      const CellPart& part = cell.part[p];
      const float scale = part.scale != nullptr ? *part.scale : 0.0f;
      for_elements(queue, cell.batch, part,
                   [&](const CellGates& gates, const CellInputs& inputs, std::int64_t i, const std::int64_t*,
                       std::int64_t) {
                     const CellResults y = cell_values<kKind>(part.rule, scale, gates, inputs);
                     for (int k = 0; k < kCellResults; ++k)
                       if (part.out[k] != nullptr) part.out[k][i] = y.of[k];
                   });
    }
  });
}

void kernels::cell_update_grad(cpu::Queue& queue, const CellUpdate& cell, const CellSlopes& all) {
  with_cell_kind(cell.kind, [&]<CellKind kKind>(CellKindTag<kKind>) {
    for (int p = 0; p < cell.parts; ++p) {
      const CellPart& part = cell.part[p];
      const CellSlopes::Part& slopes = all.part[p];
      for_elements(queue, cell.batch, part,
                   [&](const CellGates& gates, const CellInputs& inputs, std::int64_t i,
                       const std::int64_t* gate_at, std::int64_t e) {
                     CellResults dy;
                     for (int k = 0; k < kCellResults; ++k)
                       dy.of[k] = slopes.dout[k] != nullptr ? slopes.dout[k][i] : 0.0f;
                     CellGates dg = {};
                     CellInputs dx = {};
                     cell_slopes<kKind>(part.rule, gates, inputs, dy, dg, dx);
                     for (int k = 0; k < kCellGates; ++k)
                       if (slopes.dgate[k] != nullptr) slopes.dgate[k][gate_at[k] + e] = dg.of[k];
                     for (int k = 0; k < kCellInputs; ++k)
                       if (slopes.din[k] != nullptr) slopes.din[k][i] = dx.of[k];
                   });
    }
  });
}

}  // namespace fovea

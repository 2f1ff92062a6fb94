// SPDX-License-Identifier: Apache-2.0
#include "kernels/ops/cell_update.h"

#include "kernels/cpu/cell_vec.h"
#include "kernels/cpu/loops.h"
#include "kernels/cpu/queue.h"

/// Lanes are neighbouring elements of an image; a run ends with its image, where gates go on elsewhere.
/// Exponentials are those of kernels/cpu/vec_exp.h: a call of libm for each would take longer than the
/// convolutions.
namespace fovea {
namespace {

using cpu::Vec;

/// The elements of one vector: `at` is their place in inputs and results, gate_at[k] that in gate k.
struct Lanes {
  int count;
  std::int64_t at, gate_at[kCellGates];
  Vec load(const float* p, std::int64_t place) const {
    return p != nullptr ? cpu::load(p + place, count) : Vec::zero();
  }
  void store(float* p, std::int64_t place, Vec values) const {
    if (p != nullptr) cpu::store(p + place, count, values);
  }
};

/// Calls f(lanes, gates, inputs) for all elements of a part.
template <class F>
void for_elements(cpu::Queue& queue, std::int64_t batch, const CellPart& part, F&& f) {
  constexpr std::int64_t kPart = 4096;
  const auto run = [&](std::int64_t first, std::int64_t last) {
    for (std::int64_t i = first; i < last;) {
      const std::int64_t image = i / part.size, place = i - image * part.size;
      const std::int64_t end = i + cpu::least(part.size - place, last - i);
      for (std::int64_t gate_place = place; i < end; i += Vec::kLanes, gate_place += Vec::kLanes) {
        Lanes lanes;
        lanes.count = static_cast<int>(cpu::least(Vec::kLanes, end - i));
        lanes.at = i;
        CellGates<Vec> gates;
        CellInputs<Vec> inputs;
        for (int k = 0; k < kCellGates; ++k) {
          lanes.gate_at[k] = image * part.gate_stride[k] + gate_place;
          gates.of[k] = lanes.load(part.gate[k], lanes.gate_at[k]);
        }
        for (int k = 0; k < kCellInputs; ++k) inputs.of[k] = lanes.load(part.in[k], i);
        f(lanes, gates, inputs);
      }
      i = end;
    }
  };
  cpu::for_ranges(queue, batch * part.size, run, kPart);
}

}  // namespace

void kernels::cell_update(cpu::Queue& queue, const CellUpdate& cell) {
  with_cell_kind(cell.kind, [&]<CellKind kKind>(CellKindTag<kKind>) {
    for (int p = 0; p < cell.parts; ++p) {
      const CellPart& part = cell.part[p];
      const float scale = part.scale != nullptr ? *part.scale : 0.0f;
      for_elements(queue, cell.batch, part,
                   [&](const Lanes& lanes, const CellGates<Vec>& gates, const CellInputs<Vec>& inputs) {
                     const CellResults<Vec> y = cell_values<kKind>(part.rule, scale, gates, inputs);
                     for (int k = 0; k < kCellResults; ++k) lanes.store(part.out[k], lanes.at, y.of[k]);
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
                   [&](const Lanes& lanes, const CellGates<Vec>& gates, const CellInputs<Vec>& inputs) {
                     CellResults<Vec> dy;
                     for (int k = 0; k < kCellResults; ++k) dy.of[k] = lanes.load(slopes.dout[k], lanes.at);
                     CellGates<Vec> dg;
                     CellInputs<Vec> dx;
                     for (Vec& v : dg.of) v = Vec::zero();
                     for (Vec& v : dx.of) v = Vec::zero();
                     cell_slopes<kKind>(part.rule, gates, inputs, dy, dg, dx);
                     for (int k = 0; k < kCellGates; ++k)
                       lanes.store(slopes.dgate[k], lanes.gate_at[k], dg.of[k]);
                     for (int k = 0; k < kCellInputs; ++k) lanes.store(slopes.din[k], lanes.at, dx.of[k]);
                   });
    }
  });
}

}  // namespace fovea

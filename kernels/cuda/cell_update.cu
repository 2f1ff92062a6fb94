// SPDX-License-Identifier: Apache-2.0
#include "kernels/ops/cell_update.h"

#include "kernels/cuda/access.cuh"
#include "kernels/cuda/strided.cuh"
#include "kernels/simt/simt.h"

/// All gate arithmetic of a cell in one pass. Bytes per element, 4 for each operand that is there: LSTM 28 (4
/// gates and c read, h' and c' written), a gated state 4·(gates + inputs + 1); the gradient reads those, the
/// slopes of the results, and writes one slope for each gate and input. Predicted: 85 % of the memory roof;
/// some 20 to 80 instructions a gate for exp and tanh are below what the arithmetic units can do in that
/// time.
///
/// Blocks of row y of the grid work on part y.
namespace fovea {
namespace {

constexpr int kThreads = 256;

/// Where pack i of a part lies.
template <int kWidth>
struct Place {
  std::int64_t image, at;  // number of the image, and of the pack in it
  __device__ Place(const CellPart& part, std::int64_t i) {
    const gpu::Division d = gpu::divide(i, part.size / kWidth);
    image = d.quotient;
    at = d.remainder;
  }
  __device__ std::int64_t gate(const CellPart& part, int k) const {
    return image * (part.gate_stride[k] / kWidth) + at;
  }
};

template <int kWidth>
__device__ __forceinline__ gpu::Pack<float, kWidth> load_or_zero(const float* p, std::int64_t i) {
  if (p != nullptr) return gpu::load_pack<kWidth>(p, i);
  gpu::Pack<float, kWidth> zero;
  for (int e = 0; e < kWidth; ++e) zero[e] = 0.0f;
  return zero;
}

template <int kWidth>
struct Operands {
  gpu::Pack<float, kWidth> gate[kCellGates], in[kCellInputs];
  __device__ Operands(const CellPart& part, const Place<kWidth>& place, std::int64_t i) {
    for (int k = 0; k < kCellGates; ++k) gate[k] = load_or_zero<kWidth>(part.gate[k], place.gate(part, k));
    for (int k = 0; k < kCellInputs; ++k) in[k] = load_or_zero<kWidth>(part.in[k], i);
  }
  __device__ CellGates<float> gates(int e) const {
    return {{gate[0][e], gate[1][e], gate[2][e], gate[3][e]}};
  }
  __device__ CellInputs<float> inputs(int e) const { return {{in[0][e], in[1][e], in[2][e]}}; }
};

template <int kWidth, CellKind kKind>
__global__ void cell_update_kernel(CellUpdate cell) {
  const CellPart& part = cell.part[blockIdx.y];
  const float scale = part.scale != nullptr ? *part.scale : 0.0f;
  for (const std::int64_t i : gpu::grid_stride(cell.batch * (part.size / kWidth))) {
    const Operands<kWidth> from(part, Place<kWidth>(part, i), i);
    gpu::Pack<float, kWidth> y[kCellResults];
    for (int e = 0; e < kWidth; ++e) {
      const CellResults<float> one = cell_values<kKind>(part.rule, scale, from.gates(e), from.inputs(e));
      for (int k = 0; k < kCellResults; ++k) y[k][e] = one.of[k];
    }
    for (int k = 0; k < kCellResults; ++k)
      if (part.out[k] != nullptr) gpu::store_pack(part.out[k], i, y[k]);
  }
}

template <int kWidth, CellKind kKind>
__global__ void cell_update_grad_kernel(CellUpdate cell, CellSlopes all) {
  const CellPart& part = cell.part[blockIdx.y];
  const CellSlopes::Part& slopes = all.part[blockIdx.y];
  for (const std::int64_t i : gpu::grid_stride(cell.batch * (part.size / kWidth))) {
    const Place<kWidth> place(part, i);
    const Operands<kWidth> from(part, place, i);
    gpu::Pack<float, kWidth> dy[kCellResults], dg[kCellGates], dx[kCellInputs];
    for (int k = 0; k < kCellResults; ++k) dy[k] = load_or_zero<kWidth>(slopes.dout[k], i);
#pragma unroll  // or dg and dx would be indexed, and lie in local memory
    for (int e = 0; e < kWidth; ++e) {
      CellGates<float> gate = {};
      CellInputs<float> in = {};
      cell_slopes<kKind>(part.rule, from.gates(e), from.inputs(e), {{dy[0][e], dy[1][e]}}, gate, in);
      for (int k = 0; k < kCellGates; ++k) dg[k][e] = gate.of[k];
      for (int k = 0; k < kCellInputs; ++k) dx[k][e] = in.of[k];
    }
    for (int k = 0; k < kCellGates; ++k)
      if (slopes.dgate[k] != nullptr) gpu::store_pack(slopes.dgate[k], place.gate(part, k), dg[k]);
    for (int k = 0; k < kCellInputs; ++k)
      if (slopes.din[k] != nullptr) gpu::store_pack(slopes.din[k], i, dx[k]);
  }
}

/// Whether all that a part names can be read in packs; null pointers can.
template <int kWidth>
bool can_pack(const CellPart& part) {
  bool can = gpu::can_pack<kWidth>(part.size, part.in[0], part.in[1], part.in[2], part.out[0], part.out[1]);
  for (int k = 0; k < kCellGates; ++k) can = can && gpu::can_pack<kWidth>(part.gate_stride[k], part.gate[k]);
  return can;
}
template <int kWidth>
bool can_pack(const CellSlopes::Part& s) {
  return gpu::can_pack<kWidth>(kWidth, s.dout[0], s.dout[1], s.dgate[0], s.dgate[1], s.dgate[2], s.dgate[3],
                               s.din[0], s.din[1], s.din[2]);
}

dim3 grid_of(const CellUpdate& cell, int width) {
  std::int64_t largest = 0;
  for (int p = 0; p < cell.parts; ++p)
    if (cell.part[p].size > largest) largest = cell.part[p].size;
  return {gpu::blocks_for(cell.batch * (largest / width), kThreads), static_cast<unsigned>(cell.parts)};
}

}  // namespace

void kernels::cell_update(gpu::Queue& queue, const CellUpdate& cell) {
  constexpr int kWidth = gpu::kPackWidth<float>;
  const bool packed = can_pack<kWidth>(cell.part[0]) && can_pack<kWidth>(cell.part[1]);
  with_cell_kind(cell.kind, [&]<CellKind kKind>(CellKindTag<kKind>) {
    launch(queue, "cell_update", packed ? cell_update_kernel<kWidth, kKind> : cell_update_kernel<1, kKind>,
           grid_of(cell, packed ? kWidth : 1), kThreads, 0, cell);
  });
}

void kernels::cell_update_grad(gpu::Queue& queue, const CellUpdate& cell, const CellSlopes& slopes) {
  constexpr int kWidth = gpu::kPackWidth<float>;
  const bool packed = can_pack<kWidth>(cell.part[0]) && can_pack<kWidth>(cell.part[1]) &&
                      can_pack<kWidth>(slopes.part[0]) && can_pack<kWidth>(slopes.part[1]);
  with_cell_kind(cell.kind, [&]<CellKind kKind>(CellKindTag<kKind>) {
    launch(queue, "cell_update_grad",
           packed ? cell_update_grad_kernel<kWidth, kKind> : cell_update_grad_kernel<1, kKind>,
           grid_of(cell, packed ? kWidth : 1), kThreads, 0, cell, slopes);
  });
}

}  // namespace fovea

// SPDX-License-Identifier: Apache-2.0
#include "kernels/ops/cross_entropy.h"

#include "kernels/cuda/softmax_parts.cuh"

/// Forward: a row is read once, 4 bytes an element and an exponential, and leaves 16 bytes; a second, small
/// launch adds the rows. Gradient: 8 bytes an element and an exponential; no softmax is stored. At 256 rows
/// of 1000 classes (1 MB) both end within the time of their launches; from 10^7 logits on 0.8 of the H100's
/// 3.0 TB/s is expected, somewhat less with smoothing, whose sum over the row is in double.
namespace fovea {
namespace {

using gpu::MaxSum;
using std::int64_t;

template <int kThreads, int kWidth>
__global__ void __launch_bounds__(gpu::kRowBlock)
    cross_entropy_rows(CrossEntropy s, const float* __restrict__ logits, const int64_t* __restrict__ labels,
                       const float* __restrict__ mask, double* __restrict__ of_row,
                       float* __restrict__ shares) {
  using Group = gpu::RowGroup<kThreads>;
  FOVEA_SHARED(MaxSum, scratch, [gpu::kRowWarps]);
  FOVEA_SHARED(double, sums, [gpu::kRowWarps]);
  for (int64_t row = Group::first(); row < s.rows; row += Group::step()) {
    const float* x = logits + row * s.classes;
    const MaxSum all = gpu::max_sum_of_row<kThreads, kWidth>(s.classes, x, scratch);
    const double max = static_cast<double>(all.max), smoothing = static_cast<double>(s.smoothing);
    double below = 0.0;  // Σ (max − x)
    if (s.smoothing > 0.0f) {
      for (int64_t i = Group::lane(); i < s.classes / kWidth; i += kThreads) {
        const auto values = gpu::load_pack<kWidth>(x, i);
        for (int k = 0; k < kWidth; ++k) below += max - static_cast<double>(values[k]);
      }
      below = Group::reduce(below, gpu::Add{}, sums);
    }
    if (Group::lane() != 0) continue;
    const int64_t label = labels[row];
    const bool known = label >= 0 && label < s.classes;
    const double at_label = known ? max - static_cast<double>(x[label]) : nan("");
    const double of_this = log(static_cast<double>(all.sum)) + (1.0 - smoothing) * at_label +
                           smoothing / static_cast<double>(s.classes) * below;
    of_row[row] = mask != nullptr ? static_cast<double>(mask[row]) * of_this : of_this;
    shares[2 * row] = known ? all.max : nanf("");
    shares[2 * row + 1] = known ? 1.0f / all.sum : nanf("");
  }
}

template <int kThreads, int kWidth>
__global__ void __launch_bounds__(gpu::kRowBlock)
    cross_entropy_grad_rows(CrossEntropy s, const float* __restrict__ logits,
                            const int64_t* __restrict__ labels, const float* __restrict__ mask,
                            const float* __restrict__ shares, const float* __restrict__ dloss,
                            float* __restrict__ dlogits) {
  using Group = gpu::RowGroup<kThreads>;
  const float mean_scale = *dloss / static_cast<float>(s.rows);
  const float everywhere = s.smoothing / static_cast<float>(s.classes), at_label = 1.0f - s.smoothing;
  for (int64_t row = Group::first(); row < s.rows; row += Group::step()) {
    const float scale = mask != nullptr ? mean_scale * mask[row] : mean_scale;
    const float max = shares[2 * row], inv_sum = shares[2 * row + 1];
    const int64_t label = labels[row];
    for (int64_t i = Group::lane(); i < s.classes / kWidth; i += kThreads) {
      auto values = gpu::load_pack<kWidth>(logits + row * s.classes, i);
      for (int k = 0; k < kWidth; ++k) {
        const float target = i * kWidth + k == label ? everywhere + at_label : everywhere;
        values[k] = scale * (expf(values[k] - max) * inv_sum - target);
      }
      gpu::store_pack<kWidth>(dlogits + row * s.classes, i, values);
    }
  }
}

}  // namespace

void kernels::cross_entropy(gpu::Queue& q, const CrossEntropy& s, const float* logits, const int64_t* labels,
                            const float* mask, float* loss, float* shares) {
  Scratch<double> of_row(q, s.rows, "cross_entropy");
  const bool packs = gpu::can_pack<4>(s.classes, logits);
  const auto by_warp = packs ? cross_entropy_rows<32, 4> : cross_entropy_rows<32, 1>;
  const auto by_block = packs ? cross_entropy_rows<gpu::kRowBlock, 4> : cross_entropy_rows<gpu::kRowBlock, 1>;
  launch(q, "cross_entropy", s.classes <= gpu::kWarpRow ? by_warp : by_block,
         gpu::row_blocks(s.rows, s.classes), gpu::kRowBlock, 0, s, logits, labels, mask, of_row.data(),
         shares);
  launch(q, "cross_entropy_total", gpu::row_total<gpu::kRowBlock>, 1, gpu::kRowBlock, 0, s.rows,
         1.0 / static_cast<double>(s.rows), of_row.data(), loss);
}

void kernels::cross_entropy_grad(gpu::Queue& q, const CrossEntropy& s, const float* logits,
                                 const int64_t* labels, const float* mask, const float* shares,
                                 const float* dloss, float* dlogits) {
  const bool packs = gpu::can_pack<4>(s.classes, logits, static_cast<const float*>(dlogits));
  const auto by_warp = packs ? cross_entropy_grad_rows<32, 4> : cross_entropy_grad_rows<32, 1>;
  const auto by_block =
      packs ? cross_entropy_grad_rows<gpu::kRowBlock, 4> : cross_entropy_grad_rows<gpu::kRowBlock, 1>;
  launch(q, "cross_entropy_grad", s.classes <= gpu::kWarpRow ? by_warp : by_block,
         gpu::row_blocks(s.rows, s.classes), gpu::kRowBlock, 0, s, logits, labels, mask, shares, dloss,
         dlogits);
}

}  // namespace fovea

// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "autograd/op_info.h"
#include "autograd/tape.h"
#include "kernels/ops/cross_entropy.h"

namespace fovea {

inline constexpr OpInfo cross_entropy_info{.name = "cross_entropy",
                                           .signature = "logits[N, C] labels[N] mask[N]? -> loss[]",
                                           .flops = "20·N·C + mask·N",
                                           .bytes = "E·N·C + 8·N + mask·E·N",
                                           .gradient = "dlogits = dloss/N·mask·(softmax(logits) − target)",
                                           .gradient_flops = "20·N·C",
                                           .keeps = "logits labels shares mask"};

struct CrossEntropyOptions {
  float label_smoothing = 0.0f;  ///< share of the target that is spread evenly over all classes, 0..1
};

/// Softmax and cross-entropy with class labels in one pass, as a mean over the samples.
///
/// formula  loss = 1/N·Σ_n mask[n]·−Σ_c t[n, c]·log softmax(logits[n])[c], with the target
///          t[n, c] = (1 − ε)·[c = labels[n]] + ε/C, ε = label_smoothing
/// logits   [N, C] f32, N and C at least 1
/// labels   [N] i64, each 0..C-1. They are on the device, and looking at them would make it wait: another
///          label makes the loss, and the gradient of its sample, NaN on every device
/// options  label_smoothing, 0..1
/// mask     [N] f32, or Tensor() for 1 everywhere: what each sample counts. The mean stays over N
/// returns  scalar, at least 0
/// keeps    logits, labels, mask, and of each sample its maximum and 1/Σ exp (8 bytes, not the softmax):
///          dlogits = dloss/N·mask·(softmax(logits) − t)
/// throws   ShapeError, DTypeError, DeviceError, ValueError (label_smoothing)
/// order    deterministic; samples are summed in double
/// source   label smoothing: Szegedy et al. 2016, Rethinking the Inception architecture
inline Var cross_entropy(const Var& logits, const Tensor& labels, const CrossEntropyOptions& options = {},
                         const Tensor& mask = {}) {
  constexpr const char* op = "cross_entropy";
  check_dtype(op, "logits", logits.value(), DType::f32);
  check_dtype(op, "labels", labels, DType::i64);
  const Shape& shape = logits.shape();
  if (shape.rank() != 2) reject(op, "logits {} has rank {}, expected [N, C]", shape, shape.rank());
  if (labels.shape() != Shape{shape[0]})
    reject(op, "logits {} has {} samples, labels {} expects [{}]", shape, shape[0], labels.shape(), shape[0]);
  if (logits.value().numel() == 0) reject(op, "logits {} is empty and has no mean", shape);
  if (mask.defined()) {
    check_dtype(op, "mask", mask, DType::f32);
    if (mask.shape() != Shape{shape[0]})
      reject(op, "logits {} has {} samples, mask {} expects [{}]", shape, shape[0], mask.shape(), shape[0]);
  }
  check_same_device(op, {logits, labels, mask});
  if (!(options.label_smoothing >= 0.0f && options.label_smoothing <= 1.0f))
    reject<ValueError>(op, "label_smoothing is {}, expected 0..1", options.label_smoothing);
  const CrossEntropy geometry{shape[0], shape[1], options.label_smoothing};
  const Tensor in = logits.value().contiguous(op), wanted = labels.contiguous(op);
  const Tensor counts = mask.defined() ? mask.contiguous(op) : Tensor();
  const Tensor shares = Tensor::empty({shape[0], 2}, DType::f32, logits.device(), op);
  Tensor loss = Tensor::empty({}, DType::f32, logits.device(), op);
  on(loss.queue(), [&](auto& q) {
    kernels::cross_entropy(q, geometry, in.data(), wanted.data<std::int64_t>(),
                           counts.defined() ? counts.data() : nullptr, loss.data(), shares.data());
  });
  return record(
      cross_entropy_info, loss, {logits, labels, mask}, {in, wanted, shares, counts},
      [geometry](const Tensor& dloss, Needs, Kept kept) -> Grads {
        const Tensor &kept_logits = kept[0], &kept_labels = kept[1], &kept_shares = kept[2],
                     &kept_mask = kept[3];
        const Tensor dlogits = Tensor::empty(kept_logits.shape(), DType::f32, kept_logits.device(), op);
        on(dlogits.queue(), [&](auto& q) {
          kernels::cross_entropy_grad(q, geometry, kept_logits.data(), kept_labels.data<std::int64_t>(),
                                      kept_mask.defined() ? kept_mask.data() : nullptr, kept_shares.data(),
                                      dloss.data(), dlogits.data());
        });
        return {dlogits, Tensor(), Tensor()};
      });
}

}  // namespace fovea

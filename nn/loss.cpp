// SPDX-License-Identifier: Apache-2.0
#include "nn/loss.h"

#include <cmath>

#include "autograd/ops/cross_entropy.h"
#include "autograd/ops/elementwise.h"
#include "autograd/ops/loss.h"
#include "autograd/ops/reduce.h"
#include "autograd/ops/selection.h"

namespace fovea::nn {

namespace {

/// x, 0 in the samples that do not count.
Var masked(const char* loss, const Var& x, const Tensor& mask) {
  const Shape& shape = x.shape();
  if (shape.rank() == 0 || mask.shape() != Shape{shape[0]})
    reject(loss, "mask {} must have one number for each sample of {}", mask.shape(), shape);
  Shape column = shape;
  for (int d = 1; d < column.rank(); ++d) column[d] = 1;
  return multiply(x, reshape(mask, column));
}

/// A mean over the whole batch, to which samples that do not count added 0, as one over those that do.
Var over_those_that_count(const Var& loss, const Tensor& mask) {
  const Tensor batch = Tensor::full({}, static_cast<double>(mask.numel()), DType::f32, mask.device(), "loss");
  return divide(loss, divide(sum(Var(mask)), batch));  // exactly 1 for a mask of ones, unlike mean()
}

}  // namespace

Var PoissonLoss::operator()(const Var& rate, const Tensor& target, const Tensor& mask) const {
  if (!mask.defined()) return poisson_loss(rate, target, eps);
  // A rate of 0 where 0 is expected costs 0.
  const Var loss = poisson_loss(masked("PoissonLoss", rate, mask), masked("PoissonLoss", target, mask), eps);
  return over_those_that_count(loss, mask);
}

Var MseLoss::operator()(const Var& x, const Tensor& target, const Tensor& mask) const {
  if (!mask.defined()) return mse_loss(x, target);
  return over_those_that_count(mse_loss(masked("MseLoss", x, mask), masked("MseLoss", target, mask)), mask);
}

Var CrossEntropyLoss::operator()(const Var& logits, const Tensor& labels, const Tensor& mask) const {
  const Var loss = cross_entropy(logits, labels, {.label_smoothing = label_smoothing}, mask);
  return mask.defined() ? over_those_that_count(loss, mask) : loss;
}

Var ExactlyOneLoss::operator()(const Var& p) const {
  return affine(exactly_one_loss(p), static_cast<double>(beta), 0.0);
}

Var activity_l1(const Var& x, float coefficient, ActivityNorm norm, const Tensor& mask) {
  const Var size = abs(mask.defined() ? masked("activity_l1", x, mask) : x);
  Var total = norm == ActivityNorm::mean ? mean(size) : sum(size);
  if (mask.defined() && norm == ActivityNorm::mean) total = over_those_that_count(total, mask);
  return affine(total, static_cast<double>(coefficient), 0.0);
}

Var weight_l2(const Module& module, const Var& x, float coefficient) {
  Var total;
  for (const NamedParameter& named : module.named_parameters()) {
    if (named.parameter->role != Role::weight) continue;
    const Var squares = sum(square(Module::on_tape(*named.parameter, x)));
    total = total.value().defined() ? add(total, squares) : squares;
  }
  if (!total.value().defined()) reject<ValueError>("weight_l2", "the module has no weights to penalise");
  return affine(total, static_cast<double>(coefficient), 0.0);
}

bool is_finite(const Tensor& loss) { return std::isfinite(loss.item()); }

}  // namespace fovea::nn

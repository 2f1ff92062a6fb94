// SPDX-License-Identifier: Apache-2.0
#include "nn/loss.h"

#include <cmath>

#include "autograd/ops/cross_entropy.h"
#include "autograd/ops/elementwise.h"
#include "autograd/ops/loss.h"
#include "autograd/ops/reduce.h"
#include "autograd/ops/selection.h"

namespace fovea::nn {

Var PoissonLoss::operator()(const Var& rate, const Tensor& target) const {
  return poisson_loss(rate, target, eps);
}

Var MseLoss::operator()(const Var& x, const Tensor& target) const { return mse_loss(x, target); }

Var CrossEntropyLoss::operator()(const Var& logits, const Tensor& labels) const {
  return cross_entropy(logits, labels, {.label_smoothing = label_smoothing});
}

Var ExactlyOneLoss::operator()(const Var& p) const {
  return affine(exactly_one_loss(p), static_cast<double>(beta), 0.0);
}

Var activity_l1(const Var& x, float coefficient, ActivityNorm norm) {
  const Var size = abs(x);
  return affine(norm == ActivityNorm::mean ? mean(size) : sum(size), static_cast<double>(coefficient), 0.0);
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

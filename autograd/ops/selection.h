// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "autograd/op_info.h"
#include "autograd/tape.h"
#include "kernels/ops/selection.h"

namespace fovea {

inline constexpr OpInfo selection_weights_info{
    .name = "selection_weights",
    .signature = "w[cells, n] -> p[cells, n]",
    .flops = "4·cells·n",
    .bytes = "E·cells·(2·n + 1)",
    .gradient = "dw = du, less Σdu at the row's minimum; du = (dp − Σ dp·p)/Σu",
    .gradient_flops = "5·cells·n",
    .keeps = "p inv_sum"};
inline constexpr OpInfo exactly_one_loss_info{.name = "exactly_one_loss",
                                              .signature = "p[cells, n] -> loss[]",
                                              .flops = "6·cells·n",
                                              .bytes = "E·cells·n",
                                              .gradient = "dp = dloss·(1/(1 − p) − 1/((1 − p)²·R))",
                                              .gradient_flops = "9·cells·n",
                                              .keeps = "p"};

namespace selection_detail {

inline void check_rows(const char* op, const char* operand, const Tensor& x) {
  check_dtype(op, operand, x, DType::f32);
  if (x.rank() != 2 || x.shape()[1] == 0)
    reject(op, "{} {} must be [cells, n] with at least one position n", operand, x.shape());
}

}  // namespace selection_detail

/// Weights with which each cell picks among positions: every row is shifted so that its least entry is 0,
/// then divided by its sum. Neither softmax nor sigmoid, so entries can be exactly 0.
///
/// formula  p[i, j] = u[i, j]/Σ_k u[i, k], u[i, j] = w[i, j] − min_k w[i, k]
/// w        [cells, n] f32, n at least 1. A row of equal weights (Σu ≤ 1e-12) gives p = 0 and no slope, so it
///          stays dead: start from random values, such as U(0, 1). A row with NaN becomes NaN
/// returns  [cells, n] contiguous, 0..1; rows sum to 1, dead ones to 0
/// keeps    p and 1/Σu of each row: du = (dp − Σ_k dp[k]·p[k])/Σu; dw = du, and the row's minimum, the first
///          of equal ones, gets −Σ du besides
/// throws   ShapeError, DTypeError
/// order    deterministic, summed in double
/// source   the selection layer of Deep Retina's convolutional form (Maheswaranathan et al. 2023, published
///          code)
inline Var selection_weights(const Var& w) {
  constexpr const char* op = "selection_weights";
  selection_detail::check_rows(op, "w", w.value());
  const Tensor in = w.value().contiguous(op);
  const Tensor inv_sum = Tensor::empty({in.shape()[0]}, DType::f32, w.device(), op);
  Tensor p = Tensor::empty(in.shape(), DType::f32, w.device(), op);
  if (p.numel() > 0)
    on(p.queue(), [&](auto& q) {
      kernels::selection_weights(q, p.shape()[0], p.shape()[1], in.data(), p.data(), inv_sum.data());
    });
  return record(selection_weights_info, p, {w}, {p, inv_sum},
                [](const Tensor& dp, Needs, Kept kept) -> Grads {
                  const Tensor &kept_p = kept[0], &kept_inv_sum = kept[1];
                  const Tensor slope = dp.contiguous(op), dw = Tensor::empty_like(kept_p, op);
                  if (dw.numel() > 0)
                    on(dw.queue(), [&](auto& q) {
                      kernels::selection_weights_grad(q, dw.shape()[0], dw.shape()[1], kept_p.data(),
                                                      kept_inv_sum.data(), slope.data(), dw.data());
                    });
                  return {dw};
                });
}

/// Semantic loss of "exactly one of n": minus the log of the chance that of independent events with chances p
/// exactly one happens, summed over the cells. 0 for rows that have decided, −(n − 1)·log(1 − 1/n), near 1,
/// for uniform ones.
///
/// formula  loss = Σ_i −log S_i, S_i = Σ_j p[i, j]·Π_{k≠j} (1 − p[i, k])
///          = exp(Σ_k log(1 − p[i, k]))·R_i, R_i = Σ_j p[i, j]/(1 − p[i, j]), with p cut at 1 − 1e-6
/// p        [cells, n] f32, 0..1, n at least 1. A row of zeros cannot hold one: its loss is infinite
/// returns  scalar, at least 0 but for rounding; a sum, not a mean
/// keeps    p: dp = dloss·(1/(1 − p) − 1/((1 − p)²·R)), 0 where p was cut
/// throws   ShapeError, DTypeError
/// order    deterministic, in double throughout; O(n) for each cell
/// source   Xu et al. 2018, A semantic loss function for deep learning with symbolic knowledge
inline Var exactly_one_loss(const Var& p) {
  constexpr const char* op = "exactly_one_loss";
  selection_detail::check_rows(op, "p", p.value());
  const Tensor in = p.value().contiguous(op);
  Tensor loss = Tensor::empty({}, DType::f32, p.device(), op);
  on(loss.queue(),
     [&](auto& q) { kernels::exactly_one_loss(q, in.shape()[0], in.shape()[1], in.data(), loss.data()); });
  return record(exactly_one_loss_info, loss, {p}, {in}, [](const Tensor& dloss, Needs, Kept kept) -> Grads {
    const Tensor& kept_p = kept[0];
    const Tensor dp = Tensor::empty_like(kept_p, op);
    if (dp.numel() > 0)
      on(dp.queue(), [&](auto& q) {
        kernels::exactly_one_loss_grad(q, dp.shape()[0], dp.shape()[1], kept_p.data(), dloss.data(),
                                       dp.data());
      });
    return {dp};
  });
}

}  // namespace fovea

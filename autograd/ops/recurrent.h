// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <limits>

#include "autograd/channel_sums.h"
#include "autograd/op_info.h"
#include "autograd/ops/matmul.h"
#include "autograd/optional.h"
#include "autograd/tape.h"
#include "kernels/ops/recurrent.h"
#include "tensor/views.h"

namespace fovea {

/// G stands for the rows of the weights: 4·H of an LSTM, 3·H of a GRU.
inline constexpr OpInfo lstm_info{
    .name = "lstm",
    .signature =
        "x[T, N, I] w_input[G, I] w_hidden[G, H] bias_input[G]? bias_hidden[G]? h0[N, H]? c0[N, H]? -> "
        "y[T, N, H] h_last[N, H] c_last[N, H]",
    .flops = "T·N·G·(2·I + 2·H + 28)",
    .bytes = "E·(T·N·(I + H) + G·(I + H + bias_input + bias_hidden) + N·H·(2 + h0 + c0))",
    .gradient =
        "dx = slopes·w_input, dw_input = slopesᵀ·x, dw_hidden = slopesᵀ·(h of the step before), dbias_input "
        "= "
        "dbias_hidden = Σ_{t,n} slopes; slopes, those of the gates' sums, step by step from the last",
    .gradient_flops = "T·N·G·(2·(dx + dw_input)·I + 2·(1 + dw_hidden)·H + dbias_input + 12)",
    .keeps = "x w_input w_hidden h0 c0 lengths gates c y"};
inline constexpr OpInfo gru_info{
    .name = "gru",
    .signature =
        "x[T, N, I] w_input[G, I] w_hidden[G, H] bias_input[G]? bias_hidden[G]? h0[N, H]? -> y[T, N, H] "
        "h_last[N, H]",
    .flops = "T·N·G·(2·I + 2·H + 24)",
    .bytes = "E·(T·N·(I + H) + G·(I + H + bias_input + bias_hidden) + N·H·(1 + h0))",
    .gradient = "dx, dw_input, … as of lstm; by w_hidden and bias_hidden, n's slope is multiplied by r",
    .gradient_flops = "T·N·G·(2·(dx + dw_input)·I + 2·(1 + dw_hidden)·H + dbias_input + dbias_hidden + 8)",
    .keeps = "x w_input w_hidden h0 lengths gates hidden_n y"};

struct LstmResult {
  Var y;       ///< [T, N, H], h of each step; 0 from lengths[n] on
  Var h_last;  ///< [N, H], h of the last step that was computed
  Var c_last;  ///< [N, H]
};
struct GruResult {
  Var y, h_last;  ///< as of an LSTM
};

namespace recurrent_detail {

inline Recurrent checked(const char* op, Cell cell, const Var& x, const Var& w_input, const Var& w_hidden,
                         const Tensor& lengths, bool reverse) {
  check_dtype(op, "x", x.value(), DType::f32);
  check_dtype(op, "w_input", w_input.value(), DType::f32);
  check_dtype(op, "w_hidden", w_hidden.value(), DType::f32);
  const Shape &in = x.shape(), &weight = w_hidden.shape();
  if (in.rank() != 3) reject(op, "x {} has rank {}, expected [T, N, I]", in, in.rank());
  if (in[0] == 0) reject(op, "x {} has no steps", in);
  if (in[1] > std::numeric_limits<std::int32_t>::max() / in[0])
    reject(op, "x {} has {} samples in {} steps; together they must be below 2147483648", in, in[1], in[0]);
  Recurrent s{.cell = cell, .steps = in[0], .batch = in[1], .reverse = reverse};
  if (weight.rank() != 2 || weight[1] == 0 || weight[0] != s.gates() * weight[1])
    reject(op, "w_hidden {} is not [{}·H, H] with H of at least 1 (x {})", weight, s.gates(), in);
  s.hidden = weight[1];
  if (w_input.shape() != Shape{weight[0], in[2]})
    reject(op, "w_input {} does not fit x {} and w_hidden {}, expected [{}, {}]", w_input.shape(), in, weight,
           weight[0], in[2]);
  check_same_device(op, {x, w_input, w_hidden, lengths});
  if (!lengths.defined()) return s;
  if (lengths.dtype() != DType::i64 && lengths.dtype() != DType::i32)
    reject<DTypeError>(op, "lengths {} is {}, expected i64 or i32; convert it with to()", lengths.shape(),
                       dtype_name(lengths.dtype()));
  if (lengths.shape() != Shape{in[1]})
    reject(op, "lengths {} does not fit x {}, expected [{}]", lengths.shape(), in, in[1]);
  return s;
}

/// A bias or an initial state, contiguous; undefined if it is left out.
inline Tensor checked_operand(const char* op, const char* operand, const Var& v, const Shape& expected,
                              const Var& x, const Var& w_hidden) {
  if (!v.value().defined()) return {};
  check_dtype(op, operand, v.value(), DType::f32);
  if (v.shape() != expected)
    reject(op, "{} {} does not fit x {} and w_hidden {}, expected {}", operand, v.shape(), x.shape(),
           w_hidden.shape(), expected);
  check_same_device(op, {x, v});
  return v.value().contiguous(op);
}

/// x[T, N, width] as a matrix of T·N rows.
inline Tensor rows(const Tensor& x) { return reshape(x, {x.size(0) * x.size(1), x.size(2)}); }

/// Both cells' forward pass: x's part of the gates is one product over all steps. Fills in what is an output.
struct Tensors {
  Tensor x = {}, w_input = {}, w_hidden = {}, bias_input = {}, bias_hidden = {}, h0 = {}, c0 = {},
         lengths = {};
  Tensor gates = {}, inner = {}, y = {}, h_last = {}, c_last = {};
};
inline void run(const char* op, const Recurrent& s, Tensors& t) {
  const auto make = [&](const Shape& shape) { return Tensor::empty(shape, DType::f32, t.x.device(), op); };
  t.lengths = t.lengths.defined() ? t.lengths.to(DType::i64).contiguous(op) : Tensor();
  t.gates = reshape(matmul_detail::product(rows(t.x), t.w_input, false, true),
                    {s.steps, s.batch, s.gates() * s.hidden});
  t.y = make({s.steps, s.batch, s.hidden});
  t.inner = make(t.y.shape());
  t.h_last = make({s.batch, s.hidden});
  if (s.cell == Cell::lstm) t.c_last = make(t.h_last.shape());
  on(t.x.queue(), [&](auto& q) {
    kernels::recurrent(q, s,
                       {.w_hidden = t.w_hidden.data(),
                        .bias_input = data_or_null(t.bias_input),
                        .bias_hidden = data_or_null(t.bias_hidden),
                        .h0 = data_or_null(t.h0),
                        .c0 = data_or_null(t.c0),
                        .lengths = data_or_null<std::int64_t>(t.lengths),
                        .gates = t.gates.data(),
                        .y = t.y.data(),
                        .inner = t.inner.data(),
                        .h_last = t.h_last.data(),
                        .c_last = data_or_null(t.c_last)});
  });
}

/// Gradients of x, w_input, w_hidden, bias_input, bias_hidden, h0 and, of an LSTM, c0. The steps give the slopes of
/// the gates' sums; the weights' are then one product over all steps.
inline Grads slopes(const char* op, const Recurrent& s, const Grads& results, Needs needs, const Tensors& t) {
  const bool lstm = s.cell == Cell::lstm;
  const bool by_input = needs[0] || needs[1] || needs[3];
  const auto make = [&](bool wanted, const Shape& shape) { return empty_if(wanted, shape, t.x, op); };
  std::vector<Tensor> dys;
  for (const Tensor& dy : results) dys.push_back(dy.defined() ? dy.contiguous(op) : Tensor());
  const Tensor dhidden = make(true, {s.steps * s.batch, s.gates() * s.hidden});
  const Tensor apart = make(by_input && !lstm, dhidden.shape());
  const Tensor h_before = make(needs[2], {s.steps * s.batch, s.hidden});
  Grads d(lstm ? 7 : 6);
  d[5] = make(needs[5], {s.batch, s.hidden});
  if (lstm) d[6] = make(needs[6], {s.batch, s.hidden});
  on(t.x.queue(), [&](auto& q) {
    kernels::recurrent_grad(q, s,
                            {.w_hidden = t.w_hidden.data(),
                             .h0 = data_or_null(t.h0),
                             .c0 = data_or_null(t.c0),
                             .lengths = data_or_null<std::int64_t>(t.lengths),
                             .gates = t.gates.data(),
                             .y = t.y.data(),
                             .inner = t.inner.data(),
                             .dy = data_or_null(dys[0]),
                             .dh_last = data_or_null(dys[1]),
                             .dc_last = lstm ? data_or_null(dys[2]) : nullptr,
                             .dhidden = dhidden.data(),
                             .dinput = data_or_null(apart),
                             .h_before = data_or_null(h_before),
                             .dh0 = data_or_null(d[5]),
                             .dc0 = lstm ? data_or_null(d[6]) : nullptr});
  });
  using matmul_detail::product;
  const Tensor& dinput = lstm ? dhidden : apart;
  if (needs[0]) d[0] = reshape(product(dinput, t.w_input, false, false), t.x.shape());
  if (needs[1]) d[1] = product(dinput, rows(t.x), true, false);
  if (needs[2]) d[2] = product(dhidden, h_before, true, false);
  if (needs[3]) d[3] = channel_sums(op, dinput);
  if (needs[4]) d[4] = lstm && needs[3] ? d[3] : channel_sums(op, dhidden);
  return d;
}

}  // namespace recurrent_detail

/// Long short-term memory over a sequence, one layer in one direction, gates in PyTorch's order.
///
/// formula      i, f, o = sigmoid(s), g = tanh(s) with s = w_input·x[t] + bias_input + w_hidden·h + bias_hidden cut
///              into i, f, g, o; c ← f∘c + i∘g, h ← o∘tanh(c), y[t] = h
/// x            [T, N, I] f32, T ≥ 1, any strides. Where a sample takes no part it must be finite all the same
/// w_input      [4·H, I] f32
/// w_hidden     [4·H, H] f32, H ≥ 1
/// bias_input, bias_hidden  [4·H] f32, or Var() for none. Two, as in PyTorch's checkpoints; their sum counts
/// h0, c0       [N, H] f32, state before the first step, or Var() for zeros
/// lengths      [N] i64 or i32 on x's device, not differentiated: sample n takes part in the steps 0..lengths[n] − 1.
///              Below 0 counts as 0, above T as T; such a sample keeps its initial state. Tensor(): all steps
/// reverse      from step lengths[n] − 1 down to 0; y[t] is then h after the steps t..lengths[n] − 1
/// returns      y [T, N, H], h_last and c_last [N, H]
/// keeps        x, w_input, w_hidden, h0, c0, lengths (as i64), the gates after activation, c of each step and y;
///              tanh(c) is computed again
/// throws       ShapeError, DTypeError, DeviceError; each shows the shapes that do not fit
/// order        deterministic: products in a fixed order given by the shape and the lengths; gradients of weights are
///              one product over all T·N rows
/// source       Hochreiter and Schmidhuber 1997; forget gate: Gers, Schmidhuber and Cummins 2000
inline LstmResult lstm(const Var& x, const Var& w_input, const Var& w_hidden, const Var& bias_input,
                       const Var& bias_hidden, const Var& h0 = Var(), const Var& c0 = Var(),
                       const Tensor& lengths = Tensor(), bool reverse = false) {
  using namespace recurrent_detail;
  constexpr const char* op = "lstm";
  const Recurrent s = checked(op, Cell::lstm, x, w_input, w_hidden, lengths, reverse);
  const Shape bias{s.gates() * s.hidden}, state{s.batch, s.hidden};
  Tensors t{.x = x.value().contiguous(op),
            .w_input = w_input.value().contiguous(op),
            .w_hidden = w_hidden.value().contiguous(op),
            .bias_input = checked_operand(op, "bias_input", bias_input, bias, x, w_hidden),
            .bias_hidden = checked_operand(op, "bias_hidden", bias_hidden, bias, x, w_hidden),
            .h0 = checked_operand(op, "h0", h0, state, x, w_hidden),
            .c0 = checked_operand(op, "c0", c0, state, x, w_hidden),
            .lengths = lengths};
  run(op, s, t);
  const std::vector<Var> results =
      record(lstm_info, {t.y, t.h_last, t.c_last}, {x, w_input, w_hidden, bias_input, bias_hidden, h0, c0},
             {t.x, t.w_input, t.w_hidden, t.h0, t.c0, t.lengths, t.gates, t.inner, t.y},
             [=](const Grads& dys, Needs needs, Kept kept) -> Grads {
               return slopes(op, s, dys, needs,
                             {.x = kept[0],
                              .w_input = kept[1],
                              .w_hidden = kept[2],
                              .h0 = kept[3],
                              .c0 = kept[4],
                              .lengths = kept[5],
                              .gates = kept[6],
                              .inner = kept[7],
                              .y = kept[8]});
             });
  return {results[0], results[1], results[2]};
}

/// Gated recurrent unit over a sequence, one layer in one direction, gates and form as in PyTorch; see lstm.
///
/// formula      a = w_input·x[t] + bias_input, b = w_hidden·h + bias_hidden, both cut into r, z, n;
///              r, z = sigmoid(a + b), n = tanh(a_n + r∘b_n), h ← (1 − z)∘n + z∘h, y[t] = h
/// x            [T, N, I] f32
/// w_input      [3·H, I] f32
/// w_hidden     [3·H, H] f32, H ≥ 1
/// bias_input, bias_hidden  [3·H] f32, or Var() for none
/// h0           [N, H] f32, or Var() for zeros
/// returns      y [T, N, H], h_last [N, H]
/// keeps        x, w_input, w_hidden, h0, lengths (as i64), the gates after activation, b_n of each step and y
/// source       Cho et al. 2014; the reset gate after the product: Chung et al. 2014
inline GruResult gru(const Var& x, const Var& w_input, const Var& w_hidden, const Var& bias_input,
                     const Var& bias_hidden, const Var& h0 = Var(), const Tensor& lengths = Tensor(),
                     bool reverse = false) {
  using namespace recurrent_detail;
  constexpr const char* op = "gru";
  const Recurrent s = checked(op, Cell::gru, x, w_input, w_hidden, lengths, reverse);
  const Shape bias{s.gates() * s.hidden};
  Tensors t{.x = x.value().contiguous(op),
            .w_input = w_input.value().contiguous(op),
            .w_hidden = w_hidden.value().contiguous(op),
            .bias_input = checked_operand(op, "bias_input", bias_input, bias, x, w_hidden),
            .bias_hidden = checked_operand(op, "bias_hidden", bias_hidden, bias, x, w_hidden),
            .h0 = checked_operand(op, "h0", h0, {s.batch, s.hidden}, x, w_hidden),
            .lengths = lengths};
  run(op, s, t);
  const std::vector<Var> results =
      record(gru_info, {t.y, t.h_last}, {x, w_input, w_hidden, bias_input, bias_hidden, h0},
             {t.x, t.w_input, t.w_hidden, t.h0, t.lengths, t.gates, t.inner, t.y},
             [=](const Grads& dys, Needs needs, Kept kept) -> Grads {
               return slopes(op, s, dys, needs,
                             {.x = kept[0],
                              .w_input = kept[1],
                              .w_hidden = kept[2],
                              .h0 = kept[3],
                              .lengths = kept[4],
                              .gates = kept[5],
                              .inner = kept[6],
                              .y = kept[7]});
             });
  return {results[0], results[1]};
}

}  // namespace fovea

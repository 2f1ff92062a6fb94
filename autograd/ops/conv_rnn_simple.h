// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "autograd/op_info.h"
#include "autograd/ops/conv_rnn_links.h"
#include "autograd/ops/elementwise.h"
#include "kernels/ops/bias_activation.h"
#include "kernels/ops/conv_terms.h"

/// The two cells without gates: one launch a step each.
namespace fovea {

inline constexpr OpInfo time_decay_step_info{.name = "time_decay_step",
                                             .signature = "x[n...] state[n...] tau[one...] -> y[n...]",
                                             .flops = "2·n",
                                             .bytes = "E·(3·n + 1)",
                                             .gradient = "dx = dy, dstate = tau·dy, dtau = Σ state·dy",
                                             .gradient_flops = "dstate·n + dtau·2·n",
                                             .keeps = "state tau"};
inline constexpr OpInfo conv_simple_step_info{
    .name = "conv_simple_step",
    .signature = "x[N, C, H, W] h[N, D, H, W] w_x[D, C, R, S] w_h[D, D, K, L] b[D]? -> y[N, D, H, W]",
    .flops = "2·N·H·W·D·(C·R·S + D·K·L) + 20·N·D·H·W",
    .bytes = "E·(N·H·W·(C + 2·D) + D·C·R·S + D·D·K·L + b·D)",
    .gradient = "dy·f'(y), then the slopes of two convolutions",
    .gradient_flops = "2·N·H·W·D·(C·R·S·(dx + dw_x) + D·K·L·(dh + dw_h)) + 2·N·D·H·W + db·N·D·H·W",
    .keeps = "x h w_x w_h y"};

/// One step of a leaky sum: the memory of nodes without a convolutional cell. One launch.
///
/// formula  y = tau·state + x
/// x        [...] f32
/// state    shape of x, f32
/// tau      scalar or [1], f32: the part that stays, one number for a layer; 0 is a delay of one step and no
///          memory
/// returns  [...]
/// keeps    state and tau, as the composition does: there is nothing between that could be left out. dx = dy,
///          dstate = tau·dy, dtau = Σ state·dy
/// throws   ShapeError, DTypeError, DeviceError
/// order    each element by itself; dtau is a sum, as in sum
/// source   Nayebi et al. 2018, Task-driven convolutional recurrent models of the visual system
inline Var time_decay_step(const Var& x, const Var& state, const Var& tau) {
  constexpr const char* op = "time_decay_step";
  using namespace conv_rnn;
  check_dtype(op, "x", x.value(), DType::f32);
  check_operand(op, "state", state, x);
  check_operand(op, "tau", tau, x);
  if (x.shape() != state.shape())
    reject(op, "state {} must have the shape of x {}", state.shape(), x.shape());
  if (tau.shape().numel() != 1) reject(op, "tau {} must be one number (x {})", tau.shape(), x.shape());
  const Tensor in = x.value().contiguous(op), old = state.value().contiguous(op),
               part = tau.value().contiguous(op);
  const Tensor y = Tensor::empty_like(in, op);
  CellUpdate cell{.kind = CellKind::decay, .batch = 1, .parts = 1, .part = {}};
  cell.part[0].size = y.numel();
  cell.part[0].scale = part.data();
  cell.part[0].in[0] = old.data();
  cell.part[0].in[1] = in.data();
  cell.part[0].out[0] = y.data();
  on(y.queue(), [&](auto& q) { kernels::cell_update(q, cell); });
  return record(time_decay_step_info, y, {x, state, tau}, {old, part},
                [](const Tensor& dy, Needs needs, Kept kept) -> Grads {
                  Grads d(3);
                  if (needs[0]) d[0] = dy;
                  const Tensor number = reshape(kept[1], Shape{});
                  if (needs[1]) d[1] = binary_value(op, Binary::multiply, dy, number);
                  if (needs[2])
                    d[2] = sum_to(op, binary_value(op, Binary::multiply, dy, kept[0]), kept[1].shape());
                  return d;
                });
}

/// One step of a convolutional recurrent net without gates: one launch.
///
/// formula  y = f(w_x ⋆ x + w_h ⋆ h + b)
/// x        [N, C, H, W] f32
/// h        [N, D, H, W] f32
/// w_x      [D, C, R, S] f32; stride 1, SAME padding
/// w_h      [D, D, R', S'] f32
/// b        [D] f32, or Var() for none; the sum of both convolutions' biases, which nothing tells apart
/// f        identity, relu, sigmoid, tanh or elu
/// returns  h' [N, D, H, W], which is the output, too
/// keeps    x, h, w_x, w_h, y: as much as the composition, not half of it, for there are no gates and its
///          additions keep nothing. dy·f'(y) is correlated with the kernels (dx, dh) and with x and h (dw)
/// throws   ShapeError, DTypeError, DeviceError, ValueError (f)
/// order    terms, channels and taps in a fixed nesting given by the shape
/// source   Nayebi et al. 2018 (SimpleRNN; f is ELU, and the sum may be normalised before it: nn/conv_rnn.h)
inline Var conv_simple_step(const Var& x, const Var& h, const Var& w_x, const Var& w_h, const Var& b,
                            Function f = Function::elu) {
  constexpr const char* op = "conv_simple_step";
  using namespace conv_rnn;
  check_first_map(op, x);
  check_map(op, "h", h, x);
  const std::int64_t channels = h.shape()[1];
  check_kernel(op, "w_x", w_x, x, channels, x.shape()[1]);
  check_kernel(op, "w_h", w_h, x, channels, channels);
  check_bias(op, "b", b, x, channels);
  check_function(op, "f", f);
  const std::vector<Var> inputs{x, h, w_x, w_h, b};
  const Maps values = values_of(op, inputs);
  const Tensor y = map_like(op, values[1], channels);
  Plan plan(y);
  plan.slab(y, values[4]).f = f;
  plan.term(forward_term(values[0], values[2], 0, 0));
  plan.term(forward_term(values[1], values[3], 0, 0));
  plan.run(y.queue());
  return record_step(conv_simple_step_info, {y}, inputs, {values[0], values[1], values[2], values[3], y},
                     [=](const Grads& dys, Needs needs, Kept kept) -> Grads {
                       const Tensor dy = dys[0].contiguous(op), ds = Tensor::empty_like(dy, op);
                       on(dy.queue(), [&](auto& q) {
                         kernels::bias_activation_grad(q, f, dy.numel(), kept[4].data(), dy.data(),
                                                       ds.data());
                       });
                       Links links;
                       const int slab = links.add_slab(channels, 4);
                       links.add({.source = 0, .weight = 2, .slab = slab});
                       links.add({.source = 1, .weight = 3, .slab = slab});
                       Grads d(5);
                       link_slopes(op, links, kept, Maps(2), {ds}, wanted(needs, 5), d);
                       return d;
                     })[0];
}

}  // namespace fovea

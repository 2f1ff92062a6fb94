// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>

#include "bench/onednn/peer.h"

namespace fovea::bench::onednn {
namespace {

using Pair = std::array<std::int64_t, 2>;

float* at(const Pointers& p, std::size_t k) { return static_cast<float*>(p[k]); }

constexpr unsigned kNormFlags = dnnl_use_scale | dnnl_use_shift;

}  // namespace

Recipe conv2d(const Conv2d& s, Pass pass, Layout layout) {
  const Shape xs{s.batch, s.in_channels, s.in_height, s.in_width},
      ws{s.out_channels, s.in_channels, s.kernel_height, s.kernel_width},
      ys{s.batch, s.out_channels, s.out_height(), s.out_width()};
  const auto maps = [&](const Shape& shape) { return layout == Layout::plain ? plain(shape) : any(shape); };
  const MemoryDesc x = maps(xs), w = any(ws), y = maps(ys);
  const Pair strides{s.stride.height, s.stride.width}, dilates{s.dilation.height - 1, s.dilation.width - 1},
      before{s.padding.top, s.padding.left}, after{s.padding.bottom, s.padding.right};
  const auto forward = [&] {
    return describe(library().dnnl_convolution_forward_primitive_desc_create, "convolution forward",
                    dnnl_forward_training, dnnl_convolution_auto, x.get(), w.get(), nullptr, y.get(),
                    strides.data(), dilates.data(), before.data(), after.data());
  };
  Recipe r{.layout = layout == Layout::plain ? "nchw" : "blocked"};
  switch (pass) {
    case Pass::grad_input:
      r.run = describe(library().dnnl_convolution_backward_data_primitive_desc_create,
                       "convolution backward data", dnnl_convolution_auto, x.get(), w.get(), y.get(),
                       strides.data(), dilates.data(), before.data(), after.data(), forward().get());
      r.run_wires = {{DNNL_ARG_WEIGHTS, Wire::input, 0},
                     {DNNL_ARG_DIFF_DST, Wire::input, 1},
                     {DNNL_ARG_DIFF_SRC, Wire::output, 2}};
      break;
    case Pass::grad_weight:
      r.run = describe(library().dnnl_convolution_backward_weights_primitive_desc_create,
                       "convolution backward weights", dnnl_convolution_auto, x.get(), w.get(), nullptr,
                       y.get(), strides.data(), dilates.data(), before.data(), after.data(), forward().get());
      r.run_wires = {{DNNL_ARG_SRC, Wire::input, 0},
                     {DNNL_ARG_DIFF_DST, Wire::input, 1},
                     {DNNL_ARG_DIFF_WEIGHTS, Wire::output, 2}};
      break;
    default:
      r.run = forward();
      r.run_wires = {{DNNL_ARG_SRC, Wire::input, 0},
                     {DNNL_ARG_WEIGHTS, Wire::input, 1},
                     {DNNL_ARG_DST, Wire::output, 2}};
  }
  return r;
}

Recipe matmul(const Matmul& s, Layout layout) {
  const Shape as{s.m, s.k}, bs{s.k, s.n}, cs{s.m, s.n};
  const MemoryDesc a = s.transpose_a ? strided(as, {1, s.m}) : plain(as),
                   b = s.transpose_b ? strided(bs, {1, s.k}) : plain(bs), c = plain(cs),
                   packed = layout == Layout::plain ? b : any(bs);
  return {.layout = layout == Layout::plain ? "plain" : "b packed",
          .run = describe(library().dnnl_matmul_primitive_desc_create, "matmul", a.get(), packed.get(),
                          nullptr, c.get()),
          .run_wires = {{DNNL_ARG_SRC, Wire::input, 0, a},
                        {DNNL_ARG_WEIGHTS, Wire::input, 1, b},
                        {DNNL_ARG_DST, Wire::output, 2, c}}};
}

Recipe max_pool2d(const PoolGeometry& g, Pass pass, const Order& order) {
  const SlidingWindows &rows = g.pool.rows, &columns = g.pool.columns;
  const std::int64_t batch = g.pool.planes / g.channels;
  const MemoryDesc x = order({batch, g.channels, rows.in, columns.in}),
                   y = order({batch, g.channels, rows.out, columns.out});
  const Pair strides{rows.stride, columns.stride}, kernel{rows.kernel, columns.kernel}, none{0, 0};
  const PrimitiveDesc forward =
      describe(library().dnnl_pooling_forward_primitive_desc_create, "pooling forward", dnnl_forward_training,
               dnnl_pooling_max, x.get(), y.get(), strides.data(), kernel.data(), none.data(), none.data(),
               none.data());
  Recipe r{.run = forward, .states = {chosen(forward, DNNL_ARG_WORKSPACE)}};
  if (pass == Pass::forward) {
    r.run_wires = {{DNNL_ARG_SRC, Wire::input, 0},
                   {DNNL_ARG_DST, Wire::output, 1},
                   {DNNL_ARG_WORKSPACE, Wire::state, 0}};
    return r;
  }
  r.states.push_back(y);
  r.prepare = forward;
  r.prepare_wires = {
      {DNNL_ARG_SRC, Wire::input, 0}, {DNNL_ARG_DST, Wire::state, 1}, {DNNL_ARG_WORKSPACE, Wire::state, 0}};
  r.run = describe(library().dnnl_pooling_backward_primitive_desc_create, "pooling backward",
                   dnnl_pooling_max, x.get(), y.get(), strides.data(), kernel.data(), none.data(),
                   none.data(), none.data(), forward.get());
  r.run_wires = {{DNNL_ARG_DIFF_DST, Wire::input, 1},
                 {DNNL_ARG_DIFF_SRC, Wire::output, 2},
                 {DNNL_ARG_WORKSPACE, Wire::state, 0}};
  return r;
}

Recipe batch_norm(const NormGeometry& g, Pass pass, const Order& order) {
  const MemoryDesc x = order({g.batch, g.channels, g.height, g.width}), channel = plain({g.channels});
  const PrimitiveDesc forward =
      describe(library().dnnl_batch_normalization_forward_primitive_desc_create,
               "batch normalization forward", dnnl_forward_training, x.get(), x.get(), g.eps, kNormFlags);
  enum { mean, variance, shift, y };
  Recipe r{.run = forward, .states = {channel, channel}};
  const std::size_t channels = static_cast<std::size_t>(g.channels);
  if (pass == Pass::forward) {
    r.run_wires = {{DNNL_ARG_SRC, Wire::input, 0},     {DNNL_ARG_SCALE, Wire::input, 1},
                   {DNNL_ARG_SHIFT, Wire::input, 2},   {DNNL_ARG_DST, Wire::output, 5},
                   {DNNL_ARG_MEAN, Wire::state, mean}, {DNNL_ARG_VARIANCE, Wire::state, variance}};
    r.after = [channels, eps = g.eps](const Pointers& p,
                                      const States& states) {  // ours has 1/√(variance + ε)
      std::memcpy(p[6], states[mean], channels * sizeof(float));
      for (std::size_t k = 0; k < channels; ++k) at(p, 7)[k] = 1.0f / std::sqrt(states[variance][k] + eps);
    };
    return r;
  }
  r.states.push_back(channel);
  r.states.push_back(x);
  r.before = [channels](const Pointers&, const States& states) {
    std::fill_n(states[shift], channels, 0.0f);
  };
  r.prepare = forward;
  r.prepare_wires = {{DNNL_ARG_SRC, Wire::input, 0},       {DNNL_ARG_SCALE, Wire::input, 1},
                     {DNNL_ARG_SHIFT, Wire::state, shift}, {DNNL_ARG_DST, Wire::state, y},
                     {DNNL_ARG_MEAN, Wire::state, mean},   {DNNL_ARG_VARIANCE, Wire::state, variance}};
  r.run = describe(library().dnnl_batch_normalization_backward_primitive_desc_create,
                   "batch normalization backward", dnnl_backward, x.get(), x.get(), x.get(), g.eps,
                   kNormFlags, forward.get());
  r.run_wires = {{DNNL_ARG_SRC, Wire::input, 0},         {DNNL_ARG_SCALE, Wire::input, 1},
                 {DNNL_ARG_DIFF_DST, Wire::input, 2},    {DNNL_ARG_DIFF_SRC, Wire::output, 3},
                 {DNNL_ARG_DIFF_SCALE, Wire::output, 4}, {DNNL_ARG_DIFF_SHIFT, Wire::output, 5},
                 {DNNL_ARG_MEAN, Wire::state, mean},     {DNNL_ARG_VARIANCE, Wire::state, variance}};
  return r;
}

Recipe lstm(const LstmGeometry& g, Pass pass) {
  const std::int64_t T = g.steps, N = g.batch, I = g.inputs, H = g.hidden;
  const bool train = pass == Pass::backward;
  // Ours is [gate, output, input]; oneDNN counts layer, direction, input, gate, output. The gates' order is the same.
  const Shape wx{1, 1, I, 4, H}, wh{1, 1, H, 4, H};
  const MemoryDesc x = plain({T, N, I}), y = plain({T, N, H}), last = plain({1, 1, N, H}),
                   bias = plain({1, 1, 4, H}), wx_ours = strided(wx, {4 * H * I, 4 * H * I, 1, H * I, I}),
                   wh_ours = strided(wh, {4 * H * H, 4 * H * H, 1, H * H, H}), wx_any = any(wx),
                   wh_any = any(wh);
  const const_dnnl_memory_desc_t none = nullptr, final_state = train ? none : last.get();
  const PrimitiveDesc forward = describe(
      library().dnnl_lstm_forward_primitive_desc_create, "lstm forward",
      train ? dnnl_forward_training : dnnl_forward_inference, dnnl_unidirectional_left2right, x.get(), none,
      none, wx_any.get(), wh_any.get(), none, none, bias.get(), y.get(), final_state, final_state, 0u);
  Recipe r{.layout = "packed weights", .run = forward, .states = {bias}};
  r.before = [H](const Pointers& p, const States& states) {
    for (std::int64_t k = 0; k < 4 * H; ++k) states[0][k] = at(p, 3)[k] + at(p, 4)[k];
  };
  const std::vector<Wire> inputs{{DNNL_ARG_SRC_LAYER, Wire::input, 0, x},
                                 {DNNL_ARG_WEIGHTS_LAYER, Wire::input, 1, wx_ours},
                                 {DNNL_ARG_WEIGHTS_ITER, Wire::input, 2, wh_ours},
                                 {DNNL_ARG_BIAS, Wire::state, 0}};
  r.run_wires = inputs;
  if (!train) {
    r.run_wires.push_back({DNNL_ARG_DST_LAYER, Wire::output, 5, y});
    r.run_wires.push_back({DNNL_ARG_DST_ITER, Wire::output, 6, last});
    r.run_wires.push_back({DNNL_ARG_DST_ITER_C, Wire::output, 7, last});
    return r;
  }
  r.states.push_back(y);
  r.states.push_back(chosen(forward, DNNL_ARG_WORKSPACE));
  r.prepare = forward;
  r.prepare_wires = inputs;
  for (const Wire& kept :
       {Wire{DNNL_ARG_DST_LAYER, Wire::state, 1}, Wire{DNNL_ARG_WORKSPACE, Wire::state, 2}}) {
    r.prepare_wires.push_back(kept);
    r.run_wires.push_back(kept);
  }
  r.run = describe(library().dnnl_lstm_backward_primitive_desc_create, "lstm backward", dnnl_backward,
                   dnnl_unidirectional_left2right, x.get(), none, none, wx_any.get(), wh_any.get(), none,
                   none, bias.get(), y.get(), none, none, x.get(), none, none, wx_any.get(), wh_any.get(),
                   none, none, bias.get(), y.get(), none, none, 0u, forward.get());
  for (const Wire& wire :
       {Wire{DNNL_ARG_DIFF_DST_LAYER, Wire::input, 5, y}, Wire{DNNL_ARG_DIFF_SRC_LAYER, Wire::output, 6, x},
        Wire{DNNL_ARG_DIFF_WEIGHTS_LAYER, Wire::output, 7, wx_ours},
        Wire{DNNL_ARG_DIFF_WEIGHTS_ITER, Wire::output, 8, wh_ours},
        Wire{DNNL_ARG_DIFF_BIAS, Wire::output, 9, bias}})
    r.run_wires.push_back(wire);
  r.cleared = {DNNL_ARG_DIFF_WEIGHTS_LAYER, DNNL_ARG_DIFF_WEIGHTS_ITER, DNNL_ARG_DIFF_BIAS};
  return r;
}

}  // namespace fovea::bench::onednn

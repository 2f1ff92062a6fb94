// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <cmath>

#include "bench/cases/operands.h"
#include "kernels/function.h"
#include "kernels/ops/elementwise.h"
#include "kernels/ops/layer_norm_channels.h"
#include "kernels/ops/matmul.h"
#include "kernels/ops/pool2d.h"
#include "kernels/ops/recurrent.h"
#include "kernels/ops/resize.h"

/// Layers that fill the gaps between the large ones. PyTorch is their only peer.
namespace fovea::bench {
namespace {

Case average_pool(std::int64_t batch, std::int64_t channels, std::int64_t side) {
  const SlidingWindows halves{.in = side, .out = side / 2, .kernel = 2, .stride = 2};
  const Pool2d s{batch * channels, halves, halves};
  const Shape x{batch, channels, side, side}, y{batch, channels, side / 2, side / 2};
  Case c{.name = fmt::format("avgpool.{}@{}.n{}", channels, side, batch),
         .shape = fmt::format("x [{}, {}, {}, {}], 2x2 every 2", batch, channels, side, side),
         .op = "average_pool2d",
         .bytes = 4.0 * static_cast<double>(x.numel() + y.numel()),
         .operands = {{"x", x}, {"y", y, true}},
         .torch = "average_pool2d"};
  c.run = [s](const Device& device, const Pointers& p, const Pointers&) {
    on(device.queue(), [&](auto& q) { kernels::average_pool2d(q, s, in(p, 0), out(p, 1)); });
  };
  c.reference = [y, side](const HostValues& host) {
    std::vector<Expected> expected;
    for (const std::int64_t i : sampled(y.numel())) {
      const std::int64_t row = i / (side / 2), first = 2 * row * side + 2 * (i % (side / 2));
      expected.push_back({1, i,
                          (at(host, 0, first) + at(host, 0, first + 1) + at(host, 0, first + side) +
                           at(host, 0, first + side + 1)) /
                              4});
    }
    return expected;
  };
  return c;
}

/// To twice the size between pixels, not between corners.
Case resize(std::int64_t batch, std::int64_t channels, std::int64_t side) {
  const ResizeAxis twice{side, 2 * side, 2, -1, 4};  // place (p + 1/2)/2 - 1/2
  const Resize2d s{batch * channels, twice, twice};
  const Shape x{batch, channels, side, side}, y{batch, channels, 2 * side, 2 * side};
  Case c{.name = fmt::format("resize.{}@{}.n{}", channels, side, batch),
         .shape = fmt::format("x [{}, {}, {}, {}] to twice its size, bilinear", batch, channels, side, side),
         .op = "resize",
         .bytes = 4.0 * static_cast<double>(x.numel() + y.numel()),
         .operands = {{"x", x}, {"y", y, true}},
         .torch = "resize"};
  c.run = [s](const Device& device, const Pointers& p, const Pointers&) {
    on(device.queue(), [&](auto& q) { kernels::resize(q, s, in(p, 0), out(p, 1)); });
  };
  c.reference = [y, side](const HostValues& host) {
    std::vector<Expected> expected;
    for (const std::int64_t i : sampled(y.numel())) {
      const std::int64_t plane = i / (4 * side * side);
      const auto place = [side](std::int64_t p) {
        return std::fmin(std::fmax((static_cast<double>(p) + 0.5) / 2 - 0.5, 0.0),
                         static_cast<double>(side - 1));
      };
      const double row = place(i / (2 * side) % (2 * side)), column = place(i % (2 * side));
      const auto pixel = [&](double r, double q) {
        return at(host, 0,
                  (plane * side + static_cast<std::int64_t>(r)) * side + static_cast<std::int64_t>(q));
      };
      const double top = std::floor(row), left = std::floor(column), bottom = std::ceil(row),
                   right = std::ceil(column);
      const double upper = std::lerp(pixel(top, left), pixel(top, right), column - left),
                   lower = std::lerp(pixel(bottom, left), pixel(bottom, right), column - left);
      expected.push_back({1, i, std::lerp(upper, lower, row - top)});
    }
    return expected;
  };
  return c;
}

/// Over the channels of each position.
Case layer_norm(std::int64_t batch, std::int64_t channels, std::int64_t side) {
  constexpr float kEps = 1e-6f;
  const std::int64_t inner = side * side;
  const Shape x{batch, channels, side, side}, positions{batch, side, side};
  const Reduce s{batch, channels, inner};
  Case c{.name = fmt::format("layer_norm_channels.{}@{}.n{}", channels, side, batch),
         .shape = fmt::format("x [{}, {}, {}, {}]", batch, channels, side, side),
         .op = "layer_norm_channels",
         .flops = 6.0 * static_cast<double>(x.numel()),
         .bytes = 8.0 * static_cast<double>(x.numel()),
         .operands = {{"x", x}, {"gamma", {channels}}, {"beta", {channels}}, {"y", x, true}},
         .state = {{"mean", positions}, {"inv_sd", positions}},
         .torch = "layer_norm_channels",
         .attributes = {{"eps", {kEps}}}};
  c.run = [s](const Device& device, const Pointers& p, const Pointers& state) {
    on(device.queue(), [&](auto& q) {
      kernels::layer_norm_channels(q, s, kEps, in(p, 0), in(p, 1), in(p, 2), out(p, 3), out(state, 0),
                                   out(state, 1));
    });
  };
  c.reference = [channels, inner, count = positions.numel()](const HostValues& host) {
    std::vector<Expected> expected;
    for (const std::int64_t position : sampled(count, 16)) {
      const std::int64_t first = position / inner * channels * inner + position % inner;
      double mean = 0, variance = 0;
      const auto share = 1 / static_cast<double>(channels);
      for (std::int64_t k = 0; k < channels; ++k) mean += at(host, 0, first + k * inner) * share;
      for (std::int64_t k = 0; k < channels; ++k)
        variance += std::pow(at(host, 0, first + k * inner) - mean, 2) * share;
      for (std::int64_t k = 0; k < channels; ++k)
        expected.push_back({3, first + k * inner,
                            at(host, 1, k) * (at(host, 0, first + k * inner) - mean) /
                                    std::sqrt(variance + static_cast<double>(kEps)) +
                                at(host, 2, k)});
    }
    return expected;
  };
  return c;
}

/// An activation with an exponential in it.
Case softplus(std::int64_t count) {
  Case c{.name = "softplus.1m",
         .shape = fmt::format("{} elements", count),
         .op = "softplus",
         .bytes = 8.0 * static_cast<double>(count),
         .operands = {{"x", {count}, false, -5.0, 5.0}, {"y", {count}, true}},
         .torch = "softplus"};
  c.run = [count](const Device& device, const Pointers& p, const Pointers&) {
    on(device.queue(),
       [&](auto& q) { kernels::unary(q, Function::softplus, count, DType::f32, p[0], p[1]); });
  };
  c.reference = [count](const HostValues& host) {
    std::vector<Expected> expected;
    for (const std::int64_t i : sampled(count))
      expected.push_back({1, i, std::log1p(std::exp(at(host, 0, i)))});
    return expected;
  };
  return c;
}

/// The states of one sample.
std::vector<std::vector<double>> gru_states(std::int64_t steps, std::int64_t batch, std::int64_t size,
                                            const HostValues& host, std::int64_t sample) {
  std::vector<std::vector<double>> states;
  std::vector<double> h(static_cast<std::size_t>(size));
  for (std::int64_t t = 0; t < steps; ++t) {
    const std::vector<double> before = h;
    const auto from_x = [&](std::int64_t k) {
      double sum = at(host, 3, k);
      for (std::int64_t i = 0; i < size; ++i)
        sum += at(host, 1, k * size + i) * at(host, 0, (t * batch + sample) * size + i);
      return sum;
    };
    const auto from_h = [&](std::int64_t k) {
      double sum = at(host, 4, k);
      for (std::int64_t i = 0; i < size; ++i)
        sum += at(host, 2, k * size + i) * before[static_cast<std::size_t>(i)];
      return sum;
    };
    const auto sigmoid = [](double v) { return 1 / (1 + std::exp(-v)); };
    for (std::int64_t u = 0; u < size; ++u) {
      const double r = sigmoid(from_x(u) + from_h(u)), z = sigmoid(from_x(size + u) + from_h(size + u));
      const double n = std::tanh(from_x(2 * size + u) + r * from_h(2 * size + u));
      h[static_cast<std::size_t>(u)] = (1 - z) * n + z * before[static_cast<std::size_t>(u)];
    }
    states.push_back(h);
  }
  return states;
}

/// As many inputs as hidden units.
Case gru(std::int64_t steps, std::int64_t batch, std::int64_t size) {
  const Shape sequence{steps, batch, size}, state{batch, size}, weights{3 * size, size}, biases{3 * size};
  const double span = 1 / std::sqrt(static_cast<double>(size));
  Case c{.name = fmt::format("gru.h{}t{}.forward.b{}", size, steps, batch),
         .shape = fmt::format("T {}, batch {}, {} inputs, {} hidden", steps, batch, size, size),
         .op = "gru",
         .flops = 12.0 * static_cast<double>(steps * batch * size * size),
         .bytes = 4.0 * static_cast<double>(2 * sequence.numel() + 2 * weights.numel()),
         .operands = {{"x", sequence},
                      {"w_input", weights, false, -span, span},
                      {"w_hidden", weights, false, -span, span},
                      {"bias_input", biases, false, -span, span},
                      {"bias_hidden", biases, false, -span, span},
                      {"y", sequence, true},
                      {"h_last", state, true}},
         .state = {{"gates", {steps, batch, 3 * size}}, {"inner", sequence}},
         .torch = "gru"};
  c.run = [steps, batch, size](const Device& device, const Pointers& p, const Pointers& s) {
    on(device.queue(), [&](auto& q) {
      kernels::matmul(q, {steps * batch, 3 * size, size, false, true}, DType::f32, p[0], p[1], s[0]);
      kernels::recurrent(q, {.cell = Cell::gru, .steps = steps, .batch = batch, .hidden = size},
                         {.w_hidden = in(p, 2),
                          .bias_input = in(p, 3),
                          .bias_hidden = in(p, 4),
                          .h0 = nullptr,
                          .c0 = nullptr,
                          .lengths = nullptr,
                          .gates = out(s, 0),
                          .y = out(p, 5),
                          .inner = out(s, 1),
                          .h_last = out(p, 6),
                          .c_last = nullptr});
    });
  };
  c.reference = [steps, batch, size](const HostValues& host) {
    std::vector<Expected> expected;
    for (const std::int64_t sample : sampled(batch, 2)) {
      const auto states = gru_states(steps, batch, size, host, sample);
      for (std::int64_t t = 0; t < steps; ++t)
        for (std::int64_t u = 0; u < size; ++u)
          expected.push_back({5, (t * batch + sample) * size + u,
                              states[static_cast<std::size_t>(t)][static_cast<std::size_t>(u)]});
    }
    return expected;
  };
  return c;
}

}  // namespace

std::vector<Case> layer_cases() {
  return {average_pool(8, 64, 56), resize(8, 64, 28), layer_norm(8, 64, 56), softplus(1'000'000),
          gru(40, 32, 64)};
}

}  // namespace fovea::bench

// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "bench/cases/operands.h"
#include "kernels/function.h"
#include "kernels/ops/elementwise.h"
#include "kernels/ops/group_norm.h"
#include "kernels/ops/reduce.h"
#include "kernels/ops/softmax.h"

/// Operations that are bound by the bytes they move.
namespace fovea::bench {
namespace {

Case softmax(std::int64_t rows, std::int64_t width) {
  const Shape x{rows, width};
  Case c{.name = fmt::format("softmax.{}x{}", rows, width),
         .shape = fmt::format("x [{}, {}]", rows, width),
         .op = "softmax",
         .flops = 5.0 * static_cast<double>(x.numel()),
         .bytes = 8.0 * static_cast<double>(x.numel()),
         .operands = {{"x", x, false, -3.0, 3.0}, {"y", x, true}},
         .torch = "softmax"};
  c.run = [rows, width](const Device& device, const Pointers& p, const Pointers&) {
    on(device.queue(), [&](auto& q) { kernels::softmax(q, {rows, width, 1}, in(p, 0), out(p, 1)); });
  };
  c.reference = [rows, width](const HostValues& host) {
    std::vector<Expected> expected;
    for (const std::int64_t row : sampled(rows, 4)) {
      const float* const from = host[0].data() + row * width;
      double sum = 0;
      for (std::int64_t k = 0; k < width; ++k) sum += std::exp(static_cast<double>(from[k]));
      for (const std::int64_t k : sampled(width, 64))
        expected.push_back({1, row * width + k, std::exp(static_cast<double>(from[k])) / sum});
    }
    return expected;
  };
  return c;
}

Case relu(std::int64_t count) {
  Case c{.name = "relu.4m",
         .shape = fmt::format("{} elements", count),
         .op = "relu",
         .bytes = 8.0 * static_cast<double>(count),
         .operands = {{"x", {count}}, {"y", {count}, true}},
         .torch = "relu"};
  c.run = [count](const Device& device, const Pointers& p, const Pointers&) {
    on(device.queue(), [&](auto& q) { kernels::unary(q, Function::relu, count, DType::f32, p[0], p[1]); });
  };
  c.reference = [count](const HostValues& host) {
    std::vector<Expected> expected;
    for (const std::int64_t i : sampled(count))
      expected.push_back({1, i, std::max(0.0, static_cast<double>(host[0][static_cast<std::size_t>(i)]))});
    return expected;
  };
  return c;
}

Case add(std::int64_t count) {
  Case c{.name = "add.4m",
         .shape = fmt::format("{} elements", count),
         .op = "add",
         .bytes = 12.0 * static_cast<double>(count),
         .operands = {{"a", {count}}, {"b", {count}}, {"y", {count}, true}},
         .torch = "add"};
  Strided walk{.rank = 1};
  walk.extent[0] = count;
  for (auto& stride : walk.stride) stride[0] = 1;
  c.run = [walk](const Device& device, const Pointers& p, const Pointers&) {
    on(device.queue(), [&](auto& q) { kernels::binary(q, Binary::add, walk, DType::f32, p[0], p[1], p[2]); });
  };
  c.reference = [count](const HostValues& host) {
    std::vector<Expected> expected;
    for (const std::int64_t i : sampled(count)) {
      const auto k = static_cast<std::size_t>(i);
      expected.push_back({2, i, static_cast<double>(host[0][k]) + static_cast<double>(host[1][k])});
    }
    return expected;
  };
  return c;
}

/// As the gradient of a bias.
Case channel_sum(std::int64_t batch, std::int64_t channels, std::int64_t side) {
  const Shape x{batch, channels, side, side};
  const std::int64_t inner = side * side;
  Case c{.name = fmt::format("channel_sum.{}@{}.n{}", channels, side, batch),
         .shape = fmt::format("x [{}, {}, {}, {}]", batch, channels, side, side),
         .op = "channel_sum",
         .flops = static_cast<double>(x.numel()),
         .bytes = 4.0 * static_cast<double>(x.numel()),
         .operands = {{"x", x}, {"y", {channels}, true}},
         .torch = "column_sum"};
  c.run = [batch, channels, inner](const Device& device, const Pointers& p, const Pointers&) {
    on(device.queue(),
       [&](auto& q) { kernels::channel_sum(q, batch, channels, inner, in(p, 0), out(p, 1)); });
  };
  c.reference = [batch, channels, inner](const HostValues& host) {
    std::vector<Expected> expected;
    for (std::int64_t k = 0; k < channels; ++k) {
      double sum = 0;
      for (std::int64_t n = 0; n < batch; ++n)
        for (std::int64_t i = 0; i < inner; ++i)
          sum += host[0][static_cast<std::size_t>((n * channels + k) * inner + i)];
      expected.push_back({1, k, sum});
    }
    return expected;
  };
  return c;
}

Case group_norm(std::int64_t batch, std::int64_t channels, std::int64_t side) {
  constexpr std::int64_t kGroups = 8;
  constexpr float kEps = 1e-5f;
  const Shape x{batch, channels, side, side}, slabs{batch, kGroups};
  const GroupNorm s{batch, kGroups, channels / kGroups, side * side};
  Case c{.name = fmt::format("group_norm.{}@{}.n{}", channels, side, batch),
         .shape = fmt::format("x [{}, {}, {}, {}], {} groups", batch, channels, side, side, kGroups),
         .op = "group_norm",
         .flops = 6.0 * static_cast<double>(x.numel()),
         .bytes = 12.0 * static_cast<double>(x.numel()),
         .operands = {{"x", x}, {"gamma", {channels}}, {"beta", {channels}}, {"y", x, true}},
         .state = {{"mean", slabs}, {"inv_sd", slabs}},
         .torch = "group_norm",
         .attributes = {{"groups", {static_cast<double>(kGroups)}}, {"eps", {kEps}}}};
  c.run = [s](const Device& device, const Pointers& p, const Pointers& state) {
    on(device.queue(), [&](auto& q) {
      kernels::group_norm(q, s, kEps, in(p, 0), in(p, 1), in(p, 2), out(p, 3), out(state, 0), out(state, 1));
    });
  };
  c.reference = [s](const HostValues& host) {
    std::vector<Expected> expected;
    for (const std::int64_t slab : sampled(s.slabs(), 4)) {
      const float* const from = host[0].data() + slab * s.slab();
      double sum = 0, squares = 0;
      for (std::int64_t i = 0; i < s.slab(); ++i) sum += from[i];
      const double mean = sum / static_cast<double>(s.slab());
      for (std::int64_t i = 0; i < s.slab(); ++i) squares += (from[i] - mean) * (from[i] - mean);
      const double inverse_sd =
          1 / std::sqrt(squares / static_cast<double>(s.slab()) + static_cast<double>(kEps));
      for (const std::int64_t i : sampled(s.slab(), 64)) {
        const auto channel = static_cast<std::size_t>(slab % s.groups * s.channels + i / s.inner);
        expected.push_back(
            {3, slab * s.slab() + i, host[1][channel] * (from[i] - mean) * inverse_sd + host[2][channel]});
      }
    }
    return expected;
  };
  return c;
}

}  // namespace

std::vector<Case> pointwise_cases() {
  std::vector<Case> cases{softmax(256, 1000), relu(4'000'000), add(4'000'000), channel_sum(8, 64, 56),
                          group_norm(8, 64, 56)};
  cases[0].quick = cases[1].quick = true;
  return cases;
}

}  // namespace fovea::bench

// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <array>
#include <cmath>
#include <numeric>

#include "bench/cases/operands.h"
#include "kernels/function.h"
#include "kernels/ops/batch_norm.h"
#include "kernels/ops/cross_entropy.h"
#include "kernels/ops/dropout.h"
#include "kernels/ops/elementwise.h"
#include "kernels/ops/fill.h"
#include "kernels/ops/loss.h"
#include "kernels/ops/matmul.h"
#include "kernels/ops/noise.h"
#include "kernels/ops/optimizer_step.h"

/// What surrounds the large operations in a training step. No single call of cuDNN or oneDNN does these.
namespace fovea::bench {
namespace {

constexpr float kEps = 1e-5f;

/// Statistics of each unit, noise and ReLU, as three ops.
Case unit_norm(std::int64_t batch) {
  constexpr std::int64_t kUnits = 10368;
  const Shape x{batch, kUnits}, unit{kUnits};
  const BatchNorm s{batch, kUnits, 1};
  Case c{.name = fmt::format("unit_norm_noise_relu.n{}", batch),
         .shape = fmt::format("x [{}, {}]", batch, kUnits),
         .op = "batch_norm+gaussian_noise+relu",
         .flops = 8.0 * static_cast<double>(x.numel()),
         .bytes = 12.0 * static_cast<double>(x.numel()),
         .operands = {{"x", x}, {"gamma", unit}, {"beta", unit}, {"y", x, true}},
         .torch = "unit_norm",
         .attributes = {{"noise", {0.05}}}};
  for (const char* name : {"running_mean", "running_var", "mean", "inv_sd"}) c.state.push_back({name, unit});
  c.run = [s, x](const Device& device, const Pointers& p, const Pointers& state) {
    on(device.queue(), [&](auto& q) {
      kernels::batch_norm_train(q, s, kEps, 0.1f, in(p, 0), in(p, 1), in(p, 2), out(state, 0), out(state, 1),
                                out(p, 3), out(state, 2), out(state, 3));
      kernels::gaussian_noise(q, x.numel(), {1, philox::stream_id("noise"), 0}, 0.05f, in(p, 3), out(p, 3));
      kernels::unary(q, Function::relu, x.numel(), DType::f32, p[3], p[3]);
    });
  };
  return c;
}

/// The head of a retina model: dense layer, batch norm, softplus, Poisson loss.
Case head(std::int64_t batch) {
  constexpr std::int64_t kUnits = 5408, kCells = 5;
  const Shape cells{batch, kCells};
  Case c{.name = fmt::format("head.n{}", batch),
         .shape = fmt::format("x [{}, {}], {} cells", batch, kUnits, kCells),
         .op = "matmul+batch_norm+softplus+poisson_loss",
         .flops = 2.0 * static_cast<double>(batch * kUnits * kCells),
         .bytes = 4.0 * static_cast<double>((batch + kCells) * kUnits),
         .operands = {{"x", {batch, kUnits}},
                      {"w", {kCells, kUnits}, false, -0.02, 0.02},
                      {"gamma", {kCells}},
                      {"beta", {kCells}},
                      {"counts", cells, false, 0.0, 3.0},
                      {"rate", cells, true},
                      {"loss", {1}, true}},
         .torch = "head",
         .attributes = {{"eps", {1e-8}}}};
  for (const char* name : {"running_mean", "running_var", "mean", "inv_sd"})
    c.state.push_back({name, {kCells}});
  c.state.push_back({"z", cells});
  c.run = [batch](const Device& device, const Pointers& p, const Pointers& state) {
    on(device.queue(), [&](auto& q) {
      kernels::matmul(q, {batch, kCells, kUnits, false, true}, DType::f32, p[0], p[1], state[4]);
      kernels::batch_norm_train(q, {batch, kCells, 1}, kEps, 0.1f, in(state, 4), in(p, 2), in(p, 3),
                                out(state, 0), out(state, 1), out(state, 4), out(state, 2), out(state, 3));
      kernels::unary(q, Function::softplus, batch * kCells, DType::f32, state[4], p[5]);
      kernels::poisson_loss(q, batch * kCells, 1e-8f, in(p, 5), in(p, 4), out(p, 6));
    });
  };
  c.reference = [batch](const HostValues& host) {
    const auto samples = static_cast<double>(batch);
    std::vector<Expected> expected;
    double loss = 0;
    for (std::int64_t cell = 0; cell < kCells; ++cell) {
      std::vector<double> drive(static_cast<std::size_t>(batch));
      double mean = 0, variance = 0;
      for (std::int64_t n = 0; n < batch; ++n) {
        double& sum = drive[static_cast<std::size_t>(n)];
        for (std::int64_t k = 0; k < kUnits; ++k)
          sum += at(host, 0, n * kUnits + k) * at(host, 1, cell * kUnits + k);
        mean += sum / samples;
      }
      for (const double d : drive) variance += (d - mean) * (d - mean) / samples;
      for (std::int64_t n = 0; n < batch; ++n) {
        const double normal = (drive[static_cast<std::size_t>(n)] - mean) / std::sqrt(variance + kEps);
        const double rate = std::log1p(std::exp(at(host, 2, cell) * normal + at(host, 3, cell)));
        const std::int64_t i = n * kCells + cell;
        loss += (rate - at(host, 4, i) * std::log(rate + 1e-8)) / (samples * kCells);
        expected.push_back({5, i, rate});
      }
    }
    expected.push_back({6, 0, loss});
    return expected;
  };
  return c;
}

/// What the readout gives, to the loss and back: softplus, Poisson loss, and the slopes of both.
Case poisson_head(std::int64_t batch) {
  constexpr std::int64_t kCells = 5;
  constexpr float kLogEps = 1e-8f;
  const Shape cells{batch, kCells};
  const std::int64_t count = cells.numel();
  Case c{.name = fmt::format("poisson_head.n{}", batch),
         .shape = fmt::format("[{}, {}], forward and backward", batch, kCells),
         .op = "softplus+poisson_loss",
         .pass = Pass::backward,
         .flops = 40.0 * static_cast<double>(count),
         .bytes = 16.0 * static_cast<double>(count),
         .operands = {{"drive", cells, false, -2.0, 3.0},
                      {"counts", cells, false, 0.0, 3.0},
                      {"rate", cells, true},
                      {"loss", {1}, true},
                      {"ddrive", cells, true}},
         .state = {{"drate", cells}, {"one", {1}}},
         .torch = "poisson_head",
         .attributes = {{"eps", {1e-8}}}};
  c.prepare = [](const Device& device, const Pointers&, const Pointers& state) {
    const float one = 1.0f;
    device.copy_from_host(state[1], &one, sizeof one);
  };
  c.run = [count](const Device& device, const Pointers& p, const Pointers& state) {
    on(device.queue(), [&](auto& q) {
      kernels::unary(q, Function::softplus, count, DType::f32, p[0], p[2]);
      kernels::poisson_loss(q, count, kLogEps, in(p, 2), in(p, 1), out(p, 3));
      kernels::poisson_loss_grad(q, count, kLogEps, in(p, 2), in(p, 1), in(state, 1), out(state, 0));
      kernels::unary_grad(q, Function::softplus, count, DType::f32, p[0], p[2], state[0], p[4]);
    });
  };
  c.reference = [count](const HostValues& host) {
    std::vector<Expected> expected;
    double loss = 0;
    for (std::int64_t i = 0; i < count; ++i) {
      const auto k = static_cast<std::size_t>(i);
      const double drive = host[0][k], target = host[1][k], rate = std::log1p(std::exp(drive));
      loss += (rate - target * std::log(rate + 1e-8)) / static_cast<double>(count);
      expected.push_back({2, i, rate});
      expected.push_back(
          {4, i, (1 - target / (rate + 1e-8)) / static_cast<double>(count) / (1 + std::exp(-drive))});
    }
    expected.push_back({3, 0, loss});
    return expected;
  };
  return c;
}

/// Where the tensor after one of `count` elements that starts at `first` starts, as aligned as an allocation.
std::int64_t next_start(std::int64_t first, std::int64_t count) { return (first + count + 63) / 64 * 64; }

Case adam(const char* name, const std::vector<std::int64_t>& counts) {
  constexpr float kRate = 0.125f;
  const std::int64_t total = std::accumulate(counts.begin(), counts.end(), std::int64_t{0});
  const Shape all{std::accumulate(counts.begin(), counts.end(), std::int64_t{0}, next_start)};
  Case c{.name = fmt::format("adam.{}", name),
         .shape = fmt::format("{} parameters in {} tensors", total, counts.size()),
         .op = "adam_step",
         .flops = 12.0 * static_cast<double>(total),
         .bytes = 28.0 * static_cast<double>(total),
         .operands = {{"value", all}, {"grad", all}, {"moment1", all}, {"moment2", all, false, 0.0, 1.0}},
         .state = {{"clock", {sizeof(OptimizerClock) / sizeof(float)}}},
         .torch = "adam",
         .attributes = {{"counts", {counts.begin(), counts.end()}}, {"lr", {kRate}}, {"steps", {2}}}};
  // As in the third step.
  const OptimizerClock clock{.lr = kRate,
                             .correction1 = 1 / (1 - 0.9f * 0.9f * 0.9f),
                             .correction2 = 1 / (1 - 0.999f * 0.999f * 0.999f),
                             .steps = 2};
  c.prepare = [clock](const Device& device, const Pointers&, const Pointers& state) {
    device.copy_from_host(state[0], &clock, sizeof clock);
  };
  c.run = [counts](const Device& device, const Pointers& p, const Pointers& state) {
    std::vector<OptimizerSlot> slots;
    std::int64_t first = 0;
    for (const std::int64_t count : counts) {
      slots.push_back(
          {out(p, 0) + first, in(p, 1) + first, out(p, 2) + first, out(p, 3) + first, nullptr, count, 0});
      first = next_start(first, count);
    }
    on(device.queue(), [&](auto& q) {
      kernels::adam_step(q, slots, AdamOptions{}, static_cast<const OptimizerClock*>(state[0]));
    });
  };
  c.reference = [first_tensor = counts.front(), clock](const HostValues& host) {
    const AdamOptions options;
    const double b1 = options.beta1, b2 = options.beta2;
    std::vector<Expected> expected;
    for (const std::int64_t i : sampled(first_tensor)) {
      const auto k = static_cast<std::size_t>(i);
      const double g = host[1][k], m = b1 * host[2][k] + (1 - b1) * g, v = b2 * host[3][k] + (1 - b2) * g * g;
      expected.push_back({0, i,
                          host[0][k] - clock.lr * (m * clock.correction1) /
                                           (std::sqrt(v * clock.correction2) + options.eps)});
    }
    return expected;
  };
  return c;
}

Case cross_entropy(std::int64_t rows, std::int64_t classes) {
  const Shape logits{rows, classes};
  const CrossEntropy s{rows, classes};
  Case c{.name = fmt::format("cross_entropy.{}x{}", rows, classes),
         .shape = fmt::format("logits [{}, {}], forward and backward", rows, classes),
         .op = "cross_entropy",
         .pass = Pass::backward,
         .flops = 8.0 * static_cast<double>(logits.numel()),
         .bytes = 8.0 * static_cast<double>(logits.numel()),
         .operands = {{"logits", logits, false, -3.0, 3.0},
                      {"labels", {rows}, false, 0.0, static_cast<double>(classes), DType::i64},
                      {"dloss", {1}, false, 0.5, 1.0},
                      {"loss", {1}, true},
                      {"dlogits", logits, true}},
         .state = {{"shares", {rows, 2}}},
         .torch = "cross_entropy"};
  c.run = [s](const Device& device, const Pointers& p, const Pointers& state) {
    const auto* const labels = static_cast<const std::int64_t*>(p[1]);
    on(device.queue(), [&](auto& q) {
      kernels::cross_entropy(q, s, in(p, 0), labels, nullptr, out(p, 3), out(state, 0));
      kernels::cross_entropy_grad(q, s, in(p, 0), labels, nullptr, in(state, 0), in(p, 2), out(p, 4));
    });
  };
  c.reference = [rows, classes](const HostValues& host) {
    const auto share = 1 / static_cast<double>(rows);
    std::vector<Expected> expected;
    double loss = 0;
    for (std::int64_t row = 0; row < rows; ++row) {
      const float* const from = host[0].data() + row * classes;
      const auto label = static_cast<std::int64_t>(host[1][static_cast<std::size_t>(row)]);
      double sum = 0;
      for (std::int64_t k = 0; k < classes; ++k) sum += std::exp(static_cast<double>(from[k]));
      loss += (std::log(sum) - from[label]) * share;
      for (const std::int64_t k : sampled(classes, 4))
        expected.push_back(
            {4, row * classes + k,
             host[2][0] * share * (std::exp(static_cast<double>(from[k])) / sum - (k == label))});
      expected.push_back({4, row * classes + label,
                          host[2][0] * share * (std::exp(static_cast<double>(from[label])) / sum - 1)});
    }
    expected.push_back({3, 0, loss});
    return expected;
  };
  return c;
}

Case random_numbers(const char* name, std::int64_t count, bool normals) {
  Case c{.name = fmt::format("random.{}", name),
         .shape = fmt::format("{} numbers", count),
         .op = normals ? "fill_normal" : "dropout",
         .flops = 0,
         .bytes = (normals ? 4.0 : 8.0) * static_cast<double>(count),
         .operands = {{"x", {count}}, {"y", {count}, true}},
         .torch = normals ? "normal" : "dropout",
         .attributes = {{"p", {0.5}}}};
  const philox::Key key{1, philox::stream_id("bench numbers"), 0};
  c.run = [count, normals, key](const Device& device, const Pointers& p, const Pointers&) {
    on(device.queue(), [&](auto& q) {
      if (normals)
        kernels::fill_normal(q, count, key, 0.0f, 1.0f, out(p, 1));
      else
        kernels::dropout(q, count, 1, key, 0.5f, in(p, 0), out(p, 1));
    });
  };
  return c;
}

}  // namespace

std::vector<Case> training_cases() {
  std::vector<Case> cases;
  for (const std::int64_t batch : {512, 32}) {
    for (Case c : {unit_norm(batch), head(batch), poisson_head(batch)}) {
      c.quick = batch == 32 && c.name.starts_with("poisson");
      c.cuda = batch == 512;
      c.cpu = batch == 32;
      cases.push_back(std::move(c));
    }
  }
  cases.push_back(adam("large", {12'600'000}));
  // Deep Retina's: two convolutions and a dense layer, each with its normalisation.
  cases.push_back(adam("deep_retina", {72000, 8, 10368, 10368, 7744, 8, 5408, 5408, 27040, 5, 5}));
  cases.back().quick = true;
  cases.push_back(cross_entropy(256, 1000));
  cases.back().quick = true;
  cases.push_back(random_numbers("dropout_1m", 1'000'000, false));
  cases.back().quick = true;
  cases.push_back(random_numbers("normal_1m", 1'000'000, true));
  Case tiny = adam("tiny", {33, 5});
  tiny.cuda = false;
  tiny.simt = tiny.quick = true;
  tiny.name = "tiny.adam";
  cases.push_back(std::move(tiny));
  return cases;
}

}  // namespace fovea::bench

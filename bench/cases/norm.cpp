// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <cmath>

#include "bench/cases/builders.h"
#include "bench/cases/operands.h"
#include "kernels/ops/batch_norm.h"

namespace fovea::bench {
namespace {

constexpr float kEps = 1e-5f, kMomentum = 0.1f;

/// Calls f(index) for each element of a channel.
template <class F>
void each(const BatchNorm& s, std::int64_t channel, F&& f) {
  for (std::int64_t n = 0; n < s.batch; ++n)
    for (std::int64_t i = 0; i < s.inner; ++i)
      f(static_cast<std::size_t>((n * s.channels + channel) * s.inner + i));
}

struct Moments {
  double mean, inverse_sd;
};
Moments moments(const BatchNorm& s, std::int64_t channel, const std::vector<float>& x) {
  const double count = static_cast<double>(s.batch * s.inner);
  double sum = 0, squares = 0;
  each(s, channel, [&](std::size_t i) { sum += x[i]; });
  const double mean = sum / count;
  each(s, channel, [&](std::size_t i) { squares += (x[i] - mean) * (x[i] - mean); });
  return {mean, 1.0 / std::sqrt(squares / count + static_cast<double>(kEps))};
}

Case base(const std::string& name, std::int64_t batch, std::int64_t channels, std::int64_t height,
          std::int64_t width, Pass pass) {
  const double count = static_cast<double>(batch * channels * height * width);
  return {.name = fmt::format("{}.{}.n{}", name, pass_name(pass), batch),
          .shape = fmt::format("x [{}, {}, {}, {}]", batch, channels, height, width),
          .op = "batch_norm",
          .pass = pass,
          .flops = (pass == Pass::forward ? 6.0 : 11.0) * count,
          // Forward reads x twice and writes y; backward reads x and dy twice and writes dx.
          .bytes = (pass == Pass::forward ? 12.0 : 20.0) * count,
          .geometry = NormGeometry{batch, channels, height, width, kEps, kMomentum},
          .torch = "batch_norm",
          .attributes = {{"eps", {kEps}}, {"momentum", {kMomentum}}}};
}

Case forward(const std::string& name, std::int64_t batch, std::int64_t channels, std::int64_t height,
             std::int64_t width) {
  const BatchNorm s{batch, channels, height * width};
  const Shape x{batch, channels, height, width}, per_channel{channels};
  Case c = base(name, batch, channels, height, width, Pass::forward);
  c.operands = {{"x", x},
                {"gamma", per_channel},
                {"beta", per_channel},
                {"running_mean", per_channel},
                {"running_var", per_channel, false, 0.5, 1.5},
                {"y", x, true},
                {"mean", per_channel, true},
                {"inv_sd", per_channel, true}};
  c.run = [s](const Device& device, const Pointers& p, const Pointers&) {
    on(device.queue(), [&](auto& q) {
      kernels::batch_norm_train(q, s, kEps, kMomentum, in(p, 0), in(p, 1), in(p, 2), out(p, 3), out(p, 4),
                                out(p, 5), out(p, 6), out(p, 7));
    });
  };
  c.reference = [s](const HostValues& host) {
    std::vector<Expected> expected;
    for (const std::int64_t channel : sampled(s.channels, 4)) {
      const auto k = static_cast<std::size_t>(channel);
      const Moments m = moments(s, channel, host[0]);
      expected.push_back({6, channel, m.mean});
      expected.push_back({7, channel, m.inverse_sd});
      for (const std::int64_t j : sampled(s.batch * s.inner, 64)) {
        const std::int64_t i = (j / s.inner * s.channels + channel) * s.inner + j % s.inner;
        expected.push_back(
            {5, i, host[1][k] * (host[0][static_cast<std::size_t>(i)] - m.mean) * m.inverse_sd + host[2][k]});
      }
    }
    return expected;
  };
  return c;
}

Case backward(const std::string& name, std::int64_t batch, std::int64_t channels, std::int64_t height,
              std::int64_t width) {
  const BatchNorm s{batch, channels, height * width};
  const Shape maps{batch, channels, height, width}, per_channel{channels};
  Case c = base(name, batch, channels, height, width, Pass::backward);
  c.operands = {{"x", maps},        {"gamma", per_channel},        {"dy", maps},
                {"dx", maps, true}, {"dgamma", per_channel, true}, {"dbeta", per_channel, true}};
  const auto scratch = [](const char* of, const Shape& shape) { return Operand{of, shape, true}; };
  c.state = {scratch("y", maps), scratch("mean", per_channel), scratch("inv_sd", per_channel),
             scratch("running_mean", per_channel), scratch("running_var", per_channel)};
  c.prepare = [s](const Device& device, const Pointers& p, const Pointers& state) {
    on(device.queue(), [&](auto& q) {
      kernels::batch_norm_train(q, s, kEps, 1.0f, in(p, 0), in(p, 1), nullptr, out(state, 3), out(state, 4),
                                out(state, 0), out(state, 1), out(state, 2));
    });
  };
  c.run = [s](const Device& device, const Pointers& p, const Pointers& state) {
    on(device.queue(), [&](auto& q) {
      kernels::batch_norm_train_grad(q, s, in(p, 0), in(p, 1), in(state, 1), in(state, 2), in(p, 2),
                                     out(p, 3), out(p, 4), out(p, 5));
    });
  };
  c.reference = [s](const HostValues& host) {
    std::vector<Expected> expected;
    const std::vector<float>&x = host[0], &dy = host[2];
    for (const std::int64_t channel : sampled(s.channels, 4)) {
      const Moments m = moments(s, channel, x);
      double dgamma = 0, dbeta = 0;
      each(s, channel, [&](std::size_t i) {
        dgamma += dy[i] * (x[i] - m.mean) * m.inverse_sd;
        dbeta += dy[i];
      });
      expected.push_back({4, channel, dgamma});
      expected.push_back({5, channel, dbeta});
      const double count = static_cast<double>(s.batch * s.inner);
      for (const std::int64_t j : sampled(s.batch * s.inner, 64)) {
        const std::int64_t i = (j / s.inner * s.channels + channel) * s.inner + j % s.inner;
        const auto k = static_cast<std::size_t>(i);
        const double normal = (x[k] - m.mean) * m.inverse_sd;
        expected.push_back({3, i,
                            host[1][static_cast<std::size_t>(channel)] * m.inverse_sd *
                                (dy[k] - dbeta / count - normal * dgamma / count)});
      }
    }
    return expected;
  };
  return c;
}

}  // namespace

Case norm_case(const std::string& name, std::int64_t batch, std::int64_t channels, std::int64_t height,
               std::int64_t width, Pass pass) {
  return (pass == Pass::forward ? forward : backward)(name, batch, channels, height, width);
}

std::vector<Case> norm_cases() {
  std::vector<Case> cases;
  for (auto make : {forward, backward}) {
    for (const std::int64_t batch : {32, 8}) {
      Case c = make("batchnorm.64@56", batch, 64, 56, 56);
      c.cuda = batch == 32;
      c.cpu = batch == 8;
      c.quick = c.pass == Pass::forward;
      cases.push_back(std::move(c));
    }
    Case c = make("tiny.batchnorm", 3, 4, 5, 5);
    c.cuda = false;
    c.simt = c.quick = true;
    cases.push_back(std::move(c));
  }
  return cases;
}

}  // namespace fovea::bench

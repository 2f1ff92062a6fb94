// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <cmath>

#include "bench/cases/builders.h"
#include "kernels/ops/matmul.h"
#include "kernels/ops/recurrent.h"
#include "kernels/ops/reduce.h"

namespace fovea::bench {
namespace {

float* at(const Pointers& p, std::size_t k) { return static_cast<float*>(p[k]); }

Recurrent recurrent(const LstmGeometry& g) {
  return {.steps = g.steps, .batch = g.batch, .hidden = g.hidden};
}

/// As lstm() in autograd/ops does it: x's part of the gates for all steps in one product, then step by step.
void run_forward(const Device& device, const LstmGeometry& g, const Pointers& p, float* gates, float* inner,
                 float* y, float* h_last, float* c_last) {
  on(device.queue(), [&](auto& q) {
    kernels::matmul(q, {g.steps * g.batch, 4 * g.hidden, g.inputs, false, true}, DType::f32, p[0], p[1],
                    gates);
    kernels::recurrent(q, recurrent(g),
                       {.w_hidden = at(p, 2),
                        .bias_input = at(p, 3),
                        .bias_hidden = at(p, 4),
                        .h0 = nullptr,
                        .c0 = nullptr,
                        .lengths = nullptr,
                        .gates = gates,
                        .y = y,
                        .inner = inner,
                        .h_last = h_last,
                        .c_last = c_last});
  });
}

/// One sample of the batch in double: gates and cell of each step, as [steps][4·hidden] and [steps][hidden].
struct Trace {
  std::vector<std::vector<double>> gates, c, h;
};

double sigmoid(double x) { return 1.0 / (1.0 + std::exp(-x)); }

Trace trace(const LstmGeometry& g, const HostValues& host, std::int64_t sample) {
  const auto H = static_cast<std::size_t>(g.hidden), I = static_cast<std::size_t>(g.inputs);
  Trace t;
  std::vector<double> h(H), c(H);
  for (std::int64_t step = 0; step < g.steps; ++step) {
    const std::size_t x = static_cast<std::size_t>(step * g.batch + sample) * I;
    std::vector<double> gates(4 * H);
    for (std::size_t k = 0; k < 4 * H; ++k) {
      double sum = static_cast<double>(host[3][k]) + static_cast<double>(host[4][k]);
      for (std::size_t i = 0; i < I; ++i) sum += static_cast<double>(host[1][k * I + i]) * host[0][x + i];
      for (std::size_t j = 0; j < H; ++j) sum += static_cast<double>(host[2][k * H + j]) * h[j];
      gates[k] = k / H == 2 ? std::tanh(sum) : sigmoid(sum);
    }
    for (std::size_t j = 0; j < H; ++j) {
      c[j] = gates[H + j] * c[j] + gates[j] * gates[2 * H + j];
      h[j] = gates[3 * H + j] * std::tanh(c[j]);
    }
    t.gates.push_back(std::move(gates));
    t.c.push_back(c);
    t.h.push_back(h);
  }
  return t;
}

std::vector<Expected> forward_reference(const LstmGeometry& g, const HostValues& host) {
  std::vector<Expected> expected;
  for (const std::int64_t sample : sampled(g.batch, 2)) {
    const Trace t = trace(g, host, sample);
    for (std::int64_t step = 0; step < g.steps; ++step)
      for (std::int64_t j = 0; j < g.hidden; ++j)
        expected.push_back({5, (step * g.batch + sample) * g.hidden + j,
                            t.h[static_cast<std::size_t>(step)][static_cast<std::size_t>(j)]});
  }
  return expected;
}

/// dx of two samples; the sums over the batch are left to the op's own tests.
std::vector<Expected> backward_reference(const LstmGeometry& g, const HostValues& host) {
  const auto H = static_cast<std::size_t>(g.hidden), I = static_cast<std::size_t>(g.inputs);
  std::vector<Expected> expected;
  for (const std::int64_t sample : sampled(g.batch, 2)) {
    const Trace t = trace(g, host, sample);
    std::vector<double> dh(H), dc(H);
    for (std::int64_t step = g.steps; step-- > 0;) {
      const std::size_t row = static_cast<std::size_t>(step * g.batch + sample);
      const std::vector<double>&gates = t.gates[static_cast<std::size_t>(step)],
            &c = t.c[static_cast<std::size_t>(step)];
      std::vector<double> slope(4 * H);
      for (std::size_t j = 0; j < H; ++j) {
        const double i = gates[j], f = gates[H + j], n = gates[2 * H + j], o = gates[3 * H + j];
        const double before = step > 0 ? t.c[static_cast<std::size_t>(step) - 1][j] : 0.0;
        const double d = dh[j] + host[5][row * H + j], squashed = std::tanh(c[j]);
        const double along = dc[j] + d * o * (1 - squashed * squashed);
        slope[j] = along * n * i * (1 - i);
        slope[H + j] = along * before * f * (1 - f);
        slope[2 * H + j] = along * i * (1 - n * n);
        slope[3 * H + j] = d * squashed * o * (1 - o);
        dc[j] = along * f;
      }
      for (std::size_t j = 0; j < H; ++j) {
        dh[j] = 0;
        for (std::size_t k = 0; k < 4 * H; ++k) dh[j] += slope[k] * host[2][k * H + j];
      }
      for (std::size_t i = 0; i < I; ++i) {
        double dx = 0;
        for (std::size_t k = 0; k < 4 * H; ++k) dx += slope[k] * host[1][k * I + i];
        expected.push_back({6, static_cast<std::int64_t>(row * I + i), dx});
      }
    }
  }
  return expected;
}

Case lstm(const char* name, const LstmGeometry& g, Pass pass) {
  const double rows = static_cast<double>(g.steps * g.batch), hidden = static_cast<double>(g.hidden),
               inputs = static_cast<double>(g.inputs);
  const double weights = 4 * hidden * (inputs + hidden + 2), products = rows * 8 * hidden * (inputs + hidden);
  const Shape y{g.steps, g.batch, g.hidden}, state{g.batch, g.hidden}, gates{g.steps, g.batch, 4 * g.hidden};
  const double span = 1.0 / std::sqrt(hidden);  // PyTorch's start; wider ones saturate the gates
  Case c{.name = fmt::format("{}.{}.b{}", name, pass_name(pass), g.batch),
         .shape = fmt::format("T {}, batch {}, {} inputs, {} hidden", g.steps, g.batch, g.inputs, g.hidden),
         .op = "lstm",
         .pass = pass,
         .flops = (pass == Pass::forward ? 1.0 : 2.0) * products,
         .bytes = 4 * (pass == Pass::forward ? 1.0 : 2.0) * (rows * (inputs + hidden) + weights),
         .operands = {{"x", {g.steps, g.batch, g.inputs}},
                      {"w_input", {4 * g.hidden, g.inputs}, false, -span, span},
                      {"w_hidden", {4 * g.hidden, g.hidden}, false, -span, span},
                      {"bias_input", {4 * g.hidden}, false, -span, span},
                      {"bias_hidden", {4 * g.hidden}, false, -span, span}},
         .state = {{"gates", gates, true}, {"inner", y, true}},
         .geometry = g,
         .torch = "lstm"};
  if (pass == Pass::forward) {
    for (const Operand& o :
         {Operand{"y", y, true}, Operand{"h_last", state, true}, Operand{"c_last", state, true}})
      c.operands.push_back(o);
    c.run = [g](const Device& device, const Pointers& p, const Pointers& s) {
      run_forward(device, g, p, at(s, 0), at(s, 1), at(p, 5), at(p, 6), at(p, 7));
    };
    c.reference = [g](const HostValues& host) { return forward_reference(g, host); };
    return c;
  }
  for (const Operand& o :
       {Operand{"dy", y}, Operand{"dx", {g.steps, g.batch, g.inputs}, true},
        Operand{"dw_input", {4 * g.hidden, g.inputs}, true},
        Operand{"dw_hidden", {4 * g.hidden, g.hidden}, true}, Operand{"dbias", {4 * g.hidden}, true}})
    c.operands.push_back(o);
  for (const Operand& o :
       {Operand{"y", y, true}, Operand{"h_last", state, true}, Operand{"c_last", state, true},
        Operand{"slopes", gates, true}, Operand{"h_before", y, true}})
    c.state.push_back(o);
  c.prepare = [g](const Device& device, const Pointers& p, const Pointers& s) {
    run_forward(device, g, p, at(s, 0), at(s, 1), at(s, 2), at(s, 3), at(s, 4));
  };
  c.run = [g](const Device& device, const Pointers& p, const Pointers& s) {
    const std::int64_t steps_and_batch = g.steps * g.batch, of_gates = 4 * g.hidden;
    on(device.queue(), [&](auto& q) {
      kernels::recurrent_grad(q, recurrent(g),
                              {.w_hidden = at(p, 2),
                               .h0 = nullptr,
                               .c0 = nullptr,
                               .lengths = nullptr,
                               .gates = at(s, 0),
                               .y = at(s, 2),
                               .inner = at(s, 1),
                               .dy = at(p, 5),
                               .dh_last = nullptr,
                               .dc_last = nullptr,
                               .dhidden = at(s, 5),
                               .dinput = nullptr,
                               .h_before = at(s, 6),
                               .dh0 = nullptr,
                               .dc0 = nullptr});
      kernels::matmul(q, {steps_and_batch, g.inputs, of_gates}, DType::f32, s[5], p[1], p[6]);
      kernels::matmul(q, {of_gates, g.inputs, steps_and_batch, true, false}, DType::f32, s[5], p[0], p[7]);
      kernels::matmul(q, {of_gates, g.hidden, steps_and_batch, true, false}, DType::f32, s[5], s[6], p[8]);
      kernels::channel_sum(q, steps_and_batch, of_gates, 1, at(s, 5), at(p, 9));
    });
  };
  c.reference = [g](const HostValues& host) { return backward_reference(g, host); };
  return c;
}

}  // namespace

Case lstm_case(const std::string& name, const LstmGeometry& geometry, Pass pass) {
  return lstm(name.c_str(), geometry, pass);
}

std::vector<Case> lstm_cases() {
  std::vector<Case> cases;
  const auto add = [&](const char* name, const LstmGeometry& g, Pass pass, bool quick = false) {
    cases.push_back(lstm(name, g, pass));
    cases.back().quick = quick;
  };
  for (const Pass pass : {Pass::forward, Pass::backward}) {
    add("lstm.h256t100", {100, 32, 256, 256}, pass);
    add("lstm.h64t40", {40, 32, 64, 64}, pass, pass == Pass::forward);
    add("lstm.h64t40", {40, 1, 64, 64}, pass);
    Case c = lstm("tiny.lstm", {3, 2, 5, 4}, pass);
    c.cuda = false;
    c.simt = c.quick = true;
    cases.push_back(std::move(c));
  }
  return cases;
}

}  // namespace fovea::bench

// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "bench/case.h"
#include "kernels/ops/pool2d.h"

namespace fovea::bench {
namespace {

/// The first of equal maxima of window o, as an index into x.
std::int64_t first_maximum(const Pool2d& s, std::int64_t o, const std::vector<float>& x) {
  const std::int64_t column = o % s.columns.out, row = o / s.columns.out % s.rows.out,
                     plane = o / (s.columns.out * s.rows.out);
  std::int64_t best = -1;
  for (std::int64_t i = s.rows.span(row).first; i < s.rows.span(row).last; ++i)
    for (std::int64_t j = s.columns.span(column).first; j < s.columns.span(column).last; ++j) {
      const std::int64_t at = (plane * s.rows.in + i) * s.columns.in + j;
      if (best < 0 || x[static_cast<std::size_t>(at)] > x[static_cast<std::size_t>(best)]) best = at;
    }
  return best;
}

Case pool(std::int64_t batch, std::int64_t channels, std::int64_t side, Pass pass, const char* name) {
  const SlidingWindows windows{.in = side, .out = side / 2, .kernel = 2, .stride = 2};
  const Pool2d s{batch * channels, windows, windows};
  const Shape x{batch, channels, side, side}, y{batch, channels, side / 2, side / 2};
  Case c{.name = fmt::format("{}.{}.n{}", name, pass_name(pass), batch),
         .shape = fmt::format("x [{}, {}, {}, {}], 2x2", batch, channels, side, side),
         .op = "max_pool2d",
         .pass = pass,
         .flops = 0,
         .bytes = 4.0 * static_cast<double>(x.numel() + y.numel()) + static_cast<double>(y.numel()),
         .geometry = PoolGeometry{s, channels},
         .torch = "max_pool2d",
         .attributes = {{"kernel", {2, 2}}, {"stride", {2, 2}}}};
  const Operand place{"place", y, true, 0, 0, DType::u8};
  if (pass == Pass::forward) {
    c.operands = {{"x", x}, {"y", y, true}};
    c.state = {place};
    c.run = [s](const Device& device, const Pointers& p, const Pointers& state) {
      on(device.queue(), [&](auto& q) {
        kernels::max_pool2d(q, s, static_cast<const float*>(p[0]), static_cast<float*>(p[1]), state[0]);
      });
    };
    c.reference = [s, y](const HostValues& host) {
      std::vector<Expected> expected;
      for (const std::int64_t i : sampled(y.numel()))
        expected.push_back({1, i, host[0][static_cast<std::size_t>(first_maximum(s, i, host[0]))]});
      return expected;
    };
    return c;
  }
  c.operands = {{"x", x}, {"dy", y}, {"dx", x, true}};
  c.state = {place, {"y", y, true}};
  c.prepare = [s](const Device& device, const Pointers& p, const Pointers& state) {
    on(device.queue(), [&](auto& q) {
      kernels::max_pool2d(q, s, static_cast<const float*>(p[0]), static_cast<float*>(state[1]), state[0]);
    });
  };
  c.run = [s](const Device& device, const Pointers& p, const Pointers& state) {
    on(device.queue(), [&](auto& q) {
      kernels::max_pool2d_grad(q, s, state[0], static_cast<const float*>(p[1]), static_cast<float*>(p[2]));
    });
  };
  c.reference = [s, y](const HostValues& host) {
    std::vector<Expected> expected;
    for (const std::int64_t i : sampled(y.numel())) {  // the four pixels of a window: one has its slope
      const std::int64_t winner = first_maximum(s, i, host[0]);
      const std::int64_t row = i / s.columns.out % s.rows.out, plane = i / (s.columns.out * s.rows.out);
      const std::int64_t corner = (plane * s.rows.in + 2 * row) * s.columns.in + 2 * (i % s.columns.out);
      for (const std::int64_t at : {corner, corner + 1, corner + s.columns.in, corner + s.columns.in + 1})
        expected.push_back(
            {2, at, at == winner ? static_cast<double>(host[1][static_cast<std::size_t>(i)]) : 0.0});
    }
    return expected;
  };
  return c;
}

}  // namespace

std::vector<Case> pool_cases() {
  std::vector<Case> cases;
  for (const Pass pass : {Pass::forward, Pass::backward}) {
    for (const std::int64_t batch : {32, 8}) {
      Case c = pool(batch, 64, 56, pass, "maxpool.64@56");
      c.cuda = batch == 32;
      c.cpu = batch == 8;
      c.quick = pass == Pass::forward;
      cases.push_back(std::move(c));
    }
    Case c = pool(2, 3, 8, pass, "tiny.maxpool");
    c.cuda = false;
    c.simt = c.quick = true;
    cases.push_back(std::move(c));
  }
  return cases;
}

}  // namespace fovea::bench

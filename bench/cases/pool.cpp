// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "bench/cases/builders.h"
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

/// The slope at element `at` of x: of all windows that found it the largest.
double slope(const Pool2d& s, std::int64_t at, const std::vector<float>& x, const std::vector<float>& dy) {
  const std::int64_t column = at % s.columns.in, row = at / s.columns.in % s.rows.in,
                     plane = at / (s.columns.in * s.rows.in);
  double sum = 0;
  for (std::int64_t p = s.rows.over(row).first; p < s.rows.over(row).last; ++p)
    for (std::int64_t q = s.columns.over(column).first; q < s.columns.over(column).last; ++q) {
      const std::int64_t window = (plane * s.rows.out + p) * s.columns.out + q;
      if (first_maximum(s, window, x) == at) sum += dy[static_cast<std::size_t>(window)];
    }
  return sum;
}

SlidingWindows windows(std::int64_t in, std::int64_t kernel, std::int64_t stride) {
  return {.in = in, .out = (in - kernel) / stride + 1, .kernel = kernel, .stride = stride};
}

Case pool(std::int64_t batch, std::int64_t channels, const SlidingWindows& rows,
          const SlidingWindows& columns, Pass pass, const std::string& name) {
  const Pool2d s{batch * channels, rows, columns};
  const Shape x{batch, channels, rows.in, columns.in}, y{batch, channels, rows.out, columns.out};
  const double kernel = static_cast<double>(rows.kernel), stride = static_cast<double>(rows.stride);
  Case c{.name = fmt::format("{}.{}.n{}", name, pass_name(pass), batch),
         .shape = fmt::format("x [{}, {}, {}, {}], {}x{} every {}", batch, channels, rows.in, columns.in,
                              rows.kernel, columns.kernel, rows.stride),
         .op = "max_pool2d",
         .pass = pass,
         .flops = 0,
         .bytes = 4.0 * static_cast<double>(x.numel() + y.numel()) + static_cast<double>(y.numel()),
         .geometry = PoolGeometry{s, channels},
         .torch = "max_pool2d",
         .attributes = {{"kernel", {kernel, kernel}}, {"stride", {stride, stride}}}};
  const Operand place{"place", y, true, 0, 0, place_type(s)};
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
    for (const std::int64_t i : sampled(y.numel())) {  // of each window its largest pixel and its first one
      const std::int64_t row = i / s.columns.out % s.rows.out, plane = i / (s.columns.out * s.rows.out);
      const std::int64_t corner =
          (plane * s.rows.in + s.rows.start(row)) * s.columns.in + s.columns.start(i % s.columns.out);
      for (const std::int64_t at : {first_maximum(s, i, host[0]), corner})
        expected.push_back({2, at, slope(s, at, host[0], host[1])});
    }
    return expected;
  };
  return c;
}

}  // namespace

Case pool_case(const std::string& name, std::int64_t batch, std::int64_t channels, std::int64_t height,
               std::int64_t width, std::int64_t kernel, std::int64_t stride, Pass pass) {
  return pool(batch, channels, windows(height, kernel, stride), windows(width, kernel, stride), pass, name);
}

std::vector<Case> pool_cases() {
  std::vector<Case> cases;
  for (const Pass pass : {Pass::forward, Pass::backward}) {
    for (const std::int64_t batch : {32, 8}) {
      Case c = pool_case("maxpool.64@56", batch, 64, 56, 56, 2, 2, pass);
      c.cuda = batch == 32;
      c.cpu = batch == 8;
      c.quick = pass == Pass::forward;
      cases.push_back(std::move(c));
    }
    Case c = pool_case("tiny.maxpool", 2, 3, 8, 8, 2, 2, pass);
    c.cuda = false;
    c.simt = c.quick = true;
    cases.push_back(std::move(c));
  }
  return cases;
}

}  // namespace fovea::bench

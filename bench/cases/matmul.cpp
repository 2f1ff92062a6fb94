// SPDX-License-Identifier: Apache-2.0
#include "kernels/ops/matmul.h"

#include <fmt/format.h>

#include "bench/cases/builders.h"

namespace fovea::bench {
namespace {

Case product(const char* name, const Matmul& s, bool quick) {
  const Shape a = s.transpose_a ? Shape{s.k, s.m} : Shape{s.m, s.k},
              b = s.transpose_b ? Shape{s.n, s.k} : Shape{s.k, s.n}, c{s.m, s.n};
  Case made{.name = fmt::format("matmul.{}", name),
            .shape = fmt::format("[{}, {}]{} · [{}, {}]{}", a[0], a[1], s.transpose_a ? "ᵀ" : "", b[0], b[1],
                                 s.transpose_b ? "ᵀ" : ""),
            .op = "matmul",
            .flops = 2.0 * static_cast<double>(s.m * s.n * s.k),
            .bytes = 4.0 * static_cast<double>(a.numel() + b.numel() + c.numel()),
            .operands = {{"a", a}, {"b", b}, {"c", c, true}},
            .geometry = s,
            .torch = "matmul",
            .attributes = {{"transposed", {s.transpose_a ? 1.0 : 0.0, s.transpose_b ? 1.0 : 0.0}}},
            .quick = quick};
  made.run = [s](const Device& device, const Pointers& p, const Pointers&) {
    on(device.queue(), [&](auto& q) { kernels::matmul(q, s, DType::f32, p[0], p[1], p[2]); });
  };
  made.reference = [s](const HostValues& host) {
    std::vector<Expected> expected;
    for (const std::int64_t i : sampled(s.m * s.n)) {
      const std::int64_t row = i / s.n, column = i % s.n;
      double sum = 0;
      for (std::int64_t k = 0; k < s.k; ++k)
        sum += static_cast<double>(
                   host[0][static_cast<std::size_t>(s.transpose_a ? k * s.m + row : row * s.k + k)]) *
               static_cast<double>(
                   host[1][static_cast<std::size_t>(s.transpose_b ? column * s.k + k : k * s.n + column)]);
      expected.push_back({2, i, sum});
    }
    return expected;
  };
  return made;
}

}  // namespace

Case matmul_case(const std::string& name, const Matmul& shape) {
  Case made = product("", shape, false);
  made.name = name;
  return made;
}

std::vector<Case> matmul_cases() {
  std::vector<Case> cases{product("256", {256, 256, 256, false, false}, true),
                          product("1024", {1024, 1024, 1024, false, false}, true),
                          product("dense_head.n32", {32, 5, 5408, false, true}, true),
                          product("dense.1024.n128", {128, 1024, 1024, false, true}, false),
                          product("dense_grad.1024.n128", {1024, 1024, 128, true, false}, false)};
  return cases;
}

}  // namespace fovea::bench

// SPDX-License-Identifier: Apache-2.0
#include "kernels/ops/matmul.h"

#include <fmt/format.h>

#include "bench/cases/builders.h"

namespace fovea::bench {

Case matmul_case(const std::string& name, const Matmul& s) {
  const Shape a = s.transpose_a ? Shape{s.k, s.m} : Shape{s.m, s.k};
  const Shape b = s.transpose_b ? Shape{s.n, s.k} : Shape{s.k, s.n}, c{s.m, s.n};
  Case made{.name = name,
            .shape = fmt::format("[{}, {}]{} · [{}, {}]{}", a[0], a[1], s.transpose_a ? "ᵀ" : "", b[0], b[1],
                                 s.transpose_b ? "ᵀ" : ""),
            .op = "matmul",
            .flops = 2.0 * static_cast<double>(s.m * s.n) * static_cast<double>(s.k),
            .bytes = 4.0 * static_cast<double>(a.numel() + b.numel() + c.numel()),
            .operands = {{"a", a}, {"b", b}, {"c", c, true}},
            .geometry = s,
            .torch = "matmul",
            .attributes = {{"transposed", {s.transpose_a ? 1.0 : 0.0, s.transpose_b ? 1.0 : 0.0}}}};
  made.run = [s](const Device& device, const Pointers& p, const Pointers&) {
    on(device.queue(), [&](auto& q) { kernels::matmul(q, s, DType::f32, p[0], p[1], p[2]); });
  };
  made.reference = [s](const HostValues& host) {
    std::vector<Expected> expected;
    for (const std::int64_t at : sampled(s.m * s.n)) {
      const std::int64_t i = at / s.n, j = at % s.n;
      double sum = 0;
      for (std::int64_t k = 0; k < s.k; ++k) {
        const std::int64_t of_a = s.transpose_a ? k * s.m + i : i * s.k + k;
        const std::int64_t of_b = s.transpose_b ? j * s.k + k : k * s.n + j;
        sum += static_cast<double>(host[0][static_cast<std::size_t>(of_a)]) *
               static_cast<double>(host[1][static_cast<std::size_t>(of_b)]);
      }
      expected.push_back({2, at, sum});
    }
    return expected;
  };
  return made;
}

}  // namespace fovea::bench

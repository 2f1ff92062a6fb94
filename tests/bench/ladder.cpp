// SPDX-License-Identifier: Apache-2.0
#include "bench/ladder/ladder.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>

#include "bench/buffers.h"

using namespace fovea;
using namespace fovea::bench;

namespace {

std::vector<double> product(const Matmul& s, const std::vector<float>& a, const std::vector<float>& b) {
  std::vector<double> c;
  for (std::int64_t i = 0; i < s.m; ++i)
    for (std::int64_t j = 0; j < s.n; ++j) {
      double sum = 0;
      for (std::int64_t k = 0; k < s.k; ++k)
        sum += static_cast<double>(a[static_cast<std::size_t>(i * s.k + k)]) *
               b[static_cast<std::size_t>(k * s.n + j)];
      c.push_back(sum);
    }
  return c;
}

std::vector<double> convolution(const Conv2d& s, const std::vector<float>& x, const std::vector<float>& w) {
  std::vector<double> y;
  const auto at = [](std::int64_t i) { return static_cast<std::size_t>(i); };
  for (std::int64_t n = 0; n < s.batch; ++n)
    for (std::int64_t o = 0; o < s.out_channels; ++o)
      for (std::int64_t p = 0; p < s.out_height(); ++p)
        for (std::int64_t q = 0; q < s.out_width(); ++q) {
          double sum = 0;
          for (std::int64_t c = 0; c < s.in_channels; ++c)
            for (std::int64_t r = 0; r < s.kernel_height; ++r)
              for (std::int64_t t = 0; t < s.kernel_width; ++t)
                sum += static_cast<double>(
                           x[at(((n * s.in_channels + c) * s.in_height + p + r) * s.in_width + q + t)]) *
                       w[at(((o * s.in_channels + c) * s.kernel_height + r) * s.kernel_width + t)];
          y.push_back(sum);
        }
  return y;
}

/// All rungs of a family on every instruction set of this machine: each element is written and right, as far as sums of
/// `terms` products can be.
template <class Reference>
void check_rungs(const ladder::Family& family, std::int64_t terms, const Reference& reference) {
  const double most = std::max(2e-6, 4 * 6e-8 * std::sqrt(static_cast<double>(terms)));
  for (const Isa isa : available_isas()) {
    const Device device = Device::cpu({.threads = 2, .isa = isa});
    const Buffers buffers(device, family.problem.operands, 1, 7);
    const std::vector<double> expected = reference(buffers.download(0), buffers.download(1));
    double size = 0;
    for (const double e : expected) size += e * e;
    size = std::sqrt(size / static_cast<double>(expected.size()));
    for (const ladder::Rung& rung : family.rungs) {
      buffers.poison();
      rung.run(device, buffers.set(0));
      const std::vector<float> got = buffers.download(2);
      REQUIRE(got.size() == expected.size());
      double worst = 0;
      for (std::size_t i = 0; i < got.size(); ++i) {
        const double off = std::abs(got[i] - expected[i]) / size;
        worst = off <= worst ? worst : std::isnan(off) ? std::numeric_limits<double>::infinity() : off;
      }
      CHECK_MESSAGE(worst < most,
                    family.name << " " << rung.name << " " << std::string(isa_name(isa)) << ": " << worst);
    }
  }
}

Conv2d valid(std::int64_t batch, std::int64_t channels, std::int64_t height, std::int64_t width,
             std::int64_t outs, std::int64_t kernel_height, std::int64_t kernel_width) {
  return {.batch = batch,
          .in_channels = channels,
          .in_height = height,
          .in_width = width,
          .out_channels = outs,
          .kernel_height = kernel_height,
          .kernel_width = kernel_width};
}

}  // namespace

TEST_CASE("every rung of the multiplication is right, at edges of tiles and blocks too") {
  for (const Matmul& s : {Matmul{1, 1, 1}, Matmul{5, 7, 3}, Matmul{8, 48, 128}, Matmul{9, 49, 129},
                          Matmul{33, 115, 260}, Matmul{1027, 50, 17}})
    check_rungs(ladder::gemm_family(s), s.k, [&](const auto& a, const auto& b) { return product(s, a, b); });
}

TEST_CASE("every rung of the convolutions is right, whatever is odd about the shape") {
  for (const Conv2d& s :
       {valid(1, 1, 1, 1, 1, 1, 1), valid(3, 2, 7, 9, 5, 3, 2), valid(17, 3, 8, 36, 9, 3, 3),
        valid(33, 2, 11, 67, 8, 4, 5), valid(2, 5, 50, 50, 8, 15, 15), valid(35, 1, 6, 6, 17, 6, 1)}) {
    const auto reference = [&](const auto& x, const auto& w) { return convolution(s, x, w); };
    const std::int64_t terms = s.in_channels * s.kernel_height * s.kernel_width;
    check_rungs(ladder::conv_family("direct", s), terms, reference);
    check_rungs(ladder::fft_family("fft", s), terms, reference);
  }
}

TEST_CASE("transforms of every length that a plan can have") {
  for (std::int64_t side = 1; side <= 64; ++side) {
    const Conv2d s = valid(3, 1, side, 1, 1, (side + 1) / 2, 1);
    check_rungs(ladder::fft_family("fft", s), side,
                [&](const auto& x, const auto& w) { return convolution(s, x, w); });
  }
}

TEST_CASE("a ladder that was climbed has a gain for each rung but the first") {
  const ladder::Family family = ladder::gemm_family({.m = 20, .n = 30, .k = 40});
  const std::vector<ladder::Climbed> climbed = ladder::climb(family, 4);
  REQUIRE(climbed.size() == family.rungs.size());
  for (std::size_t i = 0; i < climbed.size(); ++i) {
    CHECK(climbed[i].error < 1e-6);
    CHECK(climbed[i].wall_ms.size() == 4);
    CHECK(climbed[i].cpu_ms.size() == 4);
    CHECK(climbed[i].gains.size() == (i == 0 ? 0 : 4));
  }
  const Ceilings ceilings{.copy_gb_s = 10, .fp32_gflop_s = 100};
  const nlohmann::ordered_json json = ladder::to_json(family, climbed, ceilings);
  CHECK(json["rungs"].size() == family.rungs.size());
  CHECK(json["rungs"][0]["gain_median"].is_null());
  CHECK(json["rungs"][0]["predicted_gain"].is_null());
  CHECK(json["rungs"][1]["predicted_gain"] == family.rungs[1].predicted);
  for (std::size_t i = 1; i < climbed.size(); ++i) {
    const auto& rung = json["rungs"][i];
    CHECK(rung["gain_p10"] <= rung["gain_median"]);
    CHECK(rung["gain_median"] <= rung["gain_p90"]);
    CHECK(rung["share_of_peak"].get<double>() * 100 * rung["threads"].get<double>() ==
          doctest::Approx(rung["gflop_s"].get<double>()));
  }
  CHECK(ladder::table(family, climbed, ceilings).find("gemm_packed") != std::string::npos);
}

TEST_CASE("every rung of the table says what it changes and what was expected of it") {
  for (const ladder::Family& family : ladder::families()) {
    CHECK(family.problem.flops > 0);
    for (std::size_t i = 0; i < family.rungs.size(); ++i) {
      CHECK_FALSE(family.rungs[i].change.empty());
      CHECK((family.rungs[i].predicted > 0) == (i > 0));
    }
  }
}

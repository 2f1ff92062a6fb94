// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numbers>
#include <vector>

#include "kernels/philox.h"
#include "tensor/tensor.h"

#if __has_include(<Random123/philox.h>)
#include <Random123/philox.h>
#define FOVEA_HAS_RANDOM123 1
#else
#define FOVEA_HAS_RANDOM123 0
#endif

namespace fovea {
namespace {

using philox::Block;
using philox::Key;

/// Known answers from kat_vectors of Random123 1.14 (philox4x32, 10 rounds).
TEST_CASE("philox gives the published known answers") {
  struct Known {
    Block counter;
    std::uint32_t key0, key1;
    Block result;
  };
  const Known known[] = {{{{0, 0, 0, 0}}, 0, 0, {{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}}},
                         {{{0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff}},
                          0xffffffff,
                          0xffffffff,
                          {{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}}},
                         {{{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}},
                          0xa4093822,
                          0x299f31d0,
                          {{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}}}};
  for (const Known& k : known) {
    const Block got = philox::rounds(k.counter, k.key0, k.key1);
    for (int i = 0; i < 4; ++i) CHECK(got.word[i] == k.result.word[i]);
  }
}

#if FOVEA_HAS_RANDOM123
TEST_CASE("philox agrees with Random123 on many counters") {
  r123::Philox4x32 theirs;
  int differences = 0;
  Block state{{1, 2, 3, 4}};
  for (int i = 0; i < 20000; ++i) {
    const std::uint32_t key0 = state.word[1] ^ 0x1234u, key1 = state.word[3];
    const auto want = theirs({{state.word[0], state.word[1], state.word[2], state.word[3]}}, {{key0, key1}});
    state = philox::rounds(state, key0, key1);
    for (unsigned k = 0; k < 4; ++k) differences += want[k] != state.word[k];
  }
  CHECK(differences == 0);
}
#endif

/// Across the edges of thread parts, for which the emulation is too slow.
TEST_CASE("bulk numbers have equal bits on all instruction sets and thread counts") {
  constexpr std::int64_t kCount = 3 * 16384 + 7;
  const Key key{99, 5, 1};
  const auto want = Tensor::normal({kCount}, key, 0, 1, Device::cpu({.threads = 1, .isa = Isa::scalar}));
  const auto bits = want.to_vector<float>();
  for (const Isa isa : available_isas())
    for (const int threads : {1, 2, 3}) {
      const Device device = Device::cpu({.threads = threads, .isa = isa});
      const auto got = Tensor::normal({kCount}, key, 0, 1, device).to_vector<float>();
      CHECK(std::memcmp(got.data(), bits.data(), bits.size() * sizeof(float)) == 0);
    }
  for (const std::size_t i : {std::size_t{16383}, std::size_t{16384}, std::size_t{49151}, std::size_t{49158}})
    CHECK(bits[i] == philox::normal_at(key, i));
}

TEST_CASE("block numbers beyond 32 bits enter the counter") {
  const Key key{1, 2, 3};
  const std::uint64_t index = (std::uint64_t{1} << 34) + 1;  // block 2^32
  CHECK(philox::normal_at(key, index) != philox::normal_at(key, 1));
}

/// Largest distance between the sample's distribution and the true one (Kolmogorov 1933). For n independent
/// draws it exceeds 1.95/√n once in a thousand samples; the draw is fixed, so the test never flickers.
double kolmogorov_distance(std::vector<double> sorted, double (*distribution)(double)) {
  std::sort(sorted.begin(), sorted.end());
  const double n = static_cast<double>(sorted.size());
  double distance = 0;
  for (std::size_t i = 0; i < sorted.size(); ++i) {
    const double f = distribution(sorted[i]);
    distance = std::max({distance, f - static_cast<double>(i) / n, static_cast<double>(i + 1) / n - f});
  }
  return distance;
}

struct Moments {
  double mean = 0, variance = 0, skewness = 0, kurtosis = 0;
};
Moments moments(const std::vector<double>& x) {
  const double n = static_cast<double>(x.size());
  Moments m;
  for (const double v : x) m.mean += v / n;
  double third = 0, fourth = 0;
  for (const double v : x) {
    const double d = v - m.mean;
    m.variance += d * d / n;
    third += d * d * d / n;
    fourth += d * d * d * d / n;
  }
  m.skewness = third / std::pow(m.variance, 1.5);
  m.kurtosis = fourth / (m.variance * m.variance);
  return m;
}

constexpr std::int64_t kDraws = 1 << 20;
const double kRootDraws = std::sqrt(static_cast<double>(kDraws));

std::vector<double> draws(const char* stream, std::uint32_t step) {
  return Tensor::normal({kDraws}, {2024, philox::stream_id(stream), step}, 0, 1, Device::cpu())
      .to_vector<double>();
}

/// Bounds are four standard errors: 1/√n, √(2/n), √(6/n), √(24/n).
TEST_CASE("normals are normal") {
  const std::vector<double> x = draws("a", 0);
  const Moments m = moments(x);
  CHECK(std::abs(m.mean) < 4 / kRootDraws);
  CHECK(std::abs(m.variance - 1) < 4 * std::sqrt(2.0) / kRootDraws);
  CHECK(std::abs(m.skewness) < 4 * std::sqrt(6.0) / kRootDraws);
  CHECK(std::abs(m.kurtosis - 3) < 4 * std::sqrt(24.0) / kRootDraws);
  CHECK(kolmogorov_distance(x, [](double v) { return 0.5 * std::erfc(-v / std::numbers::sqrt2); }) <
        1.95 / kRootDraws);
  const double largest =
      std::max(*std::max_element(x.begin(), x.end()), -*std::min_element(x.begin(), x.end()));
  CHECK(largest > 4.0);  // among a million draws, some 66 are beyond
  CHECK(largest < 5.8);
}

TEST_CASE("uniforms are uniform, below 1 and of 24 bits") {
  const auto x = Tensor::uniform({kDraws}, {7, 8, 9}, 0, 1, Device::cpu()).to_vector<double>();
  CHECK(*std::min_element(x.begin(), x.end()) >= 0.0);
  CHECK(*std::max_element(x.begin(), x.end()) < 1.0);
  CHECK(std::all_of(x.begin(), x.end(), [](double v) { return v * 0x1p24 == std::floor(v * 0x1p24); }));
  const Moments m = moments(x);
  CHECK(std::abs(m.mean - 0.5) < 4 * std::sqrt(1.0 / 12) / kRootDraws);
  CHECK(std::abs(m.variance - 1.0 / 12) < 4 * std::sqrt(1.0 / 180) / kRootDraws);
  CHECK(kolmogorov_distance(x, [](double v) { return v; }) < 1.95 / kRootDraws);
}

double correlation(const std::vector<double>& a, const std::vector<double>& b, std::size_t lag) {
  double sum = 0;
  for (std::size_t i = lag; i < a.size(); ++i) sum += a[i] * b[i - lag];
  return sum / static_cast<double>(a.size());
}

TEST_CASE("streams, steps and neighbours are independent") {
  const std::vector<double> a = draws("a", 0), b = draws("b", 0), later = draws("a", 1);
  CHECK(std::abs(correlation(a, b, 0)) < 4 / kRootDraws);
  CHECK(std::abs(correlation(a, later, 0)) < 4 / kRootDraws);
  for (const std::size_t lag : {1u, 2u, 3u, 4u, 8u, 64u})
    CHECK(std::abs(correlation(a, a, lag)) < 4 / kRootDraws);
  // Of one Box–Muller pair also the squares: they share a radius and must not show it.
  double squares = 0;
  for (std::size_t i = 0; i < a.size(); i += 2) squares += (a[i] * a[i] - 1) * (a[i + 1] * a[i + 1] - 1);
  CHECK(std::abs(squares) / static_cast<double>(kDraws / 2) < 4 * 2 * std::numbers::sqrt2 / kRootDraws);
}

TEST_CASE("a key's step may lie in memory") {
  const std::uint32_t step = 6;
  const Key by_pointer{1, 2, 0, &step}, by_value{1, 2, 6};
  const Device device = Device::cpu();
  CHECK(Tensor::normal({100}, by_pointer, 0, 1, device).to_vector<float>() ==
        Tensor::normal({100}, by_value, 0, 1, device).to_vector<float>());
  CHECK(normal_at(by_pointer, 9) == normal_at(by_value, 9));
  CHECK(uniform_at(by_pointer, 9) == uniform_at(by_value, 9));
}

/// log and sincos of our own, against the library in double.
TEST_CASE("the polynomials behind the normals are accurate") {
  double log_error = 0, turn_error = 0;
  for (std::uint32_t i = 1; i <= 1u << 24; i += 1013) {
    const float u = static_cast<float>(i) * 0x1p-24f;
    const double want = std::log(static_cast<double>(u));
    if (i < 1u << 24)
      log_error = std::max(log_error, std::abs(static_cast<double>(philox::log_unit(u)) - want) / -want);
    if (i == 1u << 24) continue;
    const philox::SinCos got = philox::sincos_turn(u);
    const double angle = 2 * std::numbers::pi * static_cast<double>(u);
    turn_error = std::max({turn_error, std::abs(static_cast<double>(got.sin) - std::sin(angle)),
                           std::abs(static_cast<double>(got.cos) - std::cos(angle))});
  }
  CHECK(log_error < 4e-7);
  CHECK(turn_error < 4e-7);
  CHECK(philox::log_unit(1.0f) == 0.0f);
}

}  // namespace
}  // namespace fovea

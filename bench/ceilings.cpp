// SPDX-License-Identifier: Apache-2.0
#include "bench/ceilings.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include <algorithm>
#include <barrier>
#include <cstring>
#include <fstream>
#include <thread>
#include <vector>

#include "bench/clock.h"

namespace fovea::bench {
namespace {

constexpr int kChains =
    12;  // more than the latency of a multiply-add times two units, fewer than the registers
constexpr std::int64_t kSteps = 1 << 16;
constexpr long kMostCache = 256L << 20;  // bytes; three times this is what a case may take of memory

// Each step stays in its register and happens: the compiler may not see through the empty instruction. The chains are
// variables of their own, because the elements of an array would be written to memory in each step.
#define FOVEA_TWELVE(X) X(0) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11)
#if defined(__x86_64__)
[[gnu::target("avx512f"), gnu::noinline]] float chains_avx512() {
  const __m512 factor = _mm512_set1_ps(0.999f), term = _mm512_set1_ps(0.001f);
#define FOVEA_CHAIN(k) __m512 sum##k = _mm512_set1_ps(k);
  FOVEA_TWELVE(FOVEA_CHAIN)
#undef FOVEA_CHAIN
  for (std::int64_t i = 0; i < kSteps; ++i) {
#define FOVEA_STEP(k)                             \
  sum##k = _mm512_fmadd_ps(sum##k, factor, term); \
  __asm__ volatile("" : "+v"(sum##k));
    FOVEA_TWELVE(FOVEA_STEP)
#undef FOVEA_STEP
  }
  float total = 0;
#define FOVEA_ADD(k) total += _mm512_cvtss_f32(sum##k);
  FOVEA_TWELVE(FOVEA_ADD)
#undef FOVEA_ADD
  return total;
}
[[gnu::target("avx2,fma"), gnu::noinline]] float chains_avx2() {
  const __m256 factor = _mm256_set1_ps(0.999f), term = _mm256_set1_ps(0.001f);
#define FOVEA_CHAIN(k) __m256 sum##k = _mm256_set1_ps(k);
  FOVEA_TWELVE(FOVEA_CHAIN)
#undef FOVEA_CHAIN
  for (std::int64_t i = 0; i < kSteps; ++i) {
#define FOVEA_STEP(k)                             \
  sum##k = _mm256_fmadd_ps(sum##k, factor, term); \
  __asm__ volatile("" : "+x"(sum##k));
    FOVEA_TWELVE(FOVEA_STEP)
#undef FOVEA_STEP
  }
  float total = 0;
#define FOVEA_ADD(k) total += _mm256_cvtss_f32(sum##k);
  FOVEA_TWELVE(FOVEA_ADD)
#undef FOVEA_ADD
  return total;
}
#endif
#undef FOVEA_TWELVE
[[gnu::noinline]] float chains_scalar() {
  float sums[kChains];
  for (int k = 0; k < kChains; ++k) sums[k] = static_cast<float>(k);
  for (std::int64_t i = 0; i < kSteps; ++i)
    for (float& sum : sums) sum = sum * 0.999f + 0.001f;
  float total = 0;
  for (const float sum : sums) total += sum;
  return total;
}

struct Chains {
  float (*run)();
  int lanes;
};
Chains best_chains() {
#if defined(__x86_64__)
  const Isa best = available_isas().back();
  if (best == Isa::avx512) return {chains_avx512, 16};
  if (best == Isa::avx2) return {chains_avx2, 8};
#endif
  return {chains_scalar, 1};
}

/// Best of several tries with all threads at once, seconds that the slowest of them computed: a neighbour who takes a
/// core for a while makes no ceiling lower.
template <class F>
double best_time(int threads, int tries, F&& work) {
  double best = 1e30;
  for (int i = 0; i < tries; ++i) {
    std::vector<double> spent(static_cast<std::size_t>(threads));
    std::barrier ready(threads);
    std::vector<std::jthread> others;
    for (int t = 0; t < threads; ++t)
      others.emplace_back([&, t] {
        ready.arrive_and_wait();
        const double start = thread_seconds();
        work(t);
        spent[static_cast<std::size_t>(t)] = thread_seconds() - start;
      });
    others.clear();  // joins
    best = std::min(best, *std::max_element(spent.begin(), spent.end()));
  }
  return best;
}

/// Bytes of the last level of cache that the first core sees; 0 if the system does not say. sysconf() multiplies it
/// on some machines.
double last_level_cache() {
  std::ifstream file("/sys/devices/system/cpu/cpu0/cache/index3/size");  // "32768K"
  long kib = 0;
  file >> kib;
  return static_cast<double>(std::clamp(kib << 10, 0L, kMostCache));
}

Ceilings measure_cpu(int threads) {
  Ceilings found;
  const Chains chains = best_chains();
  std::vector<float> results(static_cast<std::size_t>(threads));
  const double flops =
      best_time(threads, 60, [&](int t) { results[static_cast<std::size_t>(t)] = chains.run(); });
  found.fp32_gflop_s = 2e-9 * kChains * kSteps * chains.lanes * threads / flops;
  constexpr std::size_t kBytes = std::size_t{64} << 20;  // per thread
  const std::vector<char> from(kBytes * static_cast<std::size_t>(threads), 'x');
  std::vector<char> to(from.size());
  const double copy = best_time(threads, 8, [&](int t) {
    const std::size_t first = kBytes * static_cast<std::size_t>(t);
    std::memcpy(to.data() + first, from.data() + first, kBytes);
  });
  // A copy reads what it overwrites, too, unless it goes around the cache; what is changed in place does not.
  const double change = best_time(threads, 8, [&](int t) {
    char* const first = to.data() + kBytes * static_cast<std::size_t>(t);
    for (std::size_t i = 0; i < kBytes; ++i) first[i] = static_cast<char>(first[i] + 1);
  });
  found.copy_gb_s = 2e-9 * static_cast<double>(from.size()) / std::min(copy, change);
  found.cache_bytes = last_level_cache();
  return found;
}

}  // namespace

double Ceilings::floor_ms(double flops, double bytes) const {
  if (copy_gb_s <= 0 || fp32_gflop_s <= 0) return 0;
  return std::max(flops / fp32_gflop_s, bytes / copy_gb_s) * 1e-6;
}

double multiply_add_seconds(int threads) {
  constexpr int kTimes = 8;  // some 2 ms
  static const Chains chains = best_chains();
  const auto work = [] {
    for (int i = 0; i < kTimes; ++i) {
      volatile const float result = chains.run();
      (void)result;
    }
  };
  const double start = seconds_now();
  std::vector<std::jthread> others;
  for (int t = 1; t < threads; ++t) others.emplace_back(work);
  work();
  others.clear();  // joins
  return seconds_now() - start;
}

Ceilings measure_ceilings(const Device& device, int threads) {
  switch (device.kind()) {
    case DeviceKind::cpu:
      return measure_cpu(threads);
    case DeviceKind::cuda:
#if FOVEA_HAS_CUDA
      return measure_cuda_ceilings(device);
#endif
    case DeviceKind::simt:
      break;
  }
  return {};
}

}  // namespace fovea::bench

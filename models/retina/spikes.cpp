// SPDX-License-Identifier: Apache-2.0
#include "models/retina/spikes.h"

#include <algorithm>
#include <cmath>
#include <stdexcept>

#include <fmt/format.h>

#include "models/retina/arithmetic.h"
#include "models/retina/lanes.h"
#include "models/retina/parts.h"

namespace fovea::retina {
namespace {

constexpr int kRecoveredBins = 128;  // after that 1 − w is below 1e-9
constexpr int kCalibrationTrials = 4;
constexpr int kBatch = 256;       // sub-bins whose random numbers are made together
constexpr int kKernelRadius = 5;  // bins; σ is one bin

/// Readiness to fire again, by sub-bins since the last spike.
std::array<float, kRecoveredBins> recovery() {
  std::array<float, kRecoveredBins> w{};
  for (int since = SpikeOutput::silent_bins + 1; since < kRecoveredBins; ++since) {
    w[static_cast<std::size_t>(since)] =
        static_cast<float>(1.0 - std::exp(-(since - SpikeOutput::silent_bins) / SpikeOutput::recovery_bins));
  }
  return w;
}

std::array<double, kKernelRadius + 1> rate_kernel() {
  std::array<double, kKernelRadius + 1> tap{};
  double sum = 0.0;
  for (int k = 0; k <= kKernelRadius; ++k) {
    tap[static_cast<std::size_t>(k)] = std::exp(-0.5 * k * k);
    sum += (k == 0 ? 1.0 : 2.0) * tap[static_cast<std::size_t>(k)];
  }
  for (double& t : tap) t /= sum * kFrame_s;
  return tap;
}

/// Counts, smoothed, in Hz, divided by `divisor`; beyond the ends there is nothing.
template <class T>
std::vector<float> filtered(std::span<const T> values, double divisor) {
  static const std::array<double, kKernelRadius + 1> tap = rate_kernel();
  const int frames = static_cast<int>(values.size());
  std::vector<float> rate(values.size());
  for (int t = 0; t < frames; ++t) {
    double sum = 0.0;
    for (int k = -kKernelRadius; k <= kKernelRadius; ++k) {
      if (t + k >= 0 && t + k < frames) {
        sum += tap[static_cast<std::size_t>(std::abs(k))] * values[static_cast<std::size_t>(t + k)];
      }
    }
    rate[static_cast<std::size_t>(t)] = static_cast<float>(sum / divisor);
  }
  return rate;
}

/// Numbers 4·i + k of a sequence stand in [k][i]: the loops over i vectorise.
using RandomBatch = float[4][kBatch / 4];

/// Words of the blocks from `block` on, which lies in one stretch of 2^32: philox::bits, many at a time.
struct RandomWords {
  std::uint32_t word[4][kBatch / 4];

  inline RandomWords(const philox::Key& key, std::uint64_t block) {
    const philox::Block first = philox::counter(key, key.step, block);
    for (int k = 0; k < 4; ++k)
      for (int i = 0; i < kBatch / 4; ++i)
        word[k][i] = first.word[k] + static_cast<std::uint32_t>(k == 0 ? i : 0);
    auto even = static_cast<std::uint32_t>(key.seed), odd = static_cast<std::uint32_t>(key.seed >> 32);
    for (int round = 0; round < philox::kRounds; ++round) {
      for (int i = 0; i < kBatch / 4; ++i) {
        const philox::Block next =
            philox::one_round({{word[0][i], word[1][i], word[2][i], word[3][i]}}, even, odd);
        for (int k = 0; k < 4; ++k) word[k][i] = next.word[k];
      }
      even += philox::kKeyStep0;
      odd += philox::kKeyStep1;
    }
  }
};

inline void normals(const philox::Key& key, std::uint64_t block, RandomBatch& out) {
  const RandomWords words(key, block);
  for (int k = 0; k < 4; k += 2) {
    for (int i = 0; i < kBatch / 4; ++i) {
      const philox::NormalPair pair = philox::normal_pair(words.word[k][i], words.word[k + 1][i]);
      out[k][i] = pair.first;
      out[k + 1][i] = pair.second;
    }
  }
}

inline void uniforms(const philox::Key& key, std::uint64_t block, RandomBatch& out) {
  const RandomWords words(key, block);
  for (int k = 0; k < 4; ++k)
    for (int i = 0; i < kBatch / 4; ++i) out[k][i] = philox::uniform(words.word[k][i]);
}

}  // namespace

double noiseless_rate_hz(double drive, CellType type, double alpha) {
  const double x = (drive - ganglion(type).threshold) / SpikeOutput::softness;
  return alpha * SpikeOutput::softness * static_cast<double>(softplus(static_cast<float>(x)));
}

std::vector<std::int32_t> spike_train(std::span<const float> drive, int cell, double alpha,
                                      const philox::Key& trial) {
  static const std::array<float, kRecoveredBins> ready = recovery();
  const double keep = std::exp(-1e-3 / SpikeOutput::noise_tau_s);
  const float decay = static_cast<float>(keep);
  const float kick = static_cast<float>(SpikeOutput::noise_sd * std::sqrt(1.0 - keep * keep));
  const float threshold =
      static_cast<float>(ganglion(kRetina[static_cast<std::size_t>(cell)].type).threshold);
  const float sharpness = static_cast<float>(1.0 / SpikeOutput::softness);
  const float scale =
      static_cast<float>(alpha * SpikeOutput::softness * 1e-3);  // expected spikes per sub-bin
  philox::Key noise_key = trial, spike_key = trial;
  noise_key.stream ^= philox::stream_id("trial noise");
  spike_key.stream ^= philox::stream_id("spikes");

  std::vector<std::int32_t> spikes;
  const auto first = static_cast<std::uint64_t>(cell) << 40;  // cells take far-apart elements
  // The noise starts in its stationary state; its first normal lies just below the next cell's elements.
  float noise = static_cast<float>(SpikeOutput::noise_sd) *
                philox::normal_at(noise_key, first + (std::uint64_t{1} << 40) - 1);
  int since = kRecoveredBins - 1;
  const int bins = static_cast<int>(drive.size()) * kBinsPerFrame;
  RandomBatch normal, uniform;
  for (int start = 0; start < bins; start += kBatch) {
    const std::uint64_t block = (first + static_cast<std::uint64_t>(start)) / 4;
    on_widest_lanes([&] {
      normals(noise_key, block, normal);
      uniforms(spike_key, block, uniform);
    });
    for (int i = 0; i < std::min(kBatch, bins - start); ++i) {
      const int bin = start + i;
      noise = decay * noise + kick * normal[i % 4][i / 4];
      since = since < kRecoveredBins - 1 ? since + 1 : since;
      const float x = (drive[static_cast<std::size_t>(bin / kBinsPerFrame)] + noise - threshold) * sharpness;
      // Nearly all draws are settled by the bounds softplus(x) < max(x, 0) + 0.7 and 1 − e^{−x} ≤ x, w ≤ 1.
      const float u = uniform[i % 4][i / 4];
      if (u > scale * ((x > 0.0f ? x : 0.0f) + 0.7f)) continue;
      const float expected = scale * softplus(x) * ready[static_cast<std::size_t>(since)];
      if (u < 1.0f - exp_negative(expected)) {
        spikes.push_back(bin);
        since = 0;
      }
    }
  }
  return spikes;
}

std::vector<std::uint8_t> count_spikes(std::span<const std::int32_t> spikes, int frames) {
  std::vector<std::uint8_t> count(static_cast<std::size_t>(frames));
  for (std::int32_t bin : spikes) ++count.at(static_cast<std::size_t>(bin / kBinsPerFrame));
  return count;
}

std::vector<float> estimate_rate(std::span<const std::uint16_t> counts, int trials) {
  return filtered(counts, trials);
}

std::vector<float> smooth_rate(std::span<const float> rate) { return filtered(rate, 1 / kFrame_s); }

Trials simulate_trials(std::span<const float> drive, const Alpha& alpha, int trials, std::uint64_t seed,
                       std::uint32_t stream, std::uint32_t first_trial, int threads) {
  Trials out{.trials = trials, .frames = static_cast<int>(drive.size() / kCells), .count = {}};
  const auto length = static_cast<std::size_t>(out.frames);
  out.count.resize(static_cast<std::size_t>(trials * kCells) * length);
  for_parts(threads, trials * kCells, [&](int part) {
    const int trial = part / kCells, cell = part % kCells;
    const philox::Key key{
        .seed = seed, .stream = stream, .step = first_trial + static_cast<std::uint32_t>(trial)};
    const auto spikes = spike_train(drive.subspan(static_cast<std::size_t>(cell) * length, length), cell,
                                    alpha[static_cast<std::size_t>(cell)], key);
    for (std::int32_t bin : spikes)
      ++out.count[static_cast<std::size_t>(part) * length + static_cast<std::size_t>(bin / kBinsPerFrame)];
  });
  return out;
}

std::vector<float> trial_rates(const Trials& trials, int threads) {
  std::vector<float> rate(trials.count.size());
  for_parts(threads, trials.trials * kCells, [&](int part) {
    const auto counts = trials.of(part / kCells, part % kCells);
    const std::vector<std::uint16_t> wide(counts.begin(), counts.end());
    const std::vector<float> one = estimate_rate(wide);
    std::copy(one.begin(), one.end(), rate.begin() + static_cast<std::ptrdiff_t>(part) * trials.frames);
  });
  return rate;
}

std::vector<float> mean_rate(const Trials& trials, int threads) {
  std::vector<float> rate(static_cast<std::size_t>(kCells * trials.frames));
  for_parts(threads, kCells, [&](int cell) {
    std::vector<std::uint16_t> sum(static_cast<std::size_t>(trials.frames));
    for (int trial = 0; trial < trials.trials; ++trial) {
      const auto counts = trials.of(trial, cell);
      for (std::size_t t = 0; t < sum.size(); ++t) sum[t] = static_cast<std::uint16_t>(sum[t] + counts[t]);
    }
    const std::vector<float> one = estimate_rate(sum, trials.trials);
    std::copy(one.begin(), one.end(), rate.begin() + static_cast<std::ptrdiff_t>(cell) * trials.frames);
  });
  return rate;
}

Alpha calibrate(std::span<const float> drive, std::uint64_t seed, int threads) {
  const int frames = static_cast<int>(drive.size() / kCells);
  if (frames <= kAdaptationFrames) {
    throw std::invalid_argument(
        fmt::format("retina calibration: {} frames, more than {} are needed", frames, kAdaptationFrames));
  }
  Alpha alpha;
  alpha.fill(SpikeOutput::first_alpha);
  const double seconds = (frames - kAdaptationFrames) * kFrame_s * kCalibrationTrials;
  for (int pass = 0; pass < SpikeOutput::calibration_passes; ++pass) {
    const Trials trials = simulate_trials(drive, alpha, kCalibrationTrials, seed,
                                          philox::stream_id("retina.calibration"), 0, threads);
    for (int cell = 0; cell < kCells; ++cell) {
      long spikes = 0;
      for (int trial = 0; trial < kCalibrationTrials; ++trial) {
        for (std::uint8_t n : trials.of(trial, cell).subspan(kAdaptationFrames)) spikes += n;
      }
      if (spikes == 0) {
        throw std::runtime_error(
            fmt::format("retina calibration: cell {} never fires; is the movie a natural scene?", cell));
      }
      alpha[static_cast<std::size_t>(cell)] *=
          SpikeOutput::calibrated_rate_hz * seconds / static_cast<double>(spikes);
    }
  }
  return alpha;
}

}  // namespace fovea::retina

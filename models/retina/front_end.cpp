// SPDX-License-Identifier: Apache-2.0
#include "models/retina/front_end.h"

#include <algorithm>
#include <optional>
#include <stdexcept>

#include <fmt/format.h>

#include "models/retina/arithmetic.h"
#include "models/retina/blur.h"
#include "models/retina/ganglion_cell.h"
#include "models/retina/lanes.h"
#include "models/retina/parts.h"
#include "models/retina/stimuli.h"

// Note [Stages and parts]: a movie passes in chunks of kChunkFrames. Filters in time act on each pixel alone,
// blurs and sums on each instant alone; so the stages alternate between parts that are tiles of pixels (whole
// chunk, states in the first-level cache) and parts that are runs of time steps. Each part does the same
// arithmetic in the same order whoever executes it, hence equal bits for any number of threads.
namespace fovea::retina {
namespace {

constexpr int kChunkFrames = 50;
constexpr int kChunkSteps = kChunkFrames * kStepsPerFrame;
constexpr int kTile = 100;  // pixels, a multiple of the baseline's four lanes
constexpr int kTiles = kPixels / kTile;
constexpr int kRun = 10;  // time steps in a part
constexpr int kCascades = Photoreceptor::y_stages + Photoreceptor::z_stages;
static_assert(kTile * kTiles == kPixels);

float weight(double tau_s) { return static_cast<float>(low_pass_weight(kStep_s, tau_s)); }

/// Sum of map·weights in twenty interleaved partial sums: a fixed order that vectorises.
float weighted_sum(const float* map, const PixelMap& weights) {
  constexpr int kLanes = 20;
  static_assert(kPixels % kLanes == 0);
  float lane[kLanes] = {};
  for (int i = 0; i < kPixels; i += kLanes) {
    for (int j = 0; j < kLanes; ++j) lane[j] += map[i + j] * weights[i + j];
  }
  float sum = 0.0f;
  for (float part : lane) sum += part;
  return sum;
}

/// y += weight·(x − y) for a tile.
inline void low_pass(float* __restrict__ y, const float* __restrict__ x, float w) {
  for (int i = 0; i < kTile; ++i) y[i] += w * (x[i] - y[i]);
}

/// Release of a tile of bipolar cells in one step: vesicle pool `depot` times rectified signal.
inline void release(float* __restrict__ out, float* __restrict__ depot, const float* __restrict__ signal,
                    const Bipolar& kind) {
  const float sign = static_cast<float>(kind.sign * kReleaseSharpness);
  const float threshold = static_cast<float>(kind.threshold * kReleaseSharpness);
  const float unit = static_cast<float>(1.0 / kReleaseSharpness);
  const float recovery = static_cast<float>(kStep_s / kDepressionRecovery_s);
  const float use = static_cast<float>(kStep_s * kind.use_per_s);
  for (int i = 0; i < kTile; ++i) {
    const float released = depot[i] * (softplus(sign * signal[i] - threshold) * unit);
    out[i] = released;
    depot[i] += recovery * (1.0f - depot[i]) - use * released;
  }
}

/// What a synapse that tires passes on of a tile of release in one step.
inline void transmit(float* __restrict__ out, float* __restrict__ depot, const float* __restrict__ released,
                     const Depression& synapse) {
  const float recovery = static_cast<float>(kStep_s / synapse.recovery_s);
  const float use = static_cast<float>(kStep_s * synapse.use_per_s);
  for (int i = 0; i < kTile; ++i) {
    const float passed = depot[i] * released[i];
    out[i] = passed;
    depot[i] += recovery * (1.0f - depot[i]) - use * passed;
  }
}

/// The pool such a synapse settles at under constant release.
float rest(const Depression& synapse, float released) {
  return static_cast<float>(1.0 /
                            (1.0 + synapse.recovery_s * synapse.use_per_s * static_cast<double>(released)));
}

/// Rectified signal of a bipolar cell at rest (v_t = 0), and the vesicle pool it settles at.
struct Rest {
  float depot, released;
};
Rest rest(const Bipolar& kind) {
  const double q = static_cast<double>(softplus(static_cast<float>(-kind.threshold * kReleaseSharpness))) /
                   kReleaseSharpness;
  const double depot = 1.0 / (1.0 + kDepressionRecovery_s * kind.use_per_s * q);
  return {static_cast<float>(depot), static_cast<float>(depot * q)};
}

/// What a cell sees of the maps of bipolar release.
struct Pools {
  PixelMap bipolar, local, wide;
};

/// The synapses that tire: pools between chunks and what they pass on in the current one.
struct Synapses {
  std::vector<float> fast_contact_depot = std::vector<float>(kPixels),
                     slow_contact_depot = fast_contact_depot, fast_inhibition_depot = fast_contact_depot,
                     on_inhibition_depot = fast_contact_depot;
  std::vector<float> fast_contact = std::vector<float>(std::size_t{kChunkSteps} * kPixels),
                     slow_contact = fast_contact, amacrine = fast_contact;

  void pass(int first, int step, const float* fast_off, const float* slow_off, const float* on) {
    const int at = step * kPixels + first;
    float from_on[kTile];
    float* local = amacrine.data() + at;
    transmit(fast_contact.data() + at, fast_contact_depot.data() + first, fast_off, Predictive::contact);
    transmit(slow_contact.data() + at, slow_contact_depot.data() + first, slow_off, Predictive::contact);
    transmit(local, fast_inhibition_depot.data() + first, fast_off, Predictive::inhibition);
    transmit(from_on, on_inhibition_depot.data() + first, on, Predictive::inhibition);
    for (int i = 0; i < kTile; ++i) local[i] += static_cast<float>(Amacrine::local_on_weight) * from_on[i];
  }
};

}  // namespace

struct FrontEnd::State {
  // Per pixel, between chunks.
  float cascade[kCascades][kPixels];  // y stages, then z stages
  float surround[kPixels], slow_v[kPixels], slow_off_v[kPixels], on_v[kPixels];
  float fast_off_depot[kPixels], slow_off_depot[kPixels], on_depot[kPixels];

  // Of the current chunk.
  std::vector<float> light = std::vector<float>(std::size_t{kChunkFrames} * kPixels);
  std::vector<float> p = std::vector<float>(std::size_t{kChunkSteps} * kPixels);  // then fast OFF release
  std::vector<float> centre = p, around = p;  // then slow OFF and ON release
  std::vector<CellInput> inputs = std::vector<CellInput>(std::size_t{kChunkSteps} * kCells);

  Blur centre_blur{CentreSurround::centre_px};
  Blur surround_blur{CentreSurround::surround_px};
  std::vector<Pools> pools;
  std::vector<GanglionCell> cells;
  std::optional<Synapses> synapses;  // of the predictive circuit

  explicit State(Circuit circuit) {
    if (circuit == Circuit::kPredictive) synapses.emplace();
    for (const Cell& cell : kRetina) {
      pools.push_back({gaussian_map(ganglion(cell.type).centre_px, cell.row, cell.col),
                       pooled_blur_map(Amacrine::local_px, Amacrine::reach_px, cell.row, cell.col),
                       gaussian_map(Amacrine::wide_px, cell.row, cell.col)});
      cells.emplace_back(cell.type, circuit);
    }
  }

  void rest_at_grey();
  void photoreceptors(int tile, int frames);
  void blurs(int run, int steps);
  void bipolar_cells(int tile, int steps);
  void pool(int run, int steps);
};

void FrontEnd::State::rest_at_grey() {
  for (auto& stage : cascade) std::fill(std::begin(stage), std::end(stage), 1.0f);
  for (auto* map : {surround, slow_v, slow_off_v, on_v}) std::fill_n(map, kPixels, 0.0f);
  const Rest fast = rest(kFastOffBipolar), slow = rest(kSlowOffBipolar), on_rest = rest(kOnBipolar);
  std::fill_n(fast_off_depot, kPixels, fast.depot);
  std::fill_n(slow_off_depot, kPixels, slow.depot);
  std::fill_n(on_depot, kPixels, on_rest.depot);
  if (synapses) {
    Synapses& s = *synapses;
    std::ranges::fill(s.fast_contact_depot, retina::rest(Predictive::contact, fast.released));
    std::ranges::fill(s.slow_contact_depot, retina::rest(Predictive::contact, slow.released));
    std::ranges::fill(s.fast_inhibition_depot, retina::rest(Predictive::inhibition, fast.released));
    std::ranges::fill(s.on_inhibition_depot, retina::rest(Predictive::inhibition, on_rest.released));
  }
  // Feed the resting maps through the same sums, so that the cells rest at exactly what they will be given.
  std::fill_n(p.begin(), kPixels, fast.released);
  std::fill_n(centre.begin(), kPixels, slow.released);
  std::fill_n(around.begin(), kPixels, on_rest.released);
  if (synapses) {
    for (int tile = 0; tile < kTiles; ++tile)
      synapses->pass(tile * kTile, 0, p.data() + tile * kTile, centre.data() + tile * kTile,
                     around.data() + tile * kTile);
  }
  pool(0, 1);
  for (int c = 0; c < kCells; ++c) cells[c].rest_at(inputs[c]);
}

void FrontEnd::State::photoreceptors(int tile, int frames) {
  const int first = tile * kTile;
  const float y_weight = weight(Photoreceptor::y_tau_s), z_weight = weight(Photoreceptor::z_tau_s);
  const float gamma = static_cast<float>(Photoreceptor::gamma);
  const float rest_of_gamma = static_cast<float>(1.0 - Photoreceptor::gamma);
  const float beta = static_cast<float>(Photoreceptor::beta);
  float stage[kCascades][kTile];
  for (int k = 0; k < kCascades; ++k) std::copy_n(cascade[k] + first, kTile, stage[k]);
  for (int step = 0; step < frames * kStepsPerFrame; ++step) {
    const float* input = light.data() + (step / kStepsPerFrame) * kPixels + first;
    for (int k = 0; k < Photoreceptor::y_stages; ++k)
      low_pass(stage[k], k == 0 ? input : stage[k - 1], y_weight);
    for (int k = Photoreceptor::y_stages; k < kCascades; ++k) {
      low_pass(stage[k], k == Photoreceptor::y_stages ? input : stage[k - 1], z_weight);
    }
    const float* y = stage[Photoreceptor::y_stages - 1];
    const float* slow = stage[kCascades - 1];
    float* out = p.data() + step * kPixels + first;
    for (int i = 0; i < kTile; ++i) {
      const float z = gamma * y[i] + rest_of_gamma * slow[i];
      out[i] = y[i] * (1.0f + beta) / (1.0f + beta * z) - 1.0f;
    }
  }
  for (int k = 0; k < kCascades; ++k) std::copy_n(stage[k], kTile, cascade[k] + first);
}

void FrontEnd::State::blurs(int run, int steps) {
  for (int step = run * kRun; step < std::min(steps, (run + 1) * kRun); ++step) {
    centre_blur(p.data() + step * kPixels, centre.data() + step * kPixels);
    surround_blur(p.data() + step * kPixels, around.data() + step * kPixels);
  }
}

void FrontEnd::State::bipolar_cells(int tile, int steps) {
  const int first = tile * kTile;
  const float surround_weight = weight(CentreSurround::surround_tau_s);
  const float slow_weight = weight(CentreSurround::transience_tau_s);
  const float slow_off_weight = weight(kSlowOffBipolar.tau_s), on_weight = weight(kOnBipolar.tau_s);
  const float surround_gain = static_cast<float>(CentreSurround::surround_gain);
  const float transience = static_cast<float>(CentreSurround::transience);
  for (int step = 0; step < steps; ++step) {
    // The three outputs overwrite the three inputs of the same tile and instant, which nobody needs any more.
    float* fast_off = p.data() + step * kPixels + first;
    float* slow_off = centre.data() + step * kPixels + first;
    float* on = around.data() + step * kPixels + first;
    float v[kTile], transient[kTile];
    low_pass(surround + first, on, surround_weight);
    for (int i = 0; i < kTile; ++i) v[i] = slow_off[i] - surround_gain * surround[first + i];
    low_pass(slow_v + first, v, slow_weight);
    for (int i = 0; i < kTile; ++i) transient[i] = v[i] - transience * slow_v[first + i];
    low_pass(slow_off_v + first, transient, slow_off_weight);
    low_pass(on_v + first, transient, on_weight);
    release(fast_off, fast_off_depot + first, transient, kFastOffBipolar);
    release(slow_off, slow_off_depot + first, slow_off_v + first, kSlowOffBipolar);
    release(on, on_depot + first, on_v + first, kOnBipolar);
    if (synapses) synapses->pass(first, step, fast_off, slow_off, on);
  }
}

void FrontEnd::State::pool(int run, int steps) {
  const float on_share = static_cast<float>(Amacrine::local_on_weight);
  for (int step = run * kRun; step < std::min(steps, (run + 1) * kRun); ++step) {
    const float* fast_off = p.data() + step * kPixels;
    const float* slow_off = centre.data() + step * kPixels;
    const float* on = around.data() + step * kPixels;
    PixelMap both, sum;
    for (int i = 0; i < kPixels; ++i) {
      both[i] = fast_off[i] + on[i];
      sum[i] = fast_off[i] + on_share * on[i];
    }
    const float* local = synapses ? synapses->amacrine.data() + step * kPixels : sum.data();
    const float* fast_contact = synapses ? synapses->fast_contact.data() + step * kPixels : fast_off;
    const float* slow_contact = synapses ? synapses->slow_contact.data() + step * kPixels : slow_off;
    for (int c = 0; c < kCells; ++c) {
      double own = 0.0;
      switch (kRetina[c].type) {
        case CellType::kFastOff:
          own = weighted_sum(fast_contact, pools[c].bipolar);
          break;
        case CellType::kSlowOff:
          own = weighted_sum(slow_contact, pools[c].bipolar);
          break;
        case CellType::kOnOff:
          own = kOnOffWeight * weighted_sum(both.data(), pools[c].bipolar);
          break;
        case CellType::kOn:
          own = weighted_sum(on, pools[c].bipolar);
          break;
      }
      inputs[step * kCells + c] = {own, weighted_sum(local, pools[c].local),
                                   weighted_sum(both.data(), pools[c].wide),
                                   synapses ? weighted_sum(on, pools[c].bipolar) : 0.0};
    }
  }
}

FrontEnd::FrontEnd(int threads, Circuit circuit)
    : threads_(threads), state_(std::make_unique<State>(circuit)) {
  reset();
}
FrontEnd::FrontEnd(const FrontEnd& other)
    : threads_(other.threads_), state_(std::make_unique<State>(*other.state_)) {}
FrontEnd::~FrontEnd() = default;

void FrontEnd::reset() { state_->rest_at_grey(); }

std::vector<float> FrontEnd::run(std::span<const std::uint8_t> movie) {
  return run_movie(movie, [](std::uint8_t level) { return static_cast<float>(level) / kLevelsPerUnit; });
}
std::vector<float> FrontEnd::run(std::span<const float> movie) {
  return run_movie(movie, [](float intensity) { return intensity; });
}

template <class Level, class Intensity>
std::vector<float> FrontEnd::run_movie(std::span<const Level> movie, Intensity intensity) {
  if (movie.size() % kPixels != 0) {
    throw std::invalid_argument(
        fmt::format("retina front end: a movie of {} pixels is not a whole number of {}x{} frames",
                    movie.size(), kSize, kSize));
  }
  State& s = *state_;
  const std::size_t frames = movie.size() / kPixels;
  std::vector<float> drive(kCells * frames);
  for (std::size_t first = 0; first < frames; first += kChunkFrames) {
    const int count = static_cast<int>(std::min<std::size_t>(kChunkFrames, frames - first));
    const int steps = count * kStepsPerFrame;
    const int runs = (steps + kRun - 1) / kRun;
    std::transform(
        movie.begin() + static_cast<std::ptrdiff_t>(first * kPixels),
        movie.begin() + static_cast<std::ptrdiff_t>((first + static_cast<std::size_t>(count)) * kPixels),
        s.light.begin(), intensity);
    for_parts(threads_, kTiles, [&](int tile) { on_widest_lanes([&] { s.photoreceptors(tile, count); }); });
    for_parts(threads_, runs, [&](int run) { s.blurs(run, steps); });
    for_parts(threads_, kTiles, [&](int tile) { on_widest_lanes([&] { s.bipolar_cells(tile, steps); }); });
    for_parts(threads_, runs, [&](int run) { on_widest_lanes([&] { s.pool(run, steps); }); });
    for (int c = 0; c < kCells; ++c) {
      for (int step = 0; step < steps; ++step) {
        const double d = s.cells[c].step(s.inputs[step * kCells + c]);
        if (step % kStepsPerFrame == kStepsPerFrame - 1) {
          drive[static_cast<std::size_t>(c) * frames + first +
                static_cast<std::size_t>(step / kStepsPerFrame)] = static_cast<float>(d);
        }
      }
    }
  }
  return drive;
}

}  // namespace fovea::retina

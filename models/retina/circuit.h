// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <limits>
#include <string_view>

/// The simulated retina's wiring and constants, in one place. They are fixed: nothing in this program tunes
/// them, and alpha (the gain of each cell's output) is the only quantity that is ever calibrated.
/// models/retina/simulator.md tells what the circuit contains, where it comes from and what it cannot show.
namespace fovea::retina {

inline constexpr int kSize = 50;  ///< stimulus is kSize × kSize pixels; one pixel = 55.55 µm
inline constexpr int kPixels = kSize * kSize;
inline constexpr int kFramesPerSecond = 100;  ///< one stimulus frame and one response bin = 10 ms
inline constexpr double kFrame_s = 0.01;
inline constexpr int kStepsPerFrame = 2;  ///< the circuit is integrated in steps of 5 ms
inline constexpr double kStep_s = kFrame_s / kStepsPerFrame;
inline constexpr int kBinsPerFrame = 10;  ///< spikes are drawn in sub-bins of 1 ms
inline constexpr int kCells = 8;

/// Frames at the start of each block in which the slow adaptation (seconds) still settles from the grey
/// start. They are part of a recording; fits and scores on simulated data leave them out.
inline constexpr int kAdaptationFrames = 300;

enum class CellType : std::uint8_t { kFastOff, kSlowOff, kOnOff, kOn };
std::string_view name(CellType type);

/// A ganglion cell: its kind and the centre of its receptive field, in stimulus pixels from the top left.
struct Cell {
  CellType type;
  int row, col;
};

inline constexpr std::array<Cell, kCells> kRetina{{
    {CellType::kFastOff, 21, 18},
    {CellType::kFastOff, 24, 26},
    {CellType::kFastOff, 30, 20},
    {CellType::kSlowOff, 22, 30},
    {CellType::kSlowOff, 28, 28},
    {CellType::kOnOff, 18, 22},
    {CellType::kOnOff, 27, 22},
    {CellType::kOn, 25, 25},
}};

/// Which circuit is simulated: the standard one, or the one that adds what `Predictive` holds.
enum class Circuit : std::uint8_t { kStandard, kPredictive };
std::string_view name(Circuit circuit);  ///< "standard", "predictive"

/// Photoreceptor: p = y(1+β)/(1+βz) − 1, y a cascade of 5 low-passes, z = γ·y + (1−γ)·(cascade of 11).
struct Photoreceptor {
  static constexpr int y_stages = 5, z_stages = 11;
  static constexpr double y_tau_s = 0.016, z_tau_s = 0.009, gamma = 0.23, beta = 1.0;
};

/// Outer retina: v = G_centre·p − gain·LP(G_surround·p), then v_t = v − transience·LP(v).
struct CentreSurround {
  static constexpr double centre_px = 0.5, surround_px = 4.0, surround_gain = 0.7, surround_tau_s = 0.060;
  static constexpr double transience = 0.75, transience_tau_s = 0.120;
};

/// One kind of bipolar subunit: release = D·q(±LP(v_t) − threshold), dD/dt = (1−D)/recovery − use·D·q.
struct Bipolar {
  double sign, tau_s, threshold, use_per_s;
};
inline constexpr double kReleaseSharpness = 30.0;  ///< q(x) = log(1 + e^{30x})/30
inline constexpr double kDepressionRecovery_s = 0.35;
inline constexpr Bipolar kFastOffBipolar{-1.0, 0.0, 0.05, 6.0};
inline constexpr Bipolar kSlowOffBipolar{-1.0, 0.035, 0.025, 3.0};
inline constexpr Bipolar kOnBipolar{1.0, 0.025, 0.05, 6.0};

/// Amacrine cells. OFF input is the fast OFF release.
///   local A1 = LP(G_local (r_OFF + on_weight·r_ON)), seen through the ganglion cell's G_reach
///   wide  A2 = [a − transience·LP(a)]_+ , a = LP(G_wide (r_OFF + r_ON)) at the cell's centre
struct Amacrine {
  static constexpr double local_px = 2.5, local_tau_s = 0.040, local_on_weight = 0.6, reach_px = 3.5;
  static constexpr double wide_px = 10.0, wide_tau_s = 0.020, wide_transience = 0.7,
                          wide_transience_tau_s = 0.150;
  static constexpr int local_delay_steps = 5;  // 25 ms
  static constexpr int wide_delay_steps = 3;   // 15 ms
};

/// What differs between the kinds of ganglion cell. The last three are inputs that only the predictive circuit has.
struct Ganglion {
  double centre_px;           ///< σ_c of the pooled bipolar release
  double local_gain;          ///< k1
  double wide_gain;           ///< k2
  double threshold;           ///< θ of the output nonlinearity
  double on_gain = 0.0;       ///< of ON release into an OFF cell
  double slow_on_gain = 0.0;  ///< the same through a slow cell that crossover inhibition silences
  double crossover_gain = 0.0;
};
constexpr Ganglion ganglion(CellType type, Circuit circuit = Circuit::kStandard) {
  const bool predictive = circuit == Circuit::kPredictive;
  switch (type) {
    case CellType::kFastOff:
      return predictive ? Ganglion{2.2, 1.6, 0.84, 0.9, 0.2, 2.8, 2.3} : Ganglion{2.2, 0.7, 0.9, 0.9};
    case CellType::kSlowOff:
      return predictive ? Ganglion{2.6, 1.5, 0.33, 0.7, 0.11, 2.4, 2.1} : Ganglion{2.6, 0.4, 0.5, 0.7};
    case CellType::kOnOff:
      return predictive ? Ganglion{2.2, 1.6, 0.32, 0.9} : Ganglion{2.2, 0.7, 1.2, 0.9};
    case CellType::kOn:
      break;
  }
  return predictive ? Ganglion{2.2, 1.6, 0.13, 0.9} : Ganglion{2.2, 0.7, 0.5, 0.9};
}
inline constexpr double kOnOffWeight = 0.8;  ///< ON-OFF cells pool 0.8·(r_OFF + r_ON)

/// A ganglion cell's membrane, x, and the gain control after it:
///   τ dx/dt = E − I − (1 + G)·x,  G = LP(E)/conductance_half,  E excitation, I inhibition
///   d = (x − μ) / ((1 + h/gain_half)(√P + power_floor)),  h = LP([x]_+), μ and P the slow mean and power
struct GainControl {
  double tau_s, conductance_half,
      conductance_tau_s;  ///< a half of infinity: no conductance, a plain low-pass
  double gain_tau_s, gain_half;
  static constexpr double mean_tau_s = 1.0, power_tau_s = 2.0, power_floor = 0.002;
};
constexpr GainControl gain_control(CellType type, Circuit circuit) {
  if (circuit == Circuit::kPredictive) {
    if (type == CellType::kSlowOff) return {0.041, 0.026, 0.087, 0.062, 0.022};
    return {0.056, 0.018, 0.087, 0.062, 0.0051};
  }
  return {0.010, std::numeric_limits<double>::infinity(), 0.010, 0.170, 0.02};
}

/// A synapse that tires: of what arrives, r, it passes D·r on, dD/dt = (1 − D)/recovery − use·D·r.
struct Depression {
  double recovery_s, use_per_s;
};

/// What the predictive circuit has beyond the standard one; simulator.md names the sources.
///   contact     synapse of an OFF bipolar cell on a ganglion cell of its kind
///   inhibition  synapse of an OFF or ON bipolar cell on a local amacrine cell, and with it the inhibition
///   crossover   excitation [slow_on_gain·LP_on(r_ON) − crossover_gain·LP_inhibition(A1 delayed)]_+ of OFF cells
/// These constants and the gains above were chosen once, by a random search for the answers to probes that
/// simulator.md tells, and then fixed. They are not fitted to a recording.
struct Predictive {
  static constexpr Depression contact{0.35, 20.0}, inhibition{0.5, 120.0};
  static constexpr double local_tau_s = 0.071;  ///< of A1, instead of Amacrine::local_tau_s
  static constexpr double on_tau_s = 0.089, crossover_tau_s = 0.029;
};

/// Output: λ = α·s·log(1 + e^{(d+η−θ)/s}) Hz, then spikes with an absolute and a relative refractory period.
struct SpikeOutput {
  static constexpr double softness = 0.25;  // s
  static constexpr double noise_sd = 0.35, noise_tau_s = 0.020;
  static constexpr int silent_bins = 3;         // ms
  static constexpr double recovery_bins = 6.0;  // ms
  static constexpr double calibrated_rate_hz = 4.0;
  static constexpr int calibration_passes = 4;
  static constexpr double first_alpha = 80.0;  // start of the passes; the result forgets it
};

}  // namespace fovea::retina

// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>

#include "models/retina/circuit.h"

namespace fovea::retina {

/// What one ganglion cell receives in one step: sums over the maps of bipolar release.
struct CellInput {
  double bipolar;         ///< own bipolar cells under G_σc
  double local_amacrine;  ///< r_OFF + 0.6 r_ON as the local amacrine cells and the cell's reach see it
  double wide_amacrine;   ///< r_OFF + r_ON under the wide field at the cell's centre
  double on;              ///< ON release under G_σc; predictive circuit only, else 0
};

/// Low-pass filter with a state: y += weight·(x − y).
class LowPass {
 public:
  explicit LowPass(double tau_s);
  void rest_at(double x) { y_ = x; }
  double operator()(double x) { return y_ += weight_ * (x - y_); }

 private:
  double weight_, y_ = 0.0;
};

/// Ring of the last kSteps values.
template <int kSteps>
class Delay {
 public:
  void rest_at(double x) { past_.fill(x); }
  /// Stores x and returns what was stored kSteps steps ago.
  double operator()(double x) {
    const double then = past_[at_];
    past_[at_] = x;
    at_ = (at_ + 1) % kSteps;
    return then;
  }

 private:
  std::array<double, kSteps> past_{};
  int at_ = 0;
};

/// A membrane that conductance makes faster and less sensitive: τ dx/dt = current − (1 + conductance)·x, by
/// implicit Euler steps that are the steps of LowPass where there is no conductance.
class Membrane {
 public:
  explicit Membrane(double tau_s);
  void rest_at(double x) { x_ = x; }
  double operator()(double current, double conductance) {
    const double total = 1.0 + conductance;
    const double weight = weight_ * total / (1.0 + weight_ * conductance);
    return x_ += weight * (current / total - x_);
  }

 private:
  double weight_, x_ = 0.0;
};

/// From pooled release to the drive d: amacrine time courses and delays, ganglion drive, gain control.
class GanglionCell {
 public:
  GanglionCell(CellType type, Circuit circuit);
  /// Steady state under a constant input; the power estimate starts at 0.
  void rest_at(const CellInput& input);
  /// One step of kStep_s; returns d.
  double step(const CellInput& input);

 private:
  /// What the cell's bipolar synapses bring, given the inhibition that crosses over from the OFF side.
  double excitation(const CellInput& input, double slow_on, double crossover) const;

  Ganglion kind_;
  GainControl control_;
  LowPass local_, wide_, wide_mean_, on_, crossover_, conductance_, gain_, mean_, power_;
  Membrane drive_;
  Delay<Amacrine::local_delay_steps> local_past_;
  Delay<Amacrine::wide_delay_steps> wide_past_;
};

}  // namespace fovea::retina

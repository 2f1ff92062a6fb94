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

/// From pooled release to the drive d: amacrine time courses and delays, ganglion drive, gain control.
class GanglionCell {
 public:
  explicit GanglionCell(CellType type);
  /// Steady state under a constant input; the power estimate starts at 0.
  void rest_at(const CellInput& input);
  /// One step of kStep_s; returns d.
  double step(const CellInput& input);

 private:
  Ganglion kind_;
  LowPass local_, wide_, wide_mean_, drive_, gain_, mean_, power_;
  Delay<Amacrine::local_delay_steps> local_past_;
  Delay<Amacrine::wide_delay_steps> wide_past_;
};

}  // namespace fovea::retina

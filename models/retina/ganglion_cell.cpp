// SPDX-License-Identifier: Apache-2.0
#include "models/retina/ganglion_cell.h"

#include <algorithm>
#include <cmath>

#include "models/retina/arithmetic.h"

namespace fovea::retina {

LowPass::LowPass(double tau_s) : weight_(low_pass_weight(kStep_s, tau_s)) {}
Membrane::Membrane(double tau_s) : weight_(low_pass_weight(kStep_s, tau_s)) {}

GanglionCell::GanglionCell(CellType type, Circuit circuit)
    : kind_(ganglion(type, circuit)),
      control_(gain_control(type, circuit)),
      local_(circuit == Circuit::kPredictive ? Predictive::local_tau_s : Amacrine::local_tau_s),
      wide_(Amacrine::wide_tau_s),
      wide_mean_(Amacrine::wide_transience_tau_s),
      on_(Predictive::on_tau_s),
      crossover_(Predictive::crossover_tau_s),
      conductance_(control_.conductance_tau_s),
      gain_(control_.gain_tau_s),
      mean_(GainControl::mean_tau_s),
      power_(GainControl::power_tau_s),
      drive_(control_.tau_s) {}

double GanglionCell::excitation(const CellInput& input, double slow_on, double crossover) const {
  return input.bipolar + kind_.on_gain * input.on +
         std::max(0.0, kind_.slow_on_gain * slow_on - kind_.crossover_gain * crossover);
}

void GanglionCell::rest_at(const CellInput& input) {
  local_.rest_at(input.local_amacrine);
  local_past_.rest_at(input.local_amacrine);
  wide_.rest_at(input.wide_amacrine);
  wide_mean_.rest_at(input.wide_amacrine);
  const double wide = (1.0 - Amacrine::wide_transience) * input.wide_amacrine;
  wide_past_.rest_at(wide);
  on_.rest_at(input.on);
  crossover_.rest_at(input.local_amacrine);
  const double e = excitation(input, input.on, input.local_amacrine);
  conductance_.rest_at(e);
  const double x = (e - kind_.local_gain * input.local_amacrine - kind_.wide_gain * wide) /
                   (1.0 + e / control_.conductance_half);
  drive_.rest_at(x);
  mean_.rest_at(x);
  gain_.rest_at(std::max(x, 0.0));
  power_.rest_at(0.0);
}

double GanglionCell::step(const CellInput& input) {
  // Low-pass and pooling over space commute, so the time course of the local amacrine cells acts on their
  // pool.
  const double local = local_past_(local_(input.local_amacrine));
  const double a = wide_(input.wide_amacrine);
  const double wide = wide_past_(std::max(0.0, a - Amacrine::wide_transience * wide_mean_(a)));
  const double e = excitation(input, on_(input.on), crossover_(local));
  const double x = drive_(e - kind_.local_gain * local - kind_.wide_gain * wide,
                          conductance_(e) / control_.conductance_half);

  const double gain = gain_(std::max(x, 0.0));
  const double deviation = x - mean_(x);
  const double power = power_(deviation * deviation);
  return deviation / ((1.0 + gain / control_.gain_half) * (std::sqrt(power) + GainControl::power_floor));
}

}  // namespace fovea::retina

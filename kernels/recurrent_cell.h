// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/function.h"
#include "kernels/host_device.h"

/// The pointwise half of a step of an LSTM and of a GRU, and its slope: once for one number (CUDA) and for a vector
/// of them (CPU). T has + − · and the functions logistic and hyperbolic.
namespace fovea {

FOVEA_HOST_DEVICE float logistic(float x) { return value_of<Function::sigmoid>(x); }
FOVEA_HOST_DEVICE float hyperbolic(float x) { return value_of<Function::tanh>(x); }

/// The gates i, f, g, o come as sums and leave activated.
template <class T>
FOVEA_HOST_DEVICE void lstm_step(T (&gates)[4], T c_before, T& c, T& h) {
  for (int j = 0; j < 4; ++j) gates[j] = j == 2 ? hyperbolic(gates[j]) : logistic(gates[j]);
  c = gates[1] * c_before + gates[0] * gates[2];
  h = gates[3] * hyperbolic(c);
}

/// The gates r, z and x's part of n come as sums and leave activated; `hidden` is h's part of n.
template <class T>
FOVEA_HOST_DEVICE void gru_step(T (&gates)[3], T hidden, T h_before, T& h) {
  for (int j = 0; j < 2; ++j) gates[j] = logistic(gates[j]);
  gates[2] = hyperbolic(gates[2] + gates[0] * hidden);
  h = gates[2] + gates[1] * (h_before - gates[2]);
}

/// The slopes of the four sums, in `d`. `dc` comes as what the step after gives this step's c, and leaves as what this
/// step gives c_before.
template <class T>
FOVEA_HOST_DEVICE void lstm_slope(const T (&gates)[4], T c_before, T c, T dh, T& dc, T (&d)[4]) {
  const T i = gates[0], f = gates[1], g = gates[2], o = gates[3];
  const T tanh_c = hyperbolic(c), through_c = dh * o;
  const T sum = dc + (through_c - through_c * tanh_c * tanh_c);
  d[0] = sum * g * (i - i * i);
  d[1] = sum * c_before * (f - f * f);
  d[2] = sum * (i - i * g * g);
  d[3] = dh * tanh_c * (o - o * o);
  dc = sum * f;
}

/// The slopes of the three sums, n's by x's part, in `d`, by h's part of n in `d_hidden`, and in `direct` what goes to
/// h_before past the gates.
template <class T>
FOVEA_HOST_DEVICE void gru_slope(const T (&gates)[3], T hidden, T h_before, T dh, T (&d)[3], T& d_hidden,
                                 T& direct) {
  const T r = gates[0], z = gates[1], n = gates[2];
  direct = dh * z;
  const T dn = dh - direct;
  d[2] = dn - dn * n * n;
  d[1] = dh * (h_before - n) * (z - z * z);
  d[0] = d[2] * hidden * (r - r * r);
  d_hidden = d[2] * r;
}

}  // namespace fovea

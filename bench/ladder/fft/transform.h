// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <utility>

#include "bench/ladder/fft/plan.h"

/// A fast Fourier transform of length 2^a·3^b·5^c for numbers whose parts are of a type R: one float (rung 2), or the
/// lanes of a vector, in which many transforms run side by side (rungs 3 and 4). R has +, -, *, fma(a, b, c) = a·b + c
/// and R::all(float). Internal linkage: each instruction set has its own copy.
///
/// The method is Stockham's: each stage reads one array and writes another, in such an order that the result needs no
/// sorting. source: C. Van Loan, Computational Frameworks for the Fast Fourier Transform, SIAM 1992, §1.7
namespace fovea::bench::ladder {
namespace {

template <class R>
struct Complex {
  R re, im;
  friend Complex operator+(Complex a, Complex b) { return {a.re + b.re, a.im + b.im}; }
  friend Complex operator-(Complex a, Complex b) { return {a.re - b.re, a.im - b.im}; }
};

/// exp(sign·2πi·k/length) as its parts.
struct Root {
  float re, im;
};
template <int sign>
Root root(const Plan& plan, std::int64_t k) {
  return {plan.cosine[k % plan.length], static_cast<float>(sign) * plan.sine[k % plan.length]};
}

template <class R>
Complex<R> times(Complex<R> a, Root w) {
  const R re = R::all(w.re), im = R::all(w.im);
  return {fma(R::all(-w.im), a.im, re * a.re), fma(re, a.im, im * a.re)};
}

/// sign·i·a
template <int sign, class R>
Complex<R> turned(Complex<R> a) {
  const R zero = R::all(0.0f);
  if constexpr (sign < 0) return {a.im, zero - a.re};
  return {zero - a.im, a.re};
}

/// b + factor·a
template <class R>
Complex<R> add_scaled(float factor, Complex<R> a, Complex<R> b) {
  const R f = R::all(factor);
  return {fma(f, a.re, b.re), fma(f, a.im, b.im)};
}
template <class R>
Complex<R> scaled(float factor, Complex<R> a) {
  return {R::all(factor) * a.re, R::all(factor) * a.im};
}

/// The transforms of lengths 2 to 5, in place.
template <int sign, class R>
void short_transform(Complex<R> (&a)[2]) {
  a[1] = std::exchange(a[0], a[0] + a[1]) - a[1];
}
template <int sign, class R>
void short_transform(Complex<R> (&a)[3]) {
  const Complex<R> sum = a[1] + a[2], turn = turned<sign>(scaled(0.866025404f, a[1] - a[2]));  // sin 60°
  const Complex<R> even = add_scaled(-0.5f, sum, a[0]);
  a[0] = a[0] + sum;
  a[1] = even + turn;
  a[2] = even - turn;
}
template <int sign, class R>
void short_transform(Complex<R> (&a)[4]) {
  const Complex<R> even = a[0] + a[2], odd = a[1] + a[3], difference = a[0] - a[2],
                   turn = turned<sign>(a[1] - a[3]);
  a[0] = even + odd;
  a[1] = difference + turn;
  a[2] = even - odd;
  a[3] = difference - turn;
}
template <int sign, class R>
void short_transform(Complex<R> (&a)[5]) {
  constexpr float kCosine1 = 0.309016994f, kCosine2 = -0.809016994f;  // of 72° and 144°
  constexpr float kSine1 = 0.951056516f, kSine2 = 0.587785252f;
  const Complex<R> sum1 = a[1] + a[4], sum2 = a[2] + a[3], apart1 = a[1] - a[4], apart2 = a[2] - a[3];
  const Complex<R> even1 = add_scaled(kCosine2, sum2, add_scaled(kCosine1, sum1, a[0]));
  const Complex<R> even2 = add_scaled(kCosine1, sum2, add_scaled(kCosine2, sum1, a[0]));
  const Complex<R> turn1 = turned<sign>(add_scaled(kSine2, apart2, scaled(kSine1, apart1)));
  const Complex<R> turn2 = turned<sign>(add_scaled(-kSine1, apart2, scaled(kSine2, apart1)));
  a[0] = a[0] + sum1 + sum2;
  a[1] = even1 + turn1;
  a[2] = even2 + turn2;
  a[3] = even2 - turn2;
  a[4] = even1 - turn1;
}

/// One stage: `done` is the product of the factors before, `rest` that of this and those after it.
template <int sign, int factor, class R>
void stage(const Plan& plan, std::int64_t done, std::int64_t rest, const Complex<R>* from, Complex<R>* to) {
  const std::int64_t parts = rest / factor;
  for (std::int64_t k = 0; k < parts; ++k) {
    Root roots[factor];
    for (int j = 1; j < factor; ++j) roots[j] = root<sign>(plan, j * k * done);
    for (std::int64_t q = 0; q < done; ++q) {
      Complex<R> a[factor];
#pragma GCC unroll 5
      for (int j = 0; j < factor; ++j) a[j] = from[q + done * (k + parts * j)];
      short_transform<sign>(a);
      to[q + done * factor * k] = a[0];
#pragma GCC unroll 5
      for (int j = 1; j < factor; ++j)
        to[q + done * (factor * k + j)] = k == 0 ? a[j] : times(a[j], roots[j]);
    }
  }
}

/// out[k] = Σ_t x[t]·exp(sign·2πi·k·t/length), not scaled. x and other  `length` numbers each, both overwritten
/// returns  the one of them that holds the result
template <int sign, class R>
Complex<R>* transform(const Plan& plan, Complex<R>* x, Complex<R>* other) {
  std::int64_t done = 1, rest = plan.length;
  for (int i = 0; i < plan.factors; ++i) {
    switch (plan.factor[i]) {
      case 2:
        stage<sign, 2>(plan, done, rest, x, other);
        break;
      case 3:
        stage<sign, 3>(plan, done, rest, x, other);
        break;
      case 4:
        stage<sign, 4>(plan, done, rest, x, other);
        break;
      default:
        stage<sign, 5>(plan, done, rest, x, other);
    }
    done *= plan.factor[i];
    rest /= plan.factor[i];
    Complex<R>* const result = other;
    other = x;
    x = result;
  }
  return x;
}

}  // namespace
}  // namespace fovea::bench::ladder

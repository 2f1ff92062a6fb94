// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/conv2d_algorithm.h"
#include "kernels/cpu/counts.h"
#include "kernels/cpu/vec.h"

/// Discrete Fourier transforms of complex vectors: one transform for each lane, so that no butterfly shuffles.
///
/// X[k] = Σ_j x[j]·e^(∓2πi·jk/n), minus forward and plus inverse, neither scaled. A length is a product a·b of
/// small factors. With j = j1·b + j2 and k = k1 + a·k2 (Cooley & Tukey 1965)
///
///   X[k1 + a·k2] = Σ_j2 e^(-2πi·j2·k2/b) · e^(-2πi·j2·k1/n) · Σ_j1 x[j1·b + j2]·e^(-2πi·j1·k1/a)
///
/// so the data pass through memory twice, and each inner sum is done in registers. Factors that are products of
/// coprime numbers (6, 10) need no twiddles inside (Good 1958).
namespace fovea::cpu {
namespace {

struct Complex {
  Vec re, im;
  static Complex load(const float* p) { return {Vec::load(p), Vec::load(p + Vec::kLanes)}; }
  void store(float* p) const {
    re.store(p);
    im.store(p + Vec::kLanes);
  }
  friend Complex operator+(Complex a, Complex b) { return {a.re + b.re, a.im + b.im}; }
  friend Complex operator-(Complex a, Complex b) { return {a.re - b.re, a.im - b.im}; }
};
/// Floats of a complex vector: kLanes real parts, kLanes imaginary ones.
constexpr Index kLine = 2 * Vec::kLanes;

// a + i·b and a - i·b
[[gnu::always_inline]] inline Complex plus_i(Complex a, Complex b) { return {a.re - b.im, a.im + b.re}; }
[[gnu::always_inline]] inline Complex minus_i(Complex a, Complex b) { return {a.re + b.im, a.im - b.re}; }

[[gnu::always_inline]] inline Complex times(Complex a, float re, float im) {
  const Vec r = Vec::all(re), i = Vec::all(im);
  return {fms(a.re, r, a.im * i), fma(a.re, i, a.im * r)};
}

/// cos and sin of x, |x| ≤ 2π, for tables: Taylor series in double, far below the rounding of a float.
constexpr double cosine(double x) {
  double sum = 0, term = 1;
  for (int k = 1; k < 60; k += 2) {
    sum += term;
    term *= -x * x / (k * (k + 1));
  }
  return sum;
}
constexpr double sine(double x) {
  double sum = 0, term = x;
  for (int k = 2; k < 60; k += 2) {
    sum += term;
    term *= -x * x / (k * (k + 1));
  }
  return sum;
}
constexpr double kPi = 3.14159265358979323846;

// Transforms in registers, in place.

[[gnu::always_inline]] inline void dft(Complex (&x)[2]) {
  const Complex sum = x[0] + x[1];
  x[1] = x[0] - x[1];
  x[0] = sum;
}

[[gnu::always_inline]] inline void dft(Complex (&x)[3]) {
  const Vec half = Vec::all(0.5f), root = Vec::all(static_cast<float>(sine(2 * kPi / 3)));
  const Complex sum = x[1] + x[2], d = x[1] - x[2];
  const Complex middle = {fnma(half, sum.re, x[0].re), fnma(half, sum.im, x[0].im)};
  x[0] = x[0] + sum;
  x[1] = {fma(root, d.im, middle.re), fnma(root, d.re, middle.im)};
  x[2] = {fnma(root, d.im, middle.re), fma(root, d.re, middle.im)};
}

[[gnu::always_inline]] inline void dft(Complex (&x)[4]) {
  const Complex a = x[0] + x[2], b = x[0] - x[2], c = x[1] + x[3], d = x[1] - x[3];
  x[0] = a + c;
  x[1] = minus_i(b, d);
  x[2] = a - c;
  x[3] = plus_i(b, d);
}

[[gnu::always_inline]] inline void dft(Complex (&x)[5]) {
  const Vec c1 = Vec::all(static_cast<float>(cosine(2 * kPi / 5)));
  const Vec c2 = Vec::all(static_cast<float>(cosine(4 * kPi / 5)));
  const Vec s1 = Vec::all(static_cast<float>(sine(2 * kPi / 5)));
  const Vec s2 = Vec::all(static_cast<float>(sine(4 * kPi / 5)));
  const Complex t1 = x[1] + x[4], t2 = x[2] + x[3], t3 = x[1] - x[4], t4 = x[2] - x[3];
  const Complex p1 = {fma(c2, t2.re, fma(c1, t1.re, x[0].re)), fma(c2, t2.im, fma(c1, t1.im, x[0].im))};
  const Complex p2 = {fma(c1, t2.re, fma(c2, t1.re, x[0].re)), fma(c1, t2.im, fma(c2, t1.im, x[0].im))};
  const Complex q1 = {fma(s2, t4.re, s1 * t3.re), fma(s2, t4.im, s1 * t3.im)};
  const Complex q2 = {fnma(s1, t4.re, s2 * t3.re), fnma(s1, t4.im, s2 * t3.im)};
  x[0] = x[0] + (t1 + t2);
  x[1] = minus_i(p1, q1);
  x[2] = minus_i(p2, q2);
  x[3] = plus_i(p2, q2);
  x[4] = plus_i(p1, q1);
}

/// 2·m with m odd: j = m·j1 + 2·j2 (mod 2m), and k is found by its remainders.
template <int m>
[[gnu::always_inline]] inline void dft_twice_odd(Complex (&x)[2 * m]) {
  Complex even[m], odd[m];
#pragma GCC unroll 5
  for (int j = 0; j < m; ++j) {
    even[j] = x[2 * j] + x[(2 * j + m) % (2 * m)];
    odd[j] = x[2 * j] - x[(2 * j + m) % (2 * m)];
  }
  dft(even);
  dft(odd);
#pragma GCC unroll 10
  for (int k = 0; k < 2 * m; ++k) x[k] = k % 2 == 0 ? even[k % m] : odd[k % m];
}
[[gnu::always_inline]] inline void dft(Complex (&x)[6]) { dft_twice_odd<3>(x); }
[[gnu::always_inline]] inline void dft(Complex (&x)[10]) { dft_twice_odd<5>(x); }

[[gnu::always_inline]] inline void dft(Complex (&x)[8]) {
  const Vec root = Vec::all(static_cast<float>(cosine(kPi / 4)));
  Complex even[4] = {x[0], x[2], x[4], x[6]}, odd[4] = {x[1], x[3], x[5], x[7]};
  dft(even);
  dft(odd);
  const Complex one = {root * (odd[1].re + odd[1].im), root * (odd[1].im - odd[1].re)};
  const Complex three = {root * (odd[3].im - odd[3].re), root * (odd[3].re + odd[3].im)};  // negated
  x[0] = even[0] + odd[0];
  x[4] = even[0] - odd[0];
  x[1] = even[1] + one;
  x[5] = even[1] - one;
  x[2] = minus_i(even[2], odd[2]);
  x[6] = plus_i(even[2], odd[2]);
  x[3] = {even[3].re + three.re, even[3].im - three.im};
  x[7] = {even[3].re - three.re, even[3].im + three.im};
}

template <int a, int b>
struct Twiddles {
  float re[b][a] = {}, im[b][a] = {};
  constexpr Twiddles() {
    for (int j = 0; j < b; ++j)
      for (int k = 0; k < a; ++k) {
        re[j][k] = static_cast<float>(cosine(2 * kPi * j * k / (a * b)));
        im[j][k] = static_cast<float>(-sine(2 * kPi * j * k / (a * b)));
      }
  }
};
template <int a, int b>
constexpr Twiddles<a, b> kTwiddles;

alignas(64) constexpr float kZeroLine[kLine] = {};

/// Complex vectors at data, data + step, …: elements first, first + 1, … of a line. Of an input, the others are
/// zero; of a result, they are not wanted.
struct Part {
  Index step, first, count;
};

/// Lengths are template parameters, but data flow is not: two loops, each over sums in registers.
template <int a, int b, bool inverse>
void fft(const float* in, Part from, float* out, Part to) {
  alignas(64) float between[a * b * kLine];
  const auto swapped = [](Complex x) {
    return Complex{x.im, x.re};
  };  // makes an inverse of a forward transform
  for (int j = 0; j < b; ++j) {
    Complex x[a];
#pragma GCC unroll 10
    for (int i = 0; i < a; ++i) {
      const Index at = i * b + j - from.first;
      x[i] = Complex::load(static_cast<std::uint64_t>(at) < static_cast<std::uint64_t>(from.count)
                               ? in + at * from.step
                               : kZeroLine);
      if constexpr (inverse) x[i] = swapped(x[i]);
    }
    dft(x);
    x[0].store(between + j * kLine);
#pragma GCC unroll 10
    for (int k = 1; k < a; ++k)
      times(x[k], kTwiddles<a, b>.re[j][k], kTwiddles<a, b>.im[j][k]).store(between + (k * b + j) * kLine);
  }
  for (int k = 0; k < a; ++k) {
    Complex x[b];
#pragma GCC unroll 10
    for (int j = 0; j < b; ++j) x[j] = Complex::load(between + (k * b + j) * kLine);
    dft(x);
#pragma GCC unroll 10
    for (int j = 0; j < b; ++j) {
      const Index at = k + a * j - to.first;
      if (static_cast<std::uint64_t>(at) < static_cast<std::uint64_t>(to.count))
        (inverse ? swapped(x[j]) : x[j]).store(out + at * to.step);
    }
  }
}

/// The transforms of one length.
struct Fft {
  using Function = void (*)(const float* in, Part from, float* out, Part to);
  Index length;
  Function forward, inverse;
};
template <int a, int b>
constexpr Fft fft_of() {
  return {a * b, fft<a, b, false>, fft<a, b, true>};
}
constexpr Fft kFfts[] = {fft_of<4, 4>(),  fft_of<5, 4>(), fft_of<6, 4>(),  fft_of<8, 4>(),
                         fft_of<6, 6>(),  fft_of<8, 5>(), fft_of<8, 6>(),  fft_of<10, 5>(),
                         fft_of<10, 6>(), fft_of<8, 8>(), fft_of<10, 8>(), fft_of<10, 10>()};
static_assert([] {
  for (int i = 0; i < kFftLengthCount; ++i)
    if (kFfts[i].length != kFftLengths[i]) return false;
  return sizeof kFfts / sizeof kFfts[0] == kFftLengthCount;
}());

/// The shortest one of at least `count` elements, count ≤ the longest length.
[[maybe_unused]] const Fft& fft_for(Index count) {
  const Fft* fft = kFfts;
  while (fft->length < count) ++fft;
  return *fft;
}

}  // namespace
}  // namespace fovea::cpu

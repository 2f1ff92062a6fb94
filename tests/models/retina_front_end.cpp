// SPDX-License-Identifier: Apache-2.0
#include "models/retina/front_end.h"

#include <algorithm>
#include <cmath>
#include <deque>
#include <stdexcept>

#include <doctest/doctest.h>

#include "models/retina/arithmetic.h"
#include "models/retina/blur.h"
#include "models/retina/spikes.h"
#include "models/retina/stimuli.h"

using namespace fovea::retina;

namespace {

Movie scene(int frames, std::uint64_t seed) {
  const auto images = dead_leaves(6, seed, 0);
  return natural_movie(images, gaze_path(images, frames, seed, 0));
}

std::vector<float> drive(const Movie& movie, int threads = 1) {
  return FrontEnd(threads).run(std::span<const std::uint8_t>(movie.pixel));
}

using Map = std::vector<double>;

/// Gaussian blur as a plain double sum over the whole image.
Map blurred(const Map& in, double sigma) {
  auto pass = [&](const Map& from, int stride_along, int stride_across) {
    Map to(kPixels);
    for (int i = 0; i < kSize; ++i) {
      double norm = 0.0;
      for (int j = 0; j < kSize; ++j) norm += std::exp(-(i - j) * (i - j) / (2.0 * sigma * sigma));
      for (int line = 0; line < kSize; ++line) {
        double sum = 0.0;
        for (int j = 0; j < kSize; ++j) {
          sum += std::exp(-(i - j) * (i - j) / (2.0 * sigma * sigma)) / norm *
                 from[static_cast<std::size_t>(j * stride_along + line * stride_across)];
        }
        to[static_cast<std::size_t>(i * stride_along + line * stride_across)] = sum;
      }
    }
    return to;
  };
  return pass(pass(in, 1, kSize), kSize, 1);
}

/// The circuit again, written from its description in the plainest way: doubles, whole maps, each blur where
/// the text has it, library functions. Constants are repeated on purpose.
struct PlainRetina {
  std::vector<Map> y = std::vector<Map>(5, Map(kPixels, 1.0)), z = std::vector<Map>(11, Map(kPixels, 1.0));
  Map s = Map(kPixels), v_slow = s, slow_in = s, on_in = s, a1 = s, d_fast = s, d_slow = s, d_on = s;
  Map a2 = s, a2_slow = s;
  std::deque<Map> a1_past, a2_past;
  double x[8], h[8], mu[8], power[8] = {};

  static double lp(double& state, double in, double tau_ms) {
    return state += (1.0 - std::exp(-5.0 / tau_ms)) * (in - state);
  }
  static double q(double u) { return std::log(1.0 + std::exp(30.0 * u)) / 30.0; }

  PlainRetina() {
    auto rest = [](double threshold, double use, Map& depot) {
      const double d = 1.0 / (1.0 + 0.35 * use * q(-threshold));
      depot.assign(kPixels, d);
      return d * q(-threshold);
    };
    const double fast = rest(0.05, 6.0, d_fast), slow = rest(0.025, 3.0, d_slow), on = rest(0.05, 6.0, d_on);
    a1.assign(kPixels, fast + 0.6 * on);
    a2.assign(kPixels, fast + on);
    a2_slow = a2;
    a1_past.assign(5, a1);
    a2_past.assign(3, Map(kPixels, 0.3 * (fast + on)));
    for (int c = 0; c < 8; ++c) {
      const double own = c < 3 ? fast : c < 5 ? slow : c < 7 ? 0.8 * (fast + on) : on;
      const double k1 = c == 3 || c == 4 ? 0.4 : 0.7, k2 = c < 3 ? 0.9 : c == 5 || c == 6 ? 1.2 : 0.5;
      x[c] = mu[c] = own - k1 * (fast + 0.6 * on) - k2 * 0.3 * (fast + on);
      h[c] = std::max(0.0, x[c]);
    }
  }

  void step(const std::uint8_t* frame, double* d) {
    Map p(kPixels);
    for (int i = 0; i < kPixels; ++i) {
      const auto at = static_cast<std::size_t>(i);
      double in = frame[i] / 63.75;
      for (Map& stage : y) in = lp(stage[at], in, 16.0);
      in = frame[i] / 63.75;
      for (Map& stage : z) in = lp(stage[at], in, 9.0);
      const double zz = 0.23 * y[4][at] + 0.77 * z[10][at];
      p[at] = y[4][at] * 2.0 / (1.0 + zz) - 1.0;
    }
    const Map c = blurred(p, 0.5), wide = blurred(p, 4.0);
    Map fast(kPixels), slow(kPixels), on(kPixels), both(kPixels), local(kPixels);
    for (std::size_t i = 0; i < kPixels; ++i) {
      const double v = c[i] - 0.7 * lp(s[i], wide[i], 60.0);
      const double vt = v - 0.75 * lp(v_slow[i], v, 120.0);
      auto release = [](double signal, double use, double& depot) {
        const double out = depot * q(signal);
        depot += 0.005 * ((1.0 - depot) / 0.35 - use * out);
        return out;
      };
      fast[i] = release(-vt - 0.05, 6.0, d_fast[i]);
      slow[i] = release(-lp(slow_in[i], vt, 35.0) - 0.025, 3.0, d_slow[i]);
      on[i] = release(lp(on_in[i], vt, 25.0) - 0.05, 6.0, d_on[i]);
      both[i] = fast[i] + on[i];
      local[i] = fast[i] + 0.6 * on[i];
    }
    const Map local_in = blurred(local, 2.5), wide_in = blurred(both, 10.0);
    Map a2_out(kPixels);
    for (std::size_t i = 0; i < kPixels; ++i) {
      lp(a1[i], local_in[i], 40.0);
      const double a = lp(a2[i], wide_in[i], 20.0);
      a2_out[i] = std::max(0.0, a - 0.7 * lp(a2_slow[i], a, 150.0));
    }
    a1_past.push_back(a1);
    a2_past.push_back(a2_out);
    const Map inhibition = blurred(a1_past.front(), 3.5), transient = a2_past.front();
    a1_past.pop_front();
    a2_past.pop_front();
    const Map fast_pool = blurred(fast, 2.2), slow_pool = blurred(slow, 2.6), on_pool = blurred(on, 2.2);
    const int centre[8][2] = {{21, 18}, {24, 26}, {30, 20}, {22, 30}, {28, 28}, {18, 22}, {27, 22}, {25, 25}};
    for (int cell = 0; cell < 8; ++cell) {
      const auto at = static_cast<std::size_t>(centre[cell][0] * kSize + centre[cell][1]);
      const double own = cell < 3   ? fast_pool[at]
                         : cell < 5 ? slow_pool[at]
                         : cell < 7 ? 0.8 * (fast_pool[at] + on_pool[at])
                                    : on_pool[at];
      const double k1 = cell == 3 || cell == 4 ? 0.4 : 0.7, k2 = cell < 3                 ? 0.9
                                                                 : cell == 5 || cell == 6 ? 1.2
                                                                                          : 0.5;
      lp(x[cell], own - k1 * inhibition[at] - k2 * transient[at], 10.0);
      lp(h[cell], std::max(0.0, x[cell]), 170.0);
      lp(mu[cell], x[cell], 1000.0);
      const double e = x[cell] - mu[cell];
      lp(power[cell], e * e, 2000.0);
      d[cell] = e / ((1.0 + h[cell] / 0.02) * (std::sqrt(power[cell]) + 0.002));
    }
  }
};

}  // namespace

TEST_CASE("retina: elementary functions agree with the library") {
  for (float x = 0.0f; x < 86.0f; x += 0.0137f) {
    const double exact = std::exp(-static_cast<double>(x));
    REQUIRE(std::abs(static_cast<double>(exp_negative(x)) - exact) < 3e-7 * exact);
  }
  CHECK(exp_negative(1e9f) < 2e-38f);
  for (float x = -60.0f; x < 60.0f; x += 0.0173f) {
    const double exact = std::log1p(std::exp(static_cast<double>(x)));
    REQUIRE(std::abs(static_cast<double>(softplus(x)) - exact) <
            3e-7 * std::max(1.0, static_cast<double>(x)));
    // Relative accuracy matters in the tail: it is the rate of a quiet cell.
    REQUIRE(std::abs(static_cast<double>(softplus(x)) - exact) < 1e-6 * exact);
  }
}

TEST_CASE("retina: blurs keep a flat map flat, also at the edges, and pools compose") {
  PixelMap map, out, again;
  map.fill(0.75f);
  for (double sigma : {0.5, 2.5, 4.0}) {
    Blur blur(sigma);
    blur(map.data(), out.data());
    for (float v : out) REQUIRE(v == doctest::Approx(0.75).epsilon(1e-6));
  }
  for (int i = 0; i < kPixels; ++i)
    map[static_cast<std::size_t>(i)] = static_cast<float>((i * 7919) % 101) / 101.0f;
  Blur(2.5)(map.data(), out.data());
  Blur(3.5)(out.data(), again.data());
  for (const Cell& cell : kRetina) {
    auto seen = [&](const PixelMap& weights, const PixelMap& of) {
      double sum = 0.0;
      for (std::size_t i = 0; i < kPixels; ++i)
        sum += static_cast<double>(weights[i]) * static_cast<double>(of[i]);
      return sum;
    };
    CHECK(seen(gaussian_map(2.5, cell.row, cell.col), map) ==
          doctest::Approx(out[static_cast<std::size_t>(cell.row * kSize + cell.col)]).epsilon(1e-4));
    CHECK(seen(pooled_blur_map(2.5, 3.5, cell.row, cell.col), map) ==
          doctest::Approx(again[static_cast<std::size_t>(cell.row * kSize + cell.col)]).epsilon(1e-4));
  }
}

TEST_CASE("retina: the front end agrees with a plain double-precision writing of the circuit") {
  const int frames = 60;
  const Movie movie = scene(frames, 21);
  const auto fast = drive(movie);
  PlainRetina plain;
  double d[8];
  double largest = 0.0;
  for (int t = 0; t < frames; ++t) {
    for (int step = 0; step < 2; ++step) plain.step(movie.frame(t).data(), d);
    for (int cell = 0; cell < 8; ++cell) {
      largest = std::max(largest, std::abs(d[cell]));
      // 1e-3 covers the blurs' cut at 4σ (6e-5 of the weight) as the gain control magnifies it.
      REQUIRE(std::abs(static_cast<double>(fast[static_cast<std::size_t>(cell * frames + t)]) - d[cell]) <
              1e-3 * (1.0 + std::abs(d[cell])));
    }
  }
  CHECK(largest > 2.0);
}

TEST_CASE("retina: even grey leaves the cells at rest") {
  const std::vector<float> grey(200 * kPixels, 1.0f);
  for (float d : FrontEnd().run(std::span<const float>(grey))) REQUIRE(std::abs(d) < 2e-3f);
}

TEST_CASE("retina: a movie in pieces, on any number of threads, drives the cells alike to the last bit") {
  const Movie movie = scene(170, 4);
  const auto whole = drive(movie);
  for (int threads : {2, 3, 7}) CHECK(drive(movie, threads) == whole);

  FrontEnd front_end;
  const std::span<const std::uint8_t> pixels(movie.pixel);
  std::size_t first = 0;
  for (std::size_t count : {1u, 49u, 51u, 69u}) {
    const auto piece = front_end.run(pixels.subspan(first * kPixels, count * kPixels));
    for (std::size_t cell = 0; cell < kCells; ++cell) {
      for (std::size_t t = 0; t < count; ++t)
        REQUIRE(piece[cell * count + t] == whole[cell * 170 + first + t]);
    }
    first += count;
  }
  front_end.reset();
  CHECK(front_end.run(pixels) == whole);
  CHECK(front_end.run(std::span<const std::uint8_t>{}).empty());
  CHECK_THROWS_AS(front_end.run(pixels.first(kPixels + 1)), std::invalid_argument);
}

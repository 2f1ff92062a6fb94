// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>
#include <limits>
#include <string>

#include <doctest/doctest.h>

#include "models/retina/ganglion_cell.h"
#include "models/retina/probe_movies.h"
#include "models/retina/recording.h"
#include "models/retina/simulator.h"

using namespace fovea::retina;

namespace {

using Course = std::vector<double>;

/// Both retinas, calibrated on the same scenes; rates averaged over the cells of a kind.
struct Retina {
  explicit Retina(Circuit circuit) : simulator(dead_leaves(40, 1, 0), 1, 2, 60.0, circuit) {}

  Course mean(CellType type, const std::vector<float>& movie) const {
    const std::vector<float> rate = simulator.rates(movie);
    const std::size_t frames = movie.size() / kPixels;
    Course sum(frames);
    double cells = 0.0;
    for (std::size_t c = 0; c < kCells; ++c) {
      if (kRetina[c].type != type) continue;
      cells += 1.0;
      for (std::size_t t = 0; t < frames; ++t) sum[t] += static_cast<double>(rate[c * frames + t]);
    }
    for (double& r : sum) r /= cells;
    return sum;
  }

  Simulator simulator;
};

const Retina& standard() {
  static const Retina retina(Circuit::kStandard);
  return retina;
}
const Retina& predictive() {
  static const Retina retina(Circuit::kPredictive);
  return retina;
}

std::size_t peak_frame(const Course& rate, int first, int last) {
  return static_cast<std::size_t>(std::max_element(rate.begin() + first, rate.begin() + last) - rate.begin());
}

struct Omission {
  double steady_hz, burst_hz, latency_ms;  ///< latency from the onset of the last flash
};
Omission omission(const Retina& retina, CellType type, int interval) {
  const FlashTrain train{.interval = interval};
  const Course rate = retina.mean(type, full_field(omitted_flash(train)));
  // An answer takes at least 30 ms, so what comes earlier belongs to the last flash.
  const int omitted = train.onset(train.flashes) + 3;
  const std::size_t burst = peak_frame(rate, omitted, omitted + 17);
  return {rate[peak_frame(rate, train.onset(train.flashes - 3), omitted)], rate[burst],
          10.0 * (static_cast<double>(burst) - train.onset(train.flashes - 1))};
}

/// Highest rate of a cell 100 to 300 ms after a bar has turned `beyond` px past its centre, and what it fires
/// at that time if the bar goes on.
struct Turn {
  double burst_hz, smooth_hz;
};
Turn turn(const Retina& retina, std::size_t cell, double beyond) {
  constexpr double kSpeed = 0.14;
  const double flip = kRetina[cell].col - 0.5 * kSize + beyond;
  const std::vector<double> there = drift(flip - 20.0, flip, kSpeed);
  std::vector<double> back = reversal(flip - 20.0, flip, kSpeed), on = there;
  back.resize(there.size() + 40);
  while (on.size() < back.size()) on.push_back(on.back() + kSpeed);
  auto rates = [&](const std::vector<double>& centres) {
    const std::vector<float> all = retina.simulator.rates(bar_movie(centres, 2.0));
    return Course(all.begin() + static_cast<std::ptrdiff_t>(cell * centres.size()),
                  all.begin() + static_cast<std::ptrdiff_t>((cell + 1) * centres.size()));
  };
  const Course turned = rates(back), smooth = rates(on);
  const int first = static_cast<int>(there.size());
  const std::size_t burst = peak_frame(turned, first + 10, first + 31);
  return {turned[burst], smooth[burst]};
}

/// Centre of mass of the answer to a flash of two frames, ms after its onset; rates below 3 Hz do not count.
double flash_latency_ms(const Retina& retina, CellType type, float z) {
  const Course rate = retina.mean(type, full_field(flash(2, 40, 70, z)));
  double sum = 0.0, moment = 0.0;
  for (int i = 0; i < 1500; ++i) {  // in steps of 0.1 ms, rates interpolated
    const int frame = 40 + i / 100;
    const double part = (i % 100) / 100.0;
    const double r = rate[static_cast<std::size_t>(frame)] * (1.0 - part) +
                     rate[static_cast<std::size_t>(frame + 1)] * part;
    if (r < 3.0) continue;
    sum += r;
    moment += r * 0.1 * i;
  }
  return moment / sum;
}

}  // namespace

TEST_CASE("retina membrane: conductance makes it faster and less sensitive, without it is a low-pass") {
  LowPass filter(0.040);
  Membrane plain(0.040);
  for (int i = 0; i < 50; ++i) {
    const double x = std::sin(0.3 * i);
    CHECK(plain(x, 0.0) == filter(x));
  }
  auto settled_share = [](double conductance) {
    Membrane membrane(0.040);
    double first = 0.0, last = 0.0;
    for (int i = 0; i < 1000; ++i) {
      last = membrane(1.0, conductance);
      if (i == 0) first = last;
    }
    CHECK(last == doctest::Approx(1.0 / (1.0 + conductance)));
    return first / last;
  };
  CHECK(settled_share(3.0) > 2.0 * settled_share(0.0));
}

TEST_CASE("retina predictive: grey leaves it at rest; threads, pieces and copies change no bit") {
  const std::vector<float> grey(100 * kPixels, 1.0f);
  for (float d : FrontEnd(1, Circuit::kPredictive).run(std::span<const float>(grey)))
    REQUIRE(std::abs(d) < 2e-3f);

  const auto images = dead_leaves(4, 4, 0);
  const Movie movie = natural_movie(images, gaze_path(images, 130, 4, 0));
  const std::span<const std::uint8_t> pixels(movie.pixel);
  FrontEnd front_end(1, Circuit::kPredictive);
  const auto whole = front_end.run(pixels);
  CHECK(FrontEnd(3, Circuit::kPredictive).run(pixels) == whole);
  CHECK(FrontEnd(1).run(pixels) != whole);
  front_end.reset();
  CHECK(front_end.run(pixels) == whole);
  front_end.reset();
  front_end.run(pixels.first(60 * kPixels));
  FrontEnd copy(front_end);
  const auto rest = front_end.run(pixels.subspan(60 * kPixels));
  CHECK(copy.run(pixels.subspan(60 * kPixels)) == rest);
  for (std::size_t c = 0; c < kCells; ++c)
    for (std::size_t t = 0; t < 70; ++t) REQUIRE(rest[c * 70 + t] == whole[c * 130 + 60 + t]);

  RecordingOptions options{.stimulus = Stimulus::kDeadLeaves,
                           .minutes = 0.1,
                           .test_seconds = 5.0,
                           .trials = 2,
                           .oracle_trials = 2,
                           .calibration_seconds = 10.0};
  const Recording ordinary = simulate_recording(options);
  options.circuit = Circuit::kPredictive;
  const Recording other = simulate_recording(options);
  CHECK(other.circuit == Circuit::kPredictive);
  CHECK(other.train[0].movie.pixel == ordinary.train[0].movie.pixel);
  CHECK(other.train[0].drive != ordinary.train[0].drive);
  CHECK(std::string(name(other.circuit)) + "/" + std::string(name(ordinary.circuit)) ==
        "predictive/standard");
}

TEST_CASE("retina predictive: OFF cells answer a flash that does not come, later after slower trains") {
  for (const CellType type : {CellType::kFastOff, CellType::kSlowOff}) {
    CAPTURE(name(type));
    double latency = 0.0;
    for (const int interval : {4, 6, 8}) {
      CAPTURE(interval);
      const Omission is = omission(predictive(), type, interval), was = omission(standard(), type, interval);
      CHECK(is.burst_hz > 1.5 * is.steady_hz);
      CHECK(is.burst_hz > 5.0);
      CHECK(was.burst_hz < 0.5 * was.steady_hz);
      // The period grows by 20 ms.
      if (latency > 0.0) CHECK(is.latency_ms >= latency + 10.0);
      latency = is.latency_ms;
    }
  }
}

TEST_CASE("retina predictive: fast OFF cells answer the reversal of a bar") {
  // Just beyond the centre of the receptive field, where a second crossing cannot be the answer.
  CHECK(turn(standard(), 0, 1.0).burst_hz < 5.0);
  for (const double beyond : {1.0, 2.0, 3.0}) {
    CAPTURE(beyond);
    const Turn is = turn(predictive(), 0, beyond);
    CHECK(is.burst_hz > 1.5 * is.smooth_hz);
    CHECK(is.burst_hz > 5.0);
  }
}

TEST_CASE("retina predictive: stronger flashes are answered earlier") {
  for (const CellType type : {CellType::kFastOff, CellType::kSlowOff}) {
    CAPTURE(name(type));
    double last = 1000.0;
    for (const float z : {-1.4f, -1.8f, -2.2f}) {
      const double latency = flash_latency_ms(predictive(), type, z);
      CHECK(latency < last - 0.3);
      last = latency;
    }
  }
  // In the standard circuit the latency of the fast ones is as good as constant.
  const double moved = flash_latency_ms(standard(), CellType::kFastOff, -1.4f) -
                       flash_latency_ms(standard(), CellType::kFastOff, -2.2f);
  CHECK(std::abs(moved) < 0.8);
  CHECK(flash_latency_ms(predictive(), CellType::kFastOff, -1.4f) -
            flash_latency_ms(predictive(), CellType::kFastOff, -2.2f) >
        2.0 * std::abs(moved));
}

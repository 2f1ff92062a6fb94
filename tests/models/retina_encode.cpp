// SPDX-License-Identifier: Apache-2.0
#include "models/retina/encode.h"

#include <doctest/doctest.h>

#include <algorithm>

#include "autograd/ops/elementwise.h"
#include "autograd/ops/pool2d.h"
#include "models/retina/deep_retina.h"
#include "models/retina/linear_nonlinear.h"
#include "nn/conv2d.h"
#include "nn/init.h"
#include "nn/selection.h"
#include "tensor/views.h"
#include "tests/device_under_test.h"
#include "tests/nn/expect.h"
#include "tests/temporary_folder.h"

namespace fovea::retina {
using test::text_of;
namespace {

constexpr std::int64_t kHistory = 4, kReach = 6, kSide = 12;

const Device& device() {
  static const Device chosen = Device::parse(test::device_under_test());
  return chosen;
}

/// Two convolutions to a map for each cell, of which a selection takes one place.
class Selecting final : public RateModel {
 public:
  Selecting()
      : conv1_(kHistory, 3, 5, device()), conv2_(3, 2, 3, device()), selection_(2, kSide - kReach, device()) {
    add_child("conv1", conv1_);
    add_child("conv2", conv2_);
    add_child("selection", selection_);
    nn::initialize(*this, 3);
  }
  Var drive(const Var& x) override { return selection_(maps(x)); }
  Var rate(const Var& drive) override { return drive; }
  bool has_maps() const override { return true; }
  Var maps(const Var& x) override { return softplus(conv2_(relu(conv1_(x)))); }
  std::int64_t reach() const override { return kReach; }
  Tensor weights(const Var& x) { return selection_.weights(x).value(); }

 private:
  nn::Conv2d conv1_, conv2_;
  nn::Selection selection_;
};

Tensor movie_of(std::int64_t frames, Size2d size) {
  return Tensor::normal({frames, size.height, size.width}, {5, philox::stream_id("movie"), 0, nullptr}, 0, 1,
                        Device::cpu({.threads = 1}));
}

/// Everything that encode() gives, in one tensor.
Tensor encoded(RateModel& model, const Tensor& movie, const EncodeOptions& options) {
  const Size2d size(movie.size(1), movie.size(2));
  const Shape one = encoded_shape(model, device(), options, size);
  Shape shape{encoded_bins(options, movie.size(0))};
  for (const std::int64_t extent : one) shape.push_back(extent);
  const Tensor all = Tensor::full(shape, -1, DType::f32, Device::cpu({.threads = 1}));
  std::int64_t read = 0, done = 0;
  encode(
      model, device(), options, size,
      [&](float* frame) {
        if (read == movie.size(0)) return false;
        const Tensor next = select(movie, 0, read++);
        std::copy_n(next.data(), next.numel(), frame);
        return true;
      },
      [&](const Tensor& part) {
        slice(all, 0, done, done + part.size(0)).copy_from(part);
        done += part.size(0);
        return true;
      });
  CHECK(done == shape[0]);
  return all;
}

double largest_difference(const Tensor& a, const Tensor& b) {
  REQUIRE(a.shape() == b.shape());
  const std::vector<float> x = a.to_vector<float>(), y = b.to_vector<float>();
  double largest = 0.0;
  for (std::size_t i = 0; i < x.size(); ++i)
    largest = std::max(largest, std::abs(static_cast<double>(x[i] - y[i])));
  return largest;
}

EncodeOptions maps_of(EncodeOptions more = {}) {
  more.what = Encoding::maps;
  more.history = kHistory;
  return more;
}

}  // namespace

TEST_CASE("encode: rates of a movie in parts are those of all its windows") {
  Selecting model;
  model.train();
  const Tensor movie = movie_of(17, kSide);
  const Tensor windows = rolling_window(movie, kHistory);  // the last has no bin after it
  const Tensor expected = model(slice(windows, 0, 0, 13).to(device())).value().to(Device::cpu());
  for (const std::int64_t batch : {0, 1, 2, 5, 13, 50})
    CHECK(largest_difference(encoded(model, movie, {.history = kHistory, .batch = batch}), expected) < 1e-5);
  CHECK(model.training());  // left as it was
  // Each third bin, and steps longer than the history.
  for (const std::int64_t every : {3, 5, 9}) {
    const Tensor some = slice(expected, 0, 0, 13, every);
    for (const std::int64_t batch : {0, 1, 2})
      CHECK(largest_difference(encoded(model, movie, {.history = kHistory, .every = every, .batch = batch}),
                               some) < 1e-5);
  }
}

TEST_CASE("encode: maps, weighted by the selection, are the rates") {
  Selecting model;
  const Tensor movie = movie_of(10, kSide);
  const Tensor maps = encoded(model, movie, maps_of()), rates = encoded(model, movie, {.history = kHistory});
  CHECK(maps.shape() == Shape{6, 2, 6, 6});
  const Tensor weights = model.weights(Tensor::zeros({1}, DType::f32, device())).to(Device::cpu());
  const std::vector<float> p = weights.to_vector<float>(), a = maps.to_vector<float>();
  std::vector<float> sums(12, 0.0f);
  for (std::size_t row = 0; row < 12; ++row)
    for (std::size_t j = 0; j < 36; ++j) sums[row] += p[row % 2 * 36 + j] * a[row * 36 + j];
  CHECK(largest_difference(Tensor::from(sums, {6, 2}, Device::cpu()), rates) < 1e-5);
}

TEST_CASE("encode: maps of a large movie are tiled by those of its parts") {
  Selecting model;
  const Tensor movie = movie_of(7, {15, 20});
  const Tensor maps = encoded(model, movie, maps_of());
  REQUIRE(maps.shape() == Shape{3, 2, 9, 14});
  for (const std::int64_t row : {0, 3})
    for (const std::int64_t col : {0, 5, 8}) {
      const Tensor part = slice(slice(movie, 1, row, row + kSide), 2, col, col + kSide);
      const Tensor tile = encoded(model, part.contiguous(), maps_of());
      CHECK(largest_difference(slice(slice(maps, 2, row, row + 6), 3, col, col + 6).contiguous(), tile) <
            1e-5);
    }
}

TEST_CASE("encode: maps put together from tiles") {
  Selecting model;
  const Tensor movie = movie_of(9, {15, 20});
  const Tensor maps = encoded(model, movie, maps_of());
  for (const std::int64_t side : {7, 8, 10, 11, 15})  // 9 and 14 places in parts of 1 to 9
    CHECK_MESSAGE(largest_difference(encoded(model, movie, maps_of({.tile = side})), maps) < 1e-5,
                  "tile " << side);
  CHECK(largest_difference(encoded(model, movie, maps_of({.every = 2, .pool = 3, .batch = 2, .tile = 9})),
                           encoded(model, movie, maps_of({.every = 2, .pool = 3}))) < 1e-5);
}

TEST_CASE("encode: Deep Retina with places that it learns, on its screen and on a larger one") {
  DeepRetinaOptions options = one_hot(3);
  options.history = kHistory;
  options.channels = {2, 2};
  DeepRetina model(options, device());
  nn::initialize(model, 4);
  const Tensor movie = movie_of(6, {60, 70});
  const Tensor screen = slice(slice(movie, 1, 4, 54), 2, 11, 61).contiguous();
  const Tensor maps = encoded(model, screen, maps_of());
  const Tensor large = slice(slice(encoded(model, movie, maps_of()), 2, 4, 21), 3, 11, 28).contiguous();
  CHECK(maps.shape() == Shape{2, 3, 17, 17});
  CHECK(largest_difference(large, maps) < 1e-4);

  const std::vector<float> p = model.selection().to(Device::cpu()).to_vector<float>(),
                           a = maps.to_vector<float>();
  std::vector<float> sums(6, 0.0f);
  for (std::size_t row = 0; row < 6; ++row)
    for (std::size_t k = 0; k < 289; ++k) sums[row] += p[row % 3 * 289 + k] * a[row * 289 + k];
  CHECK(largest_difference(Tensor::from(sums, {2, 3}, Device::cpu()),
                           encoded(model, screen, {.history = kHistory})) < 1e-4);
}

TEST_CASE("encode: pooled maps, and where their places look") {
  Selecting model;
  const Tensor movie = movie_of(6, {15, 20});
  const Tensor maps = encoded(model, movie, maps_of()), pooled = encoded(model, movie, maps_of({.pool = 3}));
  CHECK(largest_difference(adaptive_average_pool2d(maps, 3).value(), pooled) < 1e-5);

  const MapGrid whole = map_grid(model, maps_of(), {15, 20});
  CHECK(whole.offset_px[0] == 3.0);  // the pixel in the middle of what a place sees, which are 7x7
  CHECK(whole.stride_px[1] == 1.0);
  const MapGrid coarse = map_grid(model, maps_of({.pool = 3}), {15, 20});
  CHECK(coarse.stride_px[0] == 3.0);
  CHECK(coarse.offset_px[0] == 4.0);  // places 0, 1 and 2 of the map look at pixels 3, 4 and 5
  CHECK(coarse.stride_px[1] == doctest::Approx(14.0 / 3));
}

TEST_CASE("encode: ends when it is told to, and where the movie does") {
  Selecting model;
  int parts = 0;
  encode(
      model, device(), {.history = kHistory, .batch = 2}, kSide,
      [](float* frame) {
        std::fill_n(frame, kSide * kSide, 0.5f);
        return true;
      },
      [&](const Tensor&) { return ++parts < 3; });
  CHECK(parts == 3);
  CHECK(encoded_bins({.history = 40}, 40) == 0);
  CHECK(encoded_bins({.history = 40}, 10) == 0);
  CHECK(encoded_bins({.history = 40}, 41) == 1);
  CHECK(encoded_bins({.history = 40, .every = 4}, 44) == 1);
  CHECK(encoded_bins({.history = 40, .every = 4}, 45) == 2);
  CHECK(encoded(model, movie_of(4, kSide), {.history = kHistory}).numel() == 0);
}

TEST_CASE("encode: what is refused") {
  Selecting model;
  const auto text = [&](RateModel& of, const EncodeOptions& options, Size2d frame) {
    return text_of<ValueError>([&] { (void)encoded_shape(of, device(), options, frame); });
  };
  CHECK(text(model, maps_of(), {6, 50}) ==
        "encode: frames of 6x50 are too small for maps: the model sees 7 pixels at once");
  CHECK(text(model, maps_of(), {7, 7}) == "");
  CHECK(text(model, maps_of({.pool = 4}), {9, 20}) == "encode: maps of 3x14 cannot be averaged down to 4x4");
  CHECK(text(model, maps_of({.every = 0}), 20) ==
        "encode: history 4 and every 0 must be at least 1, pool 0, batch 0 and tile 0 at least 0");
  LinearNonlinear dense({.cells = 1, .history = kHistory}, device());
  CHECK(text(dense, maps_of(), 50).starts_with("maps: this model's readout belongs to one size of frame"));
}

}  // namespace fovea::retina

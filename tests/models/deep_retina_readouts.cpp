// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

#include "autograd/ops/elementwise.h"
#include "models/retina/consolidate.h"
#include "models/retina/deep_retina.h"
#include "models/retina/receptive_field.h"
#include "nn/init.h"
#include "nn/loss.h"
#include "nn/optim/adam.h"
#include "tensor/views.h"
#include "tests/nn/expect.h"

using namespace fovea;
using namespace fovea::retina;
using namespace fovea::test;

namespace {

const Device& host() {
  static const Device device = Device::cpu({.threads = 2});
  return device;
}

Tensor normals(const Shape& shape, std::uint32_t step = 0) {
  return Tensor::normal(shape, {5, philox::stream_id("readouts"), step, nullptr}, 0, 1, host());
}

const std::vector<Position> kCentres{{9, 6}, {4, 12}, {0, 19}};

/// Three cells, frames of 20, maps of 12.
DeepRetinaOptions small(DeepRetinaOptions options) {
  options.cells = 3;
  options.history = 4;
  options.size = 20;
  options.channels = {4, 4};
  options.kernels = {5, 3};
  options.readout_kernel = 3;
  return options;
}

std::unique_ptr<DeepRetina> made(const DeepRetinaOptions& options, std::uint64_t seed = 1) {
  auto model = std::make_unique<DeepRetina>(options, host());
  nn::initialize(*model, seed);
  return model;
}

/// Some steps of training, so that running statistics and biases are not their starting values.
void train_a_little(DeepRetina& model, int steps = 5) {
  const std::int64_t side = model.options().size;
  nn::Optimizer optimizer = nn::adam({nn::all_parameters(model)}, 1e-2);
  const Tensor target = Tensor::uniform({8, 3}, {5, philox::stream_id("rates"), 0, nullptr}, 0, 20, host());
  for (int step = 0; step < steps; ++step) {
    Tape tape({.seed = 1, .step = static_cast<std::uint32_t>(step)});
    const Var x = tape.input(normals({8, 4, side, side}, static_cast<std::uint32_t>(step)));
    Var loss = nn::PoissonLoss{}(model(x), target);
    if (const Var own = model.penalty(x); own.value().defined()) loss = loss + own;
    tape.backward(loss);
    optimizer.step();
    optimizer.zero_grad();
  }
}

double largest_difference(const Tensor& a, const Tensor& b) {
  const auto x = a.to_vector<double>(), y = b.to_vector<double>();
  REQUIRE(x.size() == y.size());
  double largest = 0;
  for (std::size_t i = 0; i < x.size(); ++i) largest = std::max(largest, std::abs(x[i] - y[i]));
  return largest;
}

}  // namespace

TEST_CASE("each network of the family has its published number of parameters") {
  const std::vector<Position> centres{{21, 18}, {24, 20}, {22, 18}, {27, 18}, {31, 20}};
  DeepRetinaOptions channel = bn_cnn(5);
  channel.norm = Norm::per_channel;
  struct Row {
    DeepRetinaOptions options;
    std::int64_t parameters;
  };
  for (const Row& row : {
           Row{nips_2016(5), 144016 + 10376 + 31365},
           Row{bn_cnn(5), 72008 + 20736 + 7752 + 10816 + 27040 + 10},
           Row{channel, 72008 + 16 + 7752 + 16 + 27040 + 10},
           Row{stacked_bn_cnn(5), 6344 + 20736 + 2888 + 10816 + 27040 + 10},
           Row{convgc(centres), 6344 + 16 + 2888 + 16 + 4840 + 10},
           Row{one_hot(5), 72008 + 16 + 9224 + 16 + 3245 + 10 + 5 * 289},
           Row{simple_cnn(5), 72000 + 7744 + 27040},
           Row{ss_cnn(5), 72008 + 20736 + 7752 + 10816 + 27045},
       })
    CHECK(DeepRetina(row.options, host()).parameter_count() == row.parameters);
}

TEST_CASE("a receptive field is seen at its centre less half the reach, within the map") {
  CHECK(place_of({21, 18}, 34, 50) == Position{4, 1});  // kernels of 15, 11 and 11
  CHECK(place_of({17, 32}, 34, 50) == Position{0, 15});
  CHECK(place_of({0, 49}, 34, 50) == Position{0, 15});
}

TEST_CASE("with a fixed readout, a cell's rate is its map at its place, and maps tile larger frames") {
  DeepRetinaOptions options = small(convgc(kCentres));
  const auto model = made(options);
  train_a_little(*model);
  model->eval();
  REQUIRE(model->has_maps());
  CHECK(model->reach() == 8);
  const Tensor x = normals({2, 4, 20, 20});
  const Tensor rate = (*model)(x).value(), maps = model->maps(x).value();
  REQUIRE(maps.shape() == Shape{2, 3, 12, 12});
  for (std::int64_t b = 0; b < 2; ++b)
    for (std::int64_t c = 0; c < 3; ++c) {
      const Position place = place_of(kCentres[static_cast<std::size_t>(c)], 8, 20);
      const double there =
          select(select(select(select(maps, 0, b), 0, c), 0, place.row), 0, place.col).item();
      CHECK(select(select(rate, 0, b), 0, c).item() == doctest::Approx(there).epsilon(1e-5));
    }
  // A frame of 26 × 23 holds the frame of 20 × 20 at (4, 2): its maps hold those.
  const Tensor wide = normals({1, 4, 26, 23}, 7);
  const Tensor crop = slice(slice(wide, 2, 4, 24), 3, 2, 22).contiguous();
  const Tensor tiled = slice(slice(model->maps(wide).value(), 2, 4, 16), 3, 2, 14).contiguous();
  CHECK(largest_difference(tiled, model->maps(crop).value()) < 1e-4);
}

TEST_CASE("without the selection, a one-hot model gives the maps that the selection chose from") {
  const auto model = made(small(one_hot(3)));
  train_a_little(*model);
  model->eval();
  const Tensor x = normals({2, 4, 20, 20});
  const Tensor maps = model->maps(x).value(), weights = model->selection();
  CHECK(maps.shape() == Shape{2, 3, 12, 12});
  const auto map = maps.to_vector<double>(), weight = weights.to_vector<double>(),
             rate = (*model)(x).value().to_vector<double>();
  for (std::size_t c = 0; c < 3; ++c) {
    double total = 0, sum = 0;
    for (std::size_t j = 0; j < 144; ++j) {
      total += weight[c * 144 + j];
      sum += weight[c * 144 + j] * map[c * 144 + j];
    }
    CHECK(total == doctest::Approx(1.0).epsilon(1e-5));
    CHECK(rate[c] == doctest::Approx(sum).epsilon(1e-4));
  }
  CHECK(made(small(bn_cnn(3)))->has_maps() == false);
  CHECK(message([&] { (void)made(small(bn_cnn(3)))->maps(x); }) ==
        "maps: this model's readout belongs to one size of frame; train one whose readout is a convolution, "
        "such as the presets "
        "convgc and one-hot of deep-retina");
  CHECK(message([&] { (void)made(small(bn_cnn(3)))->reach(); }).starts_with("maps: "));
  CHECK(message([&] { (void)made(small(bn_cnn(3)))->selection(); }) ==
        "deep retina: this readout has no positions to select; one_hot has");
}

TEST_CASE("the semantic loss makes each cell settle on one position") {
  DeepRetinaOptions options = small(one_hot(3));
  options.size = 13;  // maps of 5 × 5
  const auto model = made(options);
  const auto decided = [&] {
    const Floats weight = model->selection().to_vector<float>();
    float least = 1;
    for (std::size_t c = 0; c < 3; ++c)
      least = std::min(least, *std::max_element(weight.begin() + static_cast<std::ptrdiff_t>(c * 25),
                                                weight.begin() + static_cast<std::ptrdiff_t>((c + 1) * 25)));
    return least;
  };
  CHECK(decided() < 0.1f);
  train_a_little(*model, 2500);
  CHECK(decided() > 0.9f);
}

TEST_CASE("a chain collapses to one filter without a change of what the model says") {
  DeepRetinaOptions options = small(convgc(kCentres));
  for (const DeepRetinaOptions& of : {options, small(stacked_bn_cnn(3))}) {
    const auto model = made(of);
    train_a_little(*model);
    model->eval();
    const auto single = model->collapsed();
    const Tensor x = normals({2, 4, 20, 20});
    CHECK_FALSE(single->options().stacked);
    CHECK(single->first_filters().shape() == Shape{4, 4, 5, 5});
    CHECK(largest_difference((*single)(x).value(), (*model)(x).value()) < 1e-5);
    CHECK(largest_difference(single->first_filters(), model->first_filters()) == 0);
  }
}

TEST_CASE("a gradient reaches every parameter of every form, and rates are not negative") {
  DeepRetinaOptions parametric = small(bn_cnn(3)), exponential = parametric, shared = small(one_hot(3));
  parametric.output = Output::parametric;
  exponential.output = Output::exponential;
  shared.filter_of_cell = {0, 1, 0};
  for (const DeepRetinaOptions& options :
       {small(convgc(kCentres)), small(one_hot(3)), shared, small(stacked_bn_cnn(3)), small(simple_cnn(3)),
        small(ss_cnn(3)), parametric, exponential}) {
    const auto model = made(options);
    Tape tape({.seed = 1});
    const Var x = tape.input(normals({6, 4, 20, 20}));
    const Var rate = (*model)(x);
    const Floats values = rate.value().to_vector<float>();
    CHECK(std::all_of(values.begin(), values.end(), [](float r) { return r >= 0 && std::isfinite(r); }));
    Var loss = nn::PoissonLoss{}(rate, Tensor::full({6, 3}, 5.0, DType::f32, host()));
    if (const Var own = model->penalty(x); own.value().defined()) loss = loss + own;
    tape.backward(loss);
    for (const auto& named : model->named_parameters()) {
      CAPTURE(named.name);
      REQUIRE(named.parameter->grad.defined());
      const Floats slope = named.parameter->grad.to_vector<float>();
      CHECK(std::all_of(slope.begin(), slope.end(), [](float s) { return std::isfinite(s); }));
    }
  }
}

TEST_CASE("what the readouts refuse") {
  const auto refused = [](const DeepRetinaOptions& options) {
    return message([&] { DeepRetina(options, host()); });
  };
  DeepRetinaOptions options = small(convgc(kCentres));
  options.centres.pop_back();
  CHECK(refused(options) ==
        "deep retina: 2 centres of receptive fields for 3 cells, a fixed readout needs one for each");
  options = small(convgc(kCentres));
  options.readout_kernel = 15;
  CHECK(refused(options) == "deep retina: kernels of 5 and 3 and 15 do not fit into a stimulus of 20 × 20");
  options = small(one_hot(3));
  options.filter_of_cell = {0, 1};
  CHECK(refused(options) ==
        "deep retina: filter_of_cell has 2 entries, expected one for each of 3 cells of a one-hot readout");
  options.filter_of_cell = {0, 1, 3};
  CHECK(refused(options) == "deep retina: filter_of_cell names a filter outside of 0 … 2");
  options = small(one_hot(3));
  options.output = Output::exponential;
  CHECK(refused(options) ==
        "deep retina: a one-hot readout selects among softplus maps; leave the output at softplus");
}

TEST_CASE("filters that are alike, also when shifted, are found") {
  const Tensor filters = Tensor::zeros({4, 2, 9, 9}, DType::f32, host());
  const Tensor a = normals({2, 7, 7}, 1), b = normals({2, 7, 7}, 2);
  const auto put = [&](std::int64_t n, const Tensor& what, std::int64_t r, std::int64_t s) {
    slice(slice(select(filters, 0, n), 1, r, r + 7), 2, s, s + 7).copy_from(what);
  };
  put(0, a, 0, 0);
  put(1, b, 1, 1);
  put(2, a, 2, 1);  // two down, one to the right
  put(3, b, 1, 2);
  CHECK(alike_filters(filters, 0.8) == std::vector<std::int64_t>{0, 1, 0, 1});
  CHECK(alike_filters(filters, -1.0) == std::vector<std::int64_t>{0, 0, 0, 0});
  CHECK(message([&] { (void)alike_filters(filters, 2); }) ==
        "alike_filters: a correlation of 2 is not in -1 … 1");
  CHECK(message([&] { (void)alike_filters(a, 0.5); }) ==
        "alike_filters: filters [2, 7, 7] must be [n, in, R, S]");
}

TEST_CASE("a consolidated model keeps the shared filters and selects anew") {
  const auto trained = made(small(one_hot(3)));
  train_a_little(*trained);
  nn::State state = trained->state();
  select(state.at("conv3.weight"), 0, 2).copy_from(select(state.at("conv3.weight"), 0, 0));
  const auto shared = consolidated(*trained, 0.95, 3);
  CHECK(shared->options().filter_of_cell == std::vector<std::int64_t>{0, 1, 0});
  const nn::State now = shared->state();
  CHECK(now.at("conv3.weight").size(0) == 2);
  CHECK(now.at("bn3.running_mean").size(0) == 2);
  CHECK(largest_difference(select(now.at("conv3.weight"), 0, 1), select(state.at("conv3.weight"), 0, 1)) ==
        0);
  CHECK(largest_difference(now.at("conv1.weight"), state.at("conv1.weight")) == 0);
  CHECK(now.at("selection.weight").shape() == Shape{3, 144});
  CHECK(largest_difference(now.at("selection.weight"), state.at("selection.weight")) > 0.1);
  shared->eval();
  CHECK((*shared)(normals({2, 4, 20, 20})).shape() == Shape{2, 3});
  CHECK(shared->maps(normals({2, 4, 22, 20})).shape() == Shape{2, 2, 14, 12});
  CHECK(message([&] { (void)consolidated(*shared, 0.95, 3); }) ==
        "consolidated: expected a one-hot model with a filter for each cell");
}

TEST_CASE("receptive fields are found from changes and from their absolute values") {
  // Cell 0 answers changes at (3, 8), cell 1 their size at (7, 2), cell 2 never fires.
  constexpr std::int64_t kFrames = 3000, kSide = 12, kHistory = 6;
  const Tensor movie = normals({kFrames, kSide, kSide}, 9);
  const auto pixel = [&](std::int64_t r, std::int64_t c) {
    return select(select(movie, 1, r), 1, c).to_vector<float>();
  };
  const Floats first = pixel(3, 8), second = pixel(7, 2);
  Floats rate(3 * kFrames, 0.0f);
  for (std::size_t t = 4; t < kFrames; ++t) {
    rate[t] = std::max(0.0f, first[t - 3] - first[t - 4]);
    rate[kFrames + t] = std::abs(second[t - 2] - second[t - 3]);
  }
  const nn::WindowDataset data(movie, Tensor::from(rate, {3, kFrames}, host()),
                               nn::ResponseLayout::cells_time, {.history = kHistory});
  CHECK(receptive_field_centres(data) == std::vector<Position>{{3, 8}, {7, 2}, {6, 6}});
  const nn::WindowDataset still(movie, Tensor::from(rate, {3, kFrames}, host()),
                                nn::ResponseLayout::cells_time, {.history = 1});
  CHECK(message([&] { (void)receptive_field_centres(still); }) ==
        "receptive_field_centres: a history of 1 frames has no changes; use 2 or more");
}

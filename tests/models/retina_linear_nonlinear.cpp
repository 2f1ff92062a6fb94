// SPDX-License-Identifier: Apache-2.0
// The LN baselines: cut-outs, nonlinearities, fits by gradient and by reverse correlation.
#include "models/retina/linear_nonlinear.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

#include "autograd/grad_check.h"
#include "autograd/ops/elementwise.h"
#include "autograd/ops/reduce.h"
#include "models/retina/least_squares.h"
#include "models/retina/predict.h"
#include "models/retina/reliability.h"
#include "models/retina/reverse_correlation.h"
#include "nn/data/loader.h"
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

philox::Key key(const char* stream) { return {3, philox::stream_id(stream), 0, nullptr}; }

constexpr std::int64_t kSide = 8, kHistory = 3;

/// Two cells that are LN cells of known filters: each sees a patch of 3 × 3 around its centre.
struct KnownCells {
  std::vector<Position> centres{{2, 2}, {5, 4}};
  Tensor filter = Tensor::zeros({2, kHistory, kSide, kSide}, DType::f32, host());
  Tensor movie, rate;

  /// rate_of(u) in Hz for the filter's output u, of mean 0 and SD 1
  explicit KnownCells(std::int64_t frames, float (*rate_of)(float)) {
    movie = Tensor::normal({frames, kSide, kSide}, key("movie"), 0, 1, host());
    const std::vector<float> course{0.2f, 1.0f, -0.7f};
    std::vector<float> f(static_cast<std::size_t>(filter.numel()), 0.0f), rates;
    for (std::size_t cell = 0; cell < 2; ++cell)
      for (std::size_t t = 0; t < 3; ++t)
        for (std::int64_t r = -1; r <= 1; ++r)
          for (std::int64_t c = -1; c <= 1; ++c)
            f[(cell * kHistory + t) * kSide * kSide +
              static_cast<std::size_t>((centres[cell].row + r) * kSide + centres[cell].col + c)] =
                (cell == 0 ? 1.0f : -1.0f) * course[t] * (r == 0 && c == 0 ? 0.5f : 0.25f);
    filter.copy_from(Tensor::from(f, filter.shape(), host()));
    const std::vector<float> pixels = movie.to_vector<float>();
    const std::size_t window = kHistory * kSide * kSide;
    for (std::size_t cell = 0; cell < 2; ++cell)
      for (std::size_t t = 0; t < static_cast<std::size_t>(frames); ++t) {
        float u = 0;
        if (t >= kHistory)
          for (std::size_t i = 0; i < window; ++i)
            u += f[cell * window + i] * pixels[(t - kHistory) * kSide * kSide + i];
        rates.push_back(rate_of(u));
      }
    rate = Tensor::from(rates, {2, frames}, host());
  }
  nn::WindowDataset windows() const {
    return {movie, rate, nn::ResponseLayout::cells_time, {.history = kHistory}};
  }
  /// Correlation of the filter of a cell with the true one.
  double similarity(const Tensor& found, std::int64_t cell) const {
    return correlation(select(found, 0, cell).to_vector<float>(), select(filter, 0, cell).to_vector<float>());
  }
};

LinearNonlinearOptions small(const KnownCells& cells, Nonlinearity nonlinearity) {
  return {.cells = 2,
          .history = kHistory,
          .size = kSide,
          .cutout = 2,
          .centres = cells.centres,
          .nonlinearity = nonlinearity};
}

/// Some epochs of Adam; returns the last loss.
double fit_by_gradient(RateModel& model, const nn::WindowDataset& data, int epochs, double lr) {
  nn::initialize(model, 1);
  nn::Optimizer optimizer = nn::adam({nn::all_parameters(model)}, lr);
  nn::Loader loader(data, {.batch = 100, .prefetch = false}, host());
  double loss = 0;
  for (int epoch = 0; epoch < epochs; ++epoch)
    while (const auto batch = loader.next()) {
      Tape tape;
      const Var cost = nn::PoissonLoss{}(model(tape.input(batch->x)), batch->target);
      tape.backward(cost);
      optimizer.step();
      optimizer.zero_grad();
      loss = cost.value().item();
    }
  return loss;
}

double score_of(RateModel& model, const nn::WindowDataset& data, std::int64_t cell) {
  const Predictions found = predict(model, data, host());
  return correlation(select(found.rate, 1, cell).to_vector<float>(),
                     select(found.target, 1, cell).to_vector<float>());
}

}  // namespace

TEST_CASE("the LN models have as many parameters as their sizes say") {
  const std::vector<Position> centres{{21, 18}, {24, 20}, {22, 18}, {27, 18}, {31, 20}};
  const auto count = [&](std::int64_t cutout, Nonlinearity nonlinearity) {
    return LinearNonlinear({.cutout = cutout, .centres = centres, .nonlinearity = nonlinearity}, host())
        .parameter_count();
  };
  CHECK(count(0, Nonlinearity::softplus) == 5 * (40 * 50 * 50 + 1));
  CHECK(count(11, Nonlinearity::rectified_quadratic) == 5 * (40 * 22 * 22 + 1));
  CHECK(count(11, Nonlinearity::sigmoid) == 5 * (40 * 22 * 22 + 1 + 1));
  CHECK(count(11, Nonlinearity::rbf) == 5 * (40 * 22 * 22 + 1 + 30));
  CHECK(ReverseCorrelation({.cutout = 11, .centres = centres}, host()).parameter_count() ==
        5 * (40 * 22 * 22 + 1 + 6));
  CHECK(ReverseCorrelation({.cutout = 11, .centres = centres, .degree = 0, .bins = 40}, host())
            .parameter_count() == 5 * (40 * 22 * 22 + 1 + 40 + 40 + 1));
}

TEST_CASE("a cut-out sees its square, shifted into the frame at the border") {
  // Of a 10 × 10 frame: a centre in the middle, one in each of two corners.
  const std::vector<Position> centres{{5, 4}, {0, 9}, {9, 0}};
  StimulusFilter filter({.cells = 3, .history = 2, .size = 10, .cutout = 2, .centres = centres}, host());
  CHECK(filter.side() == 4);
  filter.weight.value.fill(1.0);
  filter.bias.value.fill(0.5);
  const auto covered = filter.in_frame().to_vector<float>();
  const Position first[] = {{3, 2}, {0, 6}, {6, 0}};  // centre − 2, as far as the frame allows
  for (std::size_t cell = 0; cell < 3; ++cell)
    for (std::size_t t = 0; t < 2; ++t)
      for (std::int64_t row = 0; row < 10; ++row)
        for (std::int64_t col = 0; col < 10; ++col) {
          const bool inside = row >= first[cell].row && row < first[cell].row + 4 && col >= first[cell].col &&
                              col < first[cell].col + 4;
          CHECK(covered[((cell * 2 + t) * 10 + static_cast<std::size_t>(row)) * 10 +
                        static_cast<std::size_t>(col)] == (inside ? 1.0f : 0.0f));
        }
  // A movie of its row numbers, in one of two frames: the sum over the squares.
  std::vector<float> rows(200, 0.0f);
  for (std::size_t i = 0; i < 100; ++i) rows[i] = static_cast<float>(i / 10);
  const Tensor x = floats(rows, {1, 2, 10, 10}, host());
  const Floats sums = values(filter(x));
  for (std::size_t cell = 0; cell < 3; ++cell)
    CHECK(sums[cell] == doctest::Approx(0.5 + 16 * (static_cast<double>(first[cell].row) + 1.5)));
  // seen() takes what in_frame() puts there.
  const Tensor weights = Tensor::normal(filter.weight.value.shape(), key("w"), 0, 1, host());
  filter.weight.value.copy_from(weights);
  CHECK(values(filter.seen(filter.in_frame())) == values(weights));
}

TEST_CASE("the gradient of a cut-out filter is that of the whole one, where it sees") {
  const std::vector<Position> centres{{0, 0}, {4, 5}};
  StimulusFilter part({.cells = 2, .history = 2, .size = 6, .cutout = 2, .centres = centres}, host());
  StimulusFilter whole({.cells = 2, .history = 2, .size = 6}, host());
  part.weight.value.copy_from(Tensor::normal(part.weight.value.shape(), key("w"), 0, 1, host()));
  part.bias.value.fill(0);
  whole.bias.value.fill(0);
  whole.weight.value.copy_from(reshape(part.in_frame(), whole.weight.value.shape()));
  const Tensor x = Tensor::normal({3, 2, 6, 6}, key("x"), 0, 1, host());
  Floats dx[2];
  for (StimulusFilter* filter : {&part, &whole}) {
    Tape tape;
    const Var in = tape.leaf(x);
    tape.backward(sum(square((*filter)(in))));
    dx[filter == &part ? 0 : 1] = values(tape.grad(in));
  }
  CHECK(dx[0] == dx[1]);
  CHECK(values(part.weight.grad) == values(part.seen(reshape(whole.weight.grad, {2, 2, 6, 6}))));
}

TEST_CASE("what the stimulus filter refuses") {
  const std::vector<Position> two{{1, 1}, {2, 2}};
  const auto made = [&](StimulusFilterOptions options) {
    return message([&] { StimulusFilter(options, host()); });
  };
  CHECK(made({.cells = 2, .size = 20, .cutout = 11, .centres = two}) ==
        "stimulus filter: a cut-out of half-width 11 does not fit into a stimulus of 20 × 20");
  CHECK(made({.cells = 3, .cutout = 11, .centres = two}) ==
        "stimulus filter: cut-outs need one centre a cell, got 2 for 3 cells");
  CHECK(made({.cells = 2, .cutout = 11, .centres = {{1, 1}, {50, 2}}}) ==
        "stimulus filter: the centre (50, 2) lies outside of a stimulus of 50 × 50");
  StimulusFilter filter({.cells = 2, .history = 4, .size = 6}, host());
  CHECK(message([&] {
          filter(Tensor::zeros({3, 4, 6, 5}, DType::f32, host()));
        }) == "stimulus filter: x [3, 4, 6, 5] is not [B, 4, 6, 6]");
  CHECK(message([&] {
          (void)filter.seen(Tensor::zeros({1, 4, 6, 6}, DType::f32, host()));
        }) == "stimulus filter: images [1, 4, 6, 6] are not [2, 4, 6, 6]");
}

TEST_CASE("the nonlinearities: values, slopes, and rates that stay finite") {
  const auto at = [](Nonlinearity kind, double u, const std::vector<double>& shape = {}) {
    const Tensor drive = Tensor::from(std::vector<double>{u}, {1, 1}, host());
    const auto n = static_cast<std::int64_t>(shape.size());
    return apply_nonlinearity(kind, drive, n == 0 ? Var() : Var(Tensor::from(shape, {1, n}, host())))
        .value()
        .item();
  };
  CHECK(at(Nonlinearity::softplus, 2) == doctest::Approx(std::log1p(std::exp(2.0))));
  CHECK(at(Nonlinearity::relu, 2) == doctest::Approx(2.1));
  CHECK(at(Nonlinearity::relu, -2) == doctest::Approx(0.1));
  CHECK(at(Nonlinearity::rectified_quadratic, 3) == doctest::Approx(9.1));
  CHECK(at(Nonlinearity::rectified_quadratic, -3) == doctest::Approx(0.1));
  CHECK(at(Nonlinearity::exponential, 2) == doctest::Approx(std::exp(2.0)));
  CHECK(at(Nonlinearity::exponential, 1e9) == doctest::Approx(std::exp(20.0)));
  CHECK(at(Nonlinearity::exponential, -1e9) == doctest::Approx(std::exp(-20.0)));
  CHECK(at(Nonlinearity::sigmoid, 0, {std::log(80.0)}) == doctest::Approx(40));

  RateNonlinearity rbf(Nonlinearity::rbf, 1, host());
  nn::initialize(rbf, 1);
  for (const double u : {-4.0, 0.0, 1.3, 4.0}) {  // starts as softplus of the drive, within ±6
    const Tensor drive = Tensor::full({1, 1}, u, DType::f32, host());
    CHECK(rbf(drive).value().item() == doctest::Approx(std::log1p(std::exp(u))).epsilon(0.02));
  }
  const Tensor drive = Tensor::uniform({4, 2}, key("u"), -3, 3, host()).to(DType::f64);
  const Tensor shapes = Tensor::uniform({2, 30}, key("h"), -1, 1, host()).to(DType::f64);
  for (std::size_t k = 0; k < nonlinearity_names().size(); ++k) {
    const std::string& name = nonlinearity_names()[k];
    CAPTURE(name);
    const Nonlinearity kind = nonlinearity_named(name);
    CHECK(static_cast<std::size_t>(kind) == k);
    std::vector<Tensor> inputs{drive};
    if (kind == Nonlinearity::rbf) inputs.push_back(shapes);
    if (kind == Nonlinearity::sigmoid) inputs.push_back(select(shapes, 1, 0).contiguous());
    const GradCheck check = grad_check(
        [&](std::span<const Var> in) {
          return sum(square(apply_nonlinearity(kind, in[0], in.size() > 1 ? in[1] : Var())));
        },
        inputs);
    CHECK_MESSAGE(check.ok(1e-6), check.where);
    // Where a fit begins, there are some Hz and a slope.
    RateNonlinearity module(kind, 2, host());
    nn::initialize(module, 1);
    Tape tape;
    const Var start = tape.leaf(Tensor::full({1, 2}, double{module.first_drive()}, DType::f32, host()));
    const Var rate = module(start);
    tape.backward(sum(rate));
    CHECK(values(rate)[0] > 0.5f);
    CHECK(values(rate)[0] < 5.0f);
    CHECK(values(tape.grad(start))[0] > 0.1f);
  }
  CHECK(
      message([] { (void)nonlinearity_named("cubic"); }) ==
      "nonlinearity: there is no 'cubic', expected one of softplus, sigmoid, relu, exp, rectified-quadratic, "
      "rbf");
}

TEST_CASE("each nonlinearity is fitted by gradient from a live start, and finds the filters") {
  const KnownCells cells(3000, [](float u) { return 8 * std::log1p(std::exp(2 * u - 1)); });
  for (const std::string& name : nonlinearity_names()) {
    CAPTURE(name);
    LinearNonlinear model(small(cells, nonlinearity_named(name)), host());
    const double loss = fit_by_gradient(model, cells.windows(), 12, 2e-2);
    CHECK(std::isfinite(loss));
    for (std::int64_t cell = 0; cell < 2; ++cell) {
      CHECK(cells.similarity(model.filter().in_frame(), cell) > 0.9);
      CHECK(score_of(model, cells.windows(), cell) > 0.9);
    }
  }
}

TEST_CASE("reverse correlation finds filter and nonlinearity on white noise, in one pass") {
  const KnownCells cells(4000, [](float u) { return 5 * std::max(u, 0.0f) * std::max(u, 0.0f); });
  const auto fitted = [&](std::int64_t degree, std::int64_t cutout) {
    auto model = std::make_unique<ReverseCorrelation>(ReverseCorrelationOptions{.cells = 2,
                                                                                .history = kHistory,
                                                                                .size = kSide,
                                                                                .cutout = cutout,
                                                                                .centres = cells.centres,
                                                                                .degree = degree,
                                                                                .bins = 40},
                                                      host());
    nn::initialize(*model, 1);
    CHECK(model->fit(cells.windows()));
    return model;
  };
  for (const std::int64_t degree : {5, 0})
    for (const std::int64_t cutout : {2, 0}) {
      const auto model = fitted(degree, cutout);
      for (std::int64_t cell = 0; cell < 2; ++cell) {
        CHECK(cells.similarity(model->filter().in_frame(), cell) > (cutout > 0 ? 0.97 : 0.9));
        CHECK(score_of(*model, cells.windows(), cell) > 0.9);
      }
      // The drive covers −1 … 1, and beyond it the rate stays what it was at the end.
      const Tensor ends = floats({1, 1, 7, 7, -1, -1, -7, -7}, {4, 2}, host());
      const Floats rate = values(model->rate(ends));
      for (std::size_t cell = 0; cell < 2; ++cell) {
        CHECK(rate[2 + cell] == doctest::Approx(rate[cell]).epsilon(1e-3));
        CHECK(rate[6 + cell] == doctest::Approx(rate[4 + cell]).epsilon(1e-3));
        CHECK(rate[cell] > 20);  // of u² at 3 SD or more
        CHECK(rate[4 + cell] < 3);
        CHECK(rate[4 + cell] >= 0);
      }
    }
  LinearNonlinear by_gradient(small(cells, Nonlinearity::softplus), host());
  CHECK_FALSE(by_gradient.fit(cells.windows()));
}

TEST_CASE("the correlations of a stimulus are taken out of its average") {
  // White noise that drags on in time, and answers of the known cells to it.
  KnownCells cells(3000, [](float u) { return u + 3; });
  const Tensor noise = Tensor::normal({3000, kSide, kSide}, key("noise"), 0, 1, host());
  Tensor movie = noise.clone();
  for (std::int64_t t = 1; t < 3000; ++t)
    select(movie, 0, t)
        .copy_from(add(affine(select(movie, 0, t - 1), 0.7, 0), affine(select(noise, 0, t), 0.7, 0)).value());
  LinearNonlinear truth({.cells = 2, .history = kHistory, .size = kSide, .nonlinearity = Nonlinearity::relu},
                        host());
  truth.filter().weight.value.copy_from(reshape(cells.filter, truth.filter().weight.value.shape()));
  truth.filter().bias.value.fill(3);
  const Tensor rate = Tensor::full({3000, 2}, 3, DType::f32, host());
  slice(rate, 0, kHistory, 3000)
      .copy_from(truth(slice(rolling_window(movie, kHistory), 0, 0, 3000 - kHistory)).value());
  const nn::WindowDataset data(movie, rate, nn::ResponseLayout::time_cells, {.history = kHistory});
  const auto similarity = [&](std::int64_t steps, std::int64_t cell) {
    ReverseCorrelation model({.cells = 2, .history = kHistory, .size = kSide, .decorrelate = steps}, host());
    nn::initialize(model, 1);
    (void)model.fit(data);
    return cells.similarity(model.cell_filters(), cell);
  };
  for (const std::int64_t cell : {0, 1}) {
    CHECK(similarity(0, cell) < 0.8);
    CHECK(similarity(10, cell) > 0.9);
    CHECK(similarity(1, cell) < similarity(10, cell));
  }
}

TEST_CASE("reverse correlation of a silent cell predicts silence") {
  KnownCells cells(200, [](float) { return 0.0f; });
  for (const std::int64_t degree : {5, 0}) {
    ReverseCorrelation model(
        {.cells = 2, .history = kHistory, .size = kSide, .decorrelate = 2, .degree = degree, .bins = 40},
        host());
    nn::initialize(model, 1);
    REQUIRE(model.fit(cells.windows()));
    const auto rate = values(predict(model, cells.windows(), host()).rate);
    CHECK(std::all_of(rate.begin(), rate.end(), [](float r) { return r == 0.0f; }));
  }
}

TEST_CASE("least squares: polynomials and bins") {
  std::vector<double> x, y;
  for (int i = 0; i <= 40; ++i) {
    x.push_back(-1 + i / 20.0);
    y.push_back(2 - x.back() + 3 * std::pow(x.back(), 3));
  }
  const auto c = fit_polynomial(x, y, 4);
  const double expected[] = {2, -1, 0, 3, 0};
  for (std::size_t k = 0; k < 5; ++k) CHECK(c[k] == doctest::Approx(expected[k]).epsilon(1e-5));
  const std::vector<double> same(10, 0.5), level(10, 3.0);
  const auto flat = fit_polynomial(same, level, 2);
  CHECK(flat[0] + flat[1] * 0.5 + flat[2] * 0.25 == doctest::Approx(3));

  const BrokenLine line =
      fit_bins(std::vector<double>{5, 1, 3, 2, 4, 0}, std::vector<double>{50, 10, 30, 20, 40, 0}, 3);
  CHECK(line.x == std::vector<double>{0.5, 2.5, 4.5});
  CHECK(line.y == std::vector<double>{5, 25, 45});
  CHECK(message([&] { (void)fit_polynomial(same, level, 10); }) ==
        "polynomial: 10 and 10 numbers, expected equally many and at least 11");
  CHECK(message([&] { (void)fit_bins(same, x, 4); }) ==
        "bins: 10 and 41 numbers, expected equally many and at least 4");
  CHECK(message([] { ReverseCorrelation({.degree = 10}, host()); }) ==
        "reverse correlation: expected a degree of 0 to 9 and at least 2 bins, got 10 and 50");
}

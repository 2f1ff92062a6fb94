// SPDX-License-Identifier: Apache-2.0
#include "autograd/ops/selection.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "tests/op_case.h"

namespace fovea::test {
namespace {

/// value(row, j) for each element, of a matrix of so many columns.
template <class Value>
Doubles by_row(const Doubles& x, const Sample& sample, const Value& value) {
  const auto width = static_cast<std::size_t>(sample.shapes[0][1]);
  Doubles y;
  for (std::size_t i = 0; i < x.size(); ++i) {
    const std::size_t first = i / width * width;
    y.push_back(value(std::span(x).subspan(first, width), i - first));
  }
  return y;
}

std::vector<Reject> rejects(const std::string& op, const std::string& operand, Var (*apply)(const Var&)) {
  const auto with = [=](const Shape& shape, DType dtype = DType::f32) {
    return [=](const Device& d) { apply(Tensor::full(shape, 1, dtype, d)); };
  };
  return {
      {"a vector", with({3}), op + ": " + operand + " [3] must be [cells, n] with at least one position n"},
      {"no positions", with({3, 0}),
       op + ": " + operand + " [3, 0] must be [cells, n] with at least one position n"},
      {"f64", with({2, 3}, DType::f64),
       op + ": " + operand + " [2, 3] is f64, expected f32; convert it with to()"}};
}

// Around chains of 16, warps, products of 32 factors and warp rows of 1024; 289 is the map of the model.
const std::vector<Sample> kSamples{{{{4, 7}}},   {{{1, 2}}},    {{{3, 16}}},   {{{2, 31}}}, {{{2, 33}}},
                                   {{{5, 289}}}, {{{2, 1024}}}, {{{2, 1025}}}, {{{17, 40}}}};

double clamped(double p) { return std::min(p, 1 - 1e-6); }

}  // namespace

TEST_CASE("selection_weights") {
  OpCase op{.info = selection_weights_info,
            .samples = kSamples,
            .apply = [](std::span<const Var> in, const Sample&) { return selection_weights(in[0]); },
            .reference =
                [](std::span<const Doubles> in, const Sample& sample) {
                  return by_row(in[0], sample, [](std::span<const double> w, std::size_t j) {
                    const double least = *std::min_element(w.begin(), w.end());
                    double sum = 0;
                    for (const double v : w) sum += v - least;
                    return (w[j] - least) / sum;
                  });
                },
            .rejects = rejects("selection_weights", "w", selection_weights)};
  op.samples.push_back({{{0, 3}}});
  op.samples.push_back({{{70, 300}}, {}, DType::f32, true});
  check(op);
}

TEST_CASE("exactly_one_loss") {
  OpCase op{.info = exactly_one_loss_info,
            .samples = kSamples,
            .apply = [](std::span<const Var> in, const Sample&) { return exactly_one_loss(in[0]); },
            .reference =
                [](std::span<const Doubles> in, const Sample& sample) {
                  // The definition, but for the products: all but one factor, one division each.
                  const auto width = static_cast<std::size_t>(sample.shapes[0][1]);
                  double loss = 0;
                  for (std::size_t first = 0; first < in[0].size(); first += width) {
                    double none = 1, sum = 0;
                    for (std::size_t k = 0; k < width; ++k) none *= 1 - clamped(in[0][first + k]);
                    for (std::size_t j = 0; j < width; ++j)
                      sum += clamped(in[0][first + j]) * none / (1 - clamped(in[0][first + j]));
                    loss -= std::log(sum);
                  }
                  return Doubles{loss};
                },
            .magnitude =
                [](std::span<const Doubles> in, const Sample&) {
                  double sum = 1;
                  for (const double p : in[0]) sum += 2 * std::abs(std::log1p(-clamped(p)));
                  return Doubles{sum};
                },
            .value =
                [](int, std::int64_t index, double normal) {
                  return index % 11 == 5 ? 0.1 + 0.8 / (1 + std::exp(normal)) : 0.05 / (1 + std::exp(normal));
                },
            .rejects = rejects("exactly_one_loss", "p", exactly_one_loss)};
  op.samples.push_back({{{0, 3}}});
  check(op);
}

TEST_CASE("exactly_one_loss_by_hand") {
  for (const Device& device : devices()) {
    CAPTURE(device.description());
    const auto loss_of = [&](const std::vector<float>& p, std::int64_t rows = 1) {
      return exactly_one_loss(Tensor::from(p, {rows, static_cast<std::int64_t>(p.size()) / rows}, device))
          .value()
          .item();
    };
    // The cut at 1 − 1e-6 leaves a chance of 1e-6 that none happens.
    CHECK(loss_of({0, 1, 0, 0}) == doctest::Approx(1e-6).epsilon(1e-3));
    CHECK(loss_of({1}) == doctest::Approx(1e-6).epsilon(1e-3));
    CHECK(loss_of({0.5f, 0.5f}) == doctest::Approx(std::log(2.0)));
    CHECK(loss_of({0.5f, 0.5f, 0.25f, 0.5f}, 2) ==
          doctest::Approx(std::log(2.0) - std::log(0.25 * 0.5 + 0.75 * 0.5)));
    for (const std::int64_t n : {2, 10, 256, 2000})
      CHECK(loss_of(std::vector<float>(static_cast<std::size_t>(n), 1 / static_cast<float>(n))) ==
            doctest::Approx(-static_cast<double>(n - 1) * std::log(1 - 1 / static_cast<double>(n))));
    CHECK(loss_of({0, 0, 0}) == std::numeric_limits<double>::infinity());
    CHECK(std::isnan(loss_of({0.5f, std::nanf(""), 0})));

    Tape tape;
    const Var p = tape.leaf(Tensor::from(std::vector<float>{1, 0.5f, 0.25f}, {1, 3}, device));
    const Tape::Root root{exactly_one_loss(p), Tensor::full({}, 3, DType::f32, device)};
    tape.backward(std::span(&root, 1));
    const auto slopes = tape.grad(p).to_vector<double>();
    const double odds = (1 - 1e-6) / 1e-6 + 1 + 1.0 / 3;
    CHECK(slopes[0] == 0.0);  // cut
    CHECK(slopes[1] == doctest::Approx(3 * (2 - 4 / odds)));
    CHECK(slopes[2] == doctest::Approx(3 * (4.0 / 3 - 16.0 / 9 / odds)));
  }
}

TEST_CASE("selection_weights_by_hand") {
  const auto weights = [](const std::vector<float>& w, const Device& device) {
    return Tensor::from(w, {1, static_cast<std::int64_t>(w.size())}, device);
  };
  for (const Device& device : devices()) {
    CAPTURE(device.description());
    CHECK(selection_weights(weights({3, 1, 2, 1}, device)).value().to_vector<float>() ==
          std::vector<float>{2.0f / 3, 0, 1.0f / 3, 0});
    // Equal weights: nothing is chosen, and nothing moves.
    Tape tape;
    const Var equal = tape.leaf(weights({0.25f, 0.25f, 0.25f}, device)),
              tie = tape.leaf(weights({2, 0, 0}, device));
    const Var dead = selection_weights(equal), p = selection_weights(tie);
    CHECK(dead.value().to_vector<float>() == std::vector<float>{0, 0, 0});
    const Tensor seed = weights({1, 4, 16}, device);
    const Tape::Root roots[] = {{dead, seed}, {p, seed}};
    tape.backward(roots);
    CHECK(tape.grad(equal).to_vector<float>() == std::vector<float>{0, 0, 0});
    // du = (dp − 1)/2 = {0, 1.5, 7.5}; of the two least entries the first takes −Σdu = −9.
    CHECK(tape.grad(tie).to_vector<float>() == std::vector<float>{0, -7.5f, 7.5f});
    for (const float v : selection_weights(weights({1, std::nanf(""), 3}, device)).value().to_vector<float>())
      CHECK(std::isnan(v));
    for (const float v : selection_weights(weights({std::nanf(""), 1, 3}, device)).value().to_vector<float>())
      CHECK(std::isnan(v));
  }
}

}  // namespace fovea::test

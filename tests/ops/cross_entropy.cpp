// SPDX-License-Identifier: Apache-2.0
#include "autograd/ops/cross_entropy.h"

#include <doctest/doctest.h>

#include <cmath>
#include <limits>

#include "tests/op_case.h"

namespace fovea::test {
namespace {

std::int64_t label_of(std::int64_t row, std::int64_t classes) { return (row * 7 + 3) % classes; }

Tensor labels_for(const Shape& logits, const Device& device) {
  std::vector<std::int64_t> labels;
  for (std::int64_t row = 0; row < logits[0]; ++row) labels.push_back(label_of(row, logits[1]));
  return constant(labels, {logits[0]}, device);
}

/// Some samples count less than others, and some not at all.
double mask_of(std::int64_t row) { return static_cast<double>(row % 3) / 2; }

/// params[1]: whether there is a mask.
bool masked(const Sample& sample) { return sample.params.size() > 1 && sample.params[1] != 0; }

Tensor mask_for(const Shape& logits, const Device& device) {
  std::vector<float> mask;
  for (std::int64_t row = 0; row < logits[0]; ++row) mask.push_back(static_cast<float>(mask_of(row)));
  return constant(mask, {logits[0]}, device);
}

/// params[0]: smoothing in thousandths; none: 0.
double smoothing(const Sample& sample) {
  return sample.params.empty() ? 0.0 : static_cast<double>(static_cast<float>(sample.params[0]) / 1000.0f);
}

Doubles mean_loss(const Doubles& x, const Sample& sample, bool magnitude) {
  const std::int64_t rows = sample.shapes[0][0], classes = sample.shapes[0][1];
  double total = 0;
  for (std::int64_t row = 0; row < rows; ++row) {
    const double* logits = x.data() + row * classes;
    double most = logits[0], sum = 0;
    for (std::int64_t c = 0; c < classes; ++c) most = std::max(most, logits[c]);
    for (std::int64_t c = 0; c < classes; ++c) sum += std::exp(logits[c] - most);
    for (std::int64_t c = 0; c < classes; ++c) {
      const double target = smoothing(sample) / static_cast<double>(classes) +
                            (c == label_of(row, classes) ? 1 - smoothing(sample) : 0);
      total +=
          (masked(sample) ? mask_of(row) : 1.0) * target *
          (magnitude ? 1 + std::abs(logits[c] - most) + std::log(sum) : std::log(sum) + most - logits[c]);
    }
  }
  return {total / static_cast<double>(rows)};
}

}  // namespace

TEST_CASE("cross_entropy") {
  const auto with_mask = [](const Shape& mask, DType dtype) {
    return [=](const Device& d) {
      cross_entropy(Tensor::zeros({2, 3}, DType::f32, d), Tensor::zeros({2}, DType::i64, d), {},
                    Tensor::zeros(mask, dtype, d));
    };
  };
  const auto with = [](const Shape& logits, const Shape& labels, DType dtype = DType::f32,
                       DType label_dtype = DType::i64, float label_smoothing = 0.0f) {
    return [=](const Device& d) {
      cross_entropy(Tensor::zeros(logits, dtype, d), Tensor::zeros(labels, label_dtype, d),
                    {.label_smoothing = label_smoothing});
    };
  };
  check(
      {.info = cross_entropy_info,
       .samples = {{{{4, 7}}},
                   {{{1, 1}}},
                   {{{1, 2}}, {100}},
                   {{{4, 7}}, {100}},
                   {{{4, 8}}, {1000}},
                   {{{9, 10}}, {50}},
                   {{{33, 3}}},
                   {{{3, 33}}, {10}},
                   {{{2, 1024}}},
                   {{{2, 1025}}, {100}},
                   {{{2, 1028}}, {100}},
                   {{{5, 6}}, {100, 1}},
                   {{{2, 1025}}, {0, 1}},
                   {{{300, 10}}, {}, DType::f32, true},
                   {{{256, 1000}}, {100}, DType::f32, true},
                   {{{20, 3001}}, {}, DType::f32, true}},
       .apply =
           [](std::span<const Var> in, const Sample& sample) {
             return cross_entropy(in[0], labels_for(in[0].shape(), in[0].device()),
                                  {.label_smoothing = static_cast<float>(smoothing(sample))},
                                  masked(sample) ? mask_for(in[0].shape(), in[0].device()) : Tensor());
           },
       .reference = [](std::span<const Doubles> in,
                       const Sample& sample) { return mean_loss(in[0], sample, false); },
       .magnitude = [](std::span<const Doubles> in,
                       const Sample& sample) { return mean_loss(in[0], sample, true); },
       .value = [](int, std::int64_t, double normal) { return 3 * normal; },
       .rejects = {{"a vector", with({3}, {3}), "cross_entropy: logits [3] has rank 1, expected [N, C]"},
                   {"another number of labels", with({2, 3}, {3}),
                    "cross_entropy: logits [2, 3] has 2 samples, labels [3] expects [2]"},
                   {"no samples", with({0, 3}, {0}), "cross_entropy: logits [0, 3] is empty and has no mean"},
                   {"f64", with({2, 3}, {2}, DType::f64),
                    "cross_entropy: logits [2, 3] is f64, expected f32; convert it with to()"},
                   {"labels of another type", with({2, 3}, {2}, DType::f32, DType::f32),
                    "cross_entropy: labels [2] is f32, expected i64; convert it with to()"},
                   {"another number of samples in the mask", with_mask({3}, DType::f32),
                    "cross_entropy: logits [2, 3] has 2 samples, mask [3] expects [2]"},
                   {"a mask of another type", with_mask({2}, DType::u8),
                    "cross_entropy: mask [2] is u8, expected f32; convert it with to()"},
                   {"too much smoothing", with({2, 3}, {2}, DType::f32, DType::i64, 1.5f),
                    "cross_entropy: label_smoothing is 1.5, expected 0..1"}}});
}

TEST_CASE("cross_entropy_of_extremes") {
  const float infinity = std::numeric_limits<float>::infinity();
  for (const Device& device : devices()) {
    CAPTURE(device.description());
    const auto loss_of = [&](const std::vector<float>& row, std::int64_t label, float smoothed = 0.0f) {
      return cross_entropy(Tensor::from(row, {1, static_cast<std::int64_t>(row.size())}, device),
                           Tensor::from(std::vector<std::int64_t>{label}, {1}, device),
                           {.label_smoothing = smoothed})
          .value()
          .item();
    };
    CHECK(loss_of({2, 2}, 0) == doctest::Approx(std::log(2.0)).epsilon(1e-7));
    CHECK(loss_of({1e4f, 0}, 0) == 0.0);
    CHECK(loss_of({1e4f, 0}, 1) == 1e4);
    CHECK(loss_of({1e4f, 0}, 1, 0.5f) == 7500);  // a quarter of the target is at the other class
    CHECK(loss_of({-infinity, 5}, 1) == 0.0);    // a class that is masked out
    CHECK(loss_of({-infinity, 5}, 0) == std::numeric_limits<double>::infinity());
    CHECK(std::isnan(loss_of({std::nanf(""), 5}, 0)));
  }
}

/// Labels cannot be looked at without waiting for the device: a wrong one shows in the loss.
TEST_CASE("cross_entropy_of_wrong_labels") {
  for (const Device& device : devices()) {
    CAPTURE(device.description());
    for (const std::int64_t wrong : {std::int64_t{-1}, std::int64_t{3}, std::int64_t{1} << 40}) {
      Tape tape;
      const Var x = tape.leaf(Tensor::zeros({2, 3}, DType::f32, device));
      const Var loss = cross_entropy(x, Tensor::from(std::vector<std::int64_t>{2, wrong}, {2}, device));
      CHECK(std::isnan(loss.value().item()));
      tape.backward(loss);
      const auto slopes = tape.grad(x).to_vector<float>();
      for (std::size_t i = 0; i < 6; ++i) CHECK(std::isnan(slopes[i]) == (i >= 3));
    }
  }
}

TEST_CASE("cross_entropy_scales_its_gradient") {
  for (const Device& device : devices()) {
    Tape tape;
    const Var x = tape.leaf(Tensor::zeros({2, 4}, DType::f32, device));
    const Tape::Root root{cross_entropy(x, Tensor::from(std::vector<std::int64_t>{0, 3}, {2}, device)),
                          Tensor::full({}, -8, DType::f32, device)};
    tape.backward(std::span(&root, 1));
    CHECK(tape.grad(x).to_vector<float>() == std::vector<float>{3, -1, -1, -1, -1, -1, -1, 3});
  }
}

}  // namespace fovea::test

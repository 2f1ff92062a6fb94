// SPDX-License-Identifier: Apache-2.0
#include "autograd/ops/batch_norm.h"

#include <doctest/doctest.h>

#include <cmath>
#include <limits>

#include "tensor/views.h"
#include "tests/op_case.h"

namespace fovea::test {
namespace {

// Inputs: x [N, C, ...], and unless left out gamma [C], beta [C] (inference: also running_mean, running_var).
// params: eps in thousandths; default 1.
float eps_of(const Sample& s) { return s.params.empty() ? 1e-3f : static_cast<float>(s.params[0]) * 1e-3f; }

struct Extents {
  std::int64_t batch, channels, inner = 1;
  explicit Extents(const Sample& s) : batch(s.shapes[0][0]), channels(s.shapes[0][1]) {
    for (int d = 2; d < s.shapes[0].rank(); ++d) inner *= s.shapes[0][d];
  }
  std::int64_t count() const { return batch * inner; }
  std::size_t at(std::int64_t channel, std::int64_t m) const {
    return static_cast<std::size_t>((m / inner * channels + channel) * inner + m % inner);
  }
};

struct Moments {
  double mean = 0, m2 = 0;
};
Moments moments_of(const Doubles& x, const Extents& e, std::int64_t channel) {
  Moments moments;
  for (std::int64_t m = 0; m < e.count(); ++m)
    moments.mean += x[e.at(channel, m)] / static_cast<double>(e.count());
  for (std::int64_t m = 0; m < e.count(); ++m) moments.m2 += std::pow(x[e.at(channel, m)] - moments.mean, 2);
  return moments;
}

/// gamma·(x - mean)/√(var + eps) + beta, or the sizes of the terms that go into it.
Doubles normalized(std::span<const Doubles> in, const Sample& s, bool training, bool sizes) {
  const Extents e(s);
  const double eps = static_cast<double>(eps_of(s));
  Doubles y(in[0].size());
  for (std::int64_t c = 0; c < e.channels; ++c) {
    const auto k = static_cast<std::size_t>(c);
    const double gamma = in.size() > 1 ? in[1][k] : 1, beta = in.size() > 1 ? in[2][k] : 0;
    const Moments moments = training ? moments_of(in[0], e, c) : Moments{};
    const double mean = training ? moments.mean : in[in.size() - 2][k];
    const double variance = training ? moments.m2 / static_cast<double>(e.count()) : in[in.size() - 1][k];
    double mean_size = 0;  // the terms of the mean
    if (training)
      for (std::int64_t m = 0; m < e.count(); ++m)
        mean_size += std::abs(in[0][e.at(c, m)]) / static_cast<double>(e.count());
    else
      mean_size = std::abs(mean);
    const double scale = gamma / std::sqrt(variance + eps);
    for (std::int64_t m = 0; m < e.count(); ++m) {
      const double x = in[0][e.at(c, m)];
      y[e.at(c, m)] =
          sizes ? (std::abs(x) + mean_size) * std::abs(scale) + std::abs(beta) : (x - mean) * scale + beta;
    }
  }
  return y;
}

Tensor filled(const Shape& shape, double value, const Device& device, DType dtype = DType::f32) {
  return Tensor::full(shape, value, dtype, device, "test");
}

Var train(const Var& x, const Var& gamma, const Var& beta, float eps = 1e-3f, float momentum = 0.01f) {
  const Shape channels{x.shape().rank() > 1 ? x.shape()[1] : 0};
  return batch_norm_train(x, gamma, beta, filled(channels, 0, x.device()), filled(channels, 1, x.device()),
                          eps, momentum);
}

Sample with_affine(const Shape& x, std::int64_t eps_thousandths = 1, bool fast_only = false) {
  return {.shapes = {x, {x[1]}, {x[1]}}, .params = {eps_thousandths}, .fast_only = fast_only};
}

// Around vectors (16 lanes, 4 side by side), blocks of 8 and runs of 32 rows, parts of 512 channels, segments
// of 4096 and slices of 16384 elements. At N = 2 a slope is what eps leaves of a difference that cancels: eps
// is large there.
const std::vector<Sample> kSamples{with_affine({5, 3}),
                                   with_affine({1, 5}),
                                   with_affine({2, 3}, 500),
                                   with_affine({7, 15}),
                                   with_affine({8, 16}),
                                   with_affine({9, 17}),
                                   with_affine({31, 31}),
                                   with_affine({32, 32}),
                                   with_affine({33, 33}),
                                   with_affine({65, 63}),
                                   with_affine({3, 64}),
                                   with_affine({4, 65}),
                                   with_affine({511, 2}),
                                   with_affine({513, 2}),
                                   with_affine({5, 511}),
                                   with_affine({4, 513}),
                                   with_affine({70, 580}, 1, true),
                                   with_affine({4, 3, 2}),
                                   with_affine({1, 2, 3}),
                                   with_affine({2, 3, 5, 7}),
                                   with_affine({3, 2, 4}),
                                   with_affine({1, 1, 4097}),
                                   with_affine({3, 1, 5462}),
                                   with_affine({2, 2, 8192}),
                                   with_affine({33, 2, 36, 36}, 1, true),
                                   with_affine({40, 0}),
                                   {.shapes = {{6, 4}}},
                                   {.shapes = {{3, 2, 9}}}};

OpCase train_case() {
  return {
      .info = batch_norm_train_info,
      .samples = kSamples,
      .apply =
          [](std::span<const Var> in, const Sample& s) {
            return in.size() > 1 ? train(in[0], in[1], in[2], eps_of(s))
                                 : train(in[0], Var(), Var(), eps_of(s));
          },
      .reference = [](std::span<const Doubles> in,
                      const Sample& s) { return normalized(in, s, true, false); },
      .magnitude = [](std::span<const Doubles> in, const Sample& s) { return normalized(in, s, true, true); },
      .terms = [](const Sample& s) { return static_cast<double>(Extents(s).count()); }};
}

OpCase inference_case() {
  OpCase op{.info = batch_norm_inference_info,
            .samples = {},
            .apply =
                [](std::span<const Var> in, const Sample& s) {
                  const bool affine = in.size() > 3;
                  const Tensor mean = in[in.size() - 2].value().contiguous(),
                               variance = in.back().value().contiguous();
                  return batch_norm_inference(in[0], affine ? in[1] : Var(), affine ? in[2] : Var(), mean,
                                              variance, eps_of(s));
                },
            .reference =
                [](std::span<const Doubles> in, const Sample& s) {
                  if (in.size() > 3) return normalized(in, s, false, false);
                  const Doubles one(in[1].size(), 1), zero(in[1].size(), 0);
                  return normalized(std::vector<Doubles>{in[0], one, zero, in[1], in[2]}, s, false, false);
                },
            .magnitude =
                [](std::span<const Doubles> in, const Sample& s) {
                  if (in.size() > 3) return normalized(in, s, false, true);
                  const Doubles one(in[1].size(), 1), zero(in[1].size(), 0);
                  return normalized(std::vector<Doubles>{in[0], one, zero, in[1], in[2]}, s, false, true);
                },
            .terms = [](const Sample& s) { return static_cast<double>(Extents(s).count()); },
            .gradient_inputs = 0b00111};
  // Every variance must be positive, and its place depends on the sample: so all inputs are.
  op.value = [](int, std::int64_t, double normal) { return 0.2 + std::abs(normal); };
  for (Sample s : kSamples) {
    if (s.shapes.size() == 1) continue;
    s.shapes.push_back(s.shapes[1]);
    s.shapes.push_back(s.shapes[1]);
    op.samples.push_back(s);
  }
  op.samples.push_back({.shapes = {{0, 3}, {3}, {3}, {3}, {3}}});
  op.samples.push_back({.shapes = {{2, 3, 0}, {3}, {3}, {3}, {3}}});
  return op;
}

}  // namespace

TEST_CASE("batch_norm_train") {
  OpCase op = train_case();
  op.gradient_ulps = 256;  // slopes are sums that cancel; the bound is relative to what is left
  op.rejects = {{"rank 1", [](const Device& d) { train(filled({4}, 1, d), Var(), Var()); },
                 "batch_norm_train: x [4] has rank 1, expected [N, C, ...]"},
                {"wrong dtype",
                 [](const Device& d) {
                   train(filled({4, 2}, 1, d, DType::f64), Var(), Var());
                 },
                 "batch_norm_train: x [4, 2] is f64, expected f32; convert it with to()"},
                {"gamma of other channels",
                 [](const Device& d) {
                   train(filled({4, 2}, 1, d), filled({3}, 1, d), Var());
                 },
                 "batch_norm_train: x [4, 2] has 2 channels, gamma [3] expects [2]"},
                {"beta of rank 2",
                 [](const Device& d) {
                   train(filled({4, 2}, 1, d), Var(), filled({2, 1}, 1, d));
                 },
                 "batch_norm_train: x [4, 2] has 2 channels, beta [2, 1] expects [2]"},
                {"gamma of wrong dtype",
                 [](const Device& d) {
                   train(filled({4, 2}, 1, d), filled({2}, 1, d, DType::i32), Var());
                 },
                 "batch_norm_train: gamma [2] is i32, expected f32; convert it with to()"},
                {"undefined running values",
                 [](const Device& d) {
                   batch_norm_train(filled({4, 2}, 1, d), Var(), Var(), Tensor(), Tensor());
                 },
                 "batch_norm_train: running_mean is undefined; give it zeros or ones of [2]"},
                {"running_var of other channels",
                 [](const Device& d) {
                   batch_norm_train(filled({4, 2}, 1, d), Var(), Var(), filled({2}, 0, d), filled({1}, 1, d));
                 },
                 "batch_norm_train: x [4, 2] has 2 channels, running_var [1] expects [2]"},
                {"strided running values",
                 [](const Device& d) {
                   batch_norm_train(filled({4, 2}, 1, d), Var(), Var(), slice(filled({4}, 0, d), 0, 0, 4, 2),
                                    filled({2}, 1, d));
                 },
                 "batch_norm_train: running_mean [2] is a strided view; give it contiguous"},
                {"eps 0",
                 [](const Device& d) {
                   train(filled({4, 2}, 1, d), Var(), Var(), 0.0f);
                 },
                 "batch_norm_train: eps is 0, expected more than 0"},
                {"momentum above 1",
                 [](const Device& d) {
                   train(filled({4, 2}, 1, d), Var(), Var(), 1e-3f, 1.5f);
                 },
                 "batch_norm_train: momentum is 1.5, expected 0..1"},
                {"no images",
                 [](const Device& d) {
                   train(filled({0, 2}, 1, d), Var(), Var());
                 },
                 "batch_norm_train: x [0, 2] is empty and has no statistics"}};
  std::erase_if(op.samples, [](const Sample& s) { return s.shapes[0].numel() == 0; });
  check(op);
}

TEST_CASE("batch_norm_inference") {
  OpCase op = inference_case();
  op.rejects = {{"gamma of other channels",
                 [](const Device& d) {
                   batch_norm_inference(filled({4, 2}, 1, d), filled({3}, 1, d), Var(), filled({2}, 0, d),
                                        filled({2}, 1, d));
                 },
                 "batch_norm_inference: x [4, 2] has 2 channels, gamma [3] expects [2]"},
                {"undefined running_var",
                 [](const Device& d) {
                   batch_norm_inference(filled({4, 2}, 1, d), Var(), Var(), filled({2}, 0, d), Tensor());
                 },
                 "batch_norm_inference: running_var is undefined; give it zeros or ones of [2]"},
                {"NaN as eps",
                 [](const Device& d) {
                   batch_norm_inference(filled({4, 2}, 1, d), Var(), Var(), filled({2}, 0, d),
                                        filled({2}, 1, d), std::numeric_limits<float>::quiet_NaN());
                 },
                 "batch_norm_inference: eps is nan, expected more than 0"}};
  check(op);
}

// A mean of 1000 standard deviations: E[x²] - E[x]² would keep no digit of the variance. What is lost is the
// rounding of the stored mean, 1000·2^-24 = 6e-5 sd, which the terms' sizes cover in y; slopes get room for
// it.
TEST_CASE("batch_norm_large_mean") {
  OpCase op = train_case();
  op.samples = {with_affine({5, 3}), with_affine({33, 18}), with_affine({600, 3}), with_affine({3, 2, 36}),
                with_affine({2, 2, 8200})};
  op.value = [](int input, std::int64_t, double normal) { return input == 0 ? 1000 + normal : normal; };
  op.gradient_ulps = 4000;
  check(op);
}

TEST_CASE("batch_norm_running_values") {
  for (const Device& device : devices()) {
    INFO(device.description());
    for (const Shape& shape :
         {Shape{33, 5}, Shape{600, 2}, Shape{4, 5, 3, 7}, Shape{1, 3}, Shape{3, 2, 5500}}) {
      INFO(shape.str());
      const Sample sample{.shapes = {shape}};
      const Extents e(sample);
      const auto x = sample_inputs(train_case(), sample)[0];
      const Tensor values = to_tensor(x, shape, DType::f32, device);
      const Tensor mean = filled({e.channels}, 0.5, device), variance = filled({e.channels}, 2, device);
      batch_norm_train(values, Var(), Var(), mean, variance, 1e-3f, 0.25f);
      const auto got_mean = mean.to_vector<double>(), got_variance = variance.to_vector<double>();
      for (std::int64_t c = 0; c < e.channels; ++c) {
        const Moments moments = moments_of(x, e, c);
        const double unbiased = e.count() > 1 ? moments.m2 / static_cast<double>(e.count() - 1) : 0.0;
        CHECK(got_mean[static_cast<std::size_t>(c)] ==
              doctest::Approx(0.75 * 0.5 + 0.25 * moments.mean).epsilon(1e-6));
        CHECK(got_variance[static_cast<std::size_t>(c)] ==
              doctest::Approx(0.75 * 2 + 0.25 * unbiased).epsilon(1e-6));
      }
    }
  }
}

// With momentum 1 the running values are those of the batch, except that their variance is unbiased.
TEST_CASE("batch_norm_momentum_one") {
  for (const Device& device : devices()) {
    INFO(device.description());
    for (const Shape& shape : {Shape{33, 5}, Shape{4, 3, 6, 6}}) {
      const Sample sample{.shapes = {shape}};
      const Extents e(sample);
      const Tensor x = to_tensor(sample_inputs(train_case(), sample)[0], shape, DType::f32, device);
      const Tensor mean = filled({e.channels}, 7, device), variance = filled({e.channels}, 7, device);
      const auto trained =
          batch_norm_train(x, Var(), Var(), mean, variance, 1e-3f, 1.0f).value().to_vector<double>();
      const auto inferred =
          batch_norm_inference(x, Var(), Var(), mean, variance, 1e-3f).value().to_vector<double>();
      const auto unbiased = variance.to_vector<double>();
      const double biased_share = static_cast<double>(e.count() - 1) / static_cast<double>(e.count());
      for (std::int64_t c = 0; c < e.channels; ++c) {
        const double v = unbiased[static_cast<std::size_t>(c)];
        const double ratio = std::sqrt((v * biased_share + 1e-3) / (v + 1e-3));
        for (std::int64_t m = 0; m < e.count(); ++m)
          CHECK(std::abs(inferred[e.at(c, m)] - ratio * trained[e.at(c, m)]) < 4e-6);
      }
    }
  }
}

TEST_CASE("batch_norm_constant_input_and_nan") {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  for (const Device& device : devices()) {
    INFO(device.description());
    for (const Shape& shape : {Shape{40, 2}, Shape{5, 2, 9}}) {
      const Sample sample{.shapes = {shape}};
      const Extents e(sample);
      // Constant: no variance at all, so y is beta to the bit.
      const Tensor beta = Tensor::from(std::vector<float>{0.25f, -3.0f}, {2}, device);
      const auto flat = train(filled(shape, 1234.567, device), Var(), beta).value().to_vector<float>();
      for (std::int64_t c = 0; c < 2; ++c)
        for (std::int64_t m = 0; m < e.count(); ++m) CHECK(flat[e.at(c, m)] == (c == 0 ? 0.25f : -3.0f));
      // One NaN spoils its channel, and no other.
      std::vector<float> values(static_cast<std::size_t>(shape.numel()), 1.0f);
      values[e.at(1, e.count() - 1)] = nan;
      const auto y = train(Tensor::from(values, shape, device), Var(), beta).value().to_vector<float>();
      for (std::int64_t m = 0; m < e.count(); ++m) {
        CHECK(y[e.at(0, m)] == 0.25f);
        CHECK(std::isnan(y[e.at(1, m)]));
      }
    }
  }
}

TEST_CASE("batch_norm_keeps_its_statistics") {
  // A training step after an inference must not change the slope of that inference.
  for (const Device& device : devices()) {
    Tape tape;
    const Var x = tape.leaf(filled({3, 1}, 2, device));
    const Tensor mean = filled({1}, 0, device), variance = filled({1}, 4, device);
    const Var y = batch_norm_inference(x, Var(), Var(), mean, variance, 1e-6f);
    train(filled({3, 1}, 1, device), Var(), Var());
    variance.fill(100);
    const Tape::Root root{y, filled({3, 1}, 1, device)};
    tape.backward(std::span(&root, 1));
    CHECK(tape.grad(x).to_vector<float>()[0] == doctest::Approx(0.5));
  }
}

}  // namespace fovea::test

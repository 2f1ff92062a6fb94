// SPDX-License-Identifier: Apache-2.0
#include "autograd/ops/group_norm.h"

#include <doctest/doctest.h>

#include <cmath>
#include <limits>

#include "tests/op_case.h"

namespace fovea::test {
namespace {

// Inputs: x, and unless left out gamma and beta. params: eps in millionths, then the number of groups.
float eps_of(const Sample& s) { return static_cast<float>(s.params[0]) * 1e-6f; }

/// Which elements have statistics in common, and which have a gamma.
struct Layout {
  std::int64_t sets, scales;                             // how many
  std::function<std::int64_t(std::int64_t)> set, scale;  // of an element
};

Layout groups_layout(const Sample& s) {
  const Shape& x = s.shapes[0];
  const std::int64_t channels = x[1], groups = s.params[1];
  std::int64_t inner = 1;
  for (int d = 2; d < x.rank(); ++d) inner *= x[d];
  return {x[0] * groups, channels, [=](std::int64_t i) { return i / (channels / groups * inner); },
          [=](std::int64_t i) { return i / inner % channels; }};
}
Layout rows_layout(const Sample& s) {
  const std::int64_t width = s.shapes[0].back(), rows = width > 0 ? s.shapes[0].numel() / width : 0;
  return {rows, width, [=](std::int64_t i) { return i / width; }, [=](std::int64_t i) { return i % width; }};
}
Layout columns_layout(const Sample& s) {
  const Shape& x = s.shapes[0];
  const std::int64_t channels = x[1], inner = x[0] * x[1] > 0 ? x.numel() / (x[0] * x[1]) : 1;
  return {x[0] * inner, channels, [=](std::int64_t i) { return i / (channels * inner) * inner + i % inner; },
          [=](std::int64_t i) { return i / inner % channels; }};
}

/// gamma·(x - mean)/√(var + eps) + beta, or the sizes of the terms that go into it.
Doubles normalized(std::span<const Doubles> in, const Layout& layout, float eps, bool sizes) {
  const std::size_t sets = static_cast<std::size_t>(layout.sets);
  Doubles count(sets), mean(sets), mean_size(sets), variance(sets), y(in[0].size());
  const auto set_of = [&](std::size_t i) {
    return static_cast<std::size_t>(layout.set(static_cast<std::int64_t>(i)));
  };
  for (std::size_t i = 0; i < y.size(); ++i) {
    count[set_of(i)] += 1;
    mean[set_of(i)] += in[0][i];
    mean_size[set_of(i)] += std::abs(in[0][i]);
  }
  for (std::size_t k = 0; k < sets; ++k) {
    mean[k] /= count[k];
    mean_size[k] /= count[k];
  }
  for (std::size_t i = 0; i < y.size(); ++i)
    variance[set_of(i)] += std::pow(in[0][i] - mean[set_of(i)], 2) / count[set_of(i)];
  for (std::size_t i = 0; i < y.size(); ++i) {
    const auto c = static_cast<std::size_t>(layout.scale(static_cast<std::int64_t>(i)));
    const double gamma = in.size() > 1 ? in[1][c] : 1, beta = in.size() > 1 ? in[2][c] : 0;
    const double scale = gamma / std::sqrt(variance[set_of(i)] + static_cast<double>(eps));
    y[i] = sizes ? (std::abs(in[0][i]) + mean_size[set_of(i)]) * std::abs(scale) + std::abs(beta)
                 : (in[0][i] - mean[set_of(i)]) * scale + beta;
  }
  return y;
}

OpCase norm_case(const OpInfo& info, Layout (*layout)(const Sample&),
                 std::function<Var(const Var&, const Var&, const Var&, const Sample&)> call,
                 std::vector<Sample> samples) {
  return {.info = info,
          .samples = std::move(samples),
          .apply =
              [call](std::span<const Var> in, const Sample& s) {
                return call(in[0], in.size() > 1 ? in[1] : Var(), in.size() > 1 ? in[2] : Var(), s);
              },
          .reference = [layout](std::span<const Doubles> in,
                                const Sample& s) { return normalized(in, layout(s), eps_of(s), false); },
          .magnitude = [layout](std::span<const Doubles> in,
                                const Sample& s) { return normalized(in, layout(s), eps_of(s), true); },
          .terms =
              [layout](const Sample& s) {  // of a mean, or of dgamma
                const auto n = static_cast<double>(s.shapes[0].numel());
                const Layout l = layout(s);
                return n / static_cast<double>(std::max<std::int64_t>(1, std::min(l.sets, l.scales)));
              },
          .gradient_ulps = 256};  // slopes are sums that cancel; the bound is relative to what is left
}

// With few elements in a set, or one, a slope is what eps leaves of a difference that cancels: eps is large there.
constexpr std::int64_t kSmall = 10, kLarge = 500000;

Sample with_affine(const Shape& x, std::int64_t scales, std::int64_t groups, std::int64_t eps = kSmall,
                   bool fast_only = false) {
  return {.shapes = {x, {scales}, {scales}}, .params = {eps, groups}, .fast_only = fast_only};
}
Sample grouped(const Shape& x, std::int64_t groups, std::int64_t eps = kSmall, bool fast_only = false) {
  return with_affine(x, x[1], groups, eps, fast_only);
}
Sample of_rows(const Shape& x, std::int64_t eps = kSmall, bool fast_only = false) {
  return with_affine(x, x.back(), 1, eps, fast_only);
}
Sample of_columns(const Shape& x, std::int64_t eps = kSmall, bool fast_only = false) {
  return with_affine(x, x[1], 1, eps, fast_only);
}

Var groups_of(const Var& x, const Var& gamma, const Var& beta, const Sample& s) {
  return group_norm(x, gamma, beta, s.params[1], eps_of(s));
}
Var rows_of(const Var& x, const Var& gamma, const Var& beta, const Sample& s) {
  return layer_norm(x, gamma, beta, eps_of(s));
}
Var columns_of(const Var& x, const Var& gamma, const Var& beta, const Sample& s) {
  return layer_norm_channels(x, gamma, beta, eps_of(s));
}

Tensor filled(const Shape& shape, double value, const Device& device, DType dtype = DType::f32) {
  return Tensor::full(shape, value, dtype, device, "test");
}

std::vector<float> floats_of(const Tensor& x) { return x.to_vector<float>(); }

}  // namespace

// Around vectors (16 lanes, two of them), segments of 4096, parts of 32768; warps, packs, a warp's slab of 1024,
// a block's of 16384, and the 512 samples of a slice of dgamma's sum.
TEST_CASE("group_norm") {
  OpCase op = norm_case(group_norm_info, groups_layout, groups_of,
                        {grouped({3, 4, 5}, 2),
                         grouped({2, 6, 3, 3}, 3),
                         grouped({2, 6, 2}, 1),
                         grouped({2, 5, 7}, 5),
                         grouped({4, 6}, 2, kLarge),
                         grouped({3, 4}, 4, kLarge),
                         grouped({2, 1, 5}, 1),
                         grouped({2, 1, 1}, 1, kLarge),
                         grouped({1, 3, 4, 4}, 1),
                         grouped({2, 2, 17}, 2),
                         grouped({3, 8, 33}, 2),
                         grouped({2, 1030}, 2),
                         grouped({2, 3, 341}, 1),
                         grouped({1, 5, 205}, 1),
                         grouped({2, 1, 1028}, 1),
                         grouped({1, 2, 8193}, 1),
                         grouped({1, 4, 4100}, 1),
                         grouped({1, 2, 4097}, 2),
                         grouped({513, 3, 2}, 1, kLarge),
                         grouped({1100, 2}, 1, kLarge),
                         grouped({70, 33, 4, 4}, 3, kSmall, true),
                         grouped({3, 2, 130, 130}, 1, kSmall, true),
                         grouped({0, 4, 3}, 2),
                         grouped({2, 4, 0}, 2),
                         grouped({2, 0, 3}, 3),
                         {.shapes = {{3, 4, 5}}, .params = {kSmall, 2}},
                         {.shapes = {{5, 8}}, .params = {kSmall, 1}}});
  op.rejects = {{"rank 1", [](const Device& d) { group_norm(filled({4}, 1, d), Var(), Var(), 1); },
                 "group_norm: x [4] has rank 1, expected [N, C, ...]"},
                {"wrong dtype",
                 [](const Device& d) {
                   group_norm(filled({4, 2}, 1, d, DType::f64), Var(), Var(), 1);
                 },
                 "group_norm: x [4, 2] is f64, expected f32; convert it with to()"},
                {"no groups",
                 [](const Device& d) {
                   group_norm(filled({4, 2}, 1, d), Var(), Var(), 0);
                 },
                 "group_norm: groups is 0, expected a divisor of the 2 channels of x [4, 2]"},
                {"groups that do not divide",
                 [](const Device& d) {
                   group_norm(filled({4, 6, 2}, 1, d), Var(), Var(), 4);
                 },
                 "group_norm: groups is 4, expected a divisor of the 6 channels of x [4, 6, 2]"},
                {"gamma of other channels",
                 [](const Device& d) {
                   group_norm(filled({4, 2}, 1, d), filled({3}, 1, d), Var(), 1);
                 },
                 "group_norm: x [4, 2] has 2 channels, gamma [3] expects [2]"},
                {"beta of rank 2",
                 [](const Device& d) {
                   group_norm(filled({4, 2}, 1, d), Var(), filled({2, 1}, 1, d), 1);
                 },
                 "group_norm: x [4, 2] has 2 channels, beta [2, 1] expects [2]"},
                {"gamma of wrong dtype",
                 [](const Device& d) {
                   group_norm(filled({4, 2}, 1, d), filled({2}, 1, d, DType::i32), Var(), 1);
                 },
                 "group_norm: gamma [2] is i32, expected f32; convert it with to()"},
                {"eps 0",
                 [](const Device& d) {
                   group_norm(filled({4, 2}, 1, d), Var(), Var(), 1, 0.0f);
                 },
                 "group_norm: eps is 0, expected more than 0"}};
  check(op);
}

TEST_CASE("layer_norm") {
  OpCase op = norm_case(layer_norm_info, rows_layout, rows_of,
                        {of_rows({3, 4}),
                         of_rows({7}),
                         of_rows({4, 1}, kLarge),
                         of_rows({2, 3, 5}),
                         of_rows({5, 2}, kLarge),
                         of_rows({3, 16}),
                         of_rows({9, 17}),
                         of_rows({4, 33}),
                         of_rows({3, 64}),
                         of_rows({2, 1024}),
                         of_rows({2, 1025}),
                         of_rows({2, 1028}),
                         of_rows({1, 16385}),
                         of_rows({1, 16388}),
                         of_rows({520, 5}),
                         of_rows({700, 300}, kSmall, true),
                         of_rows({0, 3}),
                         of_rows({3, 0}),
                         {.shapes = {{3, 8}}, .params = {kSmall}}});
  op.rejects = {
      {"rank 0", [](const Device& d) { layer_norm(filled({}, 1, d), Var(), Var()); },
       "layer_norm: x [] has rank 0, expected [..., F]"},
      {"wrong dtype", [](const Device& d) { layer_norm(filled({2}, 1, d, DType::i64), Var(), Var()); },
       "layer_norm: x [2] is i64, expected f32; convert it with to()"},
      {"gamma of another width",
       [](const Device& d) {
         layer_norm(filled({3, 2}, 1, d), filled({3}, 1, d), Var());
       },
       "layer_norm: x [3, 2] has 2 columns, gamma [3] expects [2]"},
      {"NaN as eps",
       [](const Device& d) {
         layer_norm(filled({3, 2}, 1, d), Var(), Var(), std::numeric_limits<float>::quiet_NaN());
       },
       "layer_norm: eps is nan, expected more than 0"}};
  check(op);
}

// Around 4 vectors side by side, blocks of 8 and runs of 32 channels, parts of 512 positions; 32 columns a block, a
// warp's plane of 1024, and the 16384 columns from which packs are read.
TEST_CASE("layer_norm_channels") {
  OpCase op = norm_case(layer_norm_channels_info, columns_layout, columns_of,
                        {of_columns({2, 4, 3}),
                         of_columns({2, 3, 2, 2}),
                         of_columns({3, 1, 5}, kLarge),
                         of_columns({3, 5, 1}),
                         of_columns({4, 6}),
                         of_columns({1, 2, 7}, kLarge),
                         of_columns({2, 8, 4}),
                         of_columns({1, 9, 17}),
                         of_columns({2, 33, 16}),
                         of_columns({1, 7, 65}),
                         of_columns({2, 257, 3}),
                         of_columns({1, 265, 3}),
                         of_columns({1, 3, 513}),
                         of_columns({1, 3, 1025}),
                         of_columns({1, 5, 1028}),
                         of_columns({514, 3, 2}),
                         of_columns({1, 3, 16384}),
                         of_columns({5, 2, 3281}, kLarge),
                         of_columns({2, 40, 60, 60}, kSmall, true),
                         of_columns({0, 4, 3}),
                         of_columns({2, 4, 0}),
                         of_columns({2, 0, 3}),
                         {.shapes = {{2, 5, 3}}, .params = {kSmall}},
                         {.shapes = {{2, 5}}, .params = {kSmall}}});
  op.rejects = {{"rank 1", [](const Device& d) { layer_norm_channels(filled({4}, 1, d), Var(), Var()); },
                 "layer_norm_channels: x [4] has rank 1, expected [N, C, ...]"},
                {"beta of other channels",
                 [](const Device& d) {
                   layer_norm_channels(filled({4, 2, 3}, 1, d), Var(), filled({3}, 1, d));
                 },
                 "layer_norm_channels: x [4, 2, 3] has 2 channels, beta [3] expects [2]"},
                {"eps below 0",
                 [](const Device& d) {
                   layer_norm_channels(filled({4, 2}, 1, d), Var(), Var(), -1.0f);
                 },
                 "layer_norm_channels: eps is -1, expected more than 0"}};
  check(op);
}

// A mean of 1000 standard deviations, as in the row of batch_norm: what is lost is the rounding of the stored mean,
// which the terms' sizes cover in y; slopes get room for it.
TEST_CASE("group_norm_large_mean") {
  const auto shifted = [](OpCase op) {
    op.value = [](int input, std::int64_t, double normal) { return input == 0 ? 1000 + normal : normal; };
    op.gradient_ulps = 4000;
    check(op);
  };
  shifted(norm_case(group_norm_info, groups_layout, groups_of,
                    {grouped({2, 6, 9}, 2), grouped({2, 1, 1030}, 1), grouped({1, 2, 8200}, 1)}));
  shifted(norm_case(layer_norm_info, rows_layout, rows_of, {of_rows({5, 40}), of_rows({3, 1030})}));
  shifted(norm_case(layer_norm_channels_info, columns_layout, columns_of, {of_columns({2, 70, 5})}));
}

// Without variance x̂ is 0 to the bit and y is beta, for the smallest eps that is in use, too; slopes are finite:
// dx = (g - mean of g)/√eps, of the size of 1e6·dy, dgamma = 0, dbeta = Σdy. A NaN spoils its own set.
TEST_CASE("group_norm_constant_input_and_nan") {
  constexpr float kEps = 1e-12f;
  const auto ops = {
      +[](const Var& x, const Var& gamma, const Var& beta) { return group_norm(x, gamma, beta, 1, kEps); },
      +[](const Var& x, const Var& gamma, const Var& beta) { return layer_norm(x, gamma, beta, kEps); },
      +[](const Var& x, const Var& gamma, const Var& beta) {
        return layer_norm_channels(x, gamma, beta, kEps);
      }};
  for (const Device& device : devices()) {
    INFO(device.description());
    for (const Shape& shape : {Shape{3, 2}, Shape{3, 2, 2}, Shape{1, 2, 4150, 2}}) {
      INFO(shape.str());
      for (const auto& op : ops) {
        Tape tape;
        const Var x = tape.leaf(filled(shape, 1234.567, device)), gamma = tape.leaf(filled({2}, 3, device)),
                  beta = tape.leaf(Tensor::from(std::vector<float>{0.25f, 0.25f}, {2}, device));
        const Var y = op(x, gamma, beta);
        for (const float v : floats_of(y.value())) CHECK(v == 0.25f);
        std::vector<float> dy(static_cast<std::size_t>(shape.numel()));
        for (std::size_t i = 0; i < dy.size(); ++i) dy[i] = i % 3 == 0 ? 1.0f : -0.5f;
        const Tape::Root root{y, Tensor::from(dy, shape, device)};
        tape.backward(std::span(&root, 1));
        for (const float v : floats_of(tape.grad(x))) CHECK(std::abs(v) <= 4.5e6f);  // 3·1.5/√eps at most
        CHECK(floats_of(tape.grad(gamma)) == std::vector<float>{0, 0});
        const auto dbeta = floats_of(tape.grad(beta));
        double sum = 0;
        for (const float d : dy) sum += static_cast<double>(d);
        CHECK(static_cast<double>(dbeta[0] + dbeta[1]) == doctest::Approx(sum));
      }
    }
    std::vector<float> values{1, 2, 3, std::numeric_limits<float>::quiet_NaN()};
    const Tensor x = Tensor::from(values, {2, 2}, device);
    for (const auto& op : ops) {
      const auto y = floats_of(op(x, Var(), Var()).value());
      CHECK(std::isfinite(y[0] + y[1]));
      CHECK((std::isnan(y[2]) && std::isnan(y[3])));
    }
  }
}

// Each gradient alone has the bits that it has with the others: none that is not asked for is computed.
TEST_CASE("group_norm_single_gradients") {
  for (const Device& device : devices()) {
    INFO(device.description());
    const OpCase cases[] = {
        norm_case(group_norm_info, groups_layout, groups_of, {grouped({3, 4, 5}, 2), grouped({3, 4}, 2)}),
        norm_case(layer_norm_info, rows_layout, rows_of, {of_rows({3, 40})}),
        norm_case(layer_norm_channels_info, columns_layout, columns_of, {of_columns({3, 4, 5})})};
    for (const OpCase& op : cases)
      for (const Sample& sample : op.samples) {
        const auto inputs = sample_inputs(op, sample);
        const auto gradients = [&](unsigned wanted) {
          Tape tape;
          std::vector<Var> vars;
          for (std::size_t k = 0; k < 3; ++k) {
            const Tensor value = to_tensor(inputs[k], sample.shapes[k], DType::f32, device);
            vars.push_back((wanted >> k & 1u) != 0 ? tape.leaf(value) : tape.input(value));
          }
          const Var y = op.apply(vars, sample);
          const Tape::Root root{y, to_tensor(inputs[0], sample.shapes[0], DType::f32, device)};
          tape.backward(std::span(&root, 1));
          std::vector<std::vector<float>> result(3);
          for (std::size_t k = 0; k < 3; ++k)
            if ((wanted >> k & 1u) != 0) result[k] = floats_of(tape.grad(vars[k]));
          return result;
        };
        const auto all = gradients(7);
        for (std::size_t k = 0; k < 3; ++k) CHECK(gradients(1u << k)[k] == all[k]);
      }
  }
}

}  // namespace fovea::test

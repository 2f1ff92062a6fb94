// SPDX-License-Identifier: Apache-2.0
#include "autograd/ops/dropout.h"

#include <doctest/doctest.h>

#include <cmath>
#include <limits>

#include "tests/op_case.h"

namespace fovea::test {
namespace {

using Floats = std::vector<float>;

constexpr philox::Key kKey{5, philox::stream_id("test.dropout"), 9};

/// params: percent left out, per sample. The mask is the same for all devices: it is made here from single
/// numbers.
TEST_CASE("dropout") {
  const auto p_of = [](const Sample& s) { return static_cast<float>(s.params[0]) / 100.0f; };
  check({
      .info = dropout_info,
      .samples = {{{{3, 5}}, {40, 0}},
                  {{{}}, {40, 0}},
                  {{{0}}, {40, 0}},
                  {{{1}}, {40, 0}},
                  {{{3}}, {99, 0}},
                  {{{4}}, {0, 0}},
                  {{{63}}, {50, 0}},
                  {{{64}}, {50, 0}},
                  {{{65}}, {25, 0}},
                  {{{2, 3, 7, 5}}, {5, 0}},
                  {{{7, 3}}, {50, 1}},
                  {{{9, 4}}, {50, 1}},  // packs
                  {{{1}}, {40, 1}},
                  {{{5}}, {40, 1}},
                  {{{0, 3}}, {40, 1}},
                  {{{3, 0}}, {40, 1}},
                  {{{33, 2, 5}}, {40, 1}},
                  {{{16383}}, {40, 0}, DType::f32, true},
                  {{{16385}}, {40, 0}, DType::f32, true},
                  {{{7, 9001}}, {40, 1}, DType::f32, true}},
      .apply = [=](std::span<const Var> in,
                   const Sample& s) { return dropout(in[0], p_of(s), kKey, s.params[1] != 0); },
      .reference =
          [=](std::span<const Doubles> in, const Sample& s) {
            Doubles y = in[0];
            const std::size_t group =
                s.params[1] != 0 && !y.empty() ? y.size() / static_cast<std::size_t>(s.shapes[0][0]) : 1;
            for (std::size_t i = 0; i < y.size(); ++i)
              y[i] = philox::uniform_at(kKey, i / group) >= p_of(s)
                         ? y[i] / (1 - static_cast<double>(p_of(s)))
                         : 0;
            return y;
          },
      .rejects = {{"p of 1", [](const Device& d) { dropout(Tensor::zeros({2}, DType::f32, d), 1.0f, kKey); },
                   "dropout: p is 1 for x [2], expected [0, 1)"},
                  {"a negative p",
                   [](const Device& d) { dropout(Tensor::zeros({2}, DType::f32, d), -0.5f, kKey); },
                   "dropout: p is -0.5 for x [2], expected [0, 1)"},
                  {"f64", [](const Device& d) { dropout(Tensor::zeros({2}, DType::f64, d), 0.5f, kKey); },
                   "dropout: x [2] is f64, expected f32; convert it with to()"},
                  {"no samples",
                   [](const Device& d) { dropout(Tensor::zeros({}, DType::f32, d), 0.5f, kKey, true); },
                   "dropout: x [] has no samples, expected [N, ...]"}},
  });
}

TEST_CASE("dropout_leaves_nothing_of_what_it_drops") {
  for (const Device& device : devices())
    for (const bool per_sample : {false, true}) {
      const Tensor x = Tensor::full({65, 4}, std::numeric_limits<double>::infinity(), DType::f32, device);
      std::size_t zeros = 0;
      for (const float v : dropout(x, 0.5f, kKey, per_sample).value().to_vector<float>()) {
        CHECK_FALSE(std::isnan(v));
        if (v == 0.0f) ++zeros;
      }
      CHECK(zeros > 65);  // 130 ± 8, or ± 16 per sample
      CHECK(zeros < 195);
    }
}

/// A captured step replays with a new step number: it is read when the kernels run, forward and backward.
TEST_CASE("dropout_reads_the_step_on_the_device") {
  for (const Device& device : devices())
    for (const bool per_sample : {false, true}) {
      const Tensor step = Tensor::from(std::vector<std::int32_t>{77}, {1}, device);
      philox::Key key = kKey;
      key.device_step = reinterpret_cast<const std::uint32_t*>(step.data<std::int32_t>());
      philox::Key same = kKey;
      same.step = 77;
      const Tensor ones = Tensor::full({65, 2}, 1, DType::f32, device);
      const Floats want = dropout(ones, 0.5f, same, per_sample).value().to_vector<float>();
      Tape tape;
      const Var x = tape.leaf(ones);
      const Var y = dropout(x, 0.5f, key, per_sample);
      CHECK(y.value().to_vector<float>() == want);
      const Tape::Root root{y, ones};
      tape.backward(std::span(&root, 1));
      CHECK(tape.grad(x).to_vector<float>() == want);
      CHECK(dropout(ones, 0.5f, kKey, per_sample).value().to_vector<float>() != want);
    }
}

}  // namespace
}  // namespace fovea::test

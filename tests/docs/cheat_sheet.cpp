// SPDX-License-Identifier: Apache-2.0
// The tables "Coming from NumPy or PyTorch" of docs/NOTATION.md: each expression of their last column, and that
// it gives what NumPy and PyTorch give.
#include <doctest/doctest.h>

#include <cmath>

#include "autograd/ops/clamp.h"
#include "autograd/ops/conv2d.h"
#include "autograd/ops/cross_entropy.h"
#include "autograd/ops/elementwise.h"
#include "autograd/ops/gather.h"
#include "autograd/ops/group_norm.h"
#include "autograd/ops/join.h"
#include "autograd/ops/labels.h"
#include "autograd/ops/matmul.h"
#include "autograd/ops/pool2d.h"
#include "autograd/ops/reduce.h"
#include "autograd/ops/resize.h"
#include "autograd/ops/softmax.h"
#include "autograd/ops/where.h"
#include "nn/init.h"
#include "nn/linear.h"
#include "nn/optim/adam.h"
#include "nn/optim/clip.h"
#include "nn/recurrent.h"
#include "tensor/io.h"
#include "tests/temporary_folder.h"

using namespace fovea;

namespace {

using Floats = std::vector<float>;

Floats floats(const Tensor& x) { return x.to_vector<float>(); }
Floats floats(const Var& x) { return x.value().to_vector<float>(); }

}  // namespace

TEST_CASE("the cheat sheet of tensors") {
  const Device device = Device::cpu();
  const Floats values{0, 1, 2, 3, 4, 5};
  CHECK(floats(Tensor::zeros({2, 3}, DType::f32, device)) == Floats(6, 0.0f));
  CHECK(floats(Tensor::full({2, 3}, 7.0, DType::f32, device)) == Floats(6, 7.0f));
  const Tensor x = Tensor::from(values, {2, 3}, device);
  CHECK(floats(x) == values);
  const philox::Key key{1, philox::stream_id("cheat sheet"), 0};
  const Tensor noise = Tensor::normal({2, 3}, key, 0.0f, 1.0f, device);
  CHECK(noise.shape() == Shape{2, 3});
  CHECK(floats(noise) != values);
  CHECK(x.shape() == Shape{2, 3});
  CHECK(x.rank() == 2);
  CHECK(x.numel() == 6);
  CHECK(x.to(DType::f64).dtype() == DType::f64);
  CHECK(!x.clone().shares_memory_with(x));
  CHECK(select(select(x, 0, 1), 0, 2).item() == 5);
  CHECK(x.to_vector<float>() == values);

  CHECK(reshape(x, {3, -1}).shape() == Shape{3, 2});
  CHECK(floats(slice(x, 1, 1, 3)) == Floats{1, 2, 4, 5});
  CHECK(floats(slice(x, 1, 0, 3, 2)) == Floats{0, 2, 3, 5});
  CHECK(floats(select(x, 1, 1)) == Floats{1, 4});
  CHECK(floats(transpose(x, 0, 1)) == Floats{0, 3, 1, 4, 2, 5});
  CHECK(unsqueeze(x, 0).shape() == Shape{1, 2, 3});
  CHECK(expand(x, {4, 2, 3}).shape() == Shape{4, 2, 3});
  CHECK(x.shares_memory_with(transpose(x, 0, 1)));

  const test::TemporaryFolder folder;
  const auto path = folder.path() / "x.npy";
  save_npy(path, x);
  CHECK(floats(load_npy(path, device)) == values);
}

TEST_CASE("the cheat sheet of arithmetic and slopes") {
  const Device device = Device::cpu();
  const Var a = Tensor::from(Floats{1, -2, 3, 0}, {2, 2}, device);
  const Var b = Tensor::from(Floats{2, 0, 1, 5}, {2, 2}, device);
  CHECK(floats(a + b) == Floats{3, -2, 4, 5});
  CHECK(floats(a * b) == Floats{2, 0, 3, 0});
  CHECK(floats(2.0 * a - 1.0) == Floats{1, -5, 5, -1});
  CHECK(floats(matmul(a, b, false, true)) == Floats{2, -9, 6, 3});
  CHECK(floats(sum(a)) == Floats{2});
  CHECK(floats(sum(a, {0})) == Floats{4, -2});
  CHECK(floats(mean(a, {-1}, true)) == Floats{-0.5f, 1.5f});
  CHECK(mean(a, {-1}, true).shape() == Shape{2, 1});
  CHECK(floats(relu(a)) == Floats{1, 0, 3, 0});
  CHECK(floats(exp(a))[3] == 1.0f);
  CHECK(floats(concat({a, b}, 1)) == Floats{1, -2, 2, 0, 3, 0, 1, 5});
  CHECK(floats(split(a, 2, 1)[1]) == Floats{-2, 0});
  const Tensor mask = Tensor::from(std::vector<std::uint8_t>{1, 0, 0, 1}, {2, 2}, device);
  CHECK(floats(where(mask, a, b)) == Floats{1, 0, 1, 0});
  CHECK(floats(clamp(a, 0, 1)) == Floats{1, 0, 1, 0});
  const Tensor index = Tensor::from(std::vector<std::int64_t>{1, 1, 0}, {3}, device);
  CHECK(floats(gather_rows(a, index, 0)) == Floats{3, 0, 3, 0, 1, -2});
  CHECK(argmax(b, 1).value().to_vector<std::int64_t>() == std::vector<std::int64_t>{0, 1});
  CHECK(argmax(a, 1).value().to_vector<std::int64_t>() == std::vector<std::int64_t>{0, 0});
  CHECK(floats(softmax(a))[3] == doctest::Approx(1 / (1 + std::exp(3.0))));
  const Tensor labels = Tensor::from(std::vector<std::int64_t>{0, 0}, {2}, device);
  CHECK(floats(cross_entropy(a, labels))[0] == doctest::Approx(std::log1p(std::exp(-3.0))));
  CHECK(floats(layer_norm(a, Var(), Var()))[0] == doctest::Approx(1.0).epsilon(1e-4));
  const Tensor plane = Tensor::full({1, 1, 4, 4}, 1.0, DType::f32, device);
  {
    const Tensor& x = plane;
    const Tensor w = Tensor::full({1, 1, 3, 3}, 1.0, DType::f32, device);
    const Var y = conv2d(x, w, Var(), {.padding = 1});
    CHECK(y.shape() == Shape{1, 1, 4, 4});
    CHECK(floats(y)[0] == 4.0f);
    CHECK(conv2d(x, w, Var(), {.stride = 2, .padding = {1, 1, 0, 0}}).shape() == Shape{1, 1, 2, 1});
    CHECK(max_pool2d(x, 3, {.stride = 2}).shape() == Shape{1, 1, 1, 1});
    CHECK(floats(global_average_pool2d(x)) == Floats{1});
    CHECK(floats(resize_bilinear(x, {8, 8})) == Floats(64, 1.0f));
    CHECK(floats(group_norm(x, Var(), Var(), 1)) == Floats(16, 0.0f));
  }

  Tape tape;
  const Tensor x = Tensor::from(Floats{1, 2, 3}, {3}, device);
  const Var v = tape.leaf(x);
  const Var loss = sum(v * detach(v));
  tape.backward(loss);
  CHECK(floats(tape.grad(v)) == Floats{1, 2, 3});
  {
    const auto off = tape.no_grad();
    CHECK(!sum(v).needs_grad());
  }

  nn::Linear layer(3, 2, device);
  layer.weight.grad = Tensor::full({2, 3}, 5.0, DType::f32, device);
  nn::clip_gradients_by_norm(layer.named_parameters(), 1.0);
  CHECK(floats(layer.weight.grad)[0] == doctest::Approx(std::sqrt(1 / 6.0)));
  nn::LSTM lstm(3, 4, device, {.layers = 2});
  CHECK(lstm.parameter_count() == 16 * (3 + 4 + 2) + 16 * (4 + 4 + 2));
  nn::Optimizer optimizer = nn::adam({{layer.named_parameters()}});
  CHECK(layer.weight.value.shape() == Shape{2, 3});
  CHECK(optimizer.steps() == 0);
}

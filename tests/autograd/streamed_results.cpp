// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <cstring>
#include <vector>

#include "autograd/ops/batch_norm.h"
#include "autograd/ops/conv2d.h"
#include "autograd/ops/elementwise.h"
#include "tensor/views.h"

/// Large results are written past the caches, small ones are not: their bits must agree. (A vector that is stored so
/// must be aligned, or the program ends.)
namespace fovea {
namespace {

Tensor some(const Shape& shape, std::uint32_t stream, const Device& device) {
  return Tensor::uniform(shape, {1, stream, 0}, -1.0f, 1.0f, device);
}

/// y and dx of an op on x[from..to) along `dim`.
struct Both {
  std::vector<float> y, dx;
};
template <class Op>
Both both(const Op& op, const Tensor& x, const Tensor& dy, int dim, std::int64_t from, std::int64_t to) {
  Tape tape;
  const Var in = tape.leaf(slice(x, dim, from, to).contiguous());
  const Var y = op(in, from, to);
  const Tape::Root root{y, slice(dy, dim, from, to).contiguous()};
  tape.backward(std::span(&root, 1));
  return {y.value().to_vector<float>(), tape.grad(in).to_vector<float>()};
}

/// Whether `part` is that part of `whole`, an array with `outer` pieces, of which it has the same share of each.
void check_equal(const std::vector<float>& whole, const std::vector<float>& part, std::size_t outer,
                 bool second) {
  REQUIRE(whole.size() == 2 * part.size());
  const std::size_t piece = part.size() / outer;
  for (std::size_t i = 0; i < outer; ++i)
    REQUIRE(std::memcmp(&whole[(2 * i + (second ? 1 : 0)) * piece], &part[i * piece],
                        piece * sizeof(float)) == 0);
}

/// Applies op to all of x and to both halves of a dimension.
template <class Op>
void check_halves(const Op& op, const Shape& x_shape, const Shape& y_shape, int dim, const Device& device) {
  const Tensor x = some(x_shape, 1, device), dy = some(y_shape, 2, device);
  const std::int64_t all = x_shape[dim];
  const std::size_t outer = dim == 0 ? 1 : static_cast<std::size_t>(x_shape[0]);
  const Both whole = both(op, x, dy, dim, 0, all);
  for (const bool second : {false, true}) {
    const Both half = both(op, x, dy, dim, second ? all / 2 : 0, second ? all : all / 2);
    check_equal(whole.y, half.y, outer, second);
    check_equal(whole.dx, half.dx, outer, second);
  }
}

TEST_CASE(
    "a convolution of many images has the bits of a convolution of few, whatever the size of the planes") {
  for (const Isa isa : available_isas())
    for (const std::int64_t side : {263, 264}) {
      const Device device = Device::cpu({.threads = 2, .isa = isa});
      const Tensor w = some({24, 16, 1, 2}, 3, device), bias = some({24}, 4, device);
      check_halves(
          [&](const Var& x, std::int64_t, std::int64_t) {
            return conv2d(x, w, bias, {.padding = {0, 0, 0, 1}, .algorithm = ConvAlgorithm::direct});
          },
          {2, 16, side, side}, {2, 24, side, side}, 0, device);
    }
}

TEST_CASE("channels that are normalised together have the bits of those that are normalised apart") {
  for (const Isa isa : available_isas())
    for (const Shape& shape : {Shape{4, 8, 264, 264}, Shape{2, 32, 191, 193}, Shape{2, 32, 192, 192}}) {
      const Device device = Device::cpu({.threads = 2, .isa = isa});
      const auto op = [&](const Var& x, std::int64_t from, std::int64_t to) {
        const Tensor weight = some({shape[1]}, 3, device), bias = some({shape[1]}, 4, device);
        return batch_norm_train(x, slice(weight, 0, from, to).contiguous(),
                                slice(bias, 0, from, to).contiguous(),
                                Tensor::zeros({to - from}, DType::f32, device, "mean"),
                                Tensor::zeros({to - from}, DType::f32, device, "variance"), 1e-3f, 0.1f);
      };
      check_halves(op, shape, shape, 1, device);
    }
}

TEST_CASE("a function of many numbers has the bits of the function of few") {
  constexpr std::int64_t kCount = 2 * 1'100'003;
  for (const Isa isa : available_isas()) {
    const Device device = Device::cpu({.threads = 2, .isa = isa});
    const Tensor other = some({kCount}, 3, device);
    const auto check = [&](const auto& f) {
      check_halves([&](const Var& x, std::int64_t from,
                       std::int64_t to) { return f(x, slice(other, 0, from, to).contiguous()); },
                   {kCount}, {kCount}, 0, device);
    };
    check([](const Var& x, const Tensor&) { return relu(x); });
    check([](const Var& x, const Tensor&) { return softplus(x); });
    check([](const Var& x, const Tensor&) { return x * 3.0 + 1.0; });
    check([](const Var& x, const Tensor& other_part) { return x / other_part; });
  }
}

}  // namespace
}  // namespace fovea

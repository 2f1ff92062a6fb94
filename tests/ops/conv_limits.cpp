// SPDX-License-Identifier: Apache-2.0
// Convolutions at the edge of what a launch can have: no channels, no pixels, more channels than a grid is high.
#include <doctest/doctest.h>

#include "autograd/ops/conv2d.h"
#include "autograd/ops/conv_rnn_reciprocal.h"
#include "autograd/ops/conv_rnn_simple.h"
#include "tests/op_case.h"

namespace fovea::test {
namespace {

using Floats = std::vector<float>;

Tensor normals(const Shape& shape, const char* stream, const Device& device) {
  return Tensor::normal(shape, {7, philox::stream_id(stream), 0}, 0.0f, 1.0f, device);
}
Floats floats(const Tensor& x) { return x.to_vector<float>(); }

/// A residual of no channels adds nothing, though it is the last that is added.
TEST_CASE("conv_rnn_of_an_empty_residual") {
  for (const Device& device : devices()) {
    CAPTURE(device.description());
    const ReciprocalInputs plain{.x = normals({1, 2, 4, 4}, "x", device)};
    ReciprocalInputs with = plain;
    with.residual = Tensor::zeros({1, 0, 4, 4}, DType::f32, device);
    const ReciprocalState state{.c = normals({1, 3, 4, 4}, "c", device),
                                .h = normals({1, 2, 4, 4}, "h", device)};
    ReciprocalWeights weights{.h_to_c_gate = Var(normals({3, 2, 3, 3}, "gate", device)),
                              .x_to_c = Var(normals({3, 2, 3, 3}, "source", device)),
                              .c_to_h_gate = Var(normals({2, 3, 3, 3}, "other gate", device))};
    const ReciprocalState want = reciprocal_gated_step(plain, state, weights);
    weights.residual_to_c = Var(Tensor::zeros({3, 0, 1, 1}, DType::f32, device));
    const ReciprocalState got = reciprocal_gated_step(with, state, weights);
    CHECK(floats(got.c.value()) == floats(want.c.value()));
    CHECK(floats(got.h.value()) == floats(want.h.value()));
  }
}

/// Maps without rows, and states without channels, pass forward and backward.
TEST_CASE("conv_rnn_of_empty_maps") {
  for (const Device& device : devices()) {
    CAPTURE(device.description());
    for (const std::int64_t height : {0, 4}) {
      CAPTURE(height);
      const std::int64_t channels = height == 0 ? 2 : 0;
      Tape tape;
      const Var w_x = tape.leaf(normals({channels, 2, 3, 3}, "w_x", device)),
                w_h = tape.leaf(normals({channels, channels, 3, 3}, "w_h", device));
      const Tensor x = normals({1, 2, height, 4}, "x", device),
                   h = normals({1, channels, height, 4}, "h", device);
      const Var y = conv_simple_step(tape.input(x), tape.input(h), w_x, w_h, Var());
      CHECK(y.shape() == h.shape());
      const Tape::Root root{y, Tensor::zeros(y.shape(), DType::f32, device)};
      tape.backward(std::span(&root, 1));
      CHECK(floats(tape.grad(w_x)) == Floats(static_cast<std::size_t>(channels * 2 * 9), 0.0f));
      CHECK(floats(tape.grad(w_h)) == Floats(static_cast<std::size_t>(channels * channels * 9), 0.0f));
    }
  }
}

/// A grid is at most 65535 blocks high.
TEST_CASE("conv2d_of_many_channels") {
  constexpr std::int64_t kChannels = 65537;
  for (const Device& device : devices()) {
    CAPTURE(device.description());
    Tape tape;
    const Var x = tape.leaf(normals({1, kChannels, 1, 1}, "x", device)),
              w = tape.leaf(normals({kChannels, 1, 1, 1}, "w", device));
    const Var y = conv2d(x, w, Var(), {.groups = kChannels});
    const Tape::Root root{y, Tensor::full(y.shape(), 1.0, DType::f32, device)};
    tape.backward(std::span(&root, 1));
    Floats products = floats(x.value());
    const Floats weights = floats(w.value());
    for (std::size_t c = 0; c < products.size(); ++c) products[c] *= weights[c];
    CHECK(floats(y.value()) == products);
    CHECK(floats(tape.grad(x)) == weights);
    CHECK(floats(tape.grad(w)) == floats(x.value()));
  }
}

}  // namespace
}  // namespace fovea::test

// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include "autograd/ops/reduce.h"
#include "autograd/tape.h"
#include "tests/host.h"
#include "tests/nn/expect.h"

using namespace fovea;
using namespace fovea::test;

namespace {

constexpr OpInfo joined_info{.name = "joined"};

}  // namespace

TEST_CASE("an op may have any number of inputs, and a rule is told their shapes and those of the results") {
  const Device& device = host();
  Tape tape;
  std::vector<Var> xs;
  std::int64_t total = 0;
  for (int k = 0; k < 70; ++k) {  // more than a word has bits
    const Tensor x = Tensor::full({k % 3 + 1}, 1, DType::f32, device);
    total += x.numel();
    xs.push_back(k % 5 == 0 ? tape.input(x) : tape.leaf(x));
  }
  const auto rule = [](const Tensor& dy, Needs needs, Kept) -> Grads {
    CHECK(needs.inputs() == 70);
    CHECK(needs.result_shape(0) == dy.shape());
    Grads dxs;
    for (int k = 0; k < needs.inputs(); ++k) {
      CHECK(needs[k] == (k % 5 != 0));
      CHECK(needs.input_shape(k) == Shape{k % 3 + 1});
      dxs.push_back(needs[k] ? Tensor::full(needs.input_shape(k), k, DType::f32, dy.device()) : Tensor());
    }
    return dxs;
  };
  const Tensor y = Tensor::zeros({total}, DType::f32, device);
  const Var joined = record(joined_info, y, std::span<const Var>(xs), {}, rule);
  tape.backward(sum(joined));
  for (std::size_t k = 0; k < xs.size(); ++k)
    if (xs[k].needs_grad())
      CHECK(tape.grad(xs[k]).to_vector<float>() == Floats(k % 3 + 1, static_cast<float>(k)));
}

// SPDX-License-Identifier: Apache-2.0
#include "kernels/ops/fill.h"

#include <doctest/doctest.h>

#include <cmath>
#include <vector>

#include "tensor/views.h"
#include "tests/op_case.h"

namespace fovea {
namespace {

TEST_CASE("fill") {
  for (const Device& device : test::devices())
    for (const DType dtype : {DType::f32, DType::f64, DType::bf16, DType::i64, DType::i32, DType::u8})
      for (const std::int64_t count : {0, 1, 15, 16, 17}) {
        CAPTURE(device.description());
        CAPTURE(count);
        const Tensor x = Tensor::full({count + 2}, 3.0, dtype, device);
        slice(x, 0, 1, count + 1).fill(9.0);  // starts off the alignment of a pack
        std::vector<double> want(static_cast<std::size_t>(count + 2), 9.0);
        want.front() = want.back() = 3.0;
        CHECK(x.to_vector<double>() == want);
      }
}

/// Uniforms and normals drawn in bulk are those of their index.
TEST_CASE("fill_random") {
  const philox::Key key{0x123456789abcdefu, philox::stream_id("test"), 42};
  for (const std::int64_t count : {0, 1, 2, 3, 4, 5, 63, 64, 65, 129, 1000}) {
    std::vector<float> uniforms, normals;
    for (std::int64_t i = 0; i < count; ++i) {
      uniforms.push_back(std::fmaf(3.0f, philox::uniform_at(key, static_cast<std::uint64_t>(i)), -1.0f));
      normals.push_back(std::fmaf(2.0f, philox::normal_at(key, static_cast<std::uint64_t>(i)), 0.5f));
    }
    for (const Device& device : test::devices()) {
      CAPTURE(device.description());
      CAPTURE(count);
      CHECK(Tensor::uniform({count}, key, -1.0f, 2.0f, device).to_vector<float>() == uniforms);
      CHECK(Tensor::normal({count}, key, 0.5f, 2.0f, device).to_vector<float>() == normals);
    }
  }
}

}  // namespace
}  // namespace fovea

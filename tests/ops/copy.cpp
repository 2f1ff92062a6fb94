// SPDX-License-Identifier: Apache-2.0
#include "kernels/ops/copy.h"

#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "kernels/convert.h"
#include "tensor/tensor.h"
#include "tensor/views.h"
#include "tests/op_case.h"

namespace fovea {
namespace {

/// All forms of the device under test.
std::vector<Device> every_device() {
  std::vector<Device> list;
  for (const auto& group : test::device_groups()) list.insert(list.end(), group.begin(), group.end());
  return list;
}

/// 0, 1, 2, … 100, 0, …: every type holds them exactly, u8 and bf16 too.
std::vector<double> ramp(std::int64_t count) {
  std::vector<double> values;
  for (std::int64_t i = 0; i < count; ++i) values.push_back(static_cast<double>(i % 101));
  return values;
}

constexpr DType kAll[] = {DType::f32, DType::f64, DType::bf16, DType::i64, DType::i32, DType::u8};

TEST_CASE("copy_converts_types") {
  for (const Device& device : every_device())
    for (const std::int64_t count : {0, 1, 5, 16, 64, 67})
      for (const DType from : kAll)
        for (const DType to : kAll) {
          CAPTURE(device.description());
          CAPTURE(count);
          CAPTURE(std::string(dtype_name(from)));
          CAPTURE(std::string(dtype_name(to)));
          const Tensor x = Tensor::from(ramp(count), {count}, device).to(from);
          CHECK(x.to(to).to_vector<double>() == ramp(count));
        }
}

TEST_CASE("copy_of_views") {
  for (const Device& device : every_device())
    for (const DType from : kAll)
      for (const DType to : {DType::f32, DType::u8, DType::i64}) {
        CAPTURE(device.description());
        const Tensor x = Tensor::from(ramp(24), {2, 3, 4}, device).to(from);
        const Tensor whole = Tensor::full({4, 3, 5}, 77.0, to, device);
        const Tensor target = slice(whole, 2, 1, 5, 2);  // [4, 3, 2], columns 1 and 3
        target.copy_from(permute(x, {2, 1, 0}));         // [4, 3, 2]
        const auto y = whole.to_vector<double>();
        for (std::size_t i = 0; i < 4; ++i)
          for (std::size_t j = 0; j < 3; ++j)
            for (std::size_t k = 0; k < 5; ++k)
              CHECK(y[(i * 3 + j) * 5 + k] ==
                    (k % 2 == 1 ? static_cast<double>((k / 2 * 3 + j) * 4 + i) : 77.0));
      }
}

TEST_CASE("copy_of_repeated_elements") {
  for (const Device& device : every_device()) {
    CAPTURE(device.description());
    const Tensor row = Tensor::from(ramp(5), {5}, device).to(DType::f32);
    const auto rows = expand(row, {3, 5}).clone().to_vector<double>();
    for (std::size_t i = 0; i < rows.size(); ++i) CHECK(rows[i] == static_cast<double>(i % 5));
    const Tensor seven = Tensor::full({}, 7.0, DType::f32, device);
    CHECK(expand(seven, {33}).clone().to_vector<double>() == std::vector<double>(33, 7.0));
    const auto windows = rolling_window(row, 2).clone().to_vector<double>();
    CHECK(windows == std::vector<double>{0, 1, 1, 2, 2, 3, 3, 4});
  }
}

TEST_CASE("copy_rounds_bf16") {
  // 1 + 2^-8 lies between 1 and 1 + 2^-7: a tie, and 1 is even. 1 + 3·2^-8 is a tie as well; 1 + 2^-6 is
  // even.
  const std::vector<float> x{1.0f + 0x1p-8f,
                             1.0f + 0x1.8p-7f,
                             1.0f + 0x1.001p-8f,
                             -1.0f - 0x1p-8f,
                             std::numeric_limits<float>::infinity(),
                             3.4e38f,
                             0x1p-140f};
  const std::vector<float> want{1.0f,
                                1.0f + 0x1p-6f,
                                1.0f + 0x1p-7f,
                                -1.0f,
                                std::numeric_limits<float>::infinity(),
                                std::numeric_limits<float>::infinity()};
  for (const Device& device : every_device()) {
    CAPTURE(device.description());
    const auto y = Tensor::from(x, {7}, device).to(DType::bf16).to(DType::f32).to_vector<float>();
    for (std::size_t i = 0; i < want.size(); ++i) CHECK(y[i] == want[i]);
    CHECK(std::abs(y[6] - x[6]) <= 0x1p-134f);  // subnormals have the same absolute spacing
    const Tensor nan = Tensor::full({3}, std::nan(""), DType::f32, device).to(DType::bf16);
    for (const float v : nan.to_vector<float>()) CHECK(std::isnan(v));
  }
}

TEST_CASE("copy_cuts_fractions_off") {
  for (const Device& device : every_device()) {
    const Tensor x = Tensor::from(std::vector<float>{1.9f, -1.9f, 0.5f, 200.7f}, {4}, device);
    CHECK(x.to(DType::i32).to_vector<std::int32_t>() == std::vector<std::int32_t>{1, -1, 0, 200});
    CHECK(x.to(DType::i64).to_vector<std::int64_t>() == std::vector<std::int64_t>{1, -1, 0, 200});
  }
}

TEST_CASE("copy_of_many_parts") {
  constexpr std::int64_t kCount = 2 * 16384 + 3;
  for (const Device& device : every_device()) {
    const Tensor x = Tensor::from(ramp(kCount), {kCount}, device);
    CHECK(x.to(DType::u8).to(DType::f32).to_vector<double>() == ramp(kCount));
    const Tensor wide = Tensor::from(ramp(150 * 221), {150, 221}, device);
    const Tensor back = transpose(transpose(wide, 0, 1).clone(), 0, 1);
    CHECK(back.to_vector<double>() == ramp(150 * 221));
  }
}

}  // namespace
}  // namespace fovea

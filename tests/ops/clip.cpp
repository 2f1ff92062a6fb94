// SPDX-License-Identifier: Apache-2.0
#include "kernels/ops/clip.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <type_traits>

#include "tensor/views.h"
#include "tests/op_case.h"
#include "tests/ops/clock.h"

namespace fovea::test {
namespace {

// Empty, below a pack, around a pack, around a block of 4096 and a part of 8192; and more tensors than one
// launch holds.
std::vector<std::int64_t> sizes() {
  std::vector<std::int64_t> list{0, 1, 3, 4, 5, 4095, 20000, 0, 4097, 8193};
  for (std::int64_t i = 0; i < 210; ++i) list.push_back(1 + i % 7);
  return list;
}

struct Gradients {
  std::vector<Tensor> tensors;
  std::vector<GradientSlot> slots;
};

/// Every third begins 4 bytes past an aligned address.
Gradients gradients(const Device& device, const std::vector<std::int64_t>& counts) {
  Gradients g;
  for (std::size_t k = 0; k < counts.size(); ++k) {
    const std::int64_t n = counts[k];
    const Tensor whole = Tensor::zeros({n + 1}, DType::f32, device, "test");
    g.tensors.push_back(k % 3 == 2 ? slice(whole, 0, 1, n + 1) : slice(whole, 0, 0, n));
    g.tensors.back().copy_from(
        Tensor::normal({n}, {9, static_cast<std::uint32_t>(k), 0, nullptr}, 0.0f, 2.0f, device));
    g.slots.push_back({g.tensors.back().data(), n});
  }
  return g;
}

std::vector<Doubles> values(const Gradients& g) {
  std::vector<Doubles> list;
  for (const Tensor& tensor : g.tensors) list.push_back(tensor.to_vector<double>());
  return list;
}

double norm_of(const std::vector<Doubles>& gradients) {
  double sum = 0;
  for (const Doubles& of_tensor : gradients)
    for (const double g : of_tensor) sum += g * g;
  return std::sqrt(sum);
}

/// The norm as the kernel has it; clipped to max_norm, if that is more than 0.
double norm(const Device& device, const Gradients& g, float max_norm = 0) {
  const Tensor result = Tensor::full({}, -1, DType::f32, device);
  on(device.queue(), [&](auto& q) {
    kernels::gradient_norm(q, g.slots, result.data());
    if (max_norm > 0) kernels::clip_by_norm(q, g.slots, max_norm, result.data());
  });
  return result.item();
}

}  // namespace

TEST_CASE("gradient_norm") {
  for (const auto& group : device_groups()) {
    CAPTURE(group[0].description());
    const Gradients g = gradients(group[0], sizes());
    const double first = norm(group[0], g), want = norm_of(values(g));
    CHECK(std::abs(first - want) <= 0x1p-24 * want);  // added in double, rounded once
    for (std::size_t k = 1; k < group.size(); ++k)
      CHECK(norm(group[k], gradients(group[k], sizes())) == first);
    for (std::int64_t n : {1, 4096, 4100}) {
      const Gradients one = gradients(group[0], {n});
      CHECK(norm(group[0], one) == doctest::Approx(norm_of(values(one))).epsilon(1e-7));
    }
    CHECK(norm(group[0], gradients(group[0], {})) == 0.0);
    CHECK(norm(group[0], gradients(group[0], {0, 0})) == 0.0);
    if (group[0].kind() != DeviceKind::simt) continue;
    const Tensor result = Tensor::zeros({}, DType::f32, group[0]);
    on(group[0].queue(), [&](auto& q) {
      if constexpr (std::is_same_v<decltype(q), simt::Grid&>) {
        q.reset_launches();
        kernels::gradient_norm(q, g.slots, result.data());
        CHECK(q.launches() == 3);  // 218 tensors with elements, 202 to a launch, and the total
      }
    });
  }
}

TEST_CASE("gradient_norm_beyond_the_range_of_squares") {
  for (const Device& device : devices()) {
    const Tensor large = Tensor::full({9}, 1e30, DType::f32, device),
                 small = Tensor::full({16}, 1e-30, DType::f32, device);
    CHECK(norm(device, {{large}, {{large.data(), 9}}}) == doctest::Approx(3e30));
    CHECK(norm(device, {{small}, {{small.data(), 16}}}) == doctest::Approx(4e-30));
  }
}

TEST_CASE("clip_by_norm") {
  for (const auto& group : device_groups()) {
    CAPTURE(group[0].description());
    std::vector<Doubles> first;
    for (const Device& device : group) {
      const Gradients g = gradients(device, sizes());
      const std::vector<Doubles> before = values(g);
      const double was = norm(device, g, 2.5f);
      const std::vector<Doubles> after = values(g);
      if (first.empty()) first = after;
      CHECK(after == first);
      double worst = 0;
      for (std::size_t k = 0; k < after.size(); ++k)
        for (std::size_t i = 0; i < after[k].size(); ++i) {
          const double want = before[k][i] * 2.5 / (was + 1e-6);
          worst = std::max(worst, std::abs(after[k][i] - want) / (std::abs(want) + 1e-30));
        }
      CHECK(worst <= 4 * 0x1p-24);  // four roundings: the sum, the quotient, the product, and the norm itself
      CHECK(norm(device, g, 2.5f) == doctest::Approx(2.5).epsilon(1e-5));
    }
  }
}

TEST_CASE("clip_by_norm_leaves_what_is_small_and_shows_what_is_no_number") {
  const float infinity = std::numeric_limits<float>::infinity();
  for (const Device& device : devices()) {
    CAPTURE(device.description());
    const auto clipped = [&](const std::vector<float>& g, float max_norm) {
      const Tensor grad = Tensor::from(g, {static_cast<std::int64_t>(g.size())}, device);
      norm(device, {{grad}, {{grad.data(), grad.numel()}}}, max_norm);
      return grad.to_vector<float>();
    };
    CHECK(clipped({3, -4}, 5.5f) == std::vector<float>{3, -4});
    CHECK(clipped({0, 0, 0}, 1.0f) == std::vector<float>{0, 0, 0});
    const std::vector<float> half = clipped({3, -4, 0, 0, 0}, 2.5f);
    CHECK(half[0] == doctest::Approx(1.5));
    CHECK(half[1] == doctest::Approx(-2.0));
    for (const float bad : {std::nanf(""), infinity, -infinity})
      for (const float v : clipped({1, bad, 2, 3, 4}, 100.0f)) CHECK(std::isnan(v));
  }
}

TEST_CASE("clip_by_value") {
  const float infinity = std::numeric_limits<float>::infinity();
  for (const Device& device : devices()) {
    CAPTURE(device.description());
    const Gradients g = gradients(device, sizes());
    std::vector<Doubles> want = values(g);
    for (Doubles& of_tensor : want)
      for (double& v : of_tensor) v = std::min(std::max(v, -1.5), 1.5);
    on(device.queue(), [&](auto& q) { kernels::clip_by_value(q, g.slots, 1.5f); });
    CHECK(values(g) == want);
    const Tensor odd =
        Tensor::from(std::vector<float>{infinity, -infinity, std::nanf(""), 0.25f}, {4}, device);
    const GradientSlot slot{odd.data(), 4};
    on(device.queue(), [&](auto& q) { kernels::clip_by_value(q, {&slot, 1}, 0.5f); });
    const auto values_of_odd = odd.to_vector<float>();
    CHECK(values_of_odd[0] == 0.5f);
    CHECK(values_of_odd[1] == -0.5f);
    CHECK(std::isnan(values_of_odd[2]));
    CHECK(values_of_odd[3] == 0.25f);
  }
}

TEST_CASE("stop_if_not_finite") {
  const float infinity = std::numeric_limits<float>::infinity(), huge = std::numeric_limits<float>::max();
  for (const Device& device : devices()) {
    CAPTURE(device.description());
    /// The step at which a clock of 6 steps has stopped.
    const auto stopped = [&](const std::vector<float>& g, float loss, std::uint32_t before = 0) {
      const Gradients many = gradients(device, sizes());
      const Tensor grad = Tensor::from(g, {static_cast<std::int64_t>(g.size())}, device);
      const Tensor loss_value = Tensor::full({}, 0, DType::f32, device);
      loss_value.copy_from(Tensor::from(std::vector<float>{loss}, {}, device));
      std::vector<GradientSlot> slots = many.slots;
      slots.push_back({grad.data(), grad.numel()});
      const Clock clock({.steps = 6, .stopped = before}, device);
      on(device.queue(), [&](auto& q) {
        kernels::stop_if_not_finite(q, slots, before == 0 ? loss_value.data() : nullptr, clock.at());
      });
      CHECK(clock.value().steps == 6);
      return clock.value().stopped;
    };
    CHECK(stopped({1, 2, 3}, 0.5f) == 0);
    CHECK(stopped({huge, -huge, 1, 2, 3}, huge) == 0);  // whose squares are beyond the range of f32
    for (const float bad : {std::nanf(""), infinity, -infinity}) {
      CHECK(stopped({1, 2, bad, 4, 5, 6}, 0.5f) == 7);
      CHECK(stopped({1, 2, 3, 4, bad}, 0.5f) == 7);
      CHECK(stopped({1}, bad) == 7);
      CHECK(stopped({bad}, 0.0f, 3) == 3);  // since when is not forgotten
    }
    const Clock clock({.steps = 6}, device);
    on(device.queue(), [&](auto& q) { kernels::stop_if_not_finite(q, {}, nullptr, clock.at()); });
    CHECK(clock.value().stopped == 0);
  }
}

}  // namespace fovea::test

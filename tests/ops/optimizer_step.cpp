// SPDX-License-Identifier: Apache-2.0
#include "kernels/ops/optimizer_step.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <type_traits>

#include "tensor/views.h"
#include "tests/op_case.h"
#include "tests/ops/clock.h"

namespace fovea::test {
namespace {

constexpr float kLr = 0.01f, kWeightDecay = 0.125f;
constexpr int kSteps = 5;

// Empty, below a pack, around a pack, below a block, many blocks; and more tensors than one launch holds.
std::vector<std::int64_t> sizes() {
  std::vector<std::int64_t> list{0, 1, 3, 4, 5, 1023, 100000, 0, 8191, 8193};
  for (std::int64_t i = 0; i < 90; ++i) list.push_back(1 + i % 7);
  return list;
}

/// Tensors of one kind, one for each size. Every third begins 4 bytes past an aligned address.
std::vector<Tensor> tensors(const std::vector<Doubles>& values, const Device& device) {
  std::vector<Tensor> list;
  for (std::size_t k = 0; k < values.size(); ++k) {
    const auto n = static_cast<std::int64_t>(values[k].size());
    const Tensor whole = Tensor::zeros({n + 1}, DType::f32, device, "test");
    list.push_back(k % 3 == 2 ? slice(whole, 0, 1, n + 1) : slice(whole, 0, 0, n));
    list.back().copy_from(to_tensor(values[k], {n}, DType::f32, device));
  }
  return list;
}

std::vector<Doubles> normals(std::uint32_t step) {
  std::vector<Doubles> values;
  for (const std::int64_t n : sizes()) {
    Doubles v(static_cast<std::size_t>(n));
    for (std::size_t i = 0; i < v.size(); ++i)
      v[i] = philox::normal_at({5, static_cast<std::uint32_t>(values.size()), step}, i);
    values.push_back(std::move(v));
  }
  return values;
}

std::vector<Doubles> zeros() {
  std::vector<Doubles> values;
  for (const std::int64_t n : sizes()) values.emplace_back(static_cast<std::size_t>(n), 0.0);
  return values;
}

double decay(std::size_t tensor) { return tensor % 2 == 1 ? static_cast<double>(kWeightDecay) : 0.0; }

struct State {
  std::vector<Tensor> value, moment1, moment2, moment3;
};

/// Which moments a method has; the others are null.
struct Has {
  bool moment1, moment2, moment3;
};

/// kSteps steps on a device. `launches` counts those of the last step in the emulation.
template <class Step>
State run(const Device& device, Has has, const Step& step, std::int64_t* launches = nullptr) {
  State s{tensors(normals(0), device), tensors(zeros(), device), tensors(zeros(), device),
          tensors(zeros(), device)};
  for (int t = 1; t <= kSteps; ++t) {
    const auto grads = tensors(normals(static_cast<std::uint32_t>(t)), device);
    std::vector<OptimizerSlot> slots;
    for (std::size_t k = 0; k < grads.size(); ++k)
      slots.push_back({.value = s.value[k].data(),
                       .grad = grads[k].data(),
                       .moment1 = has.moment1 ? s.moment1[k].data() : nullptr,
                       .moment2 = has.moment2 ? s.moment2[k].data() : nullptr,
                       .moment3 = has.moment3 ? s.moment3[k].data() : nullptr,
                       .count = grads[k].numel(),
                       .weight_decay = static_cast<float>(decay(k))});
    const Clock clock({.lr = kLr, .steps = static_cast<std::uint32_t>(t - 1)}, device);
    on(device.queue(), [&](auto& q) {
      kernels::advance_clock(q, 0.9f, 0.999f, clock.at());
      if constexpr (std::is_same_v<decltype(q), simt::Grid&>) q.reset_launches();
      step(q, slots, clock.at());
      if constexpr (std::is_same_v<decltype(q), simt::Grid&>)
        if (launches != nullptr) *launches = q.launches();
    });
  }
  return s;
}

void check_close(const std::vector<Tensor>& got, const std::vector<Doubles>& want, double tolerance) {
  for (std::size_t k = 0; k < want.size(); ++k) {
    const auto values = got[k].to_vector<double>();
    double worst = 0;
    for (std::size_t i = 0; i < values.size(); ++i) {
      const double off = std::abs(values[i] - want[k][i]) / (1 + std::abs(want[k][i]));
      worst = std::isnan(off) ? off : std::max(worst, off);
    }
    INFO("tensor " << k << " of " << values.size());
    CHECK(worst <= tolerance);
  }
}

void check_equal(const State& a, const State& b) {
  for (std::size_t k = 0; k < a.value.size(); ++k) {
    INFO("tensor " << k);
    CHECK(a.value[k].to_vector<float>() == b.value[k].to_vector<float>());
    CHECK(a.moment1[k].to_vector<float>() == b.moment1[k].to_vector<float>());
    CHECK(a.moment2[k].to_vector<float>() == b.moment2[k].to_vector<float>());
    CHECK(a.moment3[k].to_vector<float>() == b.moment3[k].to_vector<float>());
  }
}

const auto adam = [](auto& q, std::span<const OptimizerSlot> slots, const OptimizerClock* clock) {
  kernels::adam_step(q, slots, AdamOptions{}, clock);
};

}  // namespace

TEST_CASE("adam_step") {
  // Kingma and Ba 2015, Algorithm 1, in double, with grad + decay·value for the gradient, or, decoupled, with
  // value·(1 - lr·decay) for the value (Loshchilov and Hutter 2019, Algorithm 2).
  for (const bool decoupled : {false, true}) {
    std::vector<Doubles> value = normals(0), m = zeros(), v = zeros();
    const double lr = static_cast<double>(kLr);
    for (int t = 1; t <= kSteps; ++t) {
      const auto grads = normals(static_cast<std::uint32_t>(t));
      for (std::size_t k = 0; k < value.size(); ++k)
        for (std::size_t i = 0; i < value[k].size(); ++i) {
          const double g = grads[k][i] + (decoupled ? 0 : decay(k) * value[k][i]);
          if (decoupled) value[k][i] *= 1 - lr * decay(k);
          m[k][i] = 0.9 * m[k][i] + 0.1 * g;
          v[k][i] = 0.999 * v[k][i] + 0.001 * g * g;
          const double m_hat = m[k][i] / (1 - std::pow(0.9, t)), v_hat = v[k][i] / (1 - std::pow(0.999, t));
          value[k][i] -= lr * m_hat / (std::sqrt(v_hat) + 1e-8);
        }
    }
    const auto step = [decoupled](auto& q, std::span<const OptimizerSlot> slots,
                                  const OptimizerClock* clock) {
      kernels::adam_step(q, slots, AdamOptions{.decoupled = decoupled}, clock);
    };
    for (const auto& group : device_groups()) {
      INFO(group[0].description() << ", decoupled " << decoupled);
      std::int64_t launches = 0;
      const Has has{true, true, false};
      const State first = run(group[0], has, step, &launches);
      if (group[0].kind() == DeviceKind::simt)
        CHECK(launches == 2);  // 98 tensors with elements, 66 to a launch
      // A step is at most lr·1 for Adam, and its relative error some ulps: 1e-6 in five steps of 0.01 is
      // generous only to 1 - beta2 in float, which is off by 1.3e-5 of itself and cancels against the
      // correction in half.
      check_close(first.value, value, 1e-6);
      check_close(first.moment1, m, 1e-6);
      check_close(first.moment2, v, 1e-6);
      for (std::size_t k = 1; k < group.size(); ++k) check_equal(first, run(group[k], has, step));
    }
  }
}

TEST_CASE("sgd_step") {
  for (const auto& [momentum, nesterov] : {std::pair{0.0f, false}, {0.9f, false}, {0.9f, true}}) {
    std::vector<Doubles> value = normals(0), buffer = zeros();
    const double share = static_cast<double>(momentum);
    for (int t = 1; t <= kSteps; ++t) {
      const auto grads = normals(static_cast<std::uint32_t>(t));
      for (std::size_t k = 0; k < value.size(); ++k)
        for (std::size_t i = 0; i < value[k].size(); ++i) {
          const double g = grads[k][i] + decay(k) * value[k][i];
          buffer[k][i] = share * buffer[k][i] + g;
          value[k][i] -= static_cast<double>(kLr) * (nesterov ? g + share * buffer[k][i] : buffer[k][i]);
        }
    }
    const SgdOptions options{momentum, nesterov};
    const auto sgd = [options](auto& q, std::span<const OptimizerSlot> slots, const OptimizerClock* clock) {
      kernels::sgd_step(q, slots, options, clock);
    };
    for (const auto& group : device_groups()) {
      INFO(group[0].description() << ", momentum " << options.momentum << ", nesterov " << options.nesterov);
      const Has has{options.momentum != 0.0f, false, false};
      const State first = run(group[0], has, sgd);
      check_close(first.value, value, 1e-6);
      if (has.moment1) check_close(first.moment1, buffer, 1e-6);
      for (std::size_t k = 1; k < group.size(); ++k) check_equal(first, run(group[k], has, sgd));
    }
  }
}

TEST_CASE("rmsprop_step") {
  for (const auto& [momentum, centered] :
       {std::pair{0.0f, false}, {0.9f, false}, {0.0f, true}, {0.9f, true}}) {
    const RmspropOptions options{.alpha = 0.75f, .eps = 1e-3f, .momentum = momentum, .centered = centered};
    std::vector<Doubles> value = normals(0), buffer = zeros(), v = zeros(), mean = zeros();
    for (int t = 1; t <= kSteps; ++t) {
      const auto grads = normals(static_cast<std::uint32_t>(t));
      for (std::size_t k = 0; k < value.size(); ++k)
        for (std::size_t i = 0; i < value[k].size(); ++i) {
          const double g = grads[k][i] + decay(k) * value[k][i];
          v[k][i] = 0.75 * v[k][i] + 0.25 * g * g;
          mean[k][i] = 0.75 * mean[k][i] + 0.25 * g;
          const double variance = v[k][i] - (options.centered ? mean[k][i] * mean[k][i] : 0);
          const double step = g / (std::sqrt(variance) + static_cast<double>(options.eps));
          buffer[k][i] = static_cast<double>(options.momentum) * buffer[k][i] + step;
          value[k][i] -= static_cast<double>(kLr) * buffer[k][i];
        }
    }
    const auto step = [options](auto& q, std::span<const OptimizerSlot> slots, const OptimizerClock* clock) {
      kernels::rmsprop_step(q, slots, options, clock);
    };
    for (const auto& group : device_groups()) {
      INFO(group[0].description() << ", momentum " << options.momentum << ", centered " << options.centered);
      const Has has{options.momentum != 0.0f, true, options.centered};
      const State first = run(group[0], has, step);
      // A step is at most lr·2/√3 long on the first turn and less later; centering takes a square off
      // another, of which at least a quarter is left on the first turn, and little only by chance.
      check_close(first.value, value, options.centered ? 4e-6 : 1e-6);
      if (has.moment1) check_close(first.moment1, buffer, options.centered ? 1e-4 : 1e-6);
      check_close(first.moment2, v, 1e-6);
      if (has.moment3) check_close(first.moment3, mean, 1e-6);
      for (std::size_t k = 1; k < group.size(); ++k) check_equal(first, run(group[k], has, step));
    }
  }
}

/// Equal gradients have no variance: rounding must not make its root NaN.
TEST_CASE("centered_rmsprop_of_equal_gradients") {
  for (const Device& device : devices()) {
    const auto make = [&](double value) { return Tensor::full({5}, value, DType::f32, device); };
    const Tensor value = make(0), grad = make(0.3), squares = make(0.09), mean = make(0.3);
    const Clock clock({.lr = 0.5f}, device);
    const OptimizerSlot slot{.value = value.data(),
                             .grad = grad.data(),
                             .moment2 = squares.data(),
                             .moment3 = mean.data(),
                             .count = 5};
    for (int t = 0; t < 20; ++t)
      on(device.queue(), [&](auto& q) {
        kernels::rmsprop_step(q, {&slot, 1}, RmspropOptions{.alpha = 0.7f, .eps = 1.0f, .centered = true},
                              clock.at());
      });
    // 20 steps of 0.5·0.3/(0 + 1), with the root of a rounding error of 1e-8 in the place of 0
    for (const float v : value.to_vector<float>()) CHECK(v == doctest::Approx(-3.0).epsilon(1e-3));
  }
}

TEST_CASE("optimizer_step_of_nothing") {
  for (const Device& device : devices()) {
    const Clock clock({.lr = 1}, device);
    const Tensor value = Tensor::full({2}, 7, DType::f32, device);
    const OptimizerSlot empty{
        .value = value.data(), .grad = value.data(), .moment1 = value.data(), .moment2 = value.data()};
    on(device.queue(), [&](auto& q) {
      adam(q, {}, clock.at());
      adam(q, {&empty, 1}, clock.at());
    });
    CHECK(value.to_vector<float>() == std::vector<float>{7, 7});
  }
}

/// Each step counts, with corrections 1/(1 − βᵗ) in double, rounded once; a clock that has stopped does not.
TEST_CASE("advance_clock") {
  for (const Device& device : devices()) {
    const Clock clock({.lr = 0.5f, .steps = 6}, device), stopped({.steps = 6, .stopped = 3}, device);
    for (const Clock* each : {&clock, &stopped})
      on(device.queue(), [&](auto& q) { kernels::advance_clock(q, 0.9f, 0.999f, each->at()); });
    const OptimizerClock now = clock.value();
    CHECK(now.steps == 7);
    CHECK(now.lr == 0.5f);
    CHECK(now.correction1 == static_cast<float>(1 / (1 - std::pow(static_cast<double>(0.9f), 7.0))));
    CHECK(now.correction2 == static_cast<float>(1 / (1 - std::pow(static_cast<double>(0.999f), 7.0))));
    CHECK(stopped.value().steps == 6);
    on(device.queue(), [&](auto& q) { kernels::advance_clock(q, 0.0f, 0.0f, clock.at()); });
    CHECK(clock.value().correction1 == 1.0f);
    CHECK(clock.value().correction2 == 1.0f);
  }
}

TEST_CASE("no_update_while_the_clock_is_stopped") {
  for (const Device& device : devices()) {
    const Clock clock({.lr = 1, .steps = 2, .stopped = 3}, device);
    const auto make = [&] { return Tensor::full({9}, 7, DType::f32, device); };
    const Tensor value = make(), grad = make(), first = make(), second = make(), third = make();
    const OptimizerSlot slot{.value = value.data(),
                             .grad = grad.data(),
                             .moment1 = first.data(),
                             .moment2 = second.data(),
                             .moment3 = third.data(),
                             .count = 9};
    on(device.queue(), [&](auto& q) {
      kernels::adam_step(q, {&slot, 1}, AdamOptions{}, clock.at());
      kernels::sgd_step(q, {&slot, 1}, SgdOptions{.momentum = 0.5f}, clock.at());
      kernels::rmsprop_step(q, {&slot, 1}, RmspropOptions{.momentum = 0.5f, .centered = true}, clock.at());
    });
    for (const Tensor& tensor : {value, first, second, third})
      CHECK(tensor.to_vector<float>() == std::vector<float>(9, 7.0f));
  }
}

/// A tensor whose learning rate is scaled moves as with that learning rate.
TEST_CASE("scaled_learning_rate") {
  for (const Device& device : devices()) {
    std::vector<std::vector<float>> moved;
    for (const bool scaled : {false, true}) {
      const Clock clock({.lr = scaled ? 0.5f : 0.125f}, device);
      const auto make = [&](double x) { return Tensor::full({5}, x, DType::f32, device); };
      const Tensor value = make(3), grad = make(0.7), first = make(0), second = make(0);
      const OptimizerSlot slot{.value = value.data(),
                               .grad = grad.data(),
                               .moment1 = first.data(),
                               .moment2 = second.data(),
                               .count = 5,
                               .weight_decay = 0.25f,
                               .lr_scale = scaled ? 0.25f : 1.0f};
      on(device.queue(), [&](auto& q) {
        kernels::adam_step(q, {&slot, 1}, AdamOptions{.decoupled = true}, clock.at());
        kernels::sgd_step(q, {&slot, 1}, SgdOptions{}, clock.at());
        kernels::rmsprop_step(q, {&slot, 1}, RmspropOptions{}, clock.at());
      });
      moved.push_back(value.to_vector<float>());
    }
    CHECK(moved[0] == moved[1]);
    CHECK(moved[0][0] < 3.0f);
  }
}

}  // namespace fovea::test

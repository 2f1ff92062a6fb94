// SPDX-License-Identifier: Apache-2.0
// What becomes of the samples that an epoch leaves over, and what they count in a loss.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "nn/data/loader.h"
#include "nn/loss.h"
#include "tensor/views.h"
#include "tests/nn/expect.h"

using namespace fovea;
using namespace fovea::test;
using nn::LastBatch;

namespace {

/// `samples` windows of two frames of one pixel; sample i has the target i + 2.
nn::WindowDataset counted(std::int64_t samples, const Device& device) {
  Floats frames;
  for (std::int64_t t = 0; t < samples + 2; ++t) frames.push_back(static_cast<float>(t));
  return {floats(frames, {samples + 2, 1, 1}, device),
          floats(frames, {1, samples + 2}, device),
          nn::ResponseLayout::cells_time,
          {.history = 2}};
}

Floats some_numbers(std::int64_t count, double from, double step) {
  Floats numbers;
  for (std::int64_t i = 0; i < count; ++i)
    numbers.push_back(static_cast<float>(from + step * static_cast<double>(i * 7 % 11)));
  return numbers;
}

/// A loss with a mask, and how to make its operands.
struct MaskedLoss {
  const char* name;
  Var (*of)(const Var& x, const Tensor& target, const Tensor& mask);
};

Tensor labels_of(const Tensor& target) {
  std::vector<std::int64_t> labels;
  for (const float value : select(target, 1, 0).to_vector<float>())
    labels.push_back(static_cast<std::int64_t>(value * 10) % 3);
  return Tensor::from(labels, {target.shape()[0]}, target.device());
}

const MaskedLoss kLosses[] = {
    {"Poisson", [](const Var& x, const Tensor& target,
                   const Tensor& mask) { return nn::PoissonLoss{}(x, target, mask); }},
    {"squares",
     [](const Var& x, const Tensor& target, const Tensor& mask) { return nn::MseLoss{}(x, target, mask); }},
    {"cross-entropy", [](const Var& x, const Tensor& target,
                         const Tensor& mask) { return nn::CrossEntropyLoss{}(x, labels_of(target), mask); }},
    {"smoothed cross-entropy",
     [](const Var& x, const Tensor& target, const Tensor& mask) {
       return nn::CrossEntropyLoss{.label_smoothing = 0.25f}(x, labels_of(target), mask);
     }},
    {"mean activity",
     [](const Var& x, const Tensor&, const Tensor& mask) {
       return nn::activity_l1(x, 0.5f, nn::ActivityNorm::mean, mask);
     }},
    {"sum of activities",
     [](const Var& x, const Tensor&, const Tensor& mask) {
       return nn::activity_l1(x, 0.5f, nn::ActivityNorm::sum, mask);
     }},
};

}  // namespace

TEST_CASE("padded batches are all of one size, and each sample counts once an epoch") {
  const Device device = Device::cpu();
  for (const std::int64_t n : {1, 2, 5, 12})
    for (std::int64_t batch = 1; batch <= 2 * n + 1; ++batch) {
      CAPTURE(n);
      CAPTURE(batch);
      nn::Loader loader(counted(n, device), {.batch = batch, .last_batch = LastBatch::pad, .seed = 3},
                        device);
      nn::Loader kept(counted(n, device), {.batch = batch, .seed = 3}, device);
      CHECK(loader.batches_per_epoch() == (n + batch - 1) / batch);
      for (int epoch = 0; epoch < 2; ++epoch) {
        std::map<std::int64_t, int> counts;
        std::vector<std::int64_t> order;
        while (const std::optional<nn::Batch> made = loader.next()) {
          const Floats mask = values(made->mask), target = values(made->target);
          REQUIRE(made->mask.shape() == Shape{batch});
          REQUIRE(made->x.shape() == Shape{batch, 2, 1, 1});
          const std::optional<nn::Batch> small = kept.next();
          const auto real = static_cast<std::size_t>(small->samples.size());
          for (std::size_t i = 0; i < mask.size(); ++i) {
            CHECK(mask[i] == (i < real ? 1.0f : 0.0f));
            CHECK(target[i] == static_cast<float>(made->samples[i] + 2));
            if (mask[i] == 1.0f) ++counts[made->samples[i]];
            order.push_back(made->samples[i]);
          }
          CHECK(std::equal(small->samples.begin(), small->samples.end(), made->samples.begin()));
        }
        CHECK_FALSE(kept.next());
        CHECK(static_cast<std::int64_t>(counts.size()) == n);
        for (const auto& entry : counts) CHECK(entry.second == 1);
        for (std::size_t i = static_cast<std::size_t>(n); i < order.size(); ++i)
          CHECK(order[i] == order[i - static_cast<std::size_t>(n)]);  // from the start of the epoch's order
      }
    }
}

TEST_CASE("a padding loader goes on anywhere, and unshuffled batches are not padded") {
  for (const Device& device : both_devices()) {
    const nn::LoaderOptions options{.batch = 4, .last_batch = LastBatch::pad, .seed = 5};
    nn::Loader whole(counted(10, Device::cpu()), options, device),
        later = nn::Loader(counted(10, Device::cpu()), options, device);
    (void)whole.next();
    (void)whole.next();
    later.seek(whole.position());
    const std::optional<nn::Batch> a = whole.next(), b = later.next();
    REQUIRE(a.has_value());
    REQUIRE(b.has_value());
    CHECK(a->mask.device() == device);
    CHECK(values(a->mask) == Floats{1, 1, 0, 0});
    CHECK(values(b->mask) == values(a->mask));
    CHECK(a->samples == b->samples);
    CHECK(values(a->x) == values(b->x));
  }
  const Device device = Device::cpu();
  CHECK_FALSE(nn::Loader(counted(3, device), {.batch = 2}, device).next()->mask.defined());
  CHECK(message([&] {
          nn::Loader(counted(3, device), {.batch = 2, .shuffle = false, .last_batch = LastBatch::pad},
                     device);
        }) == "loader: only shuffled batches can be padded: the others are windows in a row");
}

TEST_CASE("a masked loss is the loss of the samples that count, and so is its gradient") {
  for (const Device& device : both_devices())
    for (const MaskedLoss& loss : kLosses) {
      CAPTURE(device.name());
      CAPTURE(loss.name);
      const std::int64_t batch = 7, real = 3, cells = 3;
      const Tensor x = floats(some_numbers(batch * cells, 0.5, 0.3), {batch, cells}, device),
                   target = floats(some_numbers(batch * cells, 0.25, 0.2), {batch, cells}, device),
                   mask = floats({1, 1, 1, 0, 0, 0, 0}, {batch}, device);
      Tape all, some;
      const Var padded = all.leaf(x), alone = some.leaf(slice(x, 0, 0, real).clone());
      const Var masked = loss.of(padded, target, mask);
      const Var expected = loss.of(alone, slice(target, 0, 0, real), Tensor());
      // A few roundings to float on each side.
      CHECK(masked.value().item() == doctest::Approx(expected.value().item()).epsilon(4e-7));
      all.backward(masked);
      some.backward(expected);
      const Floats slope = values(all.grad(padded)), of_real = values(some.grad(alone));
      for (std::size_t i = 0; i < of_real.size(); ++i)
        CHECK(slope[i] == doctest::Approx(static_cast<double>(of_real[i])).epsilon(1e-6));
      for (std::size_t i = of_real.size(); i < slope.size(); ++i) CHECK(slope[i] == 0.0f);
    }
}

TEST_CASE("the gradient of a masked loss is its slope") {
  const Device device = Device::cpu();
  for (const MaskedLoss& loss : kLosses) {
    CAPTURE(loss.name);
    const Floats at = some_numbers(12, 0.5, 0.3);
    const Tensor target = floats(some_numbers(12, 0.25, 0.2), {4, 3}, device),
                 mask = floats({1, 0, 1, 1}, {4}, device);
    Tape tape;
    const Var x = tape.leaf(floats(at, {4, 3}, device));
    tape.backward(loss.of(x, target, mask));
    const Floats slope = values(tape.grad(x));
    for (std::size_t i = 0; i < at.size(); ++i) {
      CAPTURE(i);
      const float h = 1.0f / 64;  // (h²/6)·f''' of −log is below 1e-3, and a float's rounding over h as well
      const auto moved = [&](float by) {
        Floats there = at;
        there[i] += by;
        return loss.of(floats(there, {4, 3}, device), target, mask).value().item();
      };
      CHECK(std::abs((moved(h) - moved(-h)) / (2.0 * static_cast<double>(h)) -
                     static_cast<double>(slope[i])) < 1e-3);
    }
  }
}

TEST_CASE("a mask of ones changes no bit of loss and gradient") {
  for (const Device& device : both_devices())
    for (const MaskedLoss& loss : kLosses)
      for (std::int64_t batch = 1; batch <= (device.kind() == DeviceKind::cpu ? 200 : 12); ++batch) {
        CAPTURE(device.name());
        CAPTURE(loss.name);
        CAPTURE(batch);
        const Tensor target = floats(some_numbers(batch * 3, 0.25, 0.2), {batch, 3}, device);
        Tape with, without;
        const Var a = with.leaf(floats(some_numbers(batch * 3, 0.5, 0.3), {batch, 3}, device)),
                  b = without.leaf(a.value().clone());
        const Var masked = loss.of(a, target, Tensor::full({batch}, 1.0, DType::f32, device)),
                  plain = loss.of(b, target, Tensor());
        CHECK(masked.value().item() == plain.value().item());
        with.backward(masked);
        without.backward(plain);
        CHECK(values(with.grad(a)) == values(without.grad(b)));
      }
}

TEST_CASE("a mask has one f32 number for each sample") {
  const Device device = Device::cpu();
  const Tensor x = Tensor::full({4, 2}, 1.0, DType::f32, device),
               mask = Tensor::zeros({3}, DType::f32, device);
  const char* rest = ": mask [3] must have one number for each sample of [4, 2]";
  CHECK(message([&] { nn::PoissonLoss{}(x, x, mask); }) == std::string("PoissonLoss") + rest);
  CHECK(message([&] { nn::MseLoss{}(x, x, mask); }) == std::string("MseLoss") + rest);
  CHECK(message([&] { nn::activity_l1(x, 1.0f, nn::ActivityNorm::mean, mask); }) ==
        std::string("activity_l1") + rest);
  CHECK(message([&] {
          nn::MseLoss{}(Tensor::full({}, 1.0, DType::f32, device), Tensor::full({}, 1.0, DType::f32, device),
                        mask);
        }) == "MseLoss: mask [3] must have one number for each sample of []");
  CHECK(message([&] { nn::MseLoss{}(x, x, Tensor::zeros({4}, DType::u8, device)); }).find("is u8") !=
        std::string::npos);
}

// SPDX-License-Identifier: Apache-2.0
#include "tensor/upload.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <functional>
#include <memory>
#include <numeric>
#include <random>

#include "tests/tensor/random_lane.h"

using namespace fovea;
using fovea::test::Omit;
using fovea::test::RandomLane;

namespace {

constexpr std::int64_t kCount = 300, kBatches = 60;

/// Copies batches of equal numbers and lets kernels look at them, three times each, at random times.
/// returns how many looks saw a number of another batch
int wrong_looks(unsigned seed, Omit omit, bool early) {
  // Two memories, as beside a GPU: what is free for kernels is not free for the host.
  const Device device = Device::cpu({.threads = 1}), staging = Device::cpu({.threads = 1});
  auto own = std::make_unique<RandomLane>(seed, omit);
  RandomLane& lane = *own;
  int wrong = 0, looks = 0;
  {
    Upload upload(device, std::move(own));
#if defined(__SANITIZE_ADDRESS__)  // no memory is used again there, and what was freed must not be looked at
    std::vector<Tensor> held;
#endif
    const auto start = [&](std::int64_t batch) {
      const Tensor host = Tensor::full({kCount}, static_cast<double>(batch), DType::f32, staging, "host");
      upload.start({{host, Tensor()}});
#if defined(__SANITIZE_ADDRESS__)
      held.push_back(host);
#endif
    };
    start(0);
    for (std::int64_t batch = 0; batch < kBatches; ++batch) {
      if (!upload.started()) start(batch);
      const std::vector<Tensor> taken = upload.take();
      CHECK_FALSE(taken[1].defined());
#if defined(__SANITIZE_ADDRESS__)
      held.push_back(taken[0]);
#endif
      if (early && batch + 1 < kBatches) start(batch + 1);
      for (int look = 0; look < 3; ++look)
        lane.issue([&wrong, &looks, from = taken[0].data(), batch] {
          wrong += std::all_of(from, from + kCount,
                               [&](float value) { return value == static_cast<float>(batch); })
                       ? 0
                       : 1;
          ++looks;
        });
    }
    lane.drain();
  }
  CHECK(looks == 3 * kBatches);
  return wrong;
}

}  // namespace

TEST_CASE("each kernel sees its own batch, however queues and host are ahead of each other") {
  for (unsigned seed = 0; seed < 100; ++seed) {
    CAPTURE(seed);
    CHECK(wrong_looks(seed, Omit::nothing, true) == 0);
    CHECK(wrong_looks(seed, Omit::nothing, false) == 0);
  }
}

#if !defined(__SANITIZE_ADDRESS__)
TEST_CASE("each of the three waits is needed") {
  for (const Omit omit : {Omit::copies_wait, Omit::kernels_wait, Omit::host_waits}) {
    CAPTURE(static_cast<int>(omit));
    int wrong = 0;
    for (unsigned seed = 0; seed < 100; ++seed) wrong += wrong_looks(seed, omit, true);
    CHECK(wrong > 0);
  }
}
#endif

TEST_CASE("a copy begins before the kernels of the batch before it have run, and nobody waits for these") {
  const Device device = Device::cpu({.threads = 1});
  auto own = std::make_unique<RandomLane>(1, Omit::nothing);
  RandomLane& lane = *own;
  Upload upload(device, std::move(own));
  CHECK(upload.beside());
  const Tensor first = Tensor::full({4}, 1.0, DType::f32, device),
               second = Tensor::full({4}, 2.0, DType::f32, device);
  upload.start({{first}});
  const std::vector<Tensor> batch = upload.take();
  upload.start({{second}});
  bool ran = false;
  lane.issue([&] { ran = true; });
  lane.drain_copies();  // kernels run only where these wait for them
  CHECK_FALSE(ran);
  const std::vector<Tensor> next = upload.take();
  CHECK(std::equal(next[0].data(), next[0].data() + 4, second.data()));
  CHECK_FALSE(ran);
  lane.drain();
  CHECK(ran);
}

TEST_CASE("what was started and not taken leaves its memory in order") {
  const Device device = Device::cpu({.threads = 1});
  auto own = std::make_unique<RandomLane>(1, Omit::nothing);
  RandomLane& lane = *own;
  const Tensor host = Tensor::full({4}, 1.0, DType::f32, device);
  const auto live = [&] { return device.arena().stats().live_bytes; };
  const std::size_t before = live();
  {
    Upload upload(device, std::move(own));
    upload.start({{host}});
    CHECK(upload.started());
    CHECK(live() > before);
    const int waits = lane.kernel_waits;
    upload.drop();
    CHECK(lane.kernel_waits == waits + 1);  // the memory may be a kernel's next
    CHECK_FALSE(upload.started());
    CHECK(live() == before);
    upload.drop();
    CHECK(lane.kernel_waits == waits + 1);
    device.arena().set_limit(live());
    CHECK_THROWS_AS(upload.start({{host}}), OutOfMemory);
    CHECK_FALSE(upload.started());
    device.arena().set_limit(SIZE_MAX);
    upload.start({{host}});
  }
  CHECK(live() == before);
}

TEST_CASE("on cpu and simt the tensors are handed through, or moved") {
  const Device host = Device::cpu({.threads = 1});
  const Tensor x = Tensor::full({3}, 2.0, DType::f32, host);
  CHECK_FALSE(host.pinned());
  CHECK(host.staging() == host);
  for (const Device& device : {Device::cpu(), Device::simt()}) {
    CHECK(copy_lane(device) == nullptr);
    Upload upload(device);
    CHECK_FALSE(upload.beside());
    upload.start({{x, Tensor()}});
    const std::vector<Tensor> moved = upload.take();
    CHECK(moved[0].device() == device);
    CHECK(moved[0].to_vector<float>() == std::vector<float>{2, 2, 2});
    CHECK_FALSE(moved[1].defined());
  }
  Upload same(host);
  same.start({{x}});
  CHECK(same.take()[0].shares_memory_with(x));
}

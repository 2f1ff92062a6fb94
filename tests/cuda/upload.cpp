// SPDX-License-Identifier: Apache-2.0
// Copies beside kernels. Not yet run on a GPU.
#include "tensor/upload.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <vector>

#include "autograd/ops/elementwise.h"
#include "autograd/ops/matmul.h"
#include "autograd/ops/reduce.h"
#if FOVEA_HAS_CUDA
#include "kernels/cuda/event.h"
#endif

using namespace fovea;

TEST_CASE("a hundred batches arrive whole beside slow kernels") {
  const Device device = Device::cuda();
  const Device staging = device.staging();
  CHECK(staging.pinned());
  CHECK(staging.host_memory());
  constexpr std::int64_t kBatches = 100, kCount = 1 << 20;
  const Tensor slow = Tensor::full({2048, 2048}, 1e-3, DType::f32, device);
  Upload upload(device);
  REQUIRE(upload.beside());
  const auto start = [&](std::int64_t batch) {
    const Tensor host = Tensor::full({kCount}, static_cast<double>(batch), DType::f32, staging, "host");
    upload.start({{host, Tensor()}});
  };
  std::vector<Tensor> errors;
  start(0);
  for (std::int64_t batch = 0; batch < kBatches; ++batch) {
    const std::vector<Tensor> taken = upload.take();
    if (batch + 1 < kBatches) start(batch + 1);
    const auto error = [&] {  // Σ |x − batch|
      return sum(abs(affine(taken[0], 1.0, -static_cast<double>(batch)))).value();
    };
    errors.push_back(error());
    for (int i = 0; i < 3; ++i) (void)matmul(slow, slow);
    errors.push_back(error());
  }
  for (const Tensor& error : errors) CHECK(error.item() == 0.0);
}

TEST_CASE("a pinned tensor may go as soon as to() returns") {
  const Device device = Device::cuda();
  const Device staging = device.staging();
  constexpr std::int64_t kCount = 1 << 22;
  std::vector<Tensor> there;
  for (int i = 0; i < 10; ++i)  // each in the memory of the one before
    there.push_back(Tensor::full({kCount}, static_cast<double>(i), DType::f32, staging).to(device));
  for (int i = 0; i < 10; ++i) {
    const std::vector<float> values = there[static_cast<std::size_t>(i)].to_vector<float>();
    CHECK(std::all_of(values.begin(), values.end(),
                      [i](float value) { return value == static_cast<float>(i); }));
  }
}

#if FOVEA_HAS_CUDA
TEST_CASE("events tell when work has ended, and how long it took") {
  cuda::Stream stream, other;
  cuda::Event before(stream, true), after(stream, true), copied(stream);
  CHECK(copied.done());
  const std::size_t bytes = std::size_t{1} << 26;
  void* memory = stream.arena().allocate(bytes, "test");
  before.record(stream);
  for (int i = 0; i < 20; ++i) stream.fill_zero(memory, bytes);
  after.record(stream);
  other.wait(after);
  copied.record(other);
  copied.synchronize();
  CHECK(copied.done());
  CHECK(after.done());
  CHECK(after.elapsed_ms(before) > 0.0);
  stream.arena().release(memory);
}
#endif

// SPDX-License-Identifier: Apache-2.0
#include "kernels/arena.h"

#include <doctest/doctest.h>

#include <stdexcept>

#include "tensor/tensor.h"

using namespace fovea;

TEST_CASE("the arena counts what lives, by owner, and hands freed blocks out again") {
  const Device device = Device::cpu();
  Arena& arena = device.arena();
  {
    const Tensor a = Tensor::empty({1000}, DType::f32, device, "activation");
    const Tensor b = Tensor::empty({10}, DType::f32, device, "bias");
    const Arena::Stats stats = arena.stats();
    REQUIRE(stats.owners.size() == 2);
    CHECK(stats.owners[0].name == "activation");
    CHECK(stats.owners[0].live_bytes >= 4000);
    CHECK(stats.live_bytes == stats.owners[0].live_bytes + stats.owners[1].live_bytes);
  }
  CHECK(arena.stats().live_bytes == 0);
  CHECK(arena.stats().peak_bytes >= 4040);
#if !defined(__SANITIZE_ADDRESS__)  // there every block is its own
  const std::int64_t before = arena.stats().source_calls;
  { const Tensor c = Tensor::empty({990}, DType::f32, device, "activation"); }
  CHECK(arena.stats().source_calls == before);
  CHECK(arena.stats().cached_bytes > 0);
#endif
  arena.trim();
  CHECK(arena.stats().cached_bytes == 0);
}

TEST_CASE("out of memory names request, live, peak and owners, and leaves the device usable") {
  const Device device = Device::cpu();
  device.arena().set_limit(1 << 20);
  const Tensor held = Tensor::full({100'000}, 3.0, DType::f32, device, "weights");
  try {
    Tensor::empty({1'000'000}, DType::f32, device, "conv2d");
    FAIL("nothing was thrown");
  } catch (const OutOfMemory& error) {
    CHECK(error.requested_bytes == 4'000'000);
    CHECK(error.live_bytes == error.peak_bytes);
    CHECK(std::string(error.what()) ==
          "out of memory on cpu: conv2d asked for 3.8 MiB with 0.4 MiB live (peak 0.4 MiB, limit 1.0 MiB); "
          "largest owners: weights 0.4 MiB; try a smaller batch");
  }
  CHECK(held.to_vector<float>()[99'999] == 3.0f);
  CHECK(Tensor::full({1000}, 1.0, DType::f32, device).to_vector<float>()[999] == 1.0f);
}

TEST_CASE("a request larger than the address space is out of memory, too") {
  const Device device = Device::cpu();
  CHECK_THROWS_AS(Tensor::empty({std::int64_t{1} << 60}, DType::u8, device), OutOfMemory);
}

TEST_CASE("blocks of a pool stay with it until it is dropped") {
  const Device device = Device::cpu();
  Arena& arena = device.arena();
  const auto address = [&] { return Tensor::empty({1000}, DType::f32, device).raw(); };
  const int pool = arena.open_pool();
  CHECK_THROWS_WITH_AS(arena.open_pool(), "a pool is open already: captures do not nest", std::logic_error);
  const void* const mine = address();
  CHECK(address() == mine);  // freed within the pool, and handed out again within it
  Tensor held = Tensor::empty({1000}, DType::f32, device);
  CHECK(held.raw() == mine);
  arena.close_pool();
  CHECK(address() != mine);
  held = Tensor();  // goes back to the pool, which is closed
  const Tensor other = Tensor::empty({1000}, DType::f32, device);
  CHECK(other.raw() != mine);
  arena.trim();
  CHECK(arena.stats().cached_bytes >= 4000);  // the pool's
  const int second = arena.open_pool();
  CHECK(second != pool);
  arena.close_pool();
  arena.drop_pool(pool);
#if !defined(__SANITIZE_ADDRESS__)
  CHECK(address() == mine);
#endif
  arena.drop_pool(second);
  arena.trim();
  CHECK(arena.stats().cached_bytes == 0);
}

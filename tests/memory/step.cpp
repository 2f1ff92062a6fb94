// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include "tests/memory/host_faults.h"
#include "tests/memory/training_bench.h"

using namespace fovea;
using namespace fovea::test;

namespace {

std::vector<Device> devices() { return {Device::cpu({.threads = 2}), Device::simt()}; }

/// What an undisturbed run holds after its first, second and third step.
std::vector<Bits> undisturbed(const Device& device) {
  TrainingBench bench(device);
  std::vector<Bits> after;
  for (int i = 0; i < 3; ++i) {
    bench.step();
    after.push_back(bench.bits());
  }
  return after;
}

}  // namespace

TEST_CASE("whichever allocation of a device fails, a training step changes nothing and can be tried again") {
  for (const Device& device : devices()) {
    CAPTURE(device.name());
    const std::vector<Bits> expected = undisturbed(device);
    Arena& arena = device.arena();
    const std::size_t unused = arena.stats().live_bytes;
    {
      // On cpu the loader's thread would take from the same arena, at moments of its own.
      TrainingBench bench(device, /*prefetch=*/device.kind() != DeviceKind::cpu);
      bench.step();
      const std::size_t live = arena.stats().live_bytes;
      std::int64_t failures = 0;
      for (bool passed = false; !passed;) {
        arena.refuse_nth(failures + 1);
        try {
          bench.step();
          passed = true;
        } catch (const OutOfMemory& error) {
          ++failures;
          CAPTURE(error.what());
          CHECK(std::string(error.what()).starts_with("out of memory on " + device.name() + ": "));
          CHECK(bench.bits() == expected[0]);
        }
        CHECK(arena.stats().live_bytes == live);
      }
      arena.refuse_nth(0);
      CHECK(failures > 50);  // forward, backward and all the working memory in between
      CHECK(bench.bits() == expected[1]);
      bench.step();
      CHECK(bench.bits() == expected[2]);
    }
    CHECK(arena.stats().live_bytes == unused);
  }
}

TEST_CASE("whichever allocation of the host fails, a training step changes nothing and can be tried again") {
  for (const Device& device : devices()) {
    CAPTURE(device.name());
    const std::vector<Bits> expected = undisturbed(device);
    TrainingBench bench(device, /*prefetch=*/false);
    bench.step();
    (void)bench.bits();  // from here on the arenas know all owners and sizes
    bench.settle();
    const std::size_t live = device.arena().stats().live_bytes;
    std::int64_t failures = 0, blocks = 0;
    for (bool passed = false; !passed;) {
      const std::int64_t n = failures + 1;
      {
        const HostFault fault(n);
        try {
          bench.step();
          passed = true;
        } catch (const std::bad_alloc&) {
          ++failures;
        }
        CHECK(fault.hit() != passed);
      }
      bench.settle();
      CHECK(bench.bits() == expected[passed ? 1 : 0]);
      CHECK(device.arena().stats().live_bytes == live);
      const std::int64_t left = live_host_blocks();
      if (n <= 2) blocks = left;  // doctest, too, has then said all it says in this loop
      CHECK(left == blocks);
    }
    CHECK(failures > 200);
    bench.step();
    CHECK(bench.bits() == expected[2]);
  }
}

TEST_CASE("a loader whose thread runs out of memory goes on with the batch that it owes") {
  const Device device = Device::cpu({.threads = 2});
  const std::vector<Bits> expected = undisturbed(device);
  std::int64_t failures = 0;
  bool over = false;
  for (std::int64_t n = 1; !over; n += 3) {
    CAPTURE(n);
    TrainingBench bench(device);
    bench.step();
    {
      const HostFault fault(n);
      while (bench.optimizer.steps() < 3) {
        const std::int64_t steps = bench.optimizer.steps();
        try {
          bench.step();
        } catch (const std::bad_alloc&) {  // here or, a batch or two ahead, on the thread
          ++failures;
          CHECK(bench.bits() == expected[static_cast<std::size_t>(steps) - 1]);
        }
      }
      over =
          fault.calls() < n;  // not hit(): the thread may be about to fail over a batch that nobody asks for
    }
    CHECK(bench.bits() == expected[2]);
  }
  CHECK(failures > 100);
}

TEST_CASE(
    "each step after the second asks the host for memory equally often, and on cpu the system not at all") {
  for (const Device& device : devices()) {
    CAPTURE(device.name());
    TrainingBench bench(device, /*prefetch=*/false);
    bench.step();
    bench.step();
    const SourceFault source(0);
    std::int64_t calls[2] = {};
    for (std::int64_t& count : calls) {
      const HostFault counter(0);
      bench.step();
      count = counter.calls();
    }
    CHECK(calls[0] == calls[1]);
#if !defined(__SANITIZE_ADDRESS__)  // there every block is its own
    if (device.kind() == DeviceKind::cpu) CHECK(source.calls() == 0);
#endif
  }
}

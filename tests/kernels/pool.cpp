// SPDX-License-Identifier: Apache-2.0
#include "kernels/cpu/pool.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <set>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "tensor/device.h"
#include "tests/nn/expect.h"

using namespace fovea;
using namespace fovea::test;

TEST_CASE("a pool runs every part exactly once, for any number of parts and threads") {
  for (const int threads : {1, 2, 3, 5, 8}) {
    cpu::Scalar pool(threads);
    CHECK(pool.threads() == threads);
    for (const std::int64_t parts : {0, 1, 2, 3, 7, 8, 9, 64, 1000}) {
      CAPTURE(threads);
      CAPTURE(parts);
      std::vector<std::atomic<int>> visits(static_cast<std::size_t>(parts) + 1);
      cpu::for_parts(pool, parts, [&](std::int64_t part) { ++visits[static_cast<std::size_t>(part)]; });
      CHECK(std::all_of(visits.begin(), visits.end() - 1, [](const auto& count) { return count == 1; }));
      CHECK(visits.back() == 0);
    }
  }
}

TEST_CASE("what the parts wrote is there when run returns, run after run") {
  cpu::Scalar pool(4);
  // Short runs one after another: a worker that wakes late must neither take a part of the next run with the
  // body of the last nor touch a context that is gone.
  std::int64_t wrong = 0;
  for (std::int64_t round = 0; round < 20000; ++round) {
    const std::int64_t parts = 2 + round % 4;
    std::int64_t results[5] = {-1, -1, -1, -1, -1};  // plain: a race shows under ThreadSanitizer, too
    cpu::for_parts(pool, parts, [&results, round](std::int64_t part) { results[part] = round + part; });
    for (std::int64_t part = 0; part < 5; ++part)
      wrong += results[part] != (part < parts ? round + part : -1);
  }
  CHECK(wrong == 0);
}

/// The text of what run() throws when the parts in `failing` throw their number; visits counts all parts.
std::string failure_of(cpu::Pool& pool, std::int64_t parts, const std::set<std::int64_t>& failing,
                       std::atomic<std::int64_t>& visits) {
  return message([&] {
    cpu::for_parts(pool, parts, [&](std::int64_t part) {
      ++visits;
      if (failing.contains(part)) throw std::runtime_error("part " + std::to_string(part));
    });
  });
}

TEST_CASE("an exception in a part reaches the caller: that of the lowest part, when all parts are done") {
  for (const int threads : {1, 2, 3, 8}) {
    cpu::Scalar pool(threads);
    for (int round = 0; round < 50; ++round) {
      CAPTURE(threads);
      std::atomic<std::int64_t> visits = 0;
      CHECK(failure_of(pool, 64, {63, 7, 40, 8}, visits) == "part 7");
      CHECK(visits == 64);
      CHECK(failure_of(pool, 1, {0}, visits) == "part 0");
      CHECK(failure_of(pool, 3, {0, 1, 2}, visits) == "part 0");
      // The failure is over with the run that had it.
      CHECK(failure_of(pool, 64, {}, visits) == "nothing was thrown");
      CHECK(visits == 64 + 1 + 3 + 64);
    }
  }
}

TEST_CASE("what the other parts wrote is there after an exception, too") {
  for (const int threads : {1, 3}) {
    cpu::Scalar pool(threads);
    std::vector<std::int64_t> results(100, -1);
    auto square = [&](std::int64_t part) {
      if (part == 31) throw std::bad_alloc();
      results[static_cast<std::size_t>(part)] = part * part;
    };
    CHECK_THROWS_AS(cpu::for_parts(pool, 100, square), std::bad_alloc);
    std::int64_t wrong = 0;
    for (std::int64_t part = 0; part < 100; ++part)
      wrong += results[static_cast<std::size_t>(part)] != (part == 31 ? -1 : part * part);
    CHECK(wrong == 0);
  }
}

TEST_CASE("an exception passes through a pool that a part of another pool uses") {
  cpu::Scalar outer(3);
  std::atomic<int> visits = 0;
  const std::string text = message([&] {
    cpu::for_parts(outer, 4, [&](std::int64_t part) {
      cpu::Scalar inner(2);
      cpu::for_parts(inner, 5, [&](std::int64_t inside) {
        ++visits;
        if (inside >= 2) throw std::runtime_error("part " + std::to_string(10 * part + inside));
      });
    });
  });
  CHECK(text == "part 2");
  CHECK(visits == 20);
}

TEST_CASE("a part may use another pool") {
  cpu::Scalar outer(3);
  std::atomic<int> visits = 0;
  cpu::for_parts(outer, 6, [&](std::int64_t) {
    cpu::Scalar inner(2);
    for (int again = 0; again < 3; ++again) cpu::for_parts(inner, 5, [&](std::int64_t) { ++visits; });
  });
  CHECK(visits == 6 * 3 * 5);
}

TEST_CASE("all threads of a pool take part") {
  cpu::Scalar pool(3);
  std::mutex mutex;
  std::condition_variable arrived;
  std::set<std::thread::id> ids;
  // Each part waits for the others, so three threads are needed to get through.
  cpu::for_parts(pool, 3, [&](std::int64_t) {
    std::unique_lock lock(mutex);
    ids.insert(std::this_thread::get_id());
    arrived.notify_all();
    arrived.wait_for(lock, std::chrono::seconds(20), [&] { return ids.size() == 3; });
  });
  CHECK(ids.size() == 3);
  CHECK(ids.contains(std::this_thread::get_id()));  // the caller works, too
}

TEST_CASE("a pool that never ran, or has just run, can go") {
  for (int round = 0; round < 200; ++round) {
    cpu::Scalar idle(4);
    cpu::Scalar used(4);
    std::atomic<int> visits = 0;
    cpu::for_parts(used, 8, [&](std::int64_t) { ++visits; });
    REQUIRE(visits == 8);
  }
}

TEST_CASE("devices that are not there say what to do") {
  const std::string reason = Device::cuda_missing_reason();
#if !FOVEA_HAS_CUDA
  CHECK(reason == "this build has no CUDA: install the CUDA Toolkit and configure again");
#endif
  if (reason.empty()) {
    CHECK(
        message([] { Device::cuda(99); }).starts_with("device cuda: there is no GPU 99, this machine has "));
    CHECK(Device::best().kind() == DeviceKind::cuda);
  } else {
    CHECK(message([] { Device::cuda(); }) == "device cuda: " + reason);
    CHECK(message([] { Device::parse("cuda:3"); }) == "device cuda: " + reason);
    CHECK(Device::best().kind() == DeviceKind::cpu);
  }
  const std::vector<Isa> isas = available_isas();
  CHECK(isas.front() == Isa::scalar);
  for (const Isa isa : {Isa::scalar, Isa::avx2, Isa::avx512}) {
    const bool available = std::find(isas.begin(), isas.end(), isa) != isas.end();
    const std::string text = message([&] { Device::cpu({.threads = 1, .isa = isa}); });
    CHECK(text == (available
                       ? "nothing was thrown"
                       : std::string("device: this processor has no ") + isa_name(isa) + " instructions"));
  }
}

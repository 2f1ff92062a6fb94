// SPDX-License-Identifier: Apache-2.0
// A loader whose copies run beside kernels, as on a GPU, with queues that run at random times.
#include <doctest/doctest.h>

#include <chrono>
#include <thread>

#include "nn/data/loader.h"
#include "tests/nn/expect.h"
#include "tests/tensor/random_lane.h"

using namespace fovea;
using namespace fovea::test;
using nn::LastBatch;

namespace {

nn::WindowDataset some_windows(const Device& device) {
  Floats frames;
  for (int i = 0; i < 40 * 6; ++i) frames.push_back(static_cast<float>(i * 7 % 31));
  return {floats(frames, {40, 2, 3}, device),
          floats(Floats(frames.begin(), frames.begin() + 80), {40, 2}, device),
          nn::ResponseLayout::time_cells,
          {.history = 4}};
}

/// A loader to `device` beside random queues.
struct Beside {
  Beside(const Device& device, nn::LoaderOptions options, unsigned seed = 1) {
    auto own = std::make_unique<RandomLane>(seed);
    lane = own.get();
    loader = std::make_unique<nn::Loader>(some_windows(device), options,
                                          std::make_unique<Upload>(device, std::move(own)));
  }
  std::optional<nn::Batch> next() {
    std::optional<nn::Batch> batch = loader->next();
    lane->drain();  // the host is about to look
    return batch;
  }
  /// Time for the thread to be ahead, so that the next batch is started early.
  static void rest() { std::this_thread::sleep_for(std::chrono::milliseconds(3)); }

  RandomLane* lane;
  std::unique_ptr<nn::Loader> loader;
};

void check_equal(const std::optional<nn::Batch>& a, const std::optional<nn::Batch>& b) {
  REQUIRE(a.has_value() == b.has_value());
  if (!a) return;
  CHECK(a->samples == b->samples);
  CHECK(values(a->x) == values(b->x));
  CHECK(values(a->target) == values(b->target));
  REQUIRE(a->mask.defined() == b->mask.defined());
  if (a->mask.defined()) CHECK(values(a->mask) == values(b->mask));
}

}  // namespace

TEST_CASE("copies beside kernels change no batch and no position") {
  const Device device = Device::cpu({.threads = 1});
  for (const bool prefetch : {true, false})
    for (const LastBatch last : {LastBatch::keep, LastBatch::drop, LastBatch::pad})
      for (const bool shuffle : {true, false}) {
        if (!shuffle && last == LastBatch::pad) continue;
        const nn::LoaderOptions options{
            .batch = 5, .shuffle = shuffle, .last_batch = last, .prefetch = prefetch, .seed = 4};
        nn::Loader plain(some_windows(device), options, device);
        Beside beside(device, options);
        for (int i = 0; i < 40; ++i) {
          if (i % 3 == 0) Beside::rest();
          check_equal(beside.next(), plain.next());
          CHECK(beside.loader->position() == plain.position());
          if (i % 13 == 12) {
            beside.loader->seek({2, 1});
            plain.seek({2, 1});
          }
        }
      }
}

TEST_CASE("the next batch is on its way when a batch is handed out") {
  Beside beside(Device::cpu({.threads = 1}), {.batch = 5, .last_batch = LastBatch::pad});
  int batches = 0;
  while (beside.lane->copies <= 3 * batches && batches < 1000) {  // its thread may be slow at first
    Beside::rest();
    batches += beside.next() ? 1 : 0;
  }
  CHECK(beside.lane->copies == 3 * (batches + 1));  // x, target and mask
}

TEST_CASE("a batch that cannot be started early is met again by the next call") {
  const Device device = Device::cpu({.threads = 1}), other = Device::cpu({.threads = 1});
  const nn::LoaderOptions options{.batch = 5, .seed = 4};
  nn::Loader plain(some_windows(other), options, other);
  int failed = 0;
  for (std::int64_t refused = 1; refused < 30; ++refused) {
    Beside beside(device, options);
    plain.seek({0, 0});
    device.arena().refuse_nth(refused);  // of the thread's allocations and the early ones
    for (int i = 0; i < 6; ++i) {
      const nn::LoaderPosition at = beside.loader->position();
      Beside::rest();
      std::optional<nn::Batch> batch;
      try {
        batch = beside.next();
      } catch (const OutOfMemory&) {
        ++failed;
        CHECK(beside.loader->position() == at);
        batch = beside.next();
      }
      check_equal(batch, plain.next());
    }
    device.arena().refuse_nth(0);
  }
  CHECK(failed > 0);
}

// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <set>
#include <stdexcept>

#include "nn/data/loader.h"
#include "nn/data/prefetch.h"
#include "nn/data/shuffle.h"
#include "nn/data/window_dataset.h"
#include "tensor/views.h"
#include "tests/nn/expect.h"

using namespace fovea;
using namespace fovea::test;
using nn::ResponseLayout;

namespace {

/// Pixel p of frame t is (10·t + p) mod 251; cell c answers 100·t + c in bin t.
struct Recording {
  std::int64_t frames, height = 2, width = 3, cells = 2;

  float pixel(std::int64_t t, std::int64_t p) const { return static_cast<float>((10 * t + p) % 251); }
  Tensor movie(const Device& device) const {
    std::vector<std::uint8_t> pixels;
    for (std::int64_t t = 0; t < frames; ++t)
      for (std::int64_t p = 0; p < height * width; ++p)
        pixels.push_back(static_cast<std::uint8_t>(pixel(t, p)));
    return Tensor::from(pixels, {frames, height, width}, device);
  }
  Tensor responses(const Device& device) const {
    Floats rates;
    for (std::int64_t c = 0; c < cells; ++c)
      for (std::int64_t t = 0; t < frames; ++t) rates.push_back(static_cast<float>(100 * t + c));
    return Tensor::from(rates, {cells, frames}, device);
  }
  nn::WindowDataset dataset(const Device& device, nn::WindowOptions options) const {
    return {movie(device), responses(device), ResponseLayout::cells_time, std::move(options)};
  }
};

/// Whether row `b` of a batch is the window that begins at `first`, with the target of the bin after it.
bool holds(const Recording& recording, const nn::Batch& batch, std::int64_t b, std::int64_t first,
           nn::Normalization z = {}) {
  const std::int64_t history = batch.x.shape()[1], plane = recording.height * recording.width;
  const Floats x = select(batch.x, 0, b).to_vector<float>(),
               y = select(batch.target, 0, b).to_vector<float>();
  for (std::int64_t h = 0; h < history; ++h)
    for (std::int64_t p = 0; p < plane; ++p)
      if (x[static_cast<std::size_t>(h * plane + p)] != (recording.pixel(first + h, p) - z.mean) / z.sd)
        return false;
  for (std::int64_t c = 0; c < recording.cells; ++c)
    if (y[static_cast<std::size_t>(c)] != static_cast<float>(100 * (first + history) + c)) return false;
  return true;
}

std::vector<nn::Batch> epoch(nn::Loader& loader) {
  std::vector<nn::Batch> batches;
  while (std::optional<nn::Batch> batch = loader.next()) batches.push_back(*batch);
  return batches;
}

bool equal(const nn::Batch& a, const nn::Batch& b) {
  return a.samples == b.samples && a.x.shape() == b.x.shape() &&
         a.x.to_vector<float>() == b.x.to_vector<float>() &&
         a.target.to_vector<float>() == b.target.to_vector<float>();
}

}  // namespace

TEST_CASE("a block of L frames has L - skip - history samples, none across a border") {
  const Device device = Device::cpu();
  const Recording recording{30};
  const nn::WindowDataset data = recording.dataset(device, {.history = 4, .skip = 2, .blocks = {12, 10, 8}});
  CHECK(data.size() == 6 + 4 + 2);
  REQUIRE(data.runs().size() == 3);
  CHECK(data.first_frame(0) == 2);
  CHECK(data.first_frame(5) == 7);   // frames 7 … 10, target bin 11, the last of block 0
  CHECK(data.first_frame(6) == 14);  // 12 + skip
  CHECK(data.first_frame(11) == 25);
  CHECK(data.cells() == 2);
  CHECK(message([&] { data.first_frame(12); }) == "window_dataset: there is no sample 12, it has 12");
  CHECK(message([&] { data.first_frame(-1); }) == "window_dataset: there is no sample -1, it has 12");

  const nn::WindowDataset published(Tensor::zeros({6000, 1, 1}, DType::u8, device),
                                    Tensor::zeros({6000, 1}, DType::f32, device), ResponseLayout::time_cells);
  CHECK(published.size() == 6000 - 40);  // rolling_window in the published code
}

TEST_CASE("both layouts of the responses give the same targets") {
  const Device device = Device::cpu();
  const Recording recording{9};
  const nn::WindowDataset rows = recording.dataset(device, {.history = 3});
  const nn::WindowDataset columns(recording.movie(device), transpose(recording.responses(device), 0, 1),
                                  ResponseLayout::time_cells, {.history = 3});
  CHECK(rows.responses().shape() == Shape{9, 2});
  CHECK(rows.responses().to_vector<float>() == columns.responses().to_vector<float>());
}

TEST_CASE("a dataset refuses what does not fit") {
  const Device device = Device::cpu();
  const auto make = [&](const Shape& movie, DType dtype, const Shape& responses, nn::WindowOptions options) {
    return message([&] {
      nn::WindowDataset(Tensor::zeros(movie, dtype, device), Tensor::zeros(responses, DType::f32, device),
                        ResponseLayout::cells_time, options);
    });
  };
  CHECK(make({9, 2}, DType::u8, {1, 9}, {}) == "window_dataset: movie [9, 2] is not [T, H, W]");
  CHECK(make({9, 2, 2}, DType::i32, {1, 9}, {}) ==
        "window_dataset: movie [9, 2, 2] is i32, expected u8 or f32");
  CHECK(make({9, 2, 2}, DType::u8, {9, 1}, {}) ==
        "window_dataset: responses [9, 1] are not [cells, T] for movie [9, 2, 2]");
  CHECK(make({9, 2, 2}, DType::u8, {1, 9}, {.history = 0}) ==
        "window_dataset: history must be at least 1 and skip at least 0, got 0 and 0");
  CHECK(make({9, 2, 2}, DType::u8, {1, 9}, {.skip = -1}) ==
        "window_dataset: history must be at least 1 and skip at least 0, got 40 and -1");
  CHECK(message([&] {
          nn::WindowDataset(Tensor::zeros({9, 2, 2}, DType::u8, device),
                            Tensor::zeros({1, 9}, DType::f32, device), ResponseLayout::time_cells);
        }) == "window_dataset: responses [1, 9] are not [T, cells] for movie [9, 2, 2]");
  CHECK(make({9, 2, 2}, DType::u8, {1, 9}, {.history = 2, .blocks = {4, 4}}) ==
        "window_dataset: the blocks have 8 frames together, movie [9, 2, 2] has 9");
  CHECK(make({9, 2, 2}, DType::u8, {1, 9}, {.history = 3, .skip = 1, .blocks = {5, 4}}) ==
        "window_dataset: block 1 has 4 frames, but a sample needs skip 1 + history 3 + 1");
}

TEST_CASE("a batch is gathered only into tensors that hold it") {
  const Device device = Device::cpu();
  const nn::WindowDataset data = Recording{9}.dataset(device, {.history = 3});
  const std::vector<std::int64_t> samples{0, 4};
  const auto refused = [&](const Tensor& x, const Tensor& y) {
    return message([&] { data.gather(samples, x, y); });
  };
  const auto empty = [&](const Shape& shape) { return Tensor::empty(shape, DType::f32, device); };
  const Tensor x = empty({2, 3, 2, 3}), y = empty({2, 2});
  CHECK(refused(x, y) == "nothing was thrown");
  CHECK(refused(empty({2, 4, 2, 3}), y) ==
        "gather: x [2, 4, 2, 3] is not the contiguous [2, 3, 2, 3] of this batch");
  CHECK(refused(slice(empty({2, 6, 2, 3}), 1, 0, 3), y) ==
        "gather: x [2, 3, 2, 3] is not the contiguous [2, 3, 2, 3] of this batch");
  CHECK(refused(x, empty({2, 3})) == "gather: y [2, 3] is not the contiguous [2, 2] of this batch");
  CHECK(refused(x, transpose(empty({2, 2}), 0, 1)) ==
        "gather: y [2, 2] is not the contiguous [2, 2] of this batch");
}

TEST_CASE("a movie of floats is normalised as one of bytes") {
  const Device device = Device::cpu();
  const Recording recording{9};
  nn::WindowDataset bytes = recording.dataset(device, {.history = 3});
  nn::WindowDataset floats(recording.movie(device).to(DType::f32), recording.responses(device),
                           ResponseLayout::cells_time, {.history = 3});
  for (const nn::Normalization z : {nn::Normalization{0, 1}, {0, 2}, {100, 1}, {100, 50}}) {
    bytes.set_normalization(z);
    floats.set_normalization(z);
    CHECK(floats.frames(2, 4).to_vector<float>() == bytes.frames(2, 4).to_vector<float>());
    CHECK(floats.frames(2, 4).shares_memory_with(floats.movie()) == (z.mean == 0 && z.sd == 1));
    std::vector<Floats> windows;
    for (const nn::WindowDataset* data : {&bytes, &floats}) {
      const Tensor x = Tensor::empty({1, 3, 2, 3}, DType::f32, device),
                   y = Tensor::empty({1, 2}, DType::f32, device);
      data->gather(std::vector<std::int64_t>{5}, x, y);
      windows.push_back(x.to_vector<float>());
    }
    CHECK(windows[0] == windows[1]);
  }
}

TEST_CASE("normalisation is measured on the frames of the samples only") {
  const Device device = Device::cpu();
  const Recording recording{12};
  nn::WindowDataset data = recording.dataset(device, {.history = 3, .skip = 4});
  const nn::Normalization z = data.measure();
  double sum = 0, squares = 0, n = 0;
  for (std::int64_t t = 4; t < 11; ++t)  // windows begin at 4 … 8; frame 11 is only a target bin
    for (std::int64_t p = 0; p < 6; ++p) {
      const auto x = static_cast<double>(recording.pixel(t, p));
      sum += x;
      squares += x * x;
      n += 1;
    }
  CHECK(z.mean == doctest::Approx(sum / n).epsilon(1e-6));
  CHECK(z.sd == doctest::Approx(std::sqrt(squares / n - sum / n * sum / n)).epsilon(1e-6));
  const nn::WindowDataset floating(recording.movie(device).to(DType::f32), recording.responses(device),
                                   ResponseLayout::cells_time, {.history = 3, .skip = 4});
  CHECK(floating.measure().mean == z.mean);
  CHECK(floating.measure().sd == z.sd);
  const nn::WindowDataset grey(Tensor::full({5, 2, 2}, 7, DType::u8, device),
                               Tensor::zeros({1, 5}, DType::f32, device), ResponseLayout::cells_time,
                               {.history = 2});
  CHECK(grey.measure().mean == 7.0f);
  CHECK(grey.measure().sd == doctest::Approx(1e-7));  // never a division by zero
}

TEST_CASE("held-out chunks share no frame with the training windows") {
  const Device device = Device::cpu();
  const Recording recording{200};
  const nn::WindowDataset data = recording.dataset(device, {.history = 4, .skip = 5, .blocks = {90, 110}});
  const auto [train, validation] = data.hold_out(0.25, 20, 3);
  const auto frames = [](const nn::WindowDataset& part) {
    std::set<std::int64_t> used;
    for (std::int64_t i = 0; i < part.size(); ++i)
      for (std::int64_t h = 0; h <= part.history(); ++h)
        used.insert(part.first_frame(i) + h);  // with the target bin
    return used;
  };
  const std::set<std::int64_t> a = frames(train), b = frames(validation);
  std::vector<std::int64_t> shared;
  std::set_intersection(a.begin(), a.end(), b.begin(), b.end(), std::back_inserter(shared));
  CHECK(shared.empty());
  CHECK(a.size() + b.size() == 85 + 105);  // every frame after the skip is in one of them
  CHECK_FALSE(a.contains(4));
  CHECK_FALSE(a.contains(94));
  // 4 + 5 chunks of 20 (the last of each block longer by what is left over), 2 of which are held out.
  CHECK(b.size() >= 40);
  CHECK(b.size() <= 50);
  const auto again = data.hold_out(0.25, 20, 3);
  CHECK(frames(again.validation) == b);
  bool differs = false;
  for (std::uint64_t seed = 4; seed < 8; ++seed)
    differs |= frames(data.hold_out(0.25, 20, seed).validation) != b;
  CHECK(differs);
  CHECK(data.hold_out(1e-6, 20, 3).validation.size() > 0);

  CHECK(message([&] { data.hold_out(0.0, 20, 1); }) == "hold_out: fraction must be in (0, 1), got 0");
  CHECK(message([&] { data.hold_out(1.0, 20, 1); }) == "hold_out: fraction must be in (0, 1), got 1");
  CHECK(message([&] { data.hold_out(0.5, 4, 1); }) ==
        "hold_out: a chunk of 4 frames has no sample: it needs history 4 + 1");
  CHECK(message([&] { data.hold_out(0.4, 1000, 1); }) == "nothing was thrown");  // one chunk per block
  CHECK(message([&] { data.hold_out(0.9, 1000, 1); }) ==
        "hold_out: 2 of 2 chunks of 1000 frames would be held out, which leaves none to train on");
}

TEST_CASE("a shuffle is a permutation, fixed by its key") {
  const philox::Key key{5, philox::stream_id("test"), 2, nullptr};
  const std::vector<std::int64_t> order = nn::shuffled(1000, key);
  CHECK(std::set<std::int64_t>(order.begin(), order.end()).size() == 1000);
  CHECK(nn::shuffled(1000, key) == order);
  philox::Key next = key;
  next.step = 3;
  CHECK(nn::shuffled(1000, next) != order);
  // From an independent implementation of Philox: the same on every machine.
  CHECK(nn::shuffled(8, {0, 0, 0, nullptr}) == std::vector<std::int64_t>{7, 6, 0, 5, 4, 2, 1, 3});
  CHECK(nn::shuffled(0, key).empty());
  CHECK(nn::shuffled(1, key) == std::vector<std::int64_t>{0});
  // Each of the 6 orders of 3 comes up about 1000 times in 6000; five standard deviations are 145.
  int counts[27] = {};
  for (std::uint32_t step = 0; step < 6000; ++step) {
    const auto o = nn::shuffled(3, {1, 1, step, nullptr});
    ++counts[o[0] * 9 + o[1] * 3 + o[2]];
  }
  for (const int place : {5, 7, 11, 15, 19, 21}) CHECK(std::abs(counts[place] - 1000) < 145);
}

TEST_CASE("each window comes once per epoch, aligned with its target, in a new order each epoch") {
  const Recording recording{40};
  for (const Device& device : {Device::cpu(), Device::simt()}) {
    nn::WindowDataset data = recording.dataset(Device::cpu(), {.history = 4, .skip = 1, .blocks = {25, 15}});
    const nn::Normalization z{100.0f, 50.0f};
    data.set_normalization(z);
    nn::Loader loader(data, {.batch = 7, .seed = 9}, device);
    CHECK(loader.batches_per_epoch() == 5);  // 20 + 10 samples
    std::vector<std::vector<std::int64_t>> orders;
    for (int e = 0; e < 2; ++e) {
      std::vector<std::int64_t>& order = orders.emplace_back();
      for (const nn::Batch& batch : epoch(loader)) {
        CHECK(batch.x.device() == device);
        CHECK(batch.x.shape() == Shape{static_cast<std::int64_t>(batch.samples.size()), 4, 2, 3});
        for (std::size_t b = 0; b < batch.samples.size(); ++b) {
          CHECK(holds(recording, batch, static_cast<std::int64_t>(b), data.first_frame(batch.samples[b]), z));
          order.push_back(batch.samples[b]);
        }
      }
      CHECK(order.size() == 30);
      CHECK(std::set<std::int64_t>(order.begin(), order.end()).size() == 30);
    }
    CHECK(orders[0] != orders[1]);
    CHECK(loader.position() == nn::LoaderPosition{2, 0});
  }
}

TEST_CASE("the last batch is small, or left out") {
  const Device device = Device::cpu();
  const nn::WindowDataset data = Recording{20}.dataset(device, {.history = 4});
  nn::Loader all(data, {.batch = 5}, device),
      full(data, {.batch = 5, .last_batch = nn::LastBatch::drop}, device);
  CHECK(epoch(all).back().samples.size() == 1);
  CHECK(epoch(full).size() == 3);
  CHECK(
      message([&] { nn::Loader(data, {.batch = 17, .last_batch = nn::LastBatch::drop}, device); }) ==
      "loader: no batch of 17 can be made from 16 samples if smaller ones are dropped; take a smaller batch");
  CHECK(message([&] { nn::Loader(data, {.batch = 0}, device); }) ==
        "loader: batch must be at least 1, got 0");
}

TEST_CASE("a thread ahead changes no value, and a loader continues at any position") {
  const Device device = Device::cpu();
  const nn::WindowDataset data = Recording{50}.dataset(device, {.history = 4, .blocks = {30, 20}});
  for (const bool shuffle : {true, false}) {
    nn::LoaderOptions options{.batch = 6, .shuffle = shuffle, .seed = 2};
    nn::Loader ahead(data, options, device);
    options.prefetch = false;
    nn::Loader direct(data, options, device);
    std::vector<nn::Batch> batches;
    for (int e = 0; e < 3; ++e) {
      const std::vector<nn::Batch> a = epoch(ahead), b = epoch(direct);
      REQUIRE(a.size() == b.size());
      for (std::size_t i = 0; i < a.size(); ++i) CHECK(equal(a[i], b[i]));
      batches.insert(batches.end(), a.begin(), a.end());
    }
    const std::int64_t per_epoch = ahead.batches_per_epoch();
    for (const std::int64_t at : {std::int64_t{0}, std::int64_t{4}, per_epoch + 3, 2 * per_epoch}) {
      nn::Loader first(data, {.batch = 6, .shuffle = shuffle, .seed = 2}, device),
          second = nn::Loader(data, {.batch = 6, .shuffle = shuffle, .seed = 2}, device);
      for (std::int64_t i = 0; i < at;) i += first.next().has_value() ? 1 : 0;
      second.seek(first.position());
      std::optional<nn::Batch> x = second.next();
      if (!x) x = second.next();  // the position was the end of an epoch
      REQUIRE(x.has_value());
      CHECK(equal(*x, batches[static_cast<std::size_t>(at)]));
    }
    for (const nn::LoaderPosition nowhere : {nn::LoaderPosition{0, per_epoch + 1}, {-1, 0}, {0, -1}})
      CHECK(message([&] { ahead.seek(nowhere); })
                .starts_with(
                    fmt::format("loader: there is no epoch {}, batch {}", nowhere.epoch, nowhere.batch)));
  }
}

TEST_CASE("unshuffled batches are rolling views; an f32 movie is not copied") {
  const Device device = Device::cpu();
  const Recording recording{24};
  nn::WindowDataset data = recording.dataset(device, {.history = 4, .blocks = {14, 10}});
  nn::Loader bytes(data, {.batch = 4, .shuffle = false}, device);
  std::vector<std::int64_t> samples, sizes;
  for (const nn::Batch& batch : epoch(bytes)) {
    sizes.push_back(batch.x.shape()[0]);
    CHECK(batch.x.strides()[0] == batch.x.strides()[1]);
    for (std::size_t b = 0; b < batch.samples.size(); ++b) {
      CHECK(holds(recording, batch, static_cast<std::int64_t>(b), data.first_frame(batch.samples[b])));
      samples.push_back(batch.samples[b]);
    }
  }
  CHECK(sizes == std::vector<std::int64_t>{4, 4, 2, 4, 2});  // runs of 10 and 6
  CHECK(std::is_sorted(samples.begin(), samples.end()));
  CHECK(samples.size() == 16);

  const nn::WindowDataset floating(recording.movie(device).to(DType::f32), recording.responses(device),
                                   ResponseLayout::cells_time, {.history = 4, .blocks = {14, 10}});
  nn::Loader views(floating, {.batch = 4, .shuffle = false}, device);
  for (const nn::Batch& batch : epoch(views)) {
    CHECK(batch.x.shares_memory_with(floating.movie()));
    CHECK(batch.target.shares_memory_with(floating.responses()));
  }
  nn::Loader full(floating, {.batch = 4, .shuffle = false, .last_batch = nn::LastBatch::drop}, device);
  CHECK(full.batches_per_epoch() == 3);
}

TEST_CASE("a past is seen with its frames, never with the target's bin, and by all parts") {
  const Device device = Device::cpu();
  const Recording recording{400};
  // Signal s of bin t is 10·t + s; there are three.
  Floats signal;
  for (int s = 0; s < 3; ++s)
    for (int t = 0; t < 400; ++t) signal.push_back(static_cast<float>(10 * t + s));
  nn::WindowDataset data = recording.dataset(device, {.history = 4, .skip = 2, .blocks = {250, 150}});
  CHECK_FALSE(data.past().defined());
  data.set_past(floats(signal, {3, 400}, device), ResponseLayout::cells_time);
  CHECK(data.past().shape() == Shape{400, 3});
  const auto holds_past = [&](const nn::Batch& batch) {
    for (std::size_t b = 0; b < batch.samples.size(); ++b) {
      const std::int64_t first = data.first_frame(batch.samples[b]);
      const Floats seen = values(select(batch.past, 0, static_cast<std::int64_t>(b)));
      for (std::size_t i = 0; i < 12; ++i)
        if (seen[i] != static_cast<float>(10 * (first + static_cast<std::int64_t>(i / 3)) +
                                          static_cast<std::int64_t>(i % 3)))
          return false;
    }
    return batch.past.shape() == Shape{static_cast<std::int64_t>(batch.samples.size()), 4, 3};
  };
  for (const bool shuffle : {true, false})
    for (const Device& to : both_devices()) {
      nn::Loader loader(data, {.batch = 16, .shuffle = shuffle}, to);
      for (const nn::Batch& batch : epoch(loader)) CHECK(holds_past(batch));
    }
  nn::Loader padded(data, {.batch = 100, .last_batch = nn::LastBatch::pad}, device);
  for (const nn::Batch& batch : epoch(padded)) CHECK(holds_past(batch));
  const auto parts = data.hold_out(0.3, 40, 1);
  CHECK(parts.train.past().shares_memory_with(data.past()));
  CHECK(parts.validation.past().shares_memory_with(data.past()));
  nn::Loader without(recording.dataset(device, {.history = 4}), {.batch = 16}, device);
  CHECK_FALSE(epoch(without)[0].past.defined());

  CHECK(message([&] {
          data.set_past(Tensor::zeros({3, 399}, DType::f32, device), ResponseLayout::cells_time);
        }) == "window_dataset: past signals [3, 399] are not [cells, T] for movie [400, 2, 3]");
  const std::vector<std::int64_t> samples{0, 4};
  const auto empty = [&](const Shape& shape) { return Tensor::empty(shape, DType::f32, device); };
  CHECK(message([&] {
          data.gather(samples, empty({2, 4, 2, 3}), empty({2, 2}));
        }) == "gather: past [] is not the contiguous [2, 4, 3] of this batch");
  CHECK(message([&] {
          data.gather(samples, empty({2, 4, 2, 3}), empty({2, 2}), empty({2, 4, 2}));
        }) == "gather: past [2, 4, 2] is not the contiguous [2, 4, 3] of this batch");
}

TEST_CASE("what a prefetch thread throws comes out of next, after what it finished") {
  int made = 0;
  nn::Prefetch<int> numbers(
      [&] {
        if (made == 3) throw std::runtime_error("the disk is gone");
        return made++;
      },
      2);
  CHECK(numbers.next() == 0);
  CHECK(numbers.next() == 1);
  CHECK(numbers.next() == 2);
  CHECK(message([&] { numbers.next(); }) == "the disk is gone");
  CHECK(message([&] { numbers.next(); }) == "the disk is gone");
}

TEST_CASE("a loader whose thread runs out of memory says so in next") {
  const Device device = Device::cpu();
  const nn::WindowDataset data = Recording{50}.dataset(device, {.history = 4});
  device.arena().set_limit(device.arena().stats().live_bytes);
  nn::Loader loader(data, {.batch = 8}, device);
  CHECK(message([&] { loader.next(); }).starts_with("out of memory on cpu: batch asked for"));
  device.arena().set_limit(SIZE_MAX);
  loader.seek({0, 0});
  CHECK(loader.next().has_value());
}

TEST_CASE("a prefetch thread that nobody waits for ends") {
  int made = 0;
  {
    nn::Prefetch<int> numbers([&] { return made++; }, 2);
    CHECK(numbers.next() == 0);
  }
  CHECK(made <= 4);  // one taken, two waiting, one in the making
}

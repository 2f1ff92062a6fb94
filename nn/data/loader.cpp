// SPDX-License-Identifier: Apache-2.0
#include "nn/data/loader.h"

#include <algorithm>
#include <numeric>

#include "nn/data/shuffle.h"
#include "tensor/views.h"

namespace fovea::nn {
namespace {

constexpr std::size_t kBatchesAhead = 2;

/// Where batches for this device are made: memory that needs no copy, or one that runs beside the kernels, if there is
/// any; else where the movie is.
Device made_on(const Upload& upload, const WindowDataset& data) {
  const Device& device = upload.device();
  return upload.beside() || device.kind() == DeviceKind::cpu ? device.staging() : data.movie().device();
}

}  // namespace

Loader::Loader(WindowDataset data, LoaderOptions options, std::unique_ptr<Upload> upload)
    : plan_{data, options, made_on(*upload, data)}, upload_(std::move(upload)) {
  if (options.batch < 1) reject<ValueError>("loader", "batch must be at least 1, got {}", options.batch);
  if (options.last_batch == LastBatch::pad && !options.shuffle)
    reject<ValueError>("loader", "only shuffled batches can be padded: the others are windows in a row");
  if (!options.shuffle) {
    for (std::size_t r = 0; r < plan_.data.runs().size(); ++r) {
      const std::int64_t first = plan_.data.first_sample(r), last = plan_.data.first_sample(r + 1);
      for (std::int64_t sample = first; sample < last; sample += options.batch) {
        const std::int64_t size = std::min(options.batch, last - sample);
        if (options.last_batch == LastBatch::drop && size < options.batch) continue;
        std::vector<std::int64_t>& batch = plan_.runs.emplace_back(static_cast<std::size_t>(size));
        std::iota(batch.begin(), batch.end(), sample);
      }
    }
  }
  if (batches_per_epoch() < 1)
    reject<ValueError>("loader",
                       "no batch of {} can be made from {} samples if smaller ones are dropped; take a "
                       "smaller batch",
                       options.batch, plan_.data.size());
}

std::int64_t Loader::batches_per_epoch() const { return plan_.batches(); }

void Loader::seek(LoaderPosition position) {
  if (position.epoch < 0 || position.batch < 0 || position.batch > batches_per_epoch())
    reject<ValueError>("loader", "there is no epoch {}, batch {}: an epoch has {} batches", position.epoch,
                       position.batch, batches_per_epoch());
  start_again();
  position_ = position;
}

std::optional<Batch> Loader::next() {
  if (position_.batch == batches_per_epoch()) {
    position_ = {position_.epoch + 1, 0};
    return std::nullopt;
  }
  try {
    Batch batch = make_next();
    ++position_.batch;
    return batch;
  } catch (...) {
    start_again();
    throw;
  }
}

/// Forgets what is ahead of position_: the next call begins there.
void Loader::start_again() {
  prefetch_.reset();
  upload_->drop();
}

void Loader::start_thread() {
  prefetch_ = std::make_unique<Prefetch<Batch>>(
      [plan = plan_, at = position_]() mutable {
        Batch made = plan.make(at);
        at = plan.after(at);
        return made;
      },
      kBatchesAhead);
}

void Loader::upload(Batch batch) {
  upload_->start({{batch.x, batch.target, batch.mask, batch.past}});
  samples_ = std::move(batch.samples);
}

/// Starts the batch after this one if the thread has made it. Whatever fails is for the next call to meet again.
void Loader::upload_ahead() {
  if (!upload_->beside() || !prefetch_ || !prefetch_->ready()) return;
  try {
    upload(prefetch_->next());
  } catch (...) {
    start_again();
  }
}

Batch Loader::make_next() {
  if (!upload_->started()) {
    if (plan_.options.prefetch && !prefetch_) start_thread();
    upload(prefetch_ ? prefetch_->next() : plan_.make(position_));
  }
  Batch batch;
  batch.samples = std::move(samples_);
  const std::vector<Tensor> tensors = upload_->take();
  batch.x = tensors[0];
  batch.target = tensors[1];
  batch.mask = tensors[2];
  batch.past = tensors[3];
  if (!plan_.options.shuffle) {
    batch.x = rolling_window(batch.x, plan_.data.history());
    if (batch.past.defined()) batch.past = rolling_window(batch.past, plan_.data.history());
  }
  upload_ahead();
  return batch;
}

std::int64_t Loader::Plan::batches() const {
  if (!options.shuffle) return static_cast<std::int64_t>(runs.size());
  return options.last_batch == LastBatch::drop ? data.size() / options.batch
                                               : (data.size() + options.batch - 1) / options.batch;
}

LoaderPosition Loader::Plan::after(LoaderPosition position) const {
  return position.batch + 1 < batches() ? LoaderPosition{position.epoch, position.batch + 1}
                                        : LoaderPosition{position.epoch + 1, 0};
}

Batch Loader::Plan::make(LoaderPosition position) {
  Batch batch;
  if (!options.shuffle) {
    batch.samples = runs[static_cast<std::size_t>(position.batch)];
    const auto count = static_cast<std::int64_t>(batch.samples.size());
    const std::int64_t first = data.first_frame(batch.samples[0]);
    const std::int64_t frames = count + data.history() - 1;
    batch.x = data.frames(first, frames);
    if (data.past().defined()) batch.past = slice(data.past(), 0, first, first + frames);
    batch.target = data.targets(first, count);
    return batch;
  }
  if (epoch != position.epoch) {
    order = shuffled(data.size(), {options.seed, philox::stream_id("loader"),
                                   static_cast<std::uint32_t>(position.epoch), nullptr});
    epoch = position.epoch;
  }
  const std::int64_t first = position.batch * options.batch;
  const std::int64_t left = std::min(options.batch, data.size() - first);
  const std::int64_t count = options.last_batch == LastBatch::pad ? options.batch : left;
  for (std::int64_t i = 0; i < count; ++i)
    batch.samples.push_back(order[static_cast<std::size_t>((first + i) % data.size())]);
  const Shape& movie = data.movie().shape();
  if (options.last_batch == LastBatch::pad) {
    std::vector<float> mask(static_cast<std::size_t>(count), 0.0f);
    std::fill_n(mask.begin(), left, 1.0f);
    batch.mask = Tensor::from(mask, {count}, host, "batch");
  }
  batch.x = Tensor::empty({count, data.history(), movie[1], movie[2]}, DType::f32, host, "batch");
  batch.target = Tensor::empty({count, data.cells()}, DType::f32, host, "batch");
  if (data.past().defined())
    batch.past = Tensor::empty({count, data.history(), data.past().shape()[1]}, DType::f32, host, "batch");
  data.gather(batch.samples, batch.x, batch.target, batch.past);
  return batch;
}

}  // namespace fovea::nn

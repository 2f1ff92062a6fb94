// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "nn/data/prefetch.h"
#include "nn/data/window_dataset.h"
#include "tensor/upload.h"

namespace fovea::nn {

/// What becomes of samples that are too few for a batch.
enum class LastBatch {
  keep,  ///< they are a smaller batch
  drop,  ///< they are left out
  pad,  ///< samples from the start of the epoch's order fill it up, so that statistics of the batch see real ones
};

struct LoaderOptions {
  std::int64_t batch = 1;
  bool shuffle = true;                     ///< each epoch in an order of its own, drawn from seed and epoch
  LastBatch last_batch = LastBatch::keep;  ///< pad needs shuffle
  bool prefetch = true;                    ///< make batches on a thread, two ahead; changes no value
  std::uint64_t seed = 0;
};

struct Batch {
  Tensor x;                           ///< [B, history, H, W] f32, normalised
  Tensor target;                      ///< [B, cells] f32
  std::vector<std::int64_t> samples;  ///< indices in the dataset
  Tensor mask =
      {};  ///< of a loader that pads: [B] f32, 1, and 0 where a sample fills up; for losses. Else undefined
  Tensor past = {};  ///< of a dataset that has one: [B, history, signals] f32. Else undefined
};

/// The batch that next() gives next.
struct LoaderPosition {
  std::int64_t epoch = 0, batch = 0;
  bool operator==(const LoaderPosition&) const = default;
};

/// Batches of a dataset, epoch by epoch.
///
///     while (std::optional<Batch> batch = loader.next()) { … }   // one epoch; the next call starts another
///
/// Shuffled batches copy their windows. Without shuffling, a batch is successive windows of one run (the last
/// of a run may be small) and x and past are rolling views: frames are stored once, and an f32 movie that needs
/// neither normalising nor moving is not copied at all.
///
/// Shuffled batches for the cpu are made in its own memory. For a GPU, batches are made in pinned memory, and the next
/// one is copied while kernels work on the last (Upload).
class Loader {
 public:
  /// throws ValueError if batch < 1, if LastBatch::drop leaves no batch, or if batches without shuffling are padded
  Loader(WindowDataset data, LoaderOptions options, const Device& device)
      : Loader(std::move(data), options, std::make_unique<Upload>(device)) {}
  /// To upload's device.
  Loader(WindowDataset data, LoaderOptions options, std::unique_ptr<Upload> upload);

  /// Nothing at the end of an epoch. throws what the making of the batch threw, on whichever thread that was;
  /// the position is then unchanged, and the next call tries the same batch again
  std::optional<Batch> next();

  std::int64_t batches_per_epoch() const;
  const WindowDataset& data() const { return plan_.data; }
  /// Save position().epoch and .batch with a checkpoint and seek() to them: the batches that follow are those
  /// that would have followed, bit for bit.
  LoaderPosition position() const { return position_; }
  /// throws ValueError if there is no such batch
  void seek(LoaderPosition position);

 private:
  /// Makes any batch; the thread has a copy of its own.
  struct Plan {
    WindowDataset data;
    LoaderOptions options;
    Device host;                                       // where shuffled batches are made
    std::vector<std::vector<std::int64_t>> runs = {};  // unshuffled: samples of each batch
    std::int64_t epoch = -1;
    std::vector<std::int64_t> order = {};  // shuffled: of this epoch

    std::int64_t batches() const;
    /// x is [B, history, H, W], or the frames [B + history - 1, H, W] if not shuffled; the past alike.
    Batch make(LoaderPosition position);
    LoaderPosition after(LoaderPosition position) const;
  };

  void start_thread();
  void upload(Batch batch);
  void upload_ahead();
  Batch make_next();
  void start_again();

  Plan plan_;
  LoaderPosition position_;
  std::unique_ptr<Upload> upload_;             // a batch that was started is the one at position_
  std::vector<std::int64_t> samples_;          // of it
  std::unique_ptr<Prefetch<Batch>> prefetch_;  // from the first next() on
};

}  // namespace fovea::nn

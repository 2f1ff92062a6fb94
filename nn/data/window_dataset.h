// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "tensor/tensor.h"

namespace fovea::nn {

/// z = (x - mean)/sd.
struct Normalization {
  float mean = 0.0f;
  float sd = 1.0f;
  bool identity() const { return mean == 0.0f && sd == 1.0f; }
};

enum class ResponseLayout { cells_time, time_cells };

struct WindowOptions {
  std::int64_t history = 40;  ///< frames in a window
  std::int64_t skip = 0;      ///< frames left out at the start of each block, while the retina adapts
  /// Frames of each separately recorded piece of the movie, in order; empty: the movie is one piece.
  std::vector<std::int64_t> blocks = {};
};

/// Windows over a movie and the responses that follow them.
///
/// Sample i is `history` successive frames, oldest first, and its target is the response in the time bin
/// after the newest of them: a window that begins at frame f holds f … f+history-1 and predicts bin
/// f+history. A window and its target bin lie in one block. A block of L frames has L - skip - history
/// samples.
///
/// The movie is stored once, in host memory: u8 as recorded or f32; windows are made from it on request. A
/// dataset is a cheap handle, the parts of hold_out() share one movie.
class WindowDataset {
 public:
  /// movie      [T, H, W] u8 or f32, on a device whose memory the host can read (cpu, simt)
  /// responses  [cells, T] or [T, cells], any float or integer type; kept as f32
  /// throws     ShapeError, DTypeError, DeviceError; ValueError if the blocks do not add up to T or one is
  ///            too short for a sample
  WindowDataset(Tensor movie, const Tensor& responses, ResponseLayout layout, WindowOptions options = {});

  std::int64_t size() const { return offsets_.back(); }
  std::int64_t history() const { return history_; }
  std::int64_t cells() const { return responses_.shape()[1]; }
  const Tensor& movie() const { return movie_; }
  /// [T, cells] f32
  const Tensor& responses() const { return responses_; }

  /// A second signal that is seen with the frames, such as the cells' own spikes: a sample gets its values in the bins
  /// of the window's frames, oldest first, and never that of the target's bin. Kept as f32, shared by all parts that
  /// are made afterwards.
  /// signal  [signals, T] or [T, signals] as the layout says, any float or integer type
  /// throws  ShapeError unless it has a value for each frame
  void set_past(const Tensor& signal, ResponseLayout layout);
  /// [T, signals] f32; undefined if none was set
  const Tensor& past() const { return past_; }

  /// Samples whose windows begin at successive frames. A dataset is a list of such runs, in order of time.
  struct Run {
    std::int64_t first_frame, count;
  };
  std::span<const Run> runs() const { return runs_; }
  /// Index of the first sample of a run; runs().size() gives size().
  std::int64_t first_sample(std::size_t run) const { return offsets_[run]; }
  /// First frame of a sample's window. throws ValueError outside of 0..size()-1
  std::int64_t first_frame(std::int64_t sample) const;

  /// Applied to all frames that leave the dataset; the identity at first.
  const Normalization& normalization() const { return normalization_; }
  void set_normalization(Normalization normalization) { normalization_ = normalization; }
  /// Mean, and standard deviation plus 1e-7, of all pixels of all frames that its windows hold. Measure it on
  /// the training part, set it on every part, and keep it with the model. Sums are taken in double, in order.
  Normalization measure() const;

  struct Parts;
  /// Cuts each block into chunks of `chunk_frames` (what is left over joins the last one), holds out the
  /// nearest whole number of chunks to `fraction` of all, at least one, chosen by the seed, and gives their
  /// samples to `validation`, the others to `train`. No frame and no target bin is in both: neighbouring
  /// windows share all frames but one, so single windows held out at random would test what was trained.
  /// throws ValueError if a chunk is too short for a sample or nothing is left to train on
  Parts hold_out(double fraction, std::int64_t chunk_frames, std::uint64_t seed) const;

  /// Writes the windows of `samples` to x [B, history, H, W], their targets to y [B, cells], and if there is a
  /// past it to past [B, history, signals]; all f32, contiguous, in host memory.
  void gather(std::span<const std::int64_t> samples, const Tensor& x, const Tensor& y,
              const Tensor& past = {}) const;
  /// Normalised frames [count, H, W] f32: a view of the movie if that is f32 and the normalisation the
  /// identity. rolling_window() of them are windows without copies.
  Tensor frames(std::int64_t first, std::int64_t count) const;
  /// Targets of `count` successive samples of one run, [count, cells]: a view.
  Tensor targets(std::int64_t first_frame, std::int64_t count) const;

 private:
  WindowDataset with_runs(std::vector<Run> runs) const;
  void normalize(std::int64_t first_element, std::int64_t count, float* out) const;

  Tensor movie_, responses_, past_;
  std::int64_t history_;
  std::vector<Run> runs_;
  std::vector<std::int64_t> offsets_;  // first sample of each run, then size()
  Normalization normalization_;
};

struct WindowDataset::Parts {
  WindowDataset train, validation;
};

}  // namespace fovea::nn

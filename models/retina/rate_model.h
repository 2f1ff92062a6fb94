// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "nn/data/window_dataset.h"
#include "nn/module.h"

namespace fovea::retina {

/// A place on the screen: row and column of a pixel, from the top left.
struct Position {
  std::int64_t row = 0, col = 0;
  bool operator==(const Position&) const = default;
};

/// A model of the firing rates of ganglion cells: a drive for each cell, and a nonlinearity that makes a rate of it.
///
/// x         [B, history, H, W] f32, frames with mean 0 and standard deviation 1, oldest first
/// returns   [B, cells] f32, rate in the bin after the newest frame, Hz
class RateModel : public nn::Module {
 public:
  Var forward(const Var& x) override { return rate(drive(x)); }

  /// What the nonlinearity gets, [B, cells]; of a model that sees the past, while no spike is in it.
  virtual Var drive(const Var& x) = 0;
  /// The nonlinearity; softplus unless a model has another.
  virtual Var rate(const Var& drive);
  /// Whether the drive also depends on the cells' spikes within the window. Such a model is fitted to spike counts, in
  /// Hz and not smoothed: a smoothed rate already tells of the spikes after it, and those before it tell of it.
  virtual bool sees_past() const { return false; }
  /// What these spikes add to drive(x), [B, cells]; without a value unless sees_past().
  /// past  [B, history, cells] f32, spikes in the bins of the window's frames, oldest first
  virtual Var past_drive(const Var& /*past*/) { return {}; }

  /// The filters of the cells, if each has one of its own that can be looked at: [cells, history, H, W]; else undefined.
  virtual Tensor cell_filters() const { return {}; }

  /// Fits a model that has a closed form to data, and returns true; any other is left as it is, for a trainer.
  virtual bool fit(const nn::WindowDataset& /*data*/) { return false; }

  /// What the model's own parameters cost, a scalar on x's tape that a trainer adds to its loss; without a value if
  /// there is no such term.
  virtual Var penalty(const Var& /*x*/) { return {}; }

  /// Whether the model is a convolution up to the last step, so that it can look at frames of any size.
  virtual bool has_maps() const { return false; }
  /// The same cells at every place of larger frames, without the choice of a position for each.
  /// x         [B, history, H, W], H and W above reach()
  /// returns   [B, filters, H - reach(), W - reach()], Hz; place (r, c) looks at pixels r … r + reach() and alike for c
  /// throws    ValueError unless has_maps()
  virtual Var maps(const Var& x);
  /// Pixels by which a map is smaller than the frame: Σ(kernel − 1). throws ValueError unless has_maps()
  virtual std::int64_t reach() const;
};

}  // namespace fovea::retina

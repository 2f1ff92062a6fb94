// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <vector>

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

  /// What the nonlinearity gets, [B, cells].
  virtual Var drive(const Var& x) = 0;
  /// The nonlinearity; softplus unless a model has another.
  virtual Var rate(const Var& drive);
  /// What the model's own parameters cost, a scalar on x's tape that a trainer adds to its loss; without a value if
  /// there is no such term.
  virtual Var penalty(const Var& /*x*/) { return {}; }
};

}  // namespace fovea::retina

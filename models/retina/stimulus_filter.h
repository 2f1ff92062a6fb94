// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <vector>

#include "kernels/geometry.h"
#include "models/retina/rate_model.h"

namespace fovea::retina {

struct StimulusFilterOptions {
  std::int64_t cells = 5;
  std::int64_t history = 40;  ///< stimulus frames of 10 ms
  std::int64_t size = 50;     ///< stimulus height and width, checkers
  /// Half the side of the square that a cell sees: 11 for rows r−11 … r+10 around its centre, columns alike. A square
  /// that would reach beyond the frame is shifted into it. 0: the whole frame, whatever the centres.
  std::int64_t cutout = 0;
  std::vector<Position> centres = {};  ///< of the cells' receptive fields, for cut-outs
  bool bias = true;
};

/// One linear filter over space and time for each cell, on the whole frame or on a cut-out around the cell's centre.
///
/// x           [B, history, size, size] f32
/// returns     [B, cells]
/// parameters  weight [cells, history·side²], side = 2·cutout or size; bias [cells] (if options.bias). All start at 0,
///             so that a filter stays within what the stimuli span
/// throws      ValueError for a cut-out that does not fit into the frame, for other than one centre a cell, and for
///             centres outside of the frame; ShapeError for another x
class StimulusFilter final : public nn::Module {
 public:
  StimulusFilter(const StimulusFilterOptions& options, const Device& device);
  Var forward(const Var& x) override;

  const StimulusFilterOptions& options() const { return options_; }
  std::int64_t side() const { return options_.cutout > 0 ? 2 * options_.cutout : options_.size; }
  /// The weights where they belong in the frame, 0 around cut-outs: [cells, history, size, size].
  Tensor in_frame() const;
  /// The part of an image that each cell sees: images [cells, history, size, size] → [cells, history·side²].
  Tensor seen(const Tensor& images) const;

  nn::Parameter weight;
  nn::Parameter bias;  ///< undefined value if options.bias is false

 private:
  Var placed(const Var& w) const;  // [cells, history·side²] → [cells, history·size²]

  StimulusFilterOptions options_;
  std::vector<Padding2d> margins_;  // around each cell's cut-out; empty: there are none
};

}  // namespace fovea::retina

// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <vector>

#include "models/retina/nonlinearity.h"
#include "models/retina/rate_model.h"
#include "models/retina/stimulus_filter.h"

namespace fovea::retina {

struct GlmOptions {
  std::int64_t cells = 5;
  std::int64_t history = 40;           ///< bins of 10 ms, of the stimulus and of the spikes
  std::int64_t size = 50;              ///< stimulus height and width, checkers
  std::int64_t cutout = 7;             ///< as of StimulusFilterOptions; 0: the whole frame
  std::vector<Position> centres = {};  ///< of the cells, for cut-outs
  bool coupling = false;               ///< whether a cell sees the spikes of all cells, or only its own
  Nonlinearity nonlinearity = Nonlinearity::softplus;
  /// Penalties l/2·Σw² of a cell beside its loss in spikes a bin, as published; that loss is 0.01 of the one in Hz.
  double stimulus_l2 = 0, history_l2 = 0;
};

/// The generalised linear model: u = k·x + b + Σ_{τ,c'} h[c, τ, c']·n_c'(t − τ), and a nonlinearity. The rate of a cell
/// depends on what it has just fired, and with coupling on what the others have.
///
/// x           [B, history, size, size] f32, contrast with mean 0 and standard deviation 1
/// past        [B, history, cells] f32, spike counts of the bins of these frames
/// returns     [B, cells] f32, Hz
/// parameters  stimulus.weight [cells, history·side²]; history.weight [cells, history], oldest first, with coupling
///             [cells, history·cells]; history.bias [cells]. All start at 0. The published cut-out of half-width 7:
///             7 881 a cell, with coupling 7 841 + 40·cells
/// throws      as StimulusFilter; ShapeError for another past
/// source      Pillow, Shlens, Paninski, Sher, Litke, Chichilnisky, Simoncelli 2008, Nature 454:995; the penalties and
///             sizes are those of the released code of McIntosh et al. 2016
class Glm final : public RateModel {
 public:
  Glm(const GlmOptions& options, const Device& device);
  Var drive(const Var& x) override;
  bool sees_past() const override { return true; }
  Var past_drive(const Var& past) override;
  Var rate(const Var& drive) override { return nonlinearity_(drive); }
  Var penalty(const Var& x) override;

  Tensor cell_filters() const override { return stimulus_.in_frame(); }
  StimulusFilter& filter() { return stimulus_; }
  /// What a spike adds to the drive of `cell`, after 1 … history bins: [cells, history], by the cell that fired it.
  /// Without coupling all rows but its own are 0.
  Tensor spike_filters(std::int64_t cell) const;

 private:
  /// The spikes' part, with the bias.
  class History final : public nn::Module {
   public:
    History(const GlmOptions& options, const Device& device);
    Var forward(const Var& past) override;
    nn::Parameter weight, bias;

   private:
    std::int64_t history_, cells_;
    bool coupling_;
  };

  GlmOptions options_;
  StimulusFilter stimulus_;
  History history_;
  RateNonlinearity nonlinearity_;
};

}  // namespace fovea::retina

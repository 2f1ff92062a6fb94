// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <vector>

#include "models/retina/rate_model.h"
#include "models/retina/stimulus_filter.h"

namespace fovea::retina {

struct ReverseCorrelationOptions {
  std::int64_t cells = 5;
  std::int64_t history = 40;           ///< stimulus frames of 10 ms
  std::int64_t size = 50;              ///< stimulus height and width, checkers
  std::int64_t cutout = 0;             ///< as of StimulusFilterOptions; 0: the whole frame
  std::vector<Position> centres = {};  ///< of the cells, for cut-outs
  /// Steps of conjugate gradients that take the stimulus' own correlations out of the filter; 0: none. Few steps keep to
  /// what the stimulus holds much of, more bring in what it holds little of, and noise.
  std::int64_t decorrelate = 0;
  std::int64_t degree = 5;  ///< of the polynomial that is the nonlinearity; 0: bins instead
  std::int64_t bins = 50;   ///< of equal numbers of samples
};

/// The LN model without a gradient: the filter is the spike-triggered average Σ_t r(t)·x(t)/Σ_t r(t), the nonlinearity is
/// fitted to what the filter gives and what was recorded with it. White noise gives the filter of an LN cell;
/// correlated stimuli, such as natural scenes, one that is blurred by their correlations, unless they are taken out:
/// then the filter nears the k of least squares, C·k = average − mean, with C the covariance of the stimulus.
///
/// The drive is scaled to −1 … 1 on the data of the fit. The nonlinearity is a polynomial by least squares, constant
/// beyond ±1 and at least 0 Hz; or the means of drive and response in bins of equally many samples, joined by straight
/// lines, constant beyond the outermost.
///
/// x           [B, history, size, size] f32, contrast with mean 0 and standard deviation 1
/// returns     [B, cells] f32, Hz; 0 before fit()
/// parameters  filter.weight [cells, history·side²], filter.bias [cells]; polynomial [cells, degree + 1], ascending
///             powers; or knots and slopes [cells, bins] and offset [cells]: offset + Σ_k slopes_k·max(u − knots_k, 0)
/// throws      as StimulusFilter; ValueError for a degree outside of 0 … 9 or less than two bins
/// source      Chichilnisky 2001; conjugate gradients: Hestenes and Stiefel 1952; the polynomial of degree 5 as in the released code of Maheswaranathan et al. 2023
class ReverseCorrelation final : public RateModel {
 public:
  ReverseCorrelation(const ReverseCorrelationOptions& options, const Device& device);
  Var drive(const Var& x) override { return filter_(x); }
  Var rate(const Var& drive) override;
  /// throws ValueError if there are fewer samples than bins, or than coefficients
  bool fit(const nn::WindowDataset& data) override;
  Tensor cell_filters() const override { return filter_.in_frame(); }
  StimulusFilter& filter() { return filter_; }

 private:
  void decorrelate(const nn::WindowDataset& data);
  void scale_drives(std::vector<std::vector<double>>& drives);
  void fit_polynomial(const std::vector<std::vector<double>>& drives,
                      const std::vector<std::vector<double>>& targets);
  void fit_bins(const std::vector<std::vector<double>>& drives,
                const std::vector<std::vector<double>>& targets);

  ReverseCorrelationOptions options_;
  StimulusFilter filter_;
  nn::Parameter polynomial_, knots_, slopes_, offset_;
};

}  // namespace fovea::retina

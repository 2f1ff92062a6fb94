// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>
#include <vector>

/// How well any model can do on the mean over repeats, from the repeats themselves: of recorded cells nobody
/// knows the true rate. Where a figure is not defined (fewer than two repeats, a constant response, no
/// repeatable part) it is NaN.
namespace fovea::retina {

/// One cell's response to a movie that was shown several times, [trials, bins].
struct Repeats {
  std::span<const float> response;
  std::int64_t trials = 0;

  std::int64_t bins() const { return trials > 0 ? static_cast<std::int64_t>(response.size()) / trials : 0; }
  std::span<const float> of(std::int64_t trial) const {
    const auto count = static_cast<std::size_t>(bins());
    return response.subspan(static_cast<std::size_t>(trial) * count, count);
  }
  std::vector<float> mean() const;
};

/// Mean over trials of the correlation of one trial with the mean of the others: a lower bound of the ceiling.
double leave_one_out(const Repeats& repeats);

/// Reliability ρ_N of the mean of all N trials: what the mean of N further trials would correlate with it.
/// The halves of n = ⌊N/2⌋ trials correlate with ρ_n, averaged over all halvings for up to 8 trials and over
/// 50 drawn ones (of a fixed seed) beyond; then ρ_1 = ρ_n/(n − (n − 1)·ρ_n), ρ_N = N·ρ_1/(1 + (N − 1)·ρ_1),
/// which for an even N is 2ρ/(1 + ρ).
/// source  Spearman 1910 and Brown 1910, British Journal of Psychology 3
double split_half_reliability(const Repeats& repeats);

/// √ρ_N: what a model that knows the true rate is expected to score against the mean of the N trials.
double ceiling_of(const Repeats& repeats);

/// The part of a response's variance that repeats.
/// source  Schoppe, Harper, Willmore, King, Schnupp 2016, Frontiers in Computational Neuroscience 10:10
struct SignalPower {
  double signal = 0.0;  ///< SP = (Var(Σ_n r_n) − Σ_n Var(r_n))/(N·(N − 1))
  double cc_max = 0.0;  ///< √(SP/Var(r̄)), the ceiling by another way
};
SignalPower signal_power(const Repeats& repeats);

/// Cov(ŷ, r̄)/√(Var(ŷ)·SP): the correlation with the part of the response that repeats; Schoppe et al. 2016.
double cc_norm(std::span<const float> prediction, const Repeats& repeats);

/// Fraction of the explainable variance explained: 1 − (MSE − σ²)/(Var − σ²) over all single trials, with
/// σ² the variance over trials (of N − 1), averaged over bins. 1 for a model that knows the true rate, 0 for
/// one that predicts the mean.
/// source  Cadena, Denfield, Walker, Gatys, Tolias, Bethge, Ecker 2019, PLoS Computational Biology 15(4)
double explainable_variance_explained(std::span<const float> prediction, const Repeats& repeats);

}  // namespace fovea::retina

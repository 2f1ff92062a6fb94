// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "nn/module.h"

namespace fovea::retina {

/// What makes a rate in Hz of the drive u of a cell.
enum class Nonlinearity {
  softplus,             ///< log(1 + e^u)
  sigmoid,              ///< m/(1 + e^−u), m = e^p the cell's largest rate, learned; 50 Hz at the start
  relu,                 ///< max(u, 0) + 0.1
  exponential,          ///< e^u, u cut to ±20
  rectified_quadratic,  ///< max(u, 0)² + 0.1
  rbf,  ///< log(1 + e^s), s = Σ_k h_k·exp(−(u − c_k)²/2w²): 30 bumps on −6 … 6, heights h learned
};

/// "softplus", "sigmoid", "relu", "exp", "rectified-quadratic", "rbf", in the order of the enumeration.
const std::vector<std::string>& nonlinearity_names();
/// throws ValueError with the names there are
Nonlinearity nonlinearity_named(const std::string& name);

/// The rate in Hz.
///
/// The 0.1 Hz of relu and rectified_quadratic is ours: where the rate is next to 0 and a spike falls all the same, the
/// Poisson loss has a slope of −target/rate, with which one sample in a thousand would throw the weights anywhere.
/// The ±20 of exp keeps a rate finite, 4.9e8 Hz; beyond it there is no slope.
///
/// drive   [..., cells] f32 or f64
/// shape   sigmoid: p [cells]; rbf: h [cells, 30]; else not used. The dtype of the drive
/// source  the nonlinearities of the baselines in McIntosh et al. 2016 (released code)
Var apply_nonlinearity(Nonlinearity kind, const Var& drive, const Var& shape = {});

/// The same with what is learned of it.
///
/// parameters  shape: of sigmoid [cells], of rbf [cells, 30]; the others have none
class RateNonlinearity final : public nn::Module {
 public:
  RateNonlinearity(Nonlinearity kind, std::int64_t cells, const Device& device);
  Var forward(const Var& drive) override;
  /// A drive at which the rate is some Hz and has a slope: where a bias starts while the filter is 0. At 0,
  /// relu and rectified_quadratic have none, and never would.
  float first_drive() const;

  nn::Parameter shape;  ///< undefined value if there is none

 private:
  Nonlinearity kind_;
};

}  // namespace fovea::retina

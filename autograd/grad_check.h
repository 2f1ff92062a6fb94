// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <span>
#include <string>
#include <vector>

#include "autograd/tape.h"

namespace fovea {

struct GradCheck {
  double worst = 0;   ///< largest |slope - difference| / (|slope| + |difference| + atol) over all directions
  std::string where;  ///< input and direction of the worst
  bool ok(double tolerance) const { return worst <= tolerance; }
};

/// Compares the tape's gradient of a scalar function with central differences of the function itself, along
/// `directions` random directions per input.
///
/// f         makes a single-element Var of its inputs; called once, and 2·directions times per input
/// inputs    f64 where f's ops allow it: then 1e-6 is a fair tolerance. In f32 the difference itself
///           carries an error of about 1e-3, which is why the op table compares with a double reference instead
/// step      length of the move along a unit direction
/// throws    ShapeError if f's result is not a single element
GradCheck grad_check(const std::function<Var(std::span<const Var>)>& f, std::span<const Tensor> inputs,
                     double step = 1e-5, int directions = 3);

}  // namespace fovea

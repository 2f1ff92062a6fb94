// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace fovea::retina {

/// The best product of one course in time and one picture: filter ≈ time · space, the first pair of singular
/// vectors.
struct Separable {
  std::vector<double> time;   ///< [frames]; its largest magnitude is positive
  std::vector<double> space;  ///< [pixels], unit length
  double share = 0;           ///< of the filter's summed squares, 0 … 1; 0 for a filter of zeros
};

/// filter  [frames, pixels]
/// throws  ValueError if its length is not frames times a whole number
Separable separate(std::span<const double> filter, std::int64_t frames);

}  // namespace fovea::retina

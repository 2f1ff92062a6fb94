// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <vector>

#include "models/retina/circuit.h"

namespace fovea::retina {

using PixelMap = std::array<float, kPixels>;  ///< [kSize, kSize], row by row

/// Weights of a Gaussian over one image axis, centred at `centre`, renormalised to unit sum inside the image.
std::array<double, kSize> gaussian_axis(double sigma_px, int centre);

/// Two-dimensional Gaussian around (row, col), unit sum over the image.
PixelMap gaussian_map(double sigma_px, int row, int col);

/// What a Gaussian pool of width `reach_px` at (row, col) sees of a map that was first blurred by `blur_px`:
/// weights on the unblurred map. Both steps are linear, so the blurred map need never be made.
PixelMap pooled_blur_map(double blur_px, double reach_px, int row, int col);

/// Unit-sum Gaussian blur of a map; taps beyond 4σ are dropped and at the edges the weights that fall outside
/// are shared out among those inside.
class Blur {
 public:
  explicit Blur(double sigma_px);
  void operator()(const float* in, float* out) const;  ///< [kSize, kSize] each, not the same memory

 private:
  void blur(const float* in, float* out) const;

  int radius_;
  std::vector<float> taps_;        // [radius + 1], from the centre outwards
  std::array<float, kSize> edge_;  // 1 / sum of the taps inside the image
};

}  // namespace fovea::retina

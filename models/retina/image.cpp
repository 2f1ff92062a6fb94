// SPDX-License-Identifier: Apache-2.0
#include "models/retina/image.h"

#include <algorithm>
#include <cmath>
#include <stdexcept>

#include <fmt/format.h>

namespace fovea::retina {

void normalise(Image& image) {
  double sum = 0.0;
  for (float v : image.pixel) sum += static_cast<double>(v);
  const double mean = sum / static_cast<double>(image.pixel.size());
  if (!std::isfinite(mean) || mean <= 0.0) {
    throw std::invalid_argument(
        fmt::format("{}: the picture has mean intensity {}, it needs some light", image.name, mean));
  }
  const float scale = static_cast<float>(1.0 / mean);
  for (float& v : image.pixel) v = std::clamp(v * scale, kDarkest, kBrightest);
}

}  // namespace fovea::retina

// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>
#include <string>
#include <vector>

namespace fovea::retina {

inline constexpr float kDarkest = 0.02f,
                       kBrightest = 4.0f;  ///< range of intensities, in units of the image mean

/// A grey picture in linear light: intensities with mean 1 before clipping to [kDarkest, kBrightest].
struct Image {
  std::string name;
  int height = 0, width = 0;
  std::vector<float> pixel;  ///< [height, width]

  float at(int row, int col) const {
    return pixel[static_cast<std::size_t>(row) * static_cast<std::size_t>(width) +
                 static_cast<std::size_t>(col)];
  }
};

/// Divides by the mean and clips.
/// throws std::invalid_argument, naming the image, if it is black or has a value that is not a finite number
void normalise(Image& image);

}  // namespace fovea::retina

// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "models/retina/circuit.h"
#include "models/retina/image.h"

namespace fovea::retina {

inline constexpr float kLevelsPerUnit = 63.75f;  ///< grey levels per unit of intensity: 255 is intensity 4
inline constexpr int kSaccadeFrames = 100;       ///< a new image and place every second
inline constexpr float kDrift_px = 0.22f;        ///< standard deviation of drift per frame and axis
inline constexpr int kNoiseHoldFrames = 3;       ///< white noise changes every 30 ms
inline constexpr float kNoiseContrast = 0.5f;    ///< standard deviation over mean, before clipping to [0, 2]
inline constexpr int kMinImageSize = 72;         ///< the window, and room for drift

/// A movie: grey levels [frames, kSize, kSize], intensity = level / kLevelsPerUnit.
struct Movie {
  std::vector<std::uint8_t> pixel;

  int frames() const { return static_cast<int>(pixel.size() / kPixels); }
  std::span<const std::uint8_t> frame(int t) const {
    return std::span(pixel).subspan(static_cast<std::size_t>(t) * kPixels, kPixels);
  }
};

/// Dead leaves: discs that hide one another, radius density ∝ r⁻³ on [1.5, 85] px, luminance e^{0.55·N} with
/// a slight linear shading; 256 × 256 px. Their spectra fall as 1/f² and their edges are those of occlusion,
/// as in natural scenes. Image i depends on (seed, set, i) only: sets with different numbers share no image.
/// source  Lee, Mumford, Huang 2001, "Occlusion models for natural images"
std::vector<Image> dead_leaves(int count, std::uint64_t seed, std::uint32_t set, int threads = 1);

/// Where the window of a natural movie lies in one frame.
struct Gaze {
  int image;
  float row, col;  ///< top left corner of the window, pixels of the image
};

/// A gaze path: every kSaccadeFrames another image (if there are two) at a random place, in between a random
/// walk of kDrift_px per frame and axis that is reflected at the image's border. block   makes the paths of
/// one seed's movies independent throws  std::invalid_argument if there is no image or one is smaller than
/// kMinImageSize
std::vector<Gaze> gaze_path(std::span<const Image> images, int frames, std::uint64_t seed,
                            std::uint32_t block);

/// What the window sees along a path, by bilinear interpolation.
Movie natural_movie(std::span<const Image> images, std::span<const Gaze> path, int threads = 1);

/// White noise: each pixel 1 + 0.5·N clipped to [0, 2], held for three frames.
Movie white_noise_movie(int frames, std::uint64_t seed, std::uint32_t block, int threads = 1);

}  // namespace fovea::retina

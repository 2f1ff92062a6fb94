// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "models/retina/front_end.h"
#include "models/retina/image.h"
#include "models/retina/spikes.h"

namespace fovea::retina {

inline constexpr float kProbeContrast = 0.45f;  ///< intensity of a probe = 1 + 0.45·z

/// Alpha from a natural movie of `scenes` that depends on (seed, seconds) only. Leaves `front_end` in an
/// undefined state: reset it. throws std::invalid_argument as gaze_path and calibrate do
Alpha calibrate_on(std::span<const Image> scenes, std::uint64_t seed, double seconds, FrontEnd& front_end,
                   int threads);

/// The simulated retina as an object of experiments: what would it answer to this movie? A model fitted to
/// its recordings is asked the same question, and this answer is the one to expect.
class Simulator {
 public:
  /// Calibrates the cells on a natural movie of `scenes` (pass the training images of the recording, its seed
  /// and calibration_seconds to get its alpha), then lets the slow adaptation find its working state in ten
  /// seconds of natural scene and one of grey.
  /// throws std::invalid_argument for images too small for a window or a calibration of 3 s or less
  Simulator(std::span<const Image> scenes, std::uint64_t seed, int threads = 1,
            double calibration_seconds = 180.0, Circuit circuit = Circuit::kStandard);

  const Alpha& alpha() const { return alpha_; }

  /// Rates without trial noise and refractoriness. Each call starts from the same adapted state.
  /// z        [T, kSize, kSize] in units of the probes: 0 grey, −1 one standard deviation darker;
  ///          intensities are clipped to [0, 4], so nothing is darker than z = −2.2
  /// returns  [kCells, T], Hz, at the end of each frame
  std::vector<float> rates(std::span<const float> z) const;

 private:
  FrontEnd adapted_;
  Alpha alpha_;
};

}  // namespace fovea::retina

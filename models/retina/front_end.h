// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "models/retina/circuit.h"

namespace fovea::retina {

/// The deterministic part of the retina, from light to the drive d of each ganglion cell: photoreceptors,
/// horizontal cells, bipolar subunits with depression, amacrine cells, delays and gain control; for the
/// predictive circuit also the synapses that tire.
///
/// Holds the state of the circuit between calls, so a movie may be fed in pieces of any length and the result
/// is the same. Bits do not depend on the number of threads.
class FrontEnd {
 public:
  explicit FrontEnd(int threads = 1, Circuit circuit = Circuit::kStandard);
  ~FrontEnd();
  FrontEnd(const FrontEnd& other);  ///< with its state: a retina adapted once can serve many experiments
  FrontEnd& operator=(const FrontEnd&) = delete;

  /// Back to the state of a retina that has looked at an even grey of intensity 1 for ever. The power
  /// estimate of the gain control is then zero and takes seconds to find its level: see kAdaptationFrames.
  void reset();

  /// movie    [T, kSize, kSize] grey levels, intensity = level / 63.75
  /// returns  [kCells, T], the drive d at the end of each frame, dimensionless
  /// throws   std::invalid_argument if the movie is not a whole number of frames
  std::vector<float> run(std::span<const std::uint8_t> movie);

  /// The same for a movie of intensities (mean 1), for probes that need finer steps than grey levels.
  std::vector<float> run(std::span<const float> movie);

 private:
  template <class Level, class Intensity>
  std::vector<float> run_movie(std::span<const Level> movie, Intensity intensity);

  struct State;
  int threads_;
  std::unique_ptr<State> state_;
};

}  // namespace fovea::retina

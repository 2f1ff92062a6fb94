// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "kernels/philox.h"

namespace fovea::retina {

/// Random numbers of one philox key, taken one after the other. For sequential choices (a gaze path, the
/// discs of a scene); bulk numbers address the key by element index instead.
class Draws {
 public:
  explicit Draws(philox::Key key) : key_(key) {}

  float uniform() { return philox::uniform_at(key_, next_++); }
  float normal() { return philox::normal_at(key_, next_++); }

  /// Integer in [0, count); the bias is below count/2^24.
  int below(int count) {
    const int i = static_cast<int>(uniform() * static_cast<float>(count));
    return i < count ? i : count - 1;
  }

 private:
  philox::Key key_;
  std::uint64_t next_ = 0;
};

}  // namespace fovea::retina

// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "kernels/geometry.h"

namespace fovea::nn {

/// Planes of another size on the host. A side that shrinks is averaged over areas, one that grows is interpolated
/// linearly between the centres of its pixels; one that stays is copied.
///
/// in   [from.height, from.width]
/// out  [to.height, to.width], other memory
class Resample {
 public:
  /// throws ValueError if a side is below 1
  Resample(Size2d from, Size2d to);
  void operator()(const float* in, float* out);

 private:
  /// The pixels that one of the result is made of: the first, and the share of each.
  struct Stretch {
    std::ptrdiff_t first;
    std::vector<float> share;  // sums to 1
  };
  static std::vector<Stretch> stretches(std::int64_t from, std::int64_t to);

  Size2d from_;
  std::vector<Stretch> rows_, cols_;
  std::vector<float> narrow_;  // [from.height, to.width]
};

}  // namespace fovea::nn

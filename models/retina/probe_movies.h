// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>
#include <vector>

#include "models/retina/circuit.h"

/// Movies of in-silico experiments, in units of z: 0 is grey, −1 one standard deviation darker. One frame is
/// 10 ms. A movie is [T, kSize, kSize], one after the other; a course in time is [T].
namespace fovea::retina {

/// A course in time that is z in the frames delay … delay + duration − 1 and 0 in all others.
/// throws ValueError if the flash does not lie within the frames
std::vector<float> flash(int duration, int delay, int frames, float z);

/// A train of equal flashes that ends early: `flashes` times `interval` frames of grey and `duration` frames
/// of z, then one such unit without its flash. Grey of (flashes − 1)·interval + lead − interval frames stands
/// in front, of `lead` − interval behind, so that a model with a memory of `lead` frames sees all of it.
struct FlashTrain {
  int interval = 6;  ///< frames
  int duration = 2;  ///< frames
  int flashes = 8;
  float z = -2.0f;
  int lead = 40;  ///< frames, at least `interval`

  int period() const { return interval + duration; }
  int onset(int flash) const {  ///< first frame of flash 0 … flashes; the last of them is the omitted one
    return interval * (flashes - 1) + lead + flash * period();
  }
};

/// The course of such a train. throws ValueError if a length is not positive or `lead` < interval
std::vector<float> omitted_flash(const FlashTrain& train);

/// A movie that is even over the field. course [T] → [T, kSize, kSize]
std::vector<float> full_field(std::span<const float> course);

/// Where the middle of a bar stands in each frame: 1 + ⌊|to − from|/speed⌋ places at equal distances.
/// from, to  px from the middle of the image;  speed  px per frame, positive
/// throws ValueError if speed is not positive
std::vector<double> drift(double from, double to, double speed);

/// There and back: drift(from, flip), then drift(flip, from). The way back begins in frame size/2.
std::vector<double> reversal(double from, double flip, double speed);

/// An upright bar of z = −1 on grey, drawn on a grid of a fifth of a pixel and averaged, so that it glides.
/// centres  [T], px to the right of the image's middle;  width_px, height_px  of the bar, centred in height
std::vector<float> bar_movie(std::span<const double> centres, double width_px, double height_px = kSize);

}  // namespace fovea::retina

// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <vector>

#include "models/retina/image.h"
#include "tensor/errors.h"

namespace fovea::retina {

/// Longest side to which photographs are averaged down. A window of 50 pixels on a photograph of several
/// megapixels shows little but the blur of its lens, its noise and its compression blocks: at 1024 pixels
/// many windows are flat, at 512 the mean contrast within a window is 0.34 (dead leaves: 0.41), and a picture
/// still holds some sixty windows. Natural images look alike at all scales, so nothing else changes. Chosen
/// from these figures of the stimulus, not from any response.
inline constexpr int kLongestSide = 512;

/// Where Debian's package mate-backgrounds keeps its twelve photographs of nature.
std::filesystem::path packaged_photographs();

struct PhotographSplit {
  std::vector<std::filesystem::path> train, test;
};

/// The JPEG and PNG files of a folder, sorted by name; each fourth is for the test. From the packaged twelve
/// the test takes FreshFlower, RainDrops and YellowFlower. The rule was fixed before any score was looked at.
/// throws IoError if the folder is missing (naming the package if it is the packaged one) or has
///        fewer than four pictures
PhotographSplit split_photographs(const std::filesystem::path& folder);

/// Reads a JPEG or PNG file (told apart by its first bytes) as luminance in linear light: sRGB decoded,
/// 0.2126 R + 0.7152 G + 0.0722 B, averaged down to kLongestSide, mean 1, clipped. Transparent parts of a PNG
/// lie on black.
/// throws IoError for a file that is missing, cut off, damaged, of another kind, CMYK, all black, or
///        too small to hold a window
Image load_photograph(const std::filesystem::path& file);

/// All of them, in order.
std::vector<Image> load_photographs(const std::vector<std::filesystem::path>& files, int threads = 1);

/// Averages over areas down to a longest side of at most `longest` pixels; smaller images are left as they
/// are.
Image averaged_down(const Image& image, int longest);

}  // namespace fovea::retina

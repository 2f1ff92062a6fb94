// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <vector>

namespace fovea::nn {

/// A decoded picture: sRGB bytes [height, width, 3].
struct Picture {
  int height = 0, width = 0;
  std::vector<std::uint8_t> rgb;
};

/// Whether the name ends as those of JPEG and PNG files do.
bool is_picture(const std::filesystem::path& file);

/// Decodes a JPEG or PNG file, told apart by its first bytes. Transparent parts of a PNG lie on black.
/// throws IoError for a file that is missing, cut off, damaged, of another kind, or CMYK
Picture decode_picture(const std::filesystem::path& file);

/// Luminance in linear light, 0 … 1, of sRGB pixels: decoded (IEC 61966-2-1), then 0.2126 R + 0.7152 G + 0.0722 B.
///
/// rgb    [count, 3]
/// light  [count]
void luminance(std::span<const std::uint8_t> rgb, float* light);

}  // namespace fovea::nn

// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <vector>

namespace fovea::retina {

/// A decoded picture: sRGB bytes [height, width, 3].
struct Picture {
  int height = 0, width = 0;
  std::vector<std::uint8_t> rgb;
};

/// Decodes a JPEG or PNG file. throws PhotographError
Picture decode_picture(const std::filesystem::path& file);

}  // namespace fovea::retina

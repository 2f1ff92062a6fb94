// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace fovea::apps {

/// Red, green, blue and opacity, one byte each, row by row from the top.
struct Image {
  std::int64_t height = 0, width = 0;
  std::vector<std::uint8_t> rgba;  ///< [height, width, 4]
};

/// The bytes of a PNG file. throws IoError if libpng refuses (height or width 0)
std::vector<std::uint8_t> encode_png(const Image& image);
/// throws IoError if the bytes are not a PNG file
Image decode_png(std::span<const std::uint8_t> bytes);

/// RFC 4648, with padding.
std::string base64(std::span<const std::uint8_t> bytes);

/// Signed values as colour: `scale` and above full red, -scale and below full blue, 0 transparent, in between
/// linear opacity. Zero thus takes the colour of the page, light or dark. A scale of 0 means the largest
/// magnitude in `values`; nan is grey.
///
/// values  [height, width]
Image heat_map(std::span<const double> values, std::int64_t height, std::int64_t width, double scale = 0);

}  // namespace fovea::apps

// SPDX-License-Identifier: Apache-2.0
#include "apps/report/png.h"

#include <fmt/format.h>
#include <png.h>

#include <algorithm>
#include <array>
#include <cassert>
#include <cmath>

#include "tensor/errors.h"

namespace fovea::apps {
namespace {

// Light enough for a dark page and dark enough for a white one; told apart also by red-green blind readers.
constexpr std::array<std::uint8_t, 3> kPositive{228, 87, 46}, kNegative{47, 116, 208},
    kMissing{128, 128, 128};

png_image header(const Image& image) {
  png_image png{};
  png.version = PNG_IMAGE_VERSION;
  png.format = PNG_FORMAT_RGBA;
  png.height = static_cast<png_uint_32>(image.height);
  png.width = static_cast<png_uint_32>(image.width);
  return png;
}

}  // namespace

std::vector<std::uint8_t> encode_png(const Image& image) {
  assert(static_cast<std::int64_t>(image.rgba.size()) == image.height * image.width * 4);
  png_image png = header(image);
  if (image.rgba.empty()) throw IoError("png: an image without pixels cannot be written");
  png_alloc_size_t size = PNG_IMAGE_PNG_SIZE_MAX(png);
  std::vector<std::uint8_t> bytes(size);
  if (!png_image_write_to_memory(&png, bytes.data(), &size, 0, image.rgba.data(), 0, nullptr))
    throw IoError(fmt::format("png: {}", png.message));
  bytes.resize(size);
  return bytes;
}

Image decode_png(std::span<const std::uint8_t> bytes) {
  png_image png{};
  png.version = PNG_IMAGE_VERSION;
  if (!png_image_begin_read_from_memory(&png, bytes.data(), bytes.size()))
    throw IoError(fmt::format("png: {}", png.message));
  png.format = PNG_FORMAT_RGBA;
  Image image{png.height, png.width, std::vector<std::uint8_t>(PNG_IMAGE_SIZE(png))};
  if (!png_image_finish_read(&png, nullptr, image.rgba.data(), 0, nullptr))
    throw IoError(fmt::format("png: {}", png.message));
  return image;
}

std::string base64(std::span<const std::uint8_t> bytes) {
  constexpr char kDigits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string text;
  text.reserve((bytes.size() + 2) / 3 * 4);
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    const std::size_t count = std::min<std::size_t>(3, bytes.size() - i);
    std::uint32_t group = 0;
    for (std::size_t j = 0; j < 3; ++j) group = group << 8 | (j < count ? bytes[i + j] : 0u);
    for (std::size_t j = 0; j < 4; ++j) text += j <= count ? kDigits[group >> (18 - 6 * j) & 63] : '=';
  }
  return text;
}

Image heat_map(std::span<const double> values, std::int64_t height, std::int64_t width, double scale) {
  assert(static_cast<std::int64_t>(values.size()) == height * width);
  if (scale == 0)
    for (const double value : values)
      if (std::isfinite(value)) scale = std::max(scale, std::abs(value));
  Image image{height, width, {}};
  image.rgba.reserve(values.size() * 4);
  for (const double value : values) {
    const auto& colour = std::isnan(value) ? kMissing : value >= 0 ? kPositive : kNegative;
    const double opacity = std::isnan(value) ? 0.25
                           : scale > 0       ? std::min(1.0, std::abs(value) / scale)
                                             : 0.0;
    image.rgba.insert(image.rgba.end(), colour.begin(), colour.end());
    image.rgba.push_back(static_cast<std::uint8_t>(std::lround(opacity * 255)));
  }
  return image;
}

}  // namespace fovea::apps

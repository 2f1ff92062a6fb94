// SPDX-License-Identifier: Apache-2.0
#include "nn/data/picture_file.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <cmath>
#include <csetjmp>
#include <cstdio>
#include <fstream>
#include <limits>
#include <string>

#include <fmt/format.h>
#include <jpeglib.h>
#include <png.h>

#include "tensor/errors.h"

namespace fovea::nn {
namespace {

constexpr std::int64_t kMostPixels = 400'000'000;  // guards the memory against a header that lies

[[noreturn]] void reject(const std::filesystem::path& file, std::string_view why) {
  throw IoError(fmt::format("{}: {}", file.string(), why));
}

std::vector<std::uint8_t> bytes_of(const std::filesystem::path& file) {
  std::error_code error;
  if (!std::filesystem::is_regular_file(file, error)) reject(file, "no such file");
  std::ifstream in(file, std::ios::binary);
  std::vector<std::uint8_t> bytes{std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
  if (!in) reject(file, "cannot be read");
  return bytes;
}

/// libjpeg reports a fatal error by calling back, and must not be returned to: jump out of it.
struct JpegErrors {
  jpeg_error_mgr base;
  std::jmp_buf out;
  char text[JMSG_LENGTH_MAX];
};

void on_jpeg_error(j_common_ptr info) {
  auto* errors = reinterpret_cast<JpegErrors*>(info->err);
  errors->base.format_message(info, errors->text);
  std::longjmp(errors->out, 1);
}

/// A warning (cut off or damaged data, filled with grey) keeps its text; msg_level −1 marks warnings.
void on_jpeg_message(j_common_ptr info, int level) {
  if (level >= 0) return;
  if (info->err->num_warnings++ == 0)
    info->err->format_message(info, reinterpret_cast<JpegErrors*>(info->err)->text);
}

enum class Decoded { kWell, kBadly, kTooLarge, kCmyk };

/// No object with a destructor may live in this frame, for longjmp would skip it.
Decoded decode_jpeg(jpeg_decompress_struct& info, JpegErrors& errors, const std::vector<std::uint8_t>& bytes,
                    Picture& picture) {
  if (setjmp(errors.out) != 0) return Decoded::kBadly;
  jpeg_create_decompress(&info);
  jpeg_mem_src(&info, bytes.data(), bytes.size());
  jpeg_read_header(&info, TRUE);
  if (static_cast<std::int64_t>(info.image_width) * info.image_height > kMostPixels)
    return Decoded::kTooLarge;
  if (info.jpeg_color_space == JCS_CMYK || info.jpeg_color_space == JCS_YCCK) return Decoded::kCmyk;
  info.out_color_space = JCS_RGB;
  info.dct_method = JDCT_ISLOW;
  jpeg_start_decompress(&info);
  picture.width = static_cast<int>(info.output_width);
  picture.height = static_cast<int>(info.output_height);
  picture.rgb.resize(static_cast<std::size_t>(picture.width) * static_cast<std::size_t>(picture.height) * 3);
  while (info.output_scanline < info.output_height) {
    JSAMPROW row = picture.rgb.data() + static_cast<std::size_t>(info.output_scanline) *
                                            static_cast<std::size_t>(picture.width) * 3;
    jpeg_read_scanlines(&info, &row, 1);
  }
  jpeg_finish_decompress(&info);
  return errors.base.num_warnings == 0 ? Decoded::kWell : Decoded::kBadly;
}

Picture jpeg(const std::filesystem::path& file, const std::vector<std::uint8_t>& bytes) {
  Picture picture;
  jpeg_decompress_struct info{};
  JpegErrors errors{};
  info.err = jpeg_std_error(&errors.base);
  errors.base.error_exit = on_jpeg_error;
  errors.base.emit_message = on_jpeg_message;
  const Decoded decoded = decode_jpeg(info, errors, bytes, picture);
  jpeg_destroy_decompress(&info);
  switch (decoded) {
    case Decoded::kWell:
      break;
    case Decoded::kBadly:
      reject(file, fmt::format("damaged JPEG file: {}", errors.text));
    case Decoded::kTooLarge:
      reject(file, "JPEG file of more than 400 million pixels");  // untested: would need one
    case Decoded::kCmyk:
      reject(file, "JPEG file in CMYK colours, save it as RGB");  // untested: no program here writes one
  }
  return picture;
}

Picture png(const std::filesystem::path& file, const std::vector<std::uint8_t>& bytes) {
  png_image image{};
  image.version = PNG_IMAGE_VERSION;
  if (png_image_begin_read_from_memory(&image, bytes.data(), bytes.size()) == 0) {
    reject(file, fmt::format("damaged PNG file: {}", image.message));
  }
  if (static_cast<std::int64_t>(image.width) * image.height > kMostPixels) {
    png_image_free(&image);
    reject(file, "PNG file of more than 400 million pixels");  // untested: would need one
  }
  image.format = PNG_FORMAT_RGB;
  Picture picture{
      .height = static_cast<int>(image.height), .width = static_cast<int>(image.width), .rgb = {}};
  picture.rgb.resize(PNG_IMAGE_SIZE(image));
  const png_color black{0, 0, 0};
  const bool read = png_image_finish_read(&image, &black, picture.rgb.data(), 0, nullptr) != 0;
  png_image_free(&image);
  if (!read || PNG_IMAGE_FAILED(image)) reject(file, fmt::format("damaged PNG file: {}", image.message));
  return picture;
}

/// Linear light of an sRGB byte (IEC 61966-2-1), 0 … 1.
std::array<float, 256> srgb_to_linear() {
  std::array<float, 256> light{};
  for (int i = 0; i < 256; ++i) {
    const double v = i / 255.0;
    light[static_cast<std::size_t>(i)] =
        static_cast<float>(v <= 0.04045 ? v / 12.92 : std::pow((v + 0.055) / 1.055, 2.4));
  }
  return light;
}

}  // namespace

Picture decode_picture(const std::filesystem::path& file) {
  const std::vector<std::uint8_t> bytes = bytes_of(file);
  if (bytes.size() > 2 && bytes[0] == 0xFF && bytes[1] == 0xD8) return jpeg(file, bytes);
  if (bytes.size() > 7 && png_sig_cmp(bytes.data(), 0, 8) == 0) return png(file, bytes);
  reject(file, "neither a JPEG nor a PNG file");
}

bool is_picture(const std::filesystem::path& file) {
  std::string end = file.extension().string();
  std::ranges::transform(end, end.begin(),
                         [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return end == ".jpg" || end == ".jpeg" || end == ".png";
}

void luminance(std::span<const std::uint8_t> rgb, float* light) {
  static const std::array<float, 256> linear = srgb_to_linear();
  const auto count = static_cast<std::ptrdiff_t>(rgb.size() / 3);
  for (std::ptrdiff_t i = 0; i < count; ++i) {
    const std::uint8_t* pixel = rgb.data() + 3 * i;
    light[i] = 0.2126f * linear[pixel[0]] + 0.7152f * linear[pixel[1]] + 0.0722f * linear[pixel[2]];
  }
}

}  // namespace fovea::nn

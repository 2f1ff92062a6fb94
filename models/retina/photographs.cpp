// SPDX-License-Identifier: Apache-2.0
#include "models/retina/photographs.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <cmath>

#include <fmt/format.h>

#include "models/retina/parts.h"
#include "models/retina/picture_file.h"
#include "models/retina/stimuli.h"

namespace fovea::retina {
namespace {

bool is_picture(const std::filesystem::path& file) {
  std::string end = file.extension().string();
  std::ranges::transform(end, end.begin(),
                         [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return end == ".jpg" || end == ".jpeg" || end == ".png";
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

/// For each of `to` equal stretches of `from` pixels: the first pixel it touches and the share of each.
struct Stretch {
  int first;
  std::vector<float> share;  // sums to 1
};
std::vector<Stretch> stretches(int from, int to) {
  std::vector<Stretch> result;
  for (int i = 0; i < to; ++i) {
    const double begin = static_cast<double>(i) * from / to, end = static_cast<double>(i + 1) * from / to;
    Stretch s{static_cast<int>(begin), {}};
    for (int j = s.first; j < from && j < end; ++j) {
      const double overlap = std::min<double>(end, j + 1) - std::max<double>(begin, j);
      s.share.push_back(static_cast<float>(overlap / (end - begin)));
    }
    result.push_back(std::move(s));
  }
  return result;
}

}  // namespace

std::filesystem::path packaged_photographs() { return "/usr/share/backgrounds/mate/nature"; }

PhotographSplit split_photographs(const std::filesystem::path& folder) {
  const char* hint = folder == packaged_photographs() ? " (apt-get install mate-backgrounds)" : "";
  std::error_code error;
  if (!std::filesystem::is_directory(folder, error)) {
    throw PhotographError(fmt::format("{}: no such folder of photographs{}", folder.string(), hint));
  }
  std::vector<std::filesystem::path> files;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    if (entry.is_regular_file() && is_picture(entry.path())) files.push_back(entry.path());
  }
  if (files.size() < 4) {
    throw PhotographError(fmt::format("{}: {} JPEG or PNG files, at least 4 are needed{}", folder.string(),
                                      files.size(), hint));
  }
  std::ranges::sort(files, {}, [](const std::filesystem::path& p) { return p.filename().string(); });
  PhotographSplit split;
  for (std::size_t i = 0; i < files.size(); ++i) (i % 4 == 3 ? split.test : split.train).push_back(files[i]);
  return split;
}

Image averaged_down(const Image& image, int longest) {
  const int side = std::max(image.height, image.width);
  if (side <= longest) return image;
  auto scaled = [&](int n) {
    return std::max(1, static_cast<int>(std::lround(static_cast<double>(n) * longest / side)));
  };
  Image out{.name = image.name, .height = scaled(image.height), .width = scaled(image.width), .pixel = {}};
  const std::vector<Stretch> rows = stretches(image.height, out.height),
                             cols = stretches(image.width, out.width);
  std::vector<float> narrow(static_cast<std::size_t>(image.height * out.width));
  for (int r = 0; r < image.height; ++r) {
    for (int c = 0; c < out.width; ++c) {
      const Stretch& s = cols[static_cast<std::size_t>(c)];
      float sum = 0.0f;
      for (std::size_t k = 0; k < s.share.size(); ++k)
        sum += s.share[k] * image.at(r, s.first + static_cast<int>(k));
      narrow[static_cast<std::size_t>(r * out.width + c)] = sum;
    }
  }
  out.pixel.resize(static_cast<std::size_t>(out.height * out.width));
  for (int r = 0; r < out.height; ++r) {
    const Stretch& s = rows[static_cast<std::size_t>(r)];
    for (std::size_t k = 0; k < s.share.size(); ++k) {
      const float* from =
          narrow.data() + static_cast<std::ptrdiff_t>(s.first + static_cast<int>(k)) * out.width;
      float* to = out.pixel.data() + static_cast<std::ptrdiff_t>(r) * out.width;
      for (int c = 0; c < out.width; ++c) to[c] += s.share[k] * from[c];
    }
  }
  return out;
}

Image load_photograph(const std::filesystem::path& file) {
  const Picture picture = decode_picture(file);
  const std::array<float, 256> light = srgb_to_linear();
  Image full{.name = file.filename().string(), .height = picture.height, .width = picture.width, .pixel = {}};
  full.pixel.resize(picture.rgb.size() / 3);
  for (std::size_t i = 0; i < full.pixel.size(); ++i) {
    full.pixel[i] = 0.2126f * light[picture.rgb[3 * i]] + 0.7152f * light[picture.rgb[3 * i + 1]] +
                    0.0722f * light[picture.rgb[3 * i + 2]];
  }
  Image image = averaged_down(full, kLongestSide);
  if (image.height < kMinImageSize || image.width < kMinImageSize) {
    throw PhotographError(fmt::format("{}: {}x{} pixels after averaging down, at least {}x{} are needed",
                                      file.string(), image.height, image.width, kMinImageSize,
                                      kMinImageSize));
  }
  if (std::ranges::all_of(image.pixel, [](float v) { return v == 0.0f; })) {
    throw PhotographError(fmt::format("{}: the picture is all black", file.string()));
  }
  normalise(image);
  return image;
}

std::vector<Image> load_photographs(const std::vector<std::filesystem::path>& files, int threads) {
  std::vector<Image> images(files.size());
  for_parts(threads, static_cast<int>(files.size()), [&](int i) {
    const auto at = static_cast<std::size_t>(i);
    images[at] = load_photograph(files[at]);
  });
  return images;
}

}  // namespace fovea::retina

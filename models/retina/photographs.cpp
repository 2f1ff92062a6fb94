// SPDX-License-Identifier: Apache-2.0
#include "models/retina/photographs.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "models/retina/parts.h"
#include "models/retina/stimuli.h"
#include "nn/data/picture_file.h"
#include "nn/data/resample.h"

namespace fovea::retina {
std::filesystem::path packaged_photographs() { return "/usr/share/backgrounds/mate/nature"; }

PhotographSplit split_photographs(const std::filesystem::path& folder) {
  const char* hint = folder == packaged_photographs() ? " (apt-get install mate-backgrounds)" : "";
  std::error_code error;
  if (!std::filesystem::is_directory(folder, error)) {
    throw IoError(fmt::format("{}: no such folder of photographs{}", folder.string(), hint));
  }
  std::vector<std::filesystem::path> files;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    if (entry.is_regular_file() && nn::is_picture(entry.path())) files.push_back(entry.path());
  }
  if (files.size() < 4) {
    throw IoError(fmt::format("{}: {} JPEG or PNG files, at least 4 are needed{}", folder.string(),
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
  out.pixel.resize(static_cast<std::size_t>(out.height) * static_cast<std::size_t>(out.width));
  nn::Resample({image.height, image.width}, {out.height, out.width})(image.pixel.data(), out.pixel.data());
  return out;
}

Image load_photograph(const std::filesystem::path& file) {
  const nn::Picture picture = nn::decode_picture(file);
  Image full{.name = file.filename().string(), .height = picture.height, .width = picture.width, .pixel = {}};
  full.pixel.resize(picture.rgb.size() / 3);
  nn::luminance(picture.rgb, full.pixel.data());
  Image image = averaged_down(full, kLongestSide);
  if (image.height < kMinImageSize || image.width < kMinImageSize) {
    throw IoError(fmt::format("{}: {}x{} pixels after averaging down, at least {}x{} are needed",
                              file.string(), image.height, image.width, kMinImageSize, kMinImageSize));
  }
  if (std::ranges::all_of(image.pixel, [](float v) { return v == 0.0f; })) {
    throw IoError(fmt::format("{}: the picture is all black", file.string()));
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

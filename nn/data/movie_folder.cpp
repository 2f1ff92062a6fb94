// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "nn/data/movie.h"
#include "nn/data/picture_file.h"
#include "tensor/errors.h"

namespace fovea::nn {
namespace {

class PictureFolder final : public Movie {
 public:
  explicit PictureFolder(const std::filesystem::path& folder) : Movie(folder.string()) {
    std::error_code error;
    for (const auto& entry : std::filesystem::directory_iterator(folder, error))
      if (entry.is_regular_file() && is_picture(entry.path())) files_.push_back(entry.path());
    if (error) throw IoError(fmt::format("{}: {}", name_, error.message()));
    if (files_.empty())
      throw IoError(
          fmt::format("{}: the folder holds no PNG or JPEG files, expected the frames of a movie", name_));
    std::ranges::sort(files_, [](const auto& a, const auto& b) {
      return natural_order(a.filename().string(), b.filename().string());
    });
    const Picture first = decode_picture(files_[0]);
    size_ = {first.height, first.width};
  }

  bool next(float* frame) override {
    if (at_ == files_.size()) return false;
    const std::filesystem::path& file = files_[at_++];
    const Picture picture = decode_picture(file);
    if (Size2d{picture.height, picture.width} != size_)
      throw IoError(
          fmt::format("{}: is {}x{}, but {} is {}x{} (height x width); the frames of a movie have one size",
                      file.string(), picture.height, picture.width, files_[0].filename().string(),
                      size_.height, size_.width));
    luminance(picture.rgb, frame);
    std::for_each(frame, frame + size_.height * size_.width, [](float& level) { level *= 255.0f; });
    return true;
  }
  void rewind() override { at_ = 0; }

 private:
  std::vector<std::filesystem::path> files_;
  std::size_t at_ = 0;
};

}  // namespace

std::unique_ptr<Movie> open_picture_folder(const std::filesystem::path& folder) {
  return std::make_unique<PictureFolder>(folder);
}

}  // namespace fovea::nn

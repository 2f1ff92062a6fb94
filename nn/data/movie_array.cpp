// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "nn/data/movie.h"
#include "nn/data/picture_file.h"
#include "tensor/io.h"
#include "tensor/names.h"
#include "tensor/views.h"

namespace fovea::nn {
namespace {

bool is_movie(const Tensor& x) {
  return (x.rank() == 3 || (x.rank() == 4 && x.size(3) == 3)) && x.numel() > 0 &&
         (x.dtype() == DType::u8 || x.dtype() == DType::f32 || x.dtype() == DType::f64);
}

/// The array that was asked for, or the one that is meant when none was.
Tensor choose(const std::filesystem::path& path, const TensorMap& tensors, const std::string& array) {
  std::vector<std::string> movies;
  for (const auto& [name, tensor] : tensors)
    if (is_movie(tensor)) movies.push_back(name);
  if (!array.empty()) {
    for (const std::string& name : {array, array + "/stimulus"})
      if (const auto found = tensors.find(name); found != tensors.end()) return found->second;
    std::vector<std::string> names;
    for (const auto& [name, tensor] : tensors) names.push_back(name);
    throw IoError(fmt::format("{}: holds no array '{}'{}", path.string(), printable(array),
                              did_you_mean(array, names)));
  }
  if (movies.size() == 1) return tensors.at(movies[0]);
  if (const auto found = tensors.find("test/stimulus"); found != tensors.end()) return found->second;
  if (movies.empty())
    throw IoError(fmt::format(
        "{}: holds no movie, expected an array [T, H, W] or [T, H, W, 3] of u8, f32 or f64", path.string()));
  throw IoError(fmt::format("{}: holds {} arrays that may be movies ({}); say which with --stimulus NAME",
                            path.string(), movies.size(),
                            printable(fmt::format("{}", fmt::join(movies, ", ")), 200)));
}

class ArrayMovie final : public Movie {
 public:
  ArrayMovie(const std::filesystem::path& path, const Tensor& frames)
      : Movie(path.string()), frames_(frames) {
    if (!is_movie(frames_))
      throw IoError(
          fmt::format("{}: the array is {} {}, expected a movie [T, H, W] or [T, H, W, 3] of u8, f32 or f64",
                      name_, dtype_name(frames_.dtype()), frames_.shape()));
    if (frames_.dtype() == DType::f64) frames_ = frames_.to(DType::f32);
    frames_ = frames_.contiguous("movie");
    size_ = {frames_.size(1), frames_.size(2)};
  }

  bool next(float* frame) override {
    if (at_ == frames_.size(0)) return false;
    const std::int64_t plane = size_.height * size_.width, width = frames_.rank() == 4 ? 3 : 1,
                       first = at_++ * plane * width;
    const auto copy = [&](const auto* pixels) {
      for (std::int64_t i = 0; i < plane; ++i) frame[i] = static_cast<float>(pixels[i]);
    };
    if (frames_.dtype() == DType::u8 && width == 1) {
      copy(frames_.data<std::uint8_t>() + first);
    } else if (frames_.dtype() == DType::u8) {
      luminance({frames_.data<std::uint8_t>() + first, static_cast<std::size_t>(plane * 3)}, frame);
      for (std::int64_t i = 0; i < plane; ++i) frame[i] *= 255.0f;
    } else if (width == 1) {
      copy(frames_.data<float>() + first);
    } else {
      const float* rgb = frames_.data<float>() + first;  // linear light already, as all floats
      for (std::int64_t i = 0; i < plane; ++i)
        frame[i] = 0.2126f * rgb[3 * i] + 0.7152f * rgb[3 * i + 1] + 0.0722f * rgb[3 * i + 2];
    }
    return true;
  }
  void rewind() override { at_ = 0; }

 private:
  Tensor frames_;
  std::int64_t at_ = 0;
};

}  // namespace

std::unique_ptr<Movie> open_array_movie(const std::filesystem::path& path, const std::string& array) {
  const Device host = Device::cpu({.threads = 1});
  if (path.extension() == ".npy") return std::make_unique<ArrayMovie>(path, load_npy(path, host));
  const TensorMap tensors =
      path.extension() == ".npz" ? load_npz(path, host) : load_safetensors(path, host).tensors;
  return std::make_unique<ArrayMovie>(path, choose(path, tensors, array));
}

}  // namespace fovea::nn

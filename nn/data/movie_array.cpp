// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <functional>

#include "nn/data/array_file.h"
#include "nn/data/movie.h"
#include "nn/data/picture_file.h"
#include "tensor/names.h"
#include "tensor/views.h"

namespace fovea::nn {
namespace {

using Arrays = std::map<std::string, ArrayInfo>;

bool is_movie(const ArrayInfo& array) {
  const Shape& shape = array.shape;
  return array.number && (shape.rank() == 3 || (shape.rank() == 4 && shape[3] == 3)) && shape.numel() > 0;
}

/// The array that was asked for, or the one that is meant when none was.
std::string choose(const std::filesystem::path& path, const Arrays& arrays, const std::string& asked) {
  if (!asked.empty()) {
    for (const std::string& name : {asked, asked + "/stimulus"})
      if (arrays.contains(name)) return name;
    std::vector<std::string> names;
    for (const auto& entry : arrays) names.push_back(entry.first);
    throw IoError(fmt::format("{}: holds no array '{}'{}", path.string(), printable(asked),
                              did_you_mean(asked, names)));
  }
  std::vector<std::string> movies;
  for (const auto& [name, array] : arrays)
    if (is_movie(array)) movies.push_back(name);
  if (movies.size() == 1) return movies[0];
  if (arrays.contains("test/stimulus")) return "test/stimulus";
  if (movies.empty())
    throw IoError(fmt::format("{}: holds no movie, expected an array [T, H, W] or [T, H, W, 3] of numbers",
                              path.string()));
  throw IoError(fmt::format("{}: holds {} arrays that may be movies ({}); say which with --stimulus NAME",
                            path.string(), movies.size(),
                            printable(fmt::format("{}", fmt::join(movies, ", ")), 200)));
}

/// Rows first … first+count-1 of the array: u8 if that is its type, else f32.
using Rows = std::function<Tensor(std::int64_t first, std::int64_t count)>;

class ArrayMovie final : public Movie {
 public:
  ArrayMovie(const std::filesystem::path& path, const ArrayInfo& array, Rows rows)
      : Movie(path.string()), shape_(array.shape), rows_(std::move(rows)) {
    if (!is_movie(array))
      throw IoError(
          fmt::format("{}: the array is {} {}, expected a movie [T, H, W] or [T, H, W, 3] of numbers", name_,
                      array.type, shape_));
    size_ = {shape_[1], shape_[2]};
    // Some megabytes at a time, in whole pieces of the file.
    constexpr std::int64_t kElements = std::int64_t{1} << 22;
    const std::int64_t few = std::max<std::int64_t>(1, kElements / shape_.without(0).numel());
    most_ = (few + array.piece_rows - 1) / array.piece_rows * array.piece_rows;
  }

  bool next(float* frame) override {
    if (at_ == shape_[0]) return false;
    if (at_ == first_ + (part_.defined() ? part_.size(0) : 0)) {
      part_ = {};  // two parts are never there at once
      part_ = rows_(at_, std::min(most_, shape_[0] - at_)).contiguous("movie");
      first_ = at_;
    }
    const std::int64_t plane = size_.height * size_.width, width = shape_.rank() == 4 ? 3 : 1,
                       first = (at_++ - first_) * plane * width;
    const bool bytes = part_.dtype() == DType::u8;
    if (width == 1 && bytes) {
      std::copy_n(part_.data<std::uint8_t>() + first, plane, frame);
    } else if (width == 1) {
      std::copy_n(part_.data<float>() + first, plane, frame);
    } else if (bytes) {
      luminance({part_.data<std::uint8_t>() + first, static_cast<std::size_t>(plane * 3)}, frame);
      for (std::int64_t i = 0; i < plane; ++i) frame[i] *= 255.0f;
    } else {
      const float* rgb = part_.data<float>() + first;  // linear light already, as all floats
      for (std::int64_t i = 0; i < plane; ++i)
        frame[i] = 0.2126f * rgb[3 * i] + 0.7152f * rgb[3 * i + 1] + 0.0722f * rgb[3 * i + 2];
    }
    return true;
  }
  void rewind() override {
    at_ = first_ = 0;
    part_ = {};
  }

 private:
  Shape shape_;
  Rows rows_;
  std::int64_t most_ = 1, at_ = 0;
  Tensor part_;  // frames first_ … of the array
  std::int64_t first_ = 0;
};

ArrayInfo info_of(const Tensor& tensor) { return {tensor.shape(), dtype_name(tensor.dtype()), true}; }

std::unique_ptr<Movie> in_memory(const std::filesystem::path& path, const Tensor& tensor) {
  const DType dtype = tensor.dtype() == DType::u8 ? DType::u8 : DType::f32;
  return std::make_unique<ArrayMovie>(path, info_of(tensor), [=](std::int64_t first, std::int64_t count) {
    return slice(tensor, 0, first, first + count).to(dtype);
  });
}

}  // namespace

std::unique_ptr<Movie> open_array_movie(const std::filesystem::path& path, const std::string& array) {
  const Device host = Device::cpu({.threads = 1});
  if (path.extension() == ".npy") return in_memory(path, load_npy(path, host));
  if (path.extension() == ".npz") {
    const TensorMap tensors = load_npz(path, host);
    Arrays arrays;
    for (const auto& [name, tensor] : tensors) arrays.emplace(name, info_of(tensor));
    return in_memory(path, tensors.at(choose(path, arrays, array)));
  }
  const std::shared_ptr<const ArrayFile> file = ArrayFile::open(path);
  const std::string name = choose(path, file->arrays(), array);
  const ArrayInfo& info = file->arrays().at(name);
  const DType dtype = info.type == "u8" ? DType::u8 : DType::f32;
  return std::make_unique<ArrayMovie>(path, info, [=](std::int64_t first, std::int64_t count) {
    return file->read_rows(name, dtype, first, count, host);
  });
}

}  // namespace fovea::nn

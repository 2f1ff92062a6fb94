// SPDX-License-Identifier: Apache-2.0
#include "nn/data/movie.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <system_error>

#include "nn/data/picture_file.h"
#include "tensor/errors.h"
#include "tensor/file.h"

namespace fovea::nn {
namespace {

constexpr std::string_view kArrays[] = {".npy", ".npz", ".safetensors", ".h5", ".hdf5"};
constexpr std::string_view kVideos[] = {".3gp",  ".avi", ".flv", ".gif", ".m4v", ".mkv",  ".mov", ".mp4",
                                        ".mpeg", ".mpg", ".mts", ".ogv", ".ts",  ".webm", ".wmv", ".y4m"};

}  // namespace

std::unique_ptr<Movie> open_movie(const std::filesystem::path& path, const std::string& array) {
  std::error_code ignored;
  if (std::filesystem::is_directory(path, ignored)) return open_picture_folder(path);
  if (!std::filesystem::exists(path, ignored))
    throw IoError(fmt::format("{}: there is no such file or folder{}", path.string(), nearest_file(path)));
  std::string end = path.extension().string();
  std::ranges::transform(end, end.begin(),
                         [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  if (std::ranges::find(kArrays, end) != std::end(kArrays)) return open_array_movie(path, array);
  if (std::ranges::find(kVideos, end) != std::end(kVideos)) return open_video(path);
  if (is_picture(path))
    throw IoError(
        fmt::format("{}: is one picture, expected a movie; give a folder of pictures", path.string()));
  throw IoError(
      fmt::format("{}: is no kind of movie that is known, expected .npy, .npz, .safetensors, .h5, a folder "
                  "of PNG or JPEG "
                  "files, or a video ({})",
                  path.string(), fmt::join(kVideos, " ")));
}

bool natural_order(std::string_view a, std::string_view b) {
  const auto digit = [](char c) { return c >= '0' && c <= '9'; };
  const std::string_view whole_a = a, whole_b = b;
  while (!a.empty() && !b.empty()) {
    if (!digit(a[0]) || !digit(b[0])) {
      if (a[0] != b[0]) return a[0] < b[0];
      a.remove_prefix(1);
      b.remove_prefix(1);
      continue;
    }
    const auto number = [&](std::string_view& text) {
      std::size_t count = 0;
      while (count < text.size() && digit(text[count])) ++count;
      std::string_view found = text.substr(0, count);
      found.remove_prefix(std::min(found.find_first_not_of('0'), count));
      text.remove_prefix(count);
      return found;
    };
    const std::string_view first = number(a), second = number(b);
    if (first.size() != second.size()) return first.size() < second.size();
    if (first != second) return first < second;
  }
  if (a.empty() != b.empty()) return a.empty();
  return whole_a < whole_b;  // they differ in leading zeros, if at all
}

}  // namespace fovea::nn

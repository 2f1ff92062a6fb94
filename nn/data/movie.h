// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include "kernels/geometry.h"

namespace fovea::nn {

/// Grey frames, read one after another: a long movie need not fit into memory.
///
/// Pixels are grey levels, proportional to the light that a screen gives off: 0 black, 255 white. Pictures, videos and
/// colours of bytes are decoded from sRGB (picture_file.h: luminance); numbers of an array are taken as they are.
class Movie {
 public:
  virtual ~Movie() = default;
  Movie(const Movie&) = delete;
  Movie& operator=(const Movie&) = delete;

  Size2d size() const { return size_; }
  /// Frames a second; 0 if nobody says.
  double fps() const { return fps_; }
  /// What errors call it.
  const std::string& name() const { return name_; }

  /// Puts the next frame [H, W] where `frame` points; false after the last one. throws IoError
  virtual bool next(float* frame) = 0;
  /// The first frame is next again.
  virtual void rewind() = 0;

 protected:
  explicit Movie(std::string name) : name_(std::move(name)) {}

  std::string name_;
  Size2d size_ = 0;
  double fps_ = 0.0;
};

/// Opens what the name's ending tells:
///   .npy .npz .safetensors .h5
///                           an array [T, H, W], or [T, H, W, 3] in colour; no frame rate. All but HDF5 are kept in
///                           memory
///   a folder                its PNG and JPEG files, of one size, in the natural order of their names (2 before 10); no
///                           frame rate
///   .avi .mp4 .mkv …        a video, read through the program ffmpeg, at its own mean frame rate
///
/// array   which array of several: its name, or for `x/stimulus` of a recording x. Empty: the only one that is a movie,
///         else test/stimulus
/// throws  IoError naming the file, what is wrong with it and what was expected; of a video, that it is damaged, or
///         that ffmpeg is missing and how to get it
std::unique_ptr<Movie> open_movie(const std::filesystem::path& path, const std::string& array = "");

/// Each kind for itself; open_movie() chooses.
std::unique_ptr<Movie> open_array_movie(const std::filesystem::path& path, const std::string& array);
std::unique_ptr<Movie> open_picture_folder(const std::filesystem::path& folder);
std::unique_ptr<Movie> open_video(const std::filesystem::path& path);

/// Whether a comes before b when runs of digits count as numbers: "frame2.png" before "frame10.png".
bool natural_order(std::string_view a, std::string_view b);

}  // namespace fovea::nn

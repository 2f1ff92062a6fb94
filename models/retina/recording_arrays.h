// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "nn/data/array_file.h"

namespace fovea::retina {

/// The arrays of a recording's file, each checked as it is taken: there, of numbers, of the expected rank and
/// length, not empty, its axes not turned round, its values possible. What is wrong is an IoError of one line
/// that begins with the path and names the array.
class RecordingArrays {
 public:
  RecordingArrays(const std::filesystem::path& path, const Device& host);

  const std::filesystem::path& path() const { return file_->path(); }
  const std::map<std::string, std::string>& metadata() const { return file_->metadata(); }
  bool contains(const std::string& name) const { return file_->contains(name); }
  /// The first name that ends so; "" if none does.
  std::string ending_in(std::string_view end) const;
  /// "group/cell01", "group/cell02", …, in the order of the numbers.
  std::vector<std::string> cells(const std::string& group) const;

  /// Frames of a movie [frames, height, width], which must be there.
  std::int64_t frames(const std::string& name) const;
  /// u8 if all values are whole numbers 0 … 255, however they are stored; else f32.
  Tensor movie(const std::string& name) const;
  /// [cells, frames] f32; undefined if it is not there. rates: refuses negative values
  Tensor responses(const std::string& name, std::int64_t frames, bool rates) const;
  /// [repeats, cells, frames] f32, from that array, from `group`/`response`, or from `group`/cellNN, each
  /// [repeats, frames]; undefined if there are none
  Tensor repeats(const std::string& group, const std::string& response, std::int64_t cells,
                 std::int64_t frames, bool rates) const;
  /// One number a frame; empty if it is not there.
  std::vector<double> times(const std::string& name, std::int64_t frames) const;
  std::vector<std::int64_t> blocks(const std::string& name, std::int64_t frames) const;
  std::vector<double> numbers(const std::string& name) const;
  /// Arrays of one shape, put together along a new leading axis, f32; undefined if a shape differs.
  Tensor joined(const std::vector<std::string>& names, int rank) const;

  static bool whole_numbers(const Tensor& x);
  /// Refuses what are no spike counts.
  void need_counts(const std::vector<float>& values, const std::string& name, const Shape& shape) const;

  [[noreturn]] void bad(const std::string& why) const;
  [[noreturn]] void missing(const std::string& name) const;

 private:
  const Shape& shape_of(const std::string& name, int rank) const;
  Tensor values_of(const std::string& name, bool rates) const;

  std::unique_ptr<nn::ArrayFile> file_;
  Device host_;
};

}  // namespace fovea::retina

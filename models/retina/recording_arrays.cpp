// SPDX-License-Identifier: Apache-2.0
#include "models/retina/recording_arrays.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <string_view>

#include "tensor/errors.h"
#include "tensor/names.h"
#include "tensor/views.h"

namespace fovea::retina {
namespace {

constexpr std::string_view kExpected[] = {"train/stimulus", "train/time",   "train/blocks",  "test/stimulus",
                                          "test/time",      "test/repeats", "test/true_rate"};
constexpr std::int64_t kPieceBytes = std::int64_t{1} << 24;  // of a movie that is not stored as u8

bool is_whole(float v) { return std::isfinite(v) && v == std::floor(v); }

int number_of(const std::string& name) {
  const std::size_t digits = name.find_last_not_of("0123456789") + 1;
  return digits == name.size() || name.size() - digits > 6 ? -1 : std::stoi(name.substr(digits));
}

}  // namespace

RecordingArrays::RecordingArrays(const std::filesystem::path& path, const Device& host)
    : file_(nn::ArrayFile::open(path)), host_(host) {}

void RecordingArrays::bad(const std::string& why) const {
  throw IoError(fmt::format("{}: {}", path().string(), why));
}

void RecordingArrays::missing(const std::string& name) const {
  const auto starts = [&](const std::string& group) {
    return std::any_of(file_->arrays().begin(), file_->arrays().end(),
                       [&](const auto& array) { return array.first.starts_with(group); });
  };
  std::vector<std::string> strangers, siblings;
  const std::string folder = name.substr(0, name.rfind('/') + 1);
  for (const auto& [other, info] : file_->arrays()) {
    if (folder.find('/') + 1 < folder.size() && other.starts_with(folder))
      siblings.push_back(printable(other.substr(folder.size()), 30));
    if (std::find(std::begin(kExpected), std::end(kExpected), other) == std::end(kExpected) &&
        other.find("/cell") == std::string::npos && other.find("/response/") == std::string::npos)
      strangers.push_back(other);  // it may be the one, under a wrong name
  }
  const std::string group = name.substr(0, name.find('/') + 1);
  if (!starts(group))
    bad(fmt::format("is not a recording: group '{}' is missing (fovea data retina makes one)",
                    printable(group.substr(0, group.size() - 1))));
  if (!siblings.empty()) {
    if (siblings.size() > 8) siblings.resize(8);
    bad(fmt::format("is not a recording: '{}' is missing; there: {} (data.response chooses one)",
                    printable(name), fmt::join(siblings, ", ")));
  }
  bad(fmt::format("is not a recording: '{}' is missing{} (fovea data retina makes one)", printable(name),
                  printable(did_you_mean(name, strangers), 120)));
}

const Shape& RecordingArrays::shape_of(const std::string& name, int rank) const {
  if (!contains(name)) missing(name);
  const nn::ArrayInfo& info = file_->arrays().at(name);
  if (!info.number || info.shape.rank() != rank)
    bad(fmt::format("'{}' is {} {}, expected numbers of rank {}", printable(name), info.type, info.shape,
                    rank));
  if (std::find(info.shape.begin(), info.shape.end(), 0) != info.shape.end())
    bad(fmt::format("'{}' {} is empty, expected at least one element", printable(name), info.shape));
  return info.shape;
}

std::string RecordingArrays::ending_in(std::string_view end) const {
  for (const auto& [name, info] : file_->arrays())
    if (name.ends_with(end)) return name;
  return {};
}

std::vector<std::string> RecordingArrays::cells(const std::string& group) const {
  std::vector<std::string> names;
  for (const auto& [name, info] : file_->arrays())
    if (name.starts_with(group + "/cell") && name.find('/', group.size() + 1) == std::string::npos &&
        number_of(name) >= 0)
      names.push_back(name);
  std::stable_sort(names.begin(), names.end(),
                   [](const std::string& a, const std::string& b) { return number_of(a) < number_of(b); });
  return names;
}

std::int64_t RecordingArrays::frames(const std::string& name) const {
  const Shape& shape = shape_of(name, 3);
  const std::string responses = name.substr(0, name.rfind('/')) + "/response/";
  for (const auto& [other, info] : file_->arrays()) {
    if (!other.starts_with(responses) || info.shape.rank() != 2) continue;
    const auto fits = [&bins = info.shape](std::int64_t count) {
      return bins[0] == count || bins[1] == count;
    };
    if (!fits(shape[0]) && fits(shape[2]))
      bad(fmt::format(
          "'{}' {} has its axes in another order, expected [frames, height, width]: turn it round",
          printable(name), shape));
  }
  return shape[0];
}

Tensor RecordingArrays::movie(const std::string& name) const {
  const Shape& shape = shape_of(name, 3);
  const nn::ArrayInfo& info = file_->arrays().at(name);
  if (info.type == "u8") return file_->read(name, DType::u8, host_);
  const Tensor whole = Tensor::empty(shape, DType::u8, host_, "stimulus");
  const std::int64_t plane = shape[1] * shape[2];
  const std::int64_t rows =
      std::max<std::int64_t>(1, kPieceBytes / (4 * plane) / info.piece_rows) * info.piece_rows;
  for (std::int64_t first = 0; first < shape[0]; first += rows) {
    const std::int64_t count = std::min(rows, shape[0] - first);
    const Tensor piece = file_->read_rows(name, DType::f32, first, count, host_);
    const float* values = piece.data();
    std::uint8_t* out = whole.data<std::uint8_t>() + first * plane;
    for (std::int64_t i = 0; i < count * plane; ++i) {
      if (!(is_whole(values[i]) && values[i] >= 0 && values[i] <= 255)) return values_of(name, false);
      out[i] = static_cast<std::uint8_t>(values[i]);
    }
  }
  return whole;
}

Tensor RecordingArrays::values_of(const std::string& name, bool rates) const {
  Tensor tensor = file_->read(name, DType::f32, host_);
  const float* values = tensor.data();
  const auto fine = [&](float v) { return std::isfinite(v) && (v >= 0 || !rates); };
  const float* wrong = std::find_if_not(values, values + tensor.numel(), fine);
  if (wrong != values + tensor.numel())
    bad(fmt::format("'{}' {} has {} at element {}, expected {}", printable(name), tensor.shape(), *wrong,
                    wrong - values, rates ? "finite numbers of at least 0" : "finite numbers"));
  return tensor;
}

Tensor RecordingArrays::responses(const std::string& name, std::int64_t frames, bool rates) const {
  if (!contains(name)) return {};
  const Shape& shape = shape_of(name, 2);
  if (shape[1] != frames && shape[0] == frames)
    bad(fmt::format(
        "'{}' {} has its axes in another order, expected [cells, frames] = [{}, {}]: turn it round",
        printable(name), shape, shape[1], frames));
  if (shape[1] != frames)
    bad(fmt::format("'{}' {} has {} bins, expected one for each of the {} frames", printable(name), shape,
                    shape[1], frames));
  return values_of(name, rates);
}

Tensor RecordingArrays::repeats(const std::string& group, const std::string& response, std::int64_t cells,
                                std::int64_t frames, bool rates) const {
  for (const std::string& name : {group, group + "/" + response}) {
    if (!contains(name)) continue;
    const Shape& shape = shape_of(name, 3);
    if (shape[1] != cells || shape[2] != frames)
      bad(fmt::format("'{}' is {}, expected [repeats, cells, frames] = [{}, {}, {}]", printable(name), shape,
                      shape[0], cells, frames));
    return values_of(name, rates);
  }
  const std::vector<std::string> names = this->cells(group);
  if (names.empty()) return {};
  if (static_cast<std::int64_t>(names.size()) != cells)
    bad(fmt::format("'{}' holds {} cells, expected the {} of the responses", printable(group), names.size(),
                    cells));
  const std::int64_t count = shape_of(names[0], 2)[0];
  for (const std::string& name : names)
    if (const Shape& shape = shape_of(name, 2); shape != Shape{count, frames})
      bad(fmt::format("'{}' is {}, expected [repeats, frames] = [{}, {}]", printable(name), shape, count,
                      frames));
  const Tensor all = Tensor::empty({count, cells, frames}, DType::f32, host_, "response");
  for (std::int64_t cell = 0; cell < cells; ++cell)
    select(all, 1, cell).copy_from(values_of(names[static_cast<std::size_t>(cell)], rates));
  return all;
}

std::vector<double> RecordingArrays::numbers(const std::string& name) const {
  const nn::ArrayInfo& info = file_->arrays().at(name);
  if (info.number && info.shape.rank() == 1 && info.shape[0] == 0) return {};  // a cell that never fires
  (void)shape_of(name, 1);
  auto values = file_->read(name, DType::f64, host_).to_vector<double>();
  for (std::size_t i = 0; i < values.size(); ++i)
    if (!std::isfinite(values[i]))
      bad(fmt::format("'{}' [{}] has {} at element {}, expected seconds", printable(name), values.size(),
                      values[i], i));
  return values;
}

std::vector<double> RecordingArrays::times(const std::string& name, std::int64_t frames) const {
  if (!contains(name)) return {};
  auto values = numbers(name);
  if (static_cast<std::int64_t>(values.size()) != frames)
    bad(fmt::format("'{}' [{}] has {} times for {} frames", printable(name), values.size(), values.size(),
                    frames));
  return values;
}

std::vector<std::int64_t> RecordingArrays::blocks(const std::string& name, std::int64_t frames) const {
  (void)shape_of(name, 1);
  auto blocks = file_->read(name, DType::i64, host_).to_vector<std::int64_t>();
  std::int64_t left = frames;
  for (const std::int64_t block : blocks) {
    if (block < 1 || block > left)
      bad(fmt::format("{} has a block of {} frames where {} of {} are left", name, block, left, frames));
    left -= block;
  }
  if (left != 0) bad(fmt::format("{} leaves {} of the {} frames of train/stimulus out", name, left, frames));
  return blocks;
}

Tensor RecordingArrays::joined(const std::vector<std::string>& names, int rank) const {
  const Shape shape = shape_of(names.at(0), rank);
  Shape all{static_cast<std::int64_t>(names.size())};
  for (const std::int64_t extent : shape) all.push_back(extent);
  for (const std::string& name : names)
    if (shape_of(name, rank) != shape) return {};
  const Tensor result = Tensor::empty(all, DType::f32, host_, "arrays");
  for (std::size_t i = 0; i < names.size(); ++i)
    select(result, 0, static_cast<std::int64_t>(i)).copy_from(values_of(names[i], false));
  return result;
}

bool RecordingArrays::whole_numbers(const Tensor& x) {
  const auto values = x.to_vector<float>();
  return std::all_of(values.begin(), values.end(), is_whole) &&
         std::any_of(values.begin(), values.end(), [](float v) { return v != 0; });
}

void RecordingArrays::need_counts(const std::vector<float>& values, const std::string& name,
                                  const Shape& shape) const {
  constexpr float kMost = std::numeric_limits<std::uint16_t>::max();
  const auto wrong =
      std::find_if(values.begin(), values.end(), [](float v) { return !is_whole(v) || v < 0 || v > kMost; });
  if (wrong != values.end())
    bad(fmt::format("'{}' {} has {} at element {}, expected spike counts: whole numbers from 0 to 65535",
                    printable(name), shape, *wrong, wrong - values.begin()));
}

}  // namespace fovea::retina

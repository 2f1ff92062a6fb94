// SPDX-License-Identifier: Apache-2.0
#include "nn/data/resample.h"

#include <algorithm>

#include "tensor/errors.h"

namespace fovea::nn {

std::vector<Resample::Stretch> Resample::stretches(std::int64_t from, std::int64_t to) {
  std::vector<Stretch> result;
  for (std::int64_t i = 0; i < to; ++i) {
    if (to > from) {
      const double centre =
                       (static_cast<double>(i) + 0.5) * static_cast<double>(from) / static_cast<double>(to),
                   at = std::clamp(centre - 0.5, 0.0, static_cast<double>(from - 1));
      const auto first = std::min(static_cast<std::int64_t>(at), std::max<std::int64_t>(0, from - 2));
      const auto second = static_cast<float>(at - static_cast<double>(first));
      result.push_back({first, from == 1 ? std::vector{1.0f} : std::vector{1.0f - second, second}});
      continue;
    }
    const double begin = static_cast<double>(i) * static_cast<double>(from) / static_cast<double>(to),
                 end = static_cast<double>(i + 1) * static_cast<double>(from) / static_cast<double>(to);
    Stretch s{static_cast<std::ptrdiff_t>(begin), {}};
    for (std::int64_t j = s.first; j < from && static_cast<double>(j) < end; ++j) {
      const double overlap =
          std::min(end, static_cast<double>(j + 1)) - std::max(begin, static_cast<double>(j));
      s.share.push_back(static_cast<float>(overlap / (end - begin)));
    }
    result.push_back(std::move(s));
  }
  return result;
}

Resample::Resample(Size2d from, Size2d to) : from_(from) {
  if (std::min({from.height, from.width, to.height, to.width}) < 1)
    reject<ValueError>("resample", "{}x{} to {}x{}: sides must be at least 1", from.height, from.width,
                       to.height, to.width);
  rows_ = stretches(from.height, to.height);
  cols_ = stretches(from.width, to.width);
  narrow_.resize(static_cast<std::size_t>(from.height * to.width));
}

void Resample::operator()(const float* in, float* out) {
  const auto width = static_cast<std::ptrdiff_t>(cols_.size());
  for (std::ptrdiff_t r = 0; r < from_.height; ++r) {
    for (std::ptrdiff_t c = 0; c < width; ++c) {
      const Stretch& s = cols_[static_cast<std::size_t>(c)];
      float sum = 0.0f;
      for (std::size_t k = 0; k < s.share.size(); ++k)
        sum += s.share[k] * in[r * from_.width + s.first + static_cast<std::ptrdiff_t>(k)];
      narrow_[static_cast<std::size_t>(r * width + c)] = sum;
    }
  }
  for (std::size_t r = 0; r < rows_.size(); ++r) {
    float* to = out + static_cast<std::ptrdiff_t>(r) * width;
    std::fill(to, to + width, 0.0f);
    for (std::size_t k = 0; k < rows_[r].share.size(); ++k) {
      const float share = rows_[r].share[k];
      const float* row = narrow_.data() + (rows_[r].first + static_cast<std::ptrdiff_t>(k)) * width;
      for (std::ptrdiff_t c = 0; c < width; ++c) to[c] += share * row[c];
    }
  }
}

}  // namespace fovea::nn

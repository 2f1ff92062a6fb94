// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/geometry.h"

/// Which way a convolution on the host goes.
namespace fovea {
namespace {

inline constexpr int kFftLengths[] = {16, 20, 24, 32, 36, 40, 48, 50, 60, 64, 80, 100};
inline constexpr int kFftLengthCount = sizeof kFftLengths / sizeof kFftLengths[0];
inline constexpr int kLongestFft = kFftLengths[kFftLengthCount - 1];
inline constexpr std::int64_t kFftCachedFloats = 1 << 20;  // more transformed rows go through memory

/// Elements that a transform along rows, along columns, must have: Note [Circular] of kernels/cpu/conv2d_fft.h.
constexpr std::int64_t fft_extent(std::int64_t inputs, std::int64_t outputs, std::int64_t kernel,
                                  std::int64_t padding) {
  const std::int64_t a = inputs + padding, b = outputs + kernel - 1 - padding;
  return a > b ? a : b;
}
constexpr std::int64_t fft_width(const Conv2d& s) {
  return fft_extent(s.in_width, s.out_width(), s.kernel_width, s.padding.left);
}
constexpr std::int64_t fft_height(const Conv2d& s) {
  return fft_extent(s.in_height, s.out_height(), s.kernel_height, s.padding.top);
}

constexpr bool can_use_fft(const Conv2d& s) {
  return s.stride == Size2d(1) && s.dilation == Size2d(1) && s.groups == 1 && fft_width(s) <= kLongestFft &&
         fft_height(s) <= kLongestFft;
}
constexpr bool can_use_gemm(const Conv2d& s) {
  return s.kernel_height == 1 && s.kernel_width == 1 && s.stride == Size2d(1) && s.padding == Padding2d(0) &&
         s.groups == 1;
}

constexpr std::int64_t fft_length(std::int64_t extent) {
  for (const int length : kFftLengths)
    if (length >= extent) return length;
  return extent;
}

/// What a pass by transforms costs, in multiply-adds of vectors of `lanes`, about; the passes differ by less than the
/// model is wrong. A transform takes kPerElement for each element of a line, more where the lines go through memory;
/// images that do not fill their group cost as much as those that do.
constexpr double fft_cost(const Conv2d& s, std::int64_t lanes) {
  constexpr double kPerElement = 28, kPerStreamedElement = 60;
  const auto in = static_cast<double>(s.in_channels), out = static_cast<double>(s.out_channels);
  const auto height = static_cast<double>(s.in_height), width = static_cast<double>(fft_length(fft_width(s)));
  const auto down = static_cast<double>(fft_length(fft_height(s))), pairs = static_cast<double>(2 * lanes);
  const auto groups = static_cast<double>((s.batch + 2 * lanes - 1) / (2 * lanes));
  const double rows = (in * height + out * static_cast<double>(s.out_height())) * width;
  const double columns = (in + out) * width * down, products = 4 * in * out * width * down;
  const double weights = in * out / pairs * (static_cast<double>(s.kernel_height) + width) * down;
  const bool cached = in * height * width * pairs <= static_cast<double>(kFftCachedFloats);
  const double element = cached ? kPerElement : kPerStreamedElement;
  return groups * (element * (rows + columns) + products) + kPerElement * weights;
}

/// What `automatic` stands for, given what direct sums cost in the same unit. It follows from the shape and the
/// instruction set alone, so that results do not depend on what else the machine does.
constexpr ConvAlgorithm chosen_algorithm(const Conv2d& s, std::int64_t lanes, double direct_cost) {
  constexpr double kClearly = 0.7;
  constexpr std::int64_t kLeastPlane = 32, kLeastChannels = 16;  // products large enough to gain
  if (s.batch == 0) return ConvAlgorithm::direct;
  if (s.algorithm != ConvAlgorithm::automatic) return s.algorithm;
  if (can_use_gemm(s) && s.in_height * s.in_width >= kLeastPlane && s.in_channels >= kLeastChannels &&
      s.out_channels >= kLeastChannels)
    return ConvAlgorithm::gemm;
  if (can_use_fft(s) && fft_cost(s, lanes) < kClearly * direct_cost) return ConvAlgorithm::fft;
  return ConvAlgorithm::direct;
}

}  // namespace
}  // namespace fovea

// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/geometry.h"

/// Which way a convolution on the host goes.
namespace fovea {
namespace {

inline constexpr int kFftLengths[] = {16, 20, 24, 32, 36, 40, 48, 50, 60, 64, 80, 100};
inline constexpr int kFftLengthCount = sizeof kFftLengths / sizeof kFftLengths[0];

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
  constexpr std::int64_t kLongest = kFftLengths[kFftLengthCount - 1];
  return s.stride == Size2d(1) && s.dilation == Size2d(1) && s.groups == 1 && fft_width(s) <= kLongest &&
         fft_height(s) <= kLongest && s.batch > 0 && s.in_channels > 0;
}

}  // namespace
}  // namespace fovea

// SPDX-License-Identifier: Apache-2.0
#include "models/retina/blur.h"

#include <cmath>

#include "models/retina/lanes.h"

namespace fovea::retina {
namespace {

constexpr int kMaxRadius = 20;
constexpr int kPadded = kSize + 2 * kMaxRadius + 2;  // a multiple of 4, like the row of results below
constexpr int kRow = 52;

double gaussian(double distance, double sigma) {
  return std::exp(-0.5 * distance * distance / (sigma * sigma));
}

PixelMap outer_product(const std::array<double, kSize>& rows, const std::array<double, kSize>& cols) {
  PixelMap map;
  for (int r = 0; r < kSize; ++r) {
    for (int c = 0; c < kSize; ++c) map[r * kSize + c] = static_cast<float>(rows[r] * cols[c]);
  }
  return map;
}

}  // namespace

std::array<double, kSize> gaussian_axis(double sigma_px, int centre) {
  std::array<double, kSize> weights;
  double sum = 0.0;
  for (int i = 0; i < kSize; ++i) sum += weights[i] = gaussian(i - centre, sigma_px);
  for (double& w : weights) w /= sum;
  return weights;
}

PixelMap gaussian_map(double sigma_px, int row, int col) {
  return outer_product(gaussian_axis(sigma_px, row), gaussian_axis(sigma_px, col));
}

PixelMap pooled_blur_map(double blur_px, double reach_px, int row, int col) {
  auto along = [&](int centre) {
    const std::array<double, kSize> reach = gaussian_axis(reach_px, centre);
    std::array<double, kSize> seen{};
    for (int i = 0; i < kSize; ++i) {
      const std::array<double, kSize> blurred_from = gaussian_axis(blur_px, i);
      for (int j = 0; j < kSize; ++j) seen[j] += reach[i] * blurred_from[j];
    }
    return seen;
  };
  return outer_product(along(row), along(col));
}

Blur::Blur(double sigma_px) : radius_(std::min(kMaxRadius, static_cast<int>(std::ceil(4.0 * sigma_px)))) {
  std::vector<double> taps;
  double sum = 0.0;
  for (int k = 0; k <= radius_; ++k) {
    taps.push_back(gaussian(k, sigma_px));
    sum += (k == 0 ? 1.0 : 2.0) * taps.back();
  }
  for (double& tap : taps) taps_.push_back(static_cast<float>(tap /= sum));
  for (int i = 0; i < kSize; ++i) {
    double inside = 0.0;
    for (int k = -radius_; k <= radius_; ++k) {
      if (i + k >= 0 && i + k < kSize) inside += taps[std::abs(k)];
    }
    edge_[i] = static_cast<float>(1.0 / inside);
  }
}

void Blur::operator()(const float* in, float* out) const {
  on_widest_lanes([&] { blur(in, out); });
}

inline void Blur::blur(const float* in, float* out) const {
  // Rows first, through a zero-padded copy of one row, so that each tap is one straight loop over the row.
  float along_rows[(kSize + 2 * kMaxRadius) * kRow] = {};
  for (int r = 0; r < kSize; ++r) {
    float padded[kPadded] = {};
    for (int c = 0; c < kSize; ++c) padded[kMaxRadius + c] = in[r * kSize + c];
    float sum[kRow];
    for (int c = 0; c < kRow; ++c) sum[c] = taps_[0] * padded[kMaxRadius + c];
    for (int k = 1; k <= radius_; ++k) {
      const float tap = taps_[k];
      const float* left = padded + kMaxRadius - k;
      const float* right = padded + kMaxRadius + k;
      for (int c = 0; c < kRow; ++c) sum[c] += tap * (left[c] + right[c]);
    }
    float* to = along_rows + (kMaxRadius + r) * kRow;
    for (int c = 0; c < kSize; ++c) to[c] = sum[c] * edge_[c];
  }
  for (int r = 0; r < kSize; ++r) {
    const float* centre = along_rows + (kMaxRadius + r) * kRow;
    float sum[kRow];
    for (int c = 0; c < kRow; ++c) sum[c] = taps_[0] * centre[c];
    for (int k = 1; k <= radius_; ++k) {
      const float tap = taps_[k];
      const float* above = centre - k * kRow;
      const float* below = centre + k * kRow;
      for (int c = 0; c < kRow; ++c) sum[c] += tap * (above[c] + below[c]);
    }
    for (int c = 0; c < kSize; ++c) out[r * kSize + c] = sum[c] * edge_[r];
  }
}

}  // namespace fovea::retina

// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

/// Shapes that host and device share: plain structs passed by value. Extents count elements, strides too.
namespace fovea {

inline constexpr int kMaxRank = 6;

/// Walks `rank` nested loops over up to four operands at once; operand k moves by stride[k][d] along loop d.
/// A stride of 0 repeats (broadcasting). Loops are ordered outermost first.
struct Strided {
  int rank = 0;
  std::int64_t extent[kMaxRank] = {};
  std::int64_t stride[4][kMaxRank] = {};

  constexpr std::int64_t count() const {
    std::int64_t n = 1;
    for (int d = 0; d < rank; ++d) n *= extent[d];
    return n;
  }
};

/// Height and width; one number stands for both.
struct Size2d {
  std::int64_t height, width;
  constexpr Size2d(std::int64_t both) : height(both), width(both) {}  // NOLINT: a number is meant to convert
  constexpr Size2d(std::int64_t h, std::int64_t w) : height(h), width(w) {}
  constexpr bool operator==(const Size2d&) const = default;
};

/// Pixels added around each plane; one number stands for all four sides.
struct Padding2d {
  std::int64_t top, bottom, left, right;
  constexpr Padding2d(std::int64_t all)  // NOLINT: a number is meant to convert
      : top(all), bottom(all), left(all), right(all) {}
  constexpr Padding2d(std::int64_t t, std::int64_t b, std::int64_t l, std::int64_t r)
      : top(t), bottom(b), left(l), right(r) {}
  constexpr bool operator==(const Padding2d&) const = default;
};

/// The padding with which a window of `kernel` pixels, `stride` apart, gives ⌈input/stride⌉ outputs; where the sum
/// is odd, the extra pixel is at the bottom and at the right (TensorFlow's "SAME").
constexpr Padding2d same_padding(Size2d input, Size2d kernel, Size2d stride = 1, Size2d dilation = 1) {
  const auto total = [](std::int64_t in, std::int64_t k, std::int64_t step, std::int64_t apart) {
    const std::int64_t needed = ((in + step - 1) / step - 1) * step + (k - 1) * apart + 1 - in;
    return needed > 0 ? needed : 0;
  };
  const std::int64_t down = total(input.height, kernel.height, stride.height, dilation.height);
  const std::int64_t across = total(input.width, kernel.width, stride.width, dilation.width);
  return {down / 2, down - down / 2, across / 2, across - across / 2};
}
// A 7x7 convolution of stride 2 on 224 pixels, a 2x2 pooling of stride 2 on 7, a 2x2 convolution of stride 1.
static_assert(same_padding(224, 7, 2) == Padding2d(2, 3, 2, 3));
static_assert(same_padding(7, 2, 2) == Padding2d(0, 1, 0, 1));
static_assert(same_padding(4, 2) == Padding2d(0, 1, 0, 1));

/// x[outer, width, inner] reduced over width; contiguous.
struct Reduce {
  std::int64_t outer = 1, width = 1, inner = 1;
};

/// C[m, n] = A[m, k]·B[k, n], all row-major; a transposed operand is stored as its transpose.
struct Matmul {
  std::int64_t m = 0, n = 0, k = 0;
  bool transpose_a = false, transpose_b = false;
};

/// x[batch, channels, inner] normalised per channel: inner = H·W for maps, 1 for per-unit statistics.
struct BatchNorm {
  std::int64_t batch = 0, channels = 0, inner = 1;
  constexpr std::int64_t count() const { return batch * channels * inner; }
};

/// x[batch, groups, channels, inner] normalised over the last two: one slab for each sample and group. Groups = 1
/// and inner = 1 normalise the rows of x[batch, channels].
struct GroupNorm {
  std::int64_t batch = 0, groups = 1, channels = 0, inner = 1;  ///< channels of one group
  constexpr std::int64_t slabs() const { return batch * groups; }
  constexpr std::int64_t slab() const { return channels * inner; }  ///< elements of one
  constexpr std::int64_t count() const { return slabs() * slab(); }
};

/// How a convolution is computed on the host. `automatic` lets a cost model choose by the shape; the others are for
/// who wants to compare or to fix the rounding: `direct` sums in place, `gemm` multiplies matrices (kernels of one
/// pixel), `fft` multiplies spectra (strides, dilations and groups of 1, planes that fit a transform).
enum class ConvAlgorithm { automatic, direct, gemm, fft };

/// Cross-correlation of x[batch, in_channels, in_height, in_width] with w[out_channels, in_channels /
/// groups, kernel_height, kernel_width]; x counts as 0 outside of its planes. Group g of the outputs sees
/// group g of the inputs and nothing else; with groups = in_channels it is "depthwise".
///
/// The planes of x are contiguous, but image and channel strides are free (the latter at least a plane), so that
/// windows rolling over a movie (image stride = channel stride = one frame) are convolved in place.
struct Conv2d {
  std::int64_t batch = 0;
  std::int64_t in_channels = 0, in_height = 0, in_width = 0;
  std::int64_t out_channels = 0, kernel_height = 0, kernel_width = 0;
  Size2d stride = 1;
  Padding2d padding = 0;
  Size2d dilation = 1;
  std::int64_t groups = 1;
  std::int64_t image_stride = 0, channel_stride = 0;  ///< of x, in elements
  ConvAlgorithm algorithm = ConvAlgorithm::automatic;

  constexpr std::int64_t out_height() const {
    return outputs(in_height + padding.top + padding.bottom, kernel_height, stride.height, dilation.height);
  }
  constexpr std::int64_t out_width() const {
    return outputs(in_width + padding.left + padding.right, kernel_width, stride.width, dilation.width);
  }
  constexpr std::int64_t out_count() const { return batch * out_channels * out_height() * out_width(); }
  constexpr std::int64_t group_inputs() const { return in_channels / groups; }
  constexpr std::int64_t group_outputs() const { return out_channels / groups; }
  constexpr std::int64_t weight_count() const {
    return out_channels * group_inputs() * kernel_height * kernel_width;
  }

 private:
  static constexpr std::int64_t outputs(std::int64_t padded, std::int64_t kernel, std::int64_t step,
                                        std::int64_t apart) {
    return (padded - (kernel - 1) * apart - 1) / step + 1;
  }
};

}  // namespace fovea

// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/cuda/conv2d_tile.cuh"
#include "kernels/cuda/mma_words.cuh"

/// What the convolutions of tensor cores share: conv2d_mma.cu (forward pass and input gradient) and
/// conv2d_mma_grad_weight.cu.
///
/// Note [Two offsets]: all three passes are d[m][n] = Σ_k a[m][k]·x[at(k) + at(n)], where the piece of x that a block
/// needs lies in shared memory once. Forward, k is a tap of a channel and n an output pixel; in the weight gradient k
/// is a pixel and n a tap of a channel. An element of the mma's b is then one 4-byte load at the sum of two offsets:
/// a lane keeps the offsets of its columns n in registers and reads those of its words k from a table. No matrix of
/// windows is ever made, and strides and dilations are only other offsets.
///
/// Lanes t = 0..3 hold neighbouring words k, lanes g = 0..7 neighbouring columns n. Channels `pitch` ≡ 8 (mod 32) words
/// apart and offsets of n that differ modulo 8 give 32 different banks. Operands a lie in the order of the registers of
/// an mma ("fragments"): a lane reads its four words as one 16-byte pack.
///
/// Words of k that do not exist have the mask 0: a 0 in a alone would let a NaN or an infinity of x through.
namespace fovea::gpu {

/// Groups narrower than 8 channels would leave most of an mma to zeros: the fp32 kernels take those, depthwise
/// kernels first of all.
inline bool mma_serves(const Conv2d& shape) {
  return shape.groups == 1 || (shape.group_inputs() >= 8 && shape.group_outputs() >= 8);
}

/// A word of the summed index: where it is in the piece, and which of its bits count.
struct MmaPlace {
  int offset;
  unsigned mask;
};
constexpr int kPlaceWords = 2;       // of shared memory
constexpr int kFragmentWords = 128;  // 16 rows by 8 words of a
constexpr int kMmaWarps = 8;         // of a block at most
constexpr int kMmaStageWords =
    12 * 1024 - 32;  // 48 KiB for a stage, so that an sm_90 multiprocessor holds four

/// Columns of a warp in units of 8, where it has kRows units of 16 rows: 64 sums a thread, 32 with one.
template <int kRows>
inline constexpr int kMmaColumns = kRows == 4 ? 4 : 8;

/// sums[r][j] += Σ over `steps` times 8 words; a: fragments [step][kRows][lane][4], at: offsets of this lane's columns.
template <Math kMath, int kRows>
__device__ __forceinline__ void multiply_stage(int steps, const unsigned* a, const MmaPlace* places,
                                               const unsigned* piece, const int (&at)[kMmaColumns<kRows>],
                                               float (&sums)[kRows][kMmaColumns<kRows>][4]) {
  const int lane = static_cast<int>(threadIdx.x) % 32;
  for (int step = 0; step < steps; ++step) {
    unsigned in_a[kRows][4];
    for (int r = 0; r < kRows; ++r) {
      const auto four = load_pack<4>(a, (step * kRows + r) * 32 + lane);
      for (int i = 0; i < 4; ++i) in_a[r][i] = four[i];
    }
    const MmaPlace first = places[step * kMmaWords + lane % 4],
                   second = places[step * kMmaWords + lane % 4 + 4];
    for (int j = 0; j < kMmaColumns<kRows>; ++j) {
      const unsigned in_b[2] = {piece[at[j] + first.offset] & first.mask,
                                piece[at[j] + second.offset] & second.mask};
      for (int r = 0; r < kRows; ++r) multiply_words<kMath>(sums[r][j], in_a[r], in_b);
    }
  }
}

/// The smallest number ≥ words that is `rest` modulo 32: how far apart channels lie.
constexpr int pitch_modulo_32(int words, int rest) { return words + (rest + 32 - words % 32) % 32; }

/// Weight (o, c, r, s) of group g stands at w[g·w_group + o·w_out + c·w_in + r·w_row + s·w_column]; output (n,
/// o, p, q) at y[n·y_image + o·y_channel + p·y_row + q·y_column].
struct CorrelationStrides {
  std::int64_t w_group, w_out, w_in, w_row, w_column;
  std::int64_t y_image, y_channel, y_row, y_column;
};
/// y = bias + x ⋆ w within groups of `channels` inputs and `outputs` outputs.
struct Correlation : ConvGeometry, CorrelationStrides {};

/// The correlation in queue.math(), which is not fp32.
void correlate_mma(Queue& queue, const char* name, const Correlation& k, std::int64_t batch, const float* x,
                   const float* w, const float* bias, float* y);

/// The weight gradient in queue.math(), which is not fp32; false, with nothing done, if not even one row of pixels fits
/// into shared memory together with what its taps read. Neither batch nor output is empty.
bool grad_weight_mma(Queue& queue, const Conv2d& shape, const float* x, const float* dy, float* dw);

/// dw[i] = Σ partial[run·count + i], runs ascending.
void add_runs(Queue& queue, std::int64_t count, std::int64_t runs, const float* partial, float* dw);

}  // namespace fovea::gpu

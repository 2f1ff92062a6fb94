// SPDX-License-Identifier: Apache-2.0
#include "kernels/arena.h"
#include "kernels/cuda/async_copy.cuh"
#include "kernels/cuda/conv2d_mma.cuh"

/// Forward pass and input gradient by tensor cores, in tf32 or bf16 (Note [Two offsets] in conv2d_mma.cuh). Rows of
/// the product are output channels, columns output pixels, the summed index goes over channels within taps. x and w are
/// f32 in memory: a first kernel rounds the weights and lays them out as fragments, from where stages fetch them with
/// cp.async; x is rounded on its way into shared memory, a bf16 word being two neighbouring channels of one pixel.
///
/// A warp makes 16·kRows channels by 64 pixels (32 for kRows = 4), a block as many of these side by side as pixels ask
/// for. 64→64 channels, 3x3 on 56x56, batch 64: 14.8 GFLOP, 51 MB read and 51 MB written: 33 us of an H100's memory,
/// 37 us of its 400 TFLOP/s of mma.sync in tf32, so both matter. Per 8 words and warp 16 mma (26 cycles of the SM) read
/// 4 packs and 8 words, 24 wavefronts. Staging a word takes some 50 instructions for 576 multiply-adds, 40 % of the
/// issue slots beside the sums. Predicted: 45 % of the roof of mma.sync in tf32; in bf16, where an mma does twice the
/// work for the same loads, 35 %. A 1x1 kernel uses a word for its outputs alone and is bound by staging: 20 %. Eight
/// outputs fill half of an mma. Not yet run on a GPU.
///
/// The input gradient of a strided convolution is several correlations (Note [Phases of a strided gradient]), each
/// with a launch for its weights.
namespace fovea {
namespace {

using gpu::Correlation;
constexpr std::int64_t kEnoughBlocks = 264;  // two for each multiprocessor of an H100
constexpr int kPackThreads = 256;

/// A block's pixels are `images` by `rows` by `columns`; a stage is `words` words of channels and taps_down by
/// taps_across taps.
struct Tiling {
  std::int64_t batch;
  int images, rows, columns, warps;
  int across, down;  // tiles of an image
  unsigned blocks;   // for each tile of outputs
  int out_tiles;     // of a group
  int words, taps_down, taps_across;
  int steps, stages_down, stages_across, stages;
  gpu::Span in_rows, in_columns;  // of a plane's piece
  int pitch, word_pitch;          // of a row, and of all pixels of a word
};

/// Shared memory of a stage, in words; sets what follows from the tile.
template <int kRows>
std::int64_t stage_words(const Correlation& k, Tiling& t) {
  t.in_rows = gpu::span_of(t.rows, t.taps_down, k.stride_height, k.dilation_height);
  t.in_columns = gpu::span_of(t.columns, t.taps_across, k.stride_width, k.dilation_width);
  // Where pixels go on in the next row, their offsets go on modulo 8, if a pitch can do that.
  const int down = k.stride_height / t.in_rows.step, across = k.stride_width / t.in_columns.step;
  t.pitch = t.in_columns.extent;
  for (int pitch = t.pitch; pitch < t.in_columns.extent + 8; ++pitch)
    if ((down * pitch - across * t.columns) % 8 == 0) {
      t.pitch = pitch;
      break;
    }
  const std::int64_t plane = std::int64_t{t.images} * t.in_rows.extent * t.pitch;
  t.steps = gpu::ceil_div(t.words * t.taps_down * t.taps_across, gpu::kMmaWords);
  const std::int64_t all =
      t.steps * std::int64_t{kRows * gpu::kFragmentWords + gpu::kMmaWords * gpu::kPlaceWords} +
      t.words * (plane + 31);
  if (all <= gpu::kMmaStageWords) t.word_pitch = gpu::pitch_modulo_32(static_cast<int>(plane), 8);
  return all;
}

/// By shape alone.
template <Math kMath, int kRows>
Tiling plan_tiling(const Correlation& k, std::int64_t batch) {
  Tiling t{};
  t.batch = batch;
  t.out_tiles = gpu::ceil_div(k.outputs, 16 * kRows);
  const std::int64_t slabs = std::int64_t{k.groups} * t.out_tiles;
  const std::int64_t pixels = batch * k.out_height * k.out_width;
  constexpr int kWarpPixels = 8 * gpu::kMmaColumns<kRows>;
  int most = gpu::kMmaWarps * kWarpPixels;
  while (most > kWarpPixels && pixels / most * slabs < kEnoughBlocks) most /= 2;
  const auto even = [](int all, int fitting) {  // parts of about equal size
    return gpu::ceil_div(all, gpu::ceil_div(all, fitting));
  };
  t.columns = even(k.out_width, gpu::smaller(64, most));
  t.rows = even(k.out_height, gpu::larger(1, most / t.columns));
  t.images = 1;
  if (t.rows == k.out_height && t.columns == k.out_width)
    t.images = even(gpu::to_int(batch < most ? batch : most), gpu::larger(1, most / (t.rows * t.columns)));

  const int all_words = gpu::ceil_div(gpu::larger(1, k.channels), gpu::kWordValues<kMath>);
  t.words = gpu::smaller(8, all_words);
  t.taps_down = k.kernel_height;
  t.taps_across = k.kernel_width;
  for (int* const extent : {&t.taps_down, &t.taps_across, &t.images, &t.words, &t.rows, &t.columns})
    while (*extent > 1 && stage_words<kRows>(k, t) > gpu::kMmaStageWords) *extent = gpu::ceil_div(*extent, 2);
  while (t.words < all_words && stage_words<kRows>(k, t) <= gpu::kMmaStageWords) ++t.words;
  while (t.words > 1 && stage_words<kRows>(k, t) > gpu::kMmaStageWords) --t.words;
  if (t.words > 8) t.words -= t.words % 8;  // then no eight words cross a tap
  t.words = even(all_words, t.words);
  (void)stage_words<kRows>(k, t);  // for what it sets

  t.across = gpu::ceil_div(k.out_width, t.columns);
  t.down = gpu::ceil_div(k.out_height, t.rows);
  t.warps = gpu::ceil_div(t.images * t.rows * t.columns, kWarpPixels);
  t.stages_down = gpu::ceil_div(k.kernel_height, t.taps_down);
  t.stages_across = gpu::ceil_div(k.kernel_width, t.taps_across);
  t.stages = gpu::ceil_div(all_words, t.words) * t.stages_down * t.stages_across;
  return t;
}

/// Where a stage begins.
struct Stage {
  int word, tap_row, tap_column;
};
__device__ __forceinline__ Stage stage_of(const Tiling& t, int stage) {
  const int taps = t.stages_down * t.stages_across, tap = stage % taps;
  return {stage / taps * t.words, tap / t.stages_across * t.taps_down, tap % t.stages_across * t.taps_across};
}

/// Word `index` of the sum of a stage: words of channels within columns of taps within rows of taps.
struct SumWord {
  int word, tap_row, tap_column;  // within the stage
  bool exists;
};
__device__ __forceinline__ SumWord sum_word(const Correlation& k, const Tiling& t, const Stage& stage,
                                            int index) {
  const int tap = index / t.words, row = tap / t.taps_across, column = tap - row * t.taps_across;
  return {index - tap * t.words, row, column,
          row < t.taps_down && stage.tap_row + row < k.kernel_height &&
              stage.tap_column + column < k.kernel_width};
}

/// Fragments [group and tile of outputs][stage][step][kRows][lane][4]; zeros for what does not exist.
template <Math kMath, int kRows>
__global__ void pack_weights_kernel(std::int64_t packs, Correlation k, Tiling t, const float* __restrict__ w,
                                    unsigned* __restrict__ to) {
  constexpr int kEach = gpu::kWordValues<kMath>;
  for (const std::int64_t i : gpu::grid_stride(packs)) {
    const int lane = static_cast<int>(i % 32), part = static_cast<int>(i / 32 % kRows);
    const std::int64_t all_steps = i / (32 * kRows);
    const int step = static_cast<int>(all_steps % t.steps),
              slab = static_cast<int>(all_steps / t.steps / t.stages);
    const Stage stage = stage_of(t, static_cast<int>(all_steps / t.steps % t.stages));
    const float* const group = w + slab / t.out_tiles * k.w_group;
    gpu::Pack<unsigned, 4> four;
    for (int v = 0; v < 4; ++v) {
      const int out = (slab % t.out_tiles * kRows + part) * 16 + lane / 4 + v % 2 * 8;
      const SumWord word = sum_word(k, t, stage, step * gpu::kMmaWords + lane % 4 + v / 2 * 4);
      const float* const from = group + out * k.w_out + (stage.tap_row + word.tap_row) * k.w_row +
                                (stage.tap_column + word.tap_column) * k.w_column;
      four[v] = gpu::word_of<kMath>([&](int value) {
        const int c = (stage.word + word.word) * kEach + value;
        return word.exists && out < k.outputs && c < k.channels ? from[c * k.w_in] : 0.0f;
      });
    }
    gpu::store_pack(to, i, four);
  }
}

/// Pixel n of a block.
struct Pixel {
  int image, row, column;
};
__device__ __forceinline__ Pixel pixel_of(const Tiling& t, int n) {
  const int plane = t.rows * t.columns, image = n / plane, at = n - image * plane, row = at / t.columns;
  return {image, row, at - row * t.columns};
}

template <Math kMath, int kRows>
__global__ void __launch_bounds__(32 * gpu::kMmaWarps)
    correlate_mma_kernel(Correlation k, Tiling t, const float* __restrict__ x,
                         const unsigned* __restrict__ weights, const float* __restrict__ bias,
                         float* __restrict__ y) {
  constexpr int kColumns = gpu::kMmaColumns<kRows>, kEach = gpu::kWordValues<kMath>;
  FOVEA_DYNAMIC_SHARED(unsigned, shared);
  unsigned* const fragments = shared;
  auto* const places = reinterpret_cast<gpu::MmaPlace*>(fragments + t.steps * kRows * gpu::kFragmentWords);
  unsigned* const piece =
      fragments + t.steps * (kRows * gpu::kFragmentWords + gpu::kMmaWords * gpu::kPlaceWords);
  // Neighbouring blocks are tiles and images of the same outputs.
  const unsigned slab = blockIdx.x / t.blocks, block = blockIdx.x - slab * t.blocks;
  const int tiles = t.across * t.down, tile = static_cast<int>(block % tiles);
  const std::int64_t first_image = std::int64_t{block / tiles} * t.images;
  const int top = tile / t.across * t.rows, left = tile % t.across * t.columns;
  const int channel_group = static_cast<int>(slab) / t.out_tiles;
  const int out = static_cast<int>(slab) % t.out_tiles * kRows * 16;  // in its group
  const int thread = static_cast<int>(threadIdx.x), threads = static_cast<int>(blockDim.x),
            lane = thread % 32;
  const int first_pixel = thread / 32 * kColumns * 8, pixels = t.images * t.rows * t.columns;
  const int row_step = k.stride_height / t.in_rows.step * t.pitch,
            column_step = k.stride_width / t.in_columns.step;
  const int tap_row_step = k.dilation_height / t.in_rows.step * t.pitch,
            tap_column_step = k.dilation_width / t.in_columns.step;
  x += first_image * k.image_stride + std::int64_t{channel_group} * k.channels * k.channel_stride;

  int at[kColumns];
  for (int j = 0; j < kColumns; ++j) {
    const int n = first_pixel + j * 8 + lane / 4;
    const Pixel p = pixel_of(t, n < pixels ? n : 0);
    at[j] = p.image * t.in_rows.extent * t.pitch + p.row * row_step + p.column * column_step;
  }
  float sums[kRows][kColumns][4] = {};
  for (int s = 0; s < t.stages; ++s) {
    const Stage stage = stage_of(t, s);
    __syncthreads();  // the last stage has been read
    const int packs = t.steps * kRows * 32;
    const unsigned* const from = weights + (std::int64_t{slab} * t.stages + s) * packs * 4;
    for (int i = thread; i < packs; i += threads)
      gpu::async_copy<16>(fragments + i * 4, from + std::int64_t{i} * 4);
    gpu::async_commit();
    for (int i = thread; i < t.steps * gpu::kMmaWords; i += threads) {
      const SumWord word = sum_word(k, t, stage, i);
      const int offset =
          word.word * t.word_pitch + word.tap_row * tap_row_step + word.tap_column * tap_column_step;
      places[i] = word.exists ? gpu::MmaPlace{offset, ~0u} : gpu::MmaPlace{0, 0};
    }
    const int in_top = top * k.stride_height + stage.tap_row * k.dilation_height - k.padding_top;
    const int in_left = left * k.stride_width + stage.tap_column * k.dilation_width - k.padding_left;
    const int plane = t.in_rows.extent * t.in_columns.extent;
    for (int i = thread; i < t.words * t.images * plane; i += threads) {
      const int in = i / plane, pixel = i - in * plane, word = in / t.images, image = in - word * t.images;
      const int row = pixel / t.in_columns.extent, column = pixel - row * t.in_columns.extent;
      const int in_row = in_top + row * t.in_rows.step, in_column = in_left + column * t.in_columns.step;
      const bool inside = in_row >= 0 && in_row < k.height && in_column >= 0 && in_column < k.width &&
                          first_image + image < t.batch;
      piece[word * t.word_pitch + (image * t.in_rows.extent + row) * t.pitch + column] =
          gpu::word_of<kMath>([&](int value) {
            const int c = (stage.word + word) * kEach + value;
            return inside && c < k.channels ? x[image * k.image_stride + c * k.channel_stride +
                                                static_cast<std::int64_t>(in_row) * k.width + in_column]
                                            : 0.0f;
          });
    }
    gpu::async_wait<0>();
    __syncthreads();
    gpu::multiply_stage<kMath, kRows>(t.steps, fragments, places, piece, at, sums);
  }

#pragma unroll  // or the sums would be indexed, and lie in local memory
  for (int j = 0; j < kColumns; ++j)
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const int n = first_pixel + j * 8 + lane % 4 * 2 + half;
      const Pixel p = pixel_of(t, n);
      if (n >= pixels || first_image + p.image >= t.batch || top + p.row >= k.out_height ||
          left + p.column >= k.out_width)
        continue;
      float* const to =
          y + (first_image + p.image) * k.y_image + (top + p.row) * k.y_row + (left + p.column) * k.y_column;
      for (int r = 0; r < kRows; ++r)
        for (int below = 0; below < 2; ++below) {
          const int o = out + r * 16 + below * 8 + lane / 4;
          if (o >= k.outputs) continue;
          const std::int64_t all_o = std::int64_t{channel_group} * k.outputs + o;
          to[all_o * k.y_channel] = (bias != nullptr ? bias[all_o] : 0.0f) + sums[r][j][below * 2 + half];
        }
    }
}

template <Math kMath, int kRows>
void correlate_as(gpu::Queue& queue, const char* name, const Correlation& k, std::int64_t batch,
                  const float* x, const float* w, const float* bias, float* y) {
  Tiling t = plan_tiling<kMath, kRows>(k, batch);
  const std::int64_t slabs = std::int64_t{k.groups} * t.out_tiles;
  const std::int64_t packs = slabs * t.stages * t.steps * kRows * 32;
  const Scratch<unsigned> weights(queue, packs * 4, name);
  launch(queue, name, pack_weights_kernel<kMath, kRows>, gpu::blocks_for(packs, kPackThreads), kPackThreads,
         0, packs, k, t, w, weights.data());
  const std::int64_t blocks = (batch + t.images - 1) / t.images * t.across * t.down;
  t.blocks = gpu::grid_blocks(blocks);
  const std::int64_t words =
      t.steps * std::int64_t{kRows * gpu::kFragmentWords + gpu::kMmaWords * gpu::kPlaceWords} +
      std::int64_t{t.words} * t.word_pitch;
  launch(queue, name, correlate_mma_kernel<kMath, kRows>, gpu::grid_blocks(blocks * slabs),
         static_cast<unsigned>(32 * t.warps), static_cast<std::size_t>(words) * sizeof(unsigned), k, t, x,
         weights.data(), bias, y);
}

template <Math kMath>
void correlate(gpu::Queue& queue, const char* name, const Correlation& k, std::int64_t batch, const float* x,
               const float* w, const float* bias, float* y) {
  if (k.outputs <= 16)
    correlate_as<kMath, 1>(queue, name, k, batch, x, w, bias, y);
  else if (k.outputs <= 32)
    correlate_as<kMath, 2>(queue, name, k, batch, x, w, bias, y);
  else
    correlate_as<kMath, 4>(queue, name, k, batch, x, w, bias, y);
}

}  // namespace

void gpu::correlate_mma(Queue& queue, const char* name, const Correlation& k, std::int64_t batch,
                        const float* x, const float* w, const float* bias, float* y) {
  if (batch == 0 || k.out_height <= 0 || k.out_width <= 0) return;
  if (queue.math() == Math::bf16)
    correlate<Math::bf16>(queue, name, k, batch, x, w, bias, y);
  else
    correlate<Math::tf32>(queue, name, k, batch, x, w, bias, y);
}

}  // namespace fovea

// SPDX-License-Identifier: Apache-2.0
#include "kernels/arena.h"
#include "kernels/cuda/conv2d_mma.cuh"

/// Weight gradient by tensor cores, in tf32 or bf16 (Note [Two offsets] in conv2d_mma.cuh). Rows of the product are
/// output channels, columns the taps of all input channels of a group, the summed index goes over the output pixels of
/// some images. x and dy are f32 in memory and rounded on their way into shared memory. A bf16 word is a pixel and its
/// right neighbour; a tap shifts such a pair by any number of pixels, so the piece of x holds the pair of each pixel,
/// every value twice. Each run of images writes its own sums, which are added in order.
///
/// A warp makes 16·kRows channels by 64 taps (32 for kRows = 4). 64→64 channels, 3x3 on 56x56, batch 64: 14.8 GFLOP,
/// 102 MB read three times (576 taps are 3 blocks), 92 us of an H100's memory but mostly from its cache, 37 us of its
/// mma.sync in tf32. A stage of 64 pixels stages 64x64 slopes and 30 channels of some 130 pixels, 8000 words at 50
/// instructions for 64·64·256 multiply-adds: 98 issue cycles of a multiprocessor's 128-lane width for each 8 mma steps,
/// so staging costs about what the sums do. Predicted: 25 % of the roof of mma.sync in tf32, 20 % in bf16.
/// Not yet run on a GPU.
namespace fovea {
namespace {

constexpr const char* kName = "conv2d_grad_weight";
constexpr std::int64_t kEnoughBlocks = 264;  // two for each multiprocessor of an H100

struct WeightGradient : gpu::ConvGeometry {
  std::int64_t batch;
};

/// A stage is `images` by `rows` by `columns` outputs and the inputs that they meet.
struct Tiling {
  int out_tiles, tap_tiles, taps;  // of a group; taps of a tile
  int warps;
  int channels;  // that the taps of a tile can lie in
  int images, rows, columns;
  int row_words;                  // of the columns
  int steps;                      // of 8 words
  gpu::Span in_rows, in_columns;  // inputs of a stage
  int pitch, channel_pitch;       // of a row, and of all pixels of a channel
  std::int64_t runs, run_images;
};

/// Shared memory of a stage, in words; sets what follows from the tile.
template <Math kMath, int kRows>
std::int64_t stage_words(const WeightGradient& k, Tiling& t) {
  const int kernel = k.kernel_height * k.kernel_width;
  t.taps = t.warps * 8 * gpu::kMmaColumns<kRows>;
  t.channels = gpu::smaller(k.channels, (t.taps + kernel - 2) / kernel + 1);
  t.row_words = gpu::ceil_div(t.columns, gpu::kWordValues<kMath>);
  t.in_rows = gpu::span_of(t.rows, k.kernel_height, k.stride_height, k.dilation_height);
  t.in_columns = gpu::span_of(t.columns, k.kernel_width, k.stride_width, k.dilation_width);
  t.pitch = t.in_columns.extent;
  t.steps = gpu::ceil_div(t.images * t.rows * t.row_words, gpu::kMmaWords);
  const std::int64_t plane = std::int64_t{t.images} * t.in_rows.extent * t.pitch;
  const std::int64_t all =
      t.steps * std::int64_t{kRows * gpu::kFragmentWords + gpu::kMmaWords * gpu::kPlaceWords} +
      t.channels * (plane + 31);
  // Neighbouring columns are neighbouring channels if a kernel has one tap: then 4 words k by 8 channels meet all banks.
  if (all <= gpu::kMmaStageWords)
    t.channel_pitch =
        kernel == 1 ? gpu::pitch_modulo_32(static_cast<int>(plane), 4) : static_cast<int>(plane);
  return all;
}

/// By shape alone; false if nothing fits.
template <Math kMath, int kRows>
bool plan_tiling(const WeightGradient& k, Tiling& t) {
  constexpr int kPixels = 64 * gpu::kWordValues<kMath>;  // of a stage: 8 steps
  const auto even = [](int all, int fitting) {           // parts of about equal size
    return gpu::ceil_div(all, gpu::ceil_div(all, fitting));
  };
  const int all_taps = k.channels * k.kernel_height * k.kernel_width;
  t.out_tiles = gpu::ceil_div(k.outputs, 16 * kRows);
  t.warps = gpu::smaller(gpu::kMmaWarps, gpu::ceil_div(all_taps, 8 * gpu::kMmaColumns<kRows>));
  t.columns = even(k.out_width, 64);
  t.rows = even(k.out_height, gpu::larger(1, kPixels / t.columns));
  t.images = 1;
  if (t.rows == k.out_height && t.columns == k.out_width)
    t.images = even(gpu::to_int(k.batch < kPixels ? k.batch : kPixels),
                    gpu::larger(1, kPixels / (t.rows * t.columns)));
  for (int* const extent : {&t.images, &t.rows, &t.columns, &t.warps})
    while (*extent > 1 && stage_words<kMath, kRows>(k, t) > gpu::kMmaStageWords)
      *extent = gpu::ceil_div(*extent, 2);
  if (stage_words<kMath, kRows>(k, t) > gpu::kMmaStageWords) return false;
  t.tap_tiles = gpu::ceil_div(all_taps, t.taps);
  const std::int64_t blocks = std::int64_t{k.groups} * t.out_tiles * t.tap_tiles;
  const std::int64_t wanted = (kEnoughBlocks + blocks - 1) / blocks,
                     loads = (k.batch + t.images - 1) / t.images;
  t.run_images = (loads + wanted - 1) / wanted * t.images;
  t.runs = (k.batch + t.run_images - 1) / t.run_images;
  return true;
}

/// Word `index` of the sum of a stage: columns within rows within images.
struct SumWord {
  int image, row, column;  // of the first of its pixels
};
__device__ __forceinline__ SumWord sum_word(const Tiling& t, int index) {
  const int rows = index / t.row_words, image = rows / t.rows;
  return {image, rows - image * t.rows, index - rows * t.row_words};
}

template <Math kMath, int kRows>
__global__ void __launch_bounds__(32 * gpu::kMmaWarps)
    grad_weight_mma_kernel(WeightGradient k, Tiling t, const float* __restrict__ x,
                           const float* __restrict__ dy, float* __restrict__ partial) {
  constexpr int kColumns = gpu::kMmaColumns<kRows>, kEach = gpu::kWordValues<kMath>;
  FOVEA_DYNAMIC_SHARED(unsigned, shared);
  unsigned* const fragments = shared;
  auto* const places = reinterpret_cast<gpu::MmaPlace*>(fragments + t.steps * kRows * gpu::kFragmentWords);
  unsigned* const piece =
      fragments + t.steps * (kRows * gpu::kFragmentWords + gpu::kMmaWords * gpu::kPlaceWords);
  // Neighbouring blocks read the same slopes.
  const int tile = static_cast<int>(blockIdx.x) % t.tap_tiles,
            slab = static_cast<int>(blockIdx.x) / t.tap_tiles;
  const int channel_group = slab / t.out_tiles, out = slab % t.out_tiles * kRows * 16;  // in its group
  const int kernel = k.kernel_height * k.kernel_width, all_taps = k.channels * kernel;
  const int first_tap = tile * t.taps, first_channel = first_tap / kernel;
  const int thread = static_cast<int>(threadIdx.x), threads = static_cast<int>(blockDim.x),
            lane = thread % 32;
  const int warp_tap = first_tap + thread / 32 * kColumns * 8;
  const int row_step = k.stride_height / t.in_rows.step * t.pitch,
            column_step = k.stride_width / t.in_columns.step;
  const std::int64_t out_plane = std::int64_t{k.out_height} * k.out_width;
  const std::int64_t all_outputs = std::int64_t{k.groups} * k.outputs;
  const std::int64_t first_out = std::int64_t{channel_group} * k.outputs + out;
  x += (std::int64_t{channel_group} * k.channels + first_channel) * k.channel_stride;
  dy += first_out * out_plane;

  int at[kColumns];
  for (int j = 0; j < kColumns; ++j) {
    const int n = warp_tap + j * 8 + lane / 4, tap = n < all_taps ? n : first_tap;
    const int channel = tap / kernel, place = tap - channel * kernel, row = place / k.kernel_width;
    at[j] = (channel - first_channel) * t.channel_pitch +
            row * (k.dilation_height / t.in_rows.step) * t.pitch +
            (place - row * k.kernel_width) * (k.dilation_width / t.in_columns.step);
  }
  float sums[kRows][kColumns][4] = {};
  const std::int64_t run = blockIdx.y, last = run * t.run_images + t.run_images,
                     end = last < k.batch ? last : k.batch;
  for (std::int64_t first = run * t.run_images; first < end; first += t.images)
    for (int top = 0; top < k.out_height; top += t.rows)
      for (int left = 0; left < k.out_width; left += t.columns) {
        const int images = end - first < t.images ? static_cast<int>(end - first) : t.images;
        const int rows = min(t.rows, k.out_height - top), columns = min(t.columns, k.out_width - left);
        __syncthreads();  // the last stage has been read
        for (int i = thread; i < t.steps * kRows * 32; i += threads) {
          const int from_lane = i % 32, part = i / 32 % kRows, step = i / (32 * kRows);
          gpu::Pack<unsigned, 4> four;
          for (int v = 0; v < 4; ++v) {
            const int o = part * 16 + from_lane / 4 + v % 2 * 8;
            const SumWord word = sum_word(t, step * gpu::kMmaWords + from_lane % 4 + v / 2 * 4);
            const bool inside = out + o < k.outputs && word.image < images && word.row < rows;
            const float* const from = dy + (first + word.image) * all_outputs * out_plane + o * out_plane +
                                      static_cast<std::int64_t>(top + word.row) * k.out_width + left;
            four[v] = gpu::word_of<kMath>([&](int value) {
              const int column = word.column * kEach + value;
              return inside && column < columns ? from[column] : 0.0f;
            });
          }
          gpu::store_pack(fragments, i, four);
        }
        for (int i = thread; i < t.steps * gpu::kMmaWords; i += threads) {
          const SumWord word = sum_word(t, i);
          const int column = word.column * kEach, there = columns - column;  // pixels of the word that exist
          const int offset =
              word.image * t.in_rows.extent * t.pitch + word.row * row_step + column * column_step;
          const bool exists = word.image < images && word.row < rows && there > 0;
          places[i] = exists ? gpu::MmaPlace{offset, there < kEach ? 0xffffu : ~0u} : gpu::MmaPlace{0, 0};
        }
        const int in_top = top * k.stride_height - k.padding_top,
                  in_left = left * k.stride_width - k.padding_left;
        const int plane = t.in_rows.extent * t.in_columns.extent;
        for (int i = thread; i < t.channels * t.images * plane; i += threads) {
          const int in = i / plane, pixel = i - in * plane, channel = in / t.images,
                    image = in - channel * t.images;
          const int row = pixel / t.in_columns.extent, column = pixel - row * t.in_columns.extent;
          const int in_row = in_top + row * t.in_rows.step;
          const bool inside =
              in_row >= 0 && in_row < k.height && image < images && first_channel + channel < k.channels;
          const float* const from = x + (first + image) * k.image_stride + channel * k.channel_stride +
                                    static_cast<std::int64_t>(in_row) * k.width;
          piece[channel * t.channel_pitch + (image * t.in_rows.extent + row) * t.pitch + column] =
              gpu::word_of<kMath>([&](int value) {
                const int in_column = in_left + column * t.in_columns.step + value * k.stride_width;
                return inside && in_column >= 0 && in_column < k.width ? from[in_column] : 0.0f;
              });
        }
        __syncthreads();
        gpu::multiply_stage<kMath, kRows>(t.steps, fragments, places, piece, at, sums);
      }

  for (int r = 0; r < kRows; ++r)
    for (int v = 0; v < 4; ++v) {
      const int o = r * 16 + v / 2 * 8 + lane / 4;
      if (out + o >= k.outputs) continue;
      float* const to = partial + (run * all_outputs + first_out + o) * all_taps;
      for (int j = 0; j < kColumns; ++j) {
        const int tap = warp_tap + j * 8 + lane % 4 * 2 + v % 2;
        if (tap < all_taps) to[tap] = sums[r][j][v];
      }
    }
}

template <Math kMath, int kRows>
bool grad_weight(gpu::Queue& queue, const WeightGradient& k, std::int64_t count, const float* x,
                 const float* dy, float* dw) {
  Tiling t{};
  if (!plan_tiling<kMath, kRows>(k, t)) return false;
  const Scratch<float> partial(queue, t.runs > 1 ? t.runs * count : 0, kName);
  float* const sums = t.runs > 1 ? partial.data() : dw;
  const dim3 grid(gpu::grid_blocks(std::int64_t{k.groups} * t.out_tiles * t.tap_tiles),
                  static_cast<unsigned>(t.runs));
  const std::int64_t words =
      t.steps * std::int64_t{kRows * gpu::kFragmentWords + gpu::kMmaWords * gpu::kPlaceWords} +
      std::int64_t{t.channels} * t.channel_pitch;
  launch(queue, kName, grad_weight_mma_kernel<kMath, kRows>, grid, static_cast<unsigned>(32 * t.warps),
         static_cast<std::size_t>(words) * sizeof(unsigned), k, t, x, dy, sums);
  if (t.runs > 1) gpu::add_runs(queue, count, t.runs, sums, dw);
  return true;
}

template <Math kMath>
bool grad_weight(gpu::Queue& queue, const WeightGradient& k, std::int64_t count, const float* x,
                 const float* dy, float* dw) {
  if (k.outputs <= 16) return grad_weight<kMath, 1>(queue, k, count, x, dy, dw);
  if (k.outputs <= 32) return grad_weight<kMath, 2>(queue, k, count, x, dy, dw);
  return grad_weight<kMath, 4>(queue, k, count, x, dy, dw);
}

}  // namespace

bool gpu::grad_weight_mma(Queue& queue, const Conv2d& shape, const float* x, const float* dy, float* dw) {
  const WeightGradient k{conv_geometry(shape), shape.batch};
  if (queue.math() == Math::bf16) return grad_weight<Math::bf16>(queue, k, shape.weight_count(), x, dy, dw);
  return grad_weight<Math::tf32>(queue, k, shape.weight_count(), x, dy, dw);
}

}  // namespace fovea

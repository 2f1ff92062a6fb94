// SPDX-License-Identifier: Apache-2.0
#include "kernels/ops/conv_terms.h"

#include "kernels/cell_math.h"
#include "kernels/cuda/block.cuh"
#include "kernels/cuda/conv2d_tile.cuh"
#include "kernels/cuda/strided.cuh"

/// All slabs of a step in one launch. A block owns a tile of pixels, of several images where planes are
/// small, for kOut channels of one slab (one channel if depthwise) and walks over all terms of that slab with
/// its sums in registers (Note [Sliding rows]); channels come through shared memory in stages. So nothing is
/// written between terms, and maps of 7x7 still fill the lanes: 9 images of 14 threads instead of one.
///
/// LSTM, 64 + 64→4·64 channels, 3x3 on 28x28: 0.46 GFLOP an image; x and h are read by 32 blocks each (the
/// cache serves all but the first) and the slabs written once: 1.2 MB, bound by arithmetic. Predicted: 60 %
/// of the fp32 roof where the plane gives whole warps, as conv2d. Depthwise 7x7: 98 FLOP for 8 bytes and 2
/// shared loads for every 4 multiply-adds: bound by the loads from shared memory, at some 40 % of the fp32
/// roof.
namespace fovea {
namespace {

using gpu::kSlide;
constexpr int kOut = gpu::kManyOut;
constexpr int kMaxThreads = 256, kWantedThreads = 128, kEnoughBlocks = 264;
constexpr int kRunTerms = 256;  // of a chain of sums: Note [Short runs] in kernels/cpu/conv2d_tile.h

/// Outputs of a block: kSlide·groups rows by `columns` of `images` images. A stage of term k is channels[k]
/// planes and taps[k] kernel rows; their pieces have rows of pitch[k].
struct Tiling {
  int columns, groups, across, down, images;
  unsigned blocks;  // for each kWide channels
  int channels[ConvTerms::kMaxTerms], taps[ConvTerms::kMaxTerms], pitch[ConvTerms::kMaxTerms];
};

/// What one thread computes: kSlide pixels below each other, for `kWide` channels from `out` on.
struct Pixels {
  std::int64_t at;  // of the first, in channel `out` of y
  int rows, outs;   // that exist
};

/// Adds a chain of sums to y, which holds what came before it, and empties it. Sums are in registers, so all
/// loops over them are unrolled.
template <int kWide>
__device__ __forceinline__ void add_run(const ConvTerms& plan, const ConvSlab& slab, const Pixels& here,
                                        int out, bool first, float (&sums)[kSlide][kWide]) {
  const std::int64_t plane = std::int64_t{plan.height} * plan.width;
  const float* const before = first ? slab.start : slab.y;
#pragma unroll
  for (int o = 0; o < kWide; ++o) {
    const float bias = first && slab.bias != nullptr && o < here.outs ? slab.bias[out + o] : 0.0f;
#pragma unroll
    for (int j = 0; j < kSlide; ++j) {
      const std::int64_t at = here.at + o * plane + std::int64_t{j} * plan.width;
      if (o < here.outs && j < here.rows)
        slab.y[at] = (before != nullptr ? before[at] + bias : bias) + sums[j][o];
      sums[j][o] = 0.0f;
    }
  }
}

/// f(y + shift)·times over what this thread has written, if a slab asks for it.
template <int kWide>
__device__ __forceinline__ void finish(const ConvTerms& plan, const ConvSlab& slab, const Pixels& here) {
  if (slab.f == Function::identity && slab.times == nullptr && slab.shift == 0.0f) return;
  for (int o = 0; o < min(kWide, here.outs); ++o)
    for (int j = 0; j < min(kSlide, here.rows); ++j) {
      const std::int64_t at = here.at + (std::int64_t{o} * plan.height + j) * plan.width;
      const float value = cell_value(slab.f, slab.y[at] + slab.shift);
      slab.y[at] = slab.times != nullptr ? value * slab.times[at] : value;
    }
}

template <bool kDepthwise>
__global__ void __launch_bounds__(kMaxThreads, 2) conv_terms_kernel(ConvTerms plan, Tiling t) {
  constexpr int kWide = kDepthwise ? 1 : kOut;
  FOVEA_DYNAMIC_SHARED(float, shared);
  // Blocks of the same images and pixels stand t.blocks apart and belong to the slabs in turn.
  const unsigned slab_block = blockIdx.x / t.blocks, block = blockIdx.x - slab_block * t.blocks;
  int s = 0, out = static_cast<int>(slab_block) * kWide;
  for (; out >= plan.slab[s].channels; ++s) out -= (plan.slab[s].channels + kWide - 1) / kWide * kWide;
  const ConvSlab& slab = plan.slab[s];

  const int tiles = t.across * t.down, tile = static_cast<int>(block % tiles);
  const int top = tile / t.across * t.groups * kSlide, left = tile % t.across * t.columns;
  const std::int64_t first_image = std::int64_t{block / tiles} * t.images;
  const std::int64_t rest = plan.batch - first_image;
  const int images = rest < t.images ? static_cast<int>(rest) : t.images;
  const int per_image = t.groups * t.columns, mine = static_cast<int>(threadIdx.x) / per_image;
  const int place = static_cast<int>(threadIdx.x) - mine * per_image;
  const int group = place / t.columns, column = place - group * t.columns;
  const int row = top + group * kSlide;
  const bool active = mine < images && left + column < plan.width && row < plan.height;
  const Pixels here{
      (((first_image + mine) * slab.channels + out) * plan.height + row) * plan.width + left + column,
      plan.height - row, slab.channels - out};

  float sums[kSlide][kWide] = {};
  int chain = 0;
  bool first = true;
  for (int k = slab.first_term; k < slab.first_term + slab.terms; ++k) {
    const ConvTerm& term = plan.term[k];
    const int all = kDepthwise ? 1 : term.channels, width = t.columns + term.kernel_width - 1,
              pitch = t.pitch[k];
    const int rows = kSlide * t.groups + t.taps[k] - 1, step = term.kernel_width * kWide;
    // Not kept over the loops, where registers are scarce.
    const auto pieces = [&] { return shared + t.channels[k] * t.taps[k] * step; };
    const std::int64_t plane = std::int64_t{plan.height} * plan.width;
    for (int c_begin = 0; c_begin < all; c_begin += t.channels[k])
      for (int r_begin = 0; r_begin < term.kernel_height; r_begin += t.taps[k]) {
        const int channels = min(t.channels[k], all - c_begin),
                  taps = min(t.taps[k], term.kernel_height - r_begin);
        __syncthreads();  // the last stage has been read
        for (int n = 0; n < images; ++n) {
          const std::int64_t from = (first_image + n) * term.channels + (kDepthwise ? out : c_begin);
          gpu::stage_planes({term.x + from * plane, plane, plan.height, plan.width}, channels,
                            top + r_begin - term.top, left - term.left, rows, width, 1, 1, pitch,
                            pieces() + n * channels * rows * pitch);
        }
        gpu::stage_taps<kWide>({term.w + out * term.w_out + c_begin * term.w_in + r_begin * term.w_row,
                                term.w_out, term.w_in, term.w_row, term.w_column},
                               here.outs, channels, taps, term.kernel_width, shared);
        __syncthreads();
        if (!active) continue;
        for (int c = 0; c < channels; ++c)
          for (int q = 0; q < term.kernel_width; ++q)
            gpu::slide(taps, pieces() + ((mine * channels + c) * rows + group * kSlide) * pitch + column + q,
                       pitch, shared + c * taps * step + q * kWide, step, sums);
        chain += channels * taps * term.kernel_width;
        if (chain < kRunTerms) continue;
        add_run(plan, slab, here, out, first, sums);
        chain = 0;
        first = false;
      }
  }
  if (active && (chain > 0 || first)) add_run(plan, slab, here, out, first, sums);
  if (active) finish<kWide>(plan, slab, here);
}

/// By shape alone.
Tiling plan_tiling(const ConvTerms& plan) {
  Tiling t{};
  t.across = gpu::ceil_div(plan.width, 64);
  t.columns = gpu::ceil_div(plan.width, t.across);
  const int all = gpu::ceil_div(plan.height, kSlide);
  t.down = gpu::ceil_div(all * t.columns, kWantedThreads);
  t.groups = gpu::ceil_div(all, t.down);
  t.down = gpu::ceil_div(all, t.groups);
  const int wide = plan.depthwise ? 1 : kOut;
  std::int64_t columns_of_blocks = 0;
  for (int i = 0; i < plan.slabs; ++i) columns_of_blocks += gpu::ceil_div(plan.slab[i].channels, wide);
  const int fit = gpu::larger(1, kWantedThreads / (t.groups * t.columns));
  t.images = t.across * t.down > 1 ? 1 : plan.batch < fit ? static_cast<int>(plan.batch) : fit;
  while (t.images > 1 && (plan.batch + t.images - 1) / t.images * columns_of_blocks < kEnoughBlocks)
    t.images = gpu::ceil_div(t.images, 2);
  // The pieces of a wide kernel's rows have to fit into shared memory for every image.
  int widest = 1;
  for (int i = 0; i < plan.slabs; ++i)
    for (int k = plan.slab[i].first_term; k < plan.slab[i].first_term + plan.slab[i].terms; ++k)
      widest = gpu::larger(widest, plan.term[k].kernel_width);
  while (t.images > 1 &&
         t.images * kSlide * t.groups * (t.columns + widest + 7) + widest * wide > gpu::kSharedFloats)
    t.images = gpu::ceil_div(t.images, 2);
  return t;
}

/// The stages of term k; returns the floats that it needs in shared memory.
int plan_stages(const ConvTerms& plan, int k, Tiling& t) {
  const ConvTerm& term = plan.term[k];
  const int wide = plan.depthwise ? 1 : kOut, most = plan.depthwise ? 1 : term.channels;
  t.pitch[k] = gpu::conflict_free_pitch(t.columns + term.kernel_width - 1, t.columns);
  const auto floats = [&](int channels, int taps) {
    return channels *
           (taps * term.kernel_width * wide + t.images * (kSlide * t.groups + taps - 1) * t.pitch[k]);
  };
  t.channels[k] = 1;
  t.taps[k] = term.kernel_height;
  while (t.taps[k] > 1 && floats(1, t.taps[k]) > gpu::kSharedFloats) t.taps[k] = gpu::ceil_div(t.taps[k], 2);
  while (t.channels[k] < most && floats(t.channels[k] + 1, t.taps[k]) <= gpu::kSharedFloats) ++t.channels[k];
  return floats(t.channels[k], t.taps[k]);
}

constexpr int kGradThreads = 128;

/// One block for each weight: Σ over all pixels that its tap meets, each thread every kGradThreads-th of
/// them.
__global__ void __launch_bounds__(kGradThreads)
    depthwise_grad_weight_kernel(std::int64_t batch, int height, int width, ConvTerm term,
                                 const float* __restrict__ dy, float* __restrict__ dw) {
  FOVEA_SHARED(double, scratch, [kGradThreads / 32]);
  const int taps = term.kernel_height * term.kernel_width;
  const int c = static_cast<int>(blockIdx.x) / taps, tap = static_cast<int>(blockIdx.x) - c * taps;
  const int down = tap / term.kernel_width - term.top, across = tap % term.kernel_width - term.left;
  const std::int64_t plane = std::int64_t{height} * width;
  double total = 0.0;
  float run = 0.0f;
  int terms = 0;
  for (const std::int64_t i : gpu::block_stride(batch * plane)) {
    const gpu::Division image = gpu::divide(i, plane);
    const gpu::Division pixel = gpu::divide(image.remainder, width);
    const std::int64_t row = pixel.quotient, column = pixel.remainder;
    if (row + down < 0 || row + down >= height || column + across < 0 || column + across >= width) continue;
    const std::int64_t from = (image.quotient * term.channels + c) * plane + image.remainder;
    run = fmaf(term.x[from + std::int64_t{down} * width + across], dy[from], run);
    if (++terms % 64 == 0) {
      total += static_cast<double>(run);
      run = 0.0f;
    }
  }
  total = gpu::block_reduce<kGradThreads>(total + static_cast<double>(run), gpu::Add{}, scratch);
  if (threadIdx.x == 0) dw[blockIdx.x] = static_cast<float>(total);
}

}  // namespace

void kernels::conv_terms(gpu::Queue& queue, const ConvTerms& plan) {
  if (plan.batch == 0 || plan.height == 0 || plan.width == 0) return;
  Tiling t = plan_tiling(plan);
  int floats = 0, columns_of_blocks = 0;
  for (int i = 0; i < plan.slabs; ++i) {
    const ConvSlab& slab = plan.slab[i];
    columns_of_blocks += gpu::ceil_div(slab.channels, plan.depthwise ? 1 : kOut);
    for (int k = slab.first_term; k < slab.first_term + slab.terms; ++k)
      floats = gpu::larger(floats, plan_stages(plan, k, t));
  }
  if (columns_of_blocks == 0) return;
  const std::int64_t blocks = (plan.batch + t.images - 1) / t.images * t.across * t.down;
  t.blocks = gpu::grid_blocks(blocks);
  const unsigned grid = gpu::grid_blocks(blocks * columns_of_blocks);
  const auto threads = static_cast<unsigned>(gpu::ceil_div(t.images * t.groups * t.columns, 32) * 32);
  launch(queue, plan.depthwise ? "conv_terms_depthwise" : "conv_terms",
         plan.depthwise ? conv_terms_kernel<true> : conv_terms_kernel<false>, grid, threads,
         static_cast<std::size_t>(floats) * sizeof(float), plan, t);
}

void kernels::depthwise_grad_weight(gpu::Queue& queue, std::int64_t batch, int height, int width,
                                    const ConvTerm& term, const float* dy, float* dw) {
  const std::int64_t weights = std::int64_t{term.channels} * term.kernel_height * term.kernel_width;
  if (weights == 0) return;
  launch(queue, "depthwise_grad_weight", depthwise_grad_weight_kernel, gpu::grid_blocks(weights),
         kGradThreads, 0, batch, height, width, term, dy, dw);
}

}  // namespace fovea

// SPDX-License-Identifier: Apache-2.0
#include "kernels/ops/batch_norm.h"

#include "kernels/arena.h"
#include "kernels/cuda/access.cuh"
#include "kernels/cuda/batch_norm_parts.cuh"
#include "kernels/cuda/block.cuh"

/// Two layouts. Per unit (inner = 1) a block owns 32 neighbouring columns and does everything in one launch:
/// its warps take the rows in turn, meet in shared memory, and write. Per channel (inner > 1) a channel is
/// cut into slices; a first launch sums slices, a second combines them (each block for itself, all in the
/// same order) and writes.
///
/// Bytes moved, N·C·S elements of 4 bytes: forward reads x twice and writes y, backward reads x and dy twice
/// and writes dx. A step that fits the L2 cache (50 MB on an H100) reads memory once: 8 and 12 bytes per
/// element. Expected share of the H100's 3.0 TB/s: 0.8 for large batches; a batch of 32 × 10368 (1.3 MB) ends
/// within a launch's few microseconds and stays in cache.
namespace fovea::kernels {
namespace {

using std::int64_t;

constexpr int kUnits = 32;           // columns of a block, per unit: 128 bytes of each row
constexpr int kRowWarps = 16;        // warps of a block, per unit
constexpr int kThreads = 256;        // of a block, per channel
constexpr int64_t kSlice = 16384;    // values of a channel that one block sums, as long as
constexpr int64_t kMaxSlices = 512;  // slices of a channel are at most these

// ---- per unit: x[batch, channels] -------------------------------------------------------------------------

__global__ void __launch_bounds__(kUnits* kRowWarps)
    batch_norm_train_units(BatchNorm s, Statistics to, const float* __restrict__ x,
                           const float* __restrict__ gamma, const float* __restrict__ beta,
                           float* __restrict__ y) {
  FOVEA_SHARED(gpu::Moments, parts, [kRowWarps][kUnits]);
  const int lane = static_cast<int>(threadIdx.x), warp = static_cast<int>(threadIdx.y);
  const int64_t c = int64_t{blockIdx.x} * kUnits + lane;
  const bool inside = c < s.channels;
  const float origin = inside ? x[c] : 0.0f;
  gpu::Moments mine{0.0f, 0.0f, 0.0f};
  if (inside) {
    for (int64_t first = warp; first < s.batch; first += kRowWarps * kRun) {
      const int64_t left = (s.batch - first + kRowWarps - 1) / kRowWarps;
      const int count = left < kRun ? static_cast<int>(left) : kRun;
      const float* column = x + first * s.channels + c;
      Run run(*column);
      for (int k = 1; k < count; ++k) run.include(column[k * kRowWarps * s.channels]);
      mine = gpu::Merge{}(mine, run.moments(origin));
    }
  }
  parts[warp][lane] = mine;
  __syncthreads();
  if (!inside) return;  // no barrier follows
  gpu::Moments total = parts[0][lane];
  for (int w = 1; w < kRowWarps; ++w) total = gpu::Merge{}(total, parts[w][lane]);
  const Affine normalize = affine_of(to, total, origin, gamma, beta, c, warp == 0);
  for (int64_t r = warp; r < s.batch; r += kRowWarps)
    y[r * s.channels + c] = normalize(x[r * s.channels + c]);
}

__global__ void __launch_bounds__(kUnits* kRowWarps)
    batch_norm_grad_units(BatchNorm s, Parameters p, Gradients g, const float* __restrict__ x,
                          const float* __restrict__ dy) {
  FOVEA_SHARED(gpu::Pair, parts, [kRowWarps][kUnits]);
  const int lane = static_cast<int>(threadIdx.x), warp = static_cast<int>(threadIdx.y);
  const int64_t c = int64_t{blockIdx.x} * kUnits + lane;
  const bool inside = c < s.channels;
  gpu::Pair mine{0.0f, 0.0f};
  if (inside && g.needs_sums()) {
    const float mean = p.mean[c];
    for (int64_t r = warp; r < s.batch; r += kRowWarps) {
      const float d = dy[r * s.channels + c];
      mine.first += d;
      mine.second = fmaf(d, x[r * s.channels + c] - mean, mine.second);
    }
  }
  parts[warp][lane] = mine;
  __syncthreads();
  if (!inside) return;  // no barrier follows
  gpu::Pair total = parts[0][lane];
  for (int w = 1; w < kRowWarps; ++w) total = gpu::AddPair{}(total, parts[w][lane]);
  const Slope slope = slope_of(p, g, total, static_cast<float>(s.batch), c, warp == 0);
  if (g.dx == nullptr) return;
  for (int64_t r = warp; r < s.batch; r += kRowWarps) {
    const int64_t i = r * s.channels + c;
    g.dx[i] = g.statistics_depend_on_x ? slope(dy[i], x[i]) : dy[i] * slope.scale;
  }
}

/// Each thread keeps one column's parameters and walks down it, gridDim.y blocks at a time.
__global__ void __launch_bounds__(kThreads)
    batch_norm_inference_units(BatchNorm s, Parameters p, const float* __restrict__ x,
                               float* __restrict__ y) {
  const int64_t c = int64_t{blockIdx.x} * kThreads + threadIdx.x;
  if (c >= s.channels) return;
  const Affine normalize = affine_of(p, c);
  for (int64_t r = blockIdx.y; r < s.batch; r += gridDim.y)
    y[r * s.channels + c] = normalize(x[r * s.channels + c]);
}

// ---- per channel: x[batch, channels, inner] ---------------------------------------------------------------

/// The packs of one slice of a channel that this thread visits: kThreads apart, over all planes of the
/// channel as if they followed each other. Positions move by addition; only the start divides, and
/// multiplies for the remainders: a 64-bit division is a call that needs many registers.
template <int N>
class SliceWalk {
 public:
  __device__ SliceWalk(const BatchNorm& s, int64_t slices)
      : channel(int64_t{blockIdx.x} / slices),
        slice(int64_t{blockIdx.x} - channel * slices),
        plane_(s.inner / N),
        channels_(s.channels),
        image_step_(kThreads / plane_),
        step_(kThreads - image_step_ * plane_) {
    const int64_t packs = s.batch * plane_, share = (packs + slices - 1) / slices;
    at_ = slice * share + threadIdx.x;
    end_ = (slice + 1) * share < packs ? (slice + 1) * share : packs;
    image_ = at_ / plane_;
    place_ = at_ - image_ * plane_;
  }
  __device__ bool inside() const { return at_ < end_; }
  /// Number of the pack in the whole tensor.
  __device__ int64_t pack() const { return (image_ * channels_ + channel) * plane_ + place_; }
  __device__ void advance() {
    at_ += kThreads;
    image_ += image_step_;
    place_ += step_;
    if (place_ >= plane_) {
      place_ -= plane_;
      ++image_;
    }
  }
  int64_t channel, slice;

 private:
  int64_t plane_, channels_, image_step_, step_, at_, end_, image_, place_;
};

template <int N>
__global__ void __launch_bounds__(kThreads)
    batch_norm_moments_slices(BatchNorm s, int64_t slices, const float* __restrict__ x,
                              gpu::Moments* __restrict__ parts) {
  FOVEA_SHARED(gpu::Moments, scratch, [kThreads / 32]);
  SliceWalk<N> walk(s, slices);
  const float origin = x[walk.channel * s.inner];
  gpu::Moments mine{0.0f, 0.0f, 0.0f};
  while (walk.inside()) {
    gpu::Pack<float, N> values = gpu::load_pack<N>(x, walk.pack());
    Run run(values[0]);
    for (int k = 1; k < N; ++k) run.include(values[k]);
    walk.advance();
    for (int i = 1; i < kRun / N && walk.inside(); ++i, walk.advance()) {
      values = gpu::load_pack<N>(x, walk.pack());
      for (int k = 0; k < N; ++k) run.include(values[k]);
    }
    mine = gpu::Merge{}(mine, run.moments(origin));
  }
  mine = gpu::block_reduce<kThreads>(mine, gpu::Merge{}, scratch);
  if (threadIdx.x == 0) parts[blockIdx.x] = mine;
}

template <int N>
__global__ void __launch_bounds__(kThreads)
    batch_norm_train_slices(BatchNorm s, int64_t slices, Statistics to,
                            const gpu::Moments* __restrict__ parts, const float* __restrict__ x,
                            const float* __restrict__ gamma, const float* __restrict__ beta,
                            float* __restrict__ y) {
  FOVEA_SHARED(gpu::Moments, scratch, [kThreads / 32]);
  SliceWalk<N> walk(s, slices);
  gpu::Moments total{0.0f, 0.0f, 0.0f};
  for (const int64_t i : gpu::block_stride(slices))
    total = gpu::Merge{}(total, parts[walk.channel * slices + i]);
  total = gpu::block_reduce<kThreads>(total, gpu::Merge{}, scratch);
  const float origin = x[walk.channel * s.inner];
  const Affine normalize =
      affine_of(to, total, origin, gamma, beta, walk.channel, walk.slice == 0 && threadIdx.x == 0);
  for (; walk.inside(); walk.advance()) {
    gpu::Pack<float, N> values = gpu::load_pack<N>(x, walk.pack());
    for (int k = 0; k < N; ++k) values[k] = normalize(values[k]);
    gpu::store_pack<N>(y, walk.pack(), values);
  }
}

template <int N>
__global__ void __launch_bounds__(kThreads)
    batch_norm_inference_slices(BatchNorm s, int64_t slices, Parameters p, const float* __restrict__ x,
                                float* __restrict__ y) {
  SliceWalk<N> walk(s, slices);
  const Affine normalize = affine_of(p, walk.channel);
  for (; walk.inside(); walk.advance()) {
    gpu::Pack<float, N> values = gpu::load_pack<N>(x, walk.pack());
    for (int k = 0; k < N; ++k) values[k] = normalize(values[k]);
    gpu::store_pack<N>(y, walk.pack(), values);
  }
}

template <int N>
__global__ void __launch_bounds__(kThreads)
    batch_norm_slope_sums_slices(BatchNorm s, int64_t slices, const float* __restrict__ means,
                                 const float* __restrict__ x, const float* __restrict__ dy,
                                 gpu::Pair* __restrict__ parts) {
  FOVEA_SHARED(gpu::Pair, scratch, [kThreads / 32]);
  SliceWalk<N> walk(s, slices);
  const float mean = means[walk.channel];
  gpu::Pair mine{0.0f, 0.0f};
  for (; walk.inside(); walk.advance()) {
    const gpu::Pack<float, N> values = gpu::load_pack<N>(x, walk.pack());
    const gpu::Pack<float, N> slopes = gpu::load_pack<N>(dy, walk.pack());
    for (int k = 0; k < N; ++k) {
      mine.first += slopes[k];
      mine.second = fmaf(slopes[k], values[k] - mean, mine.second);
    }
  }
  mine = gpu::block_reduce<kThreads>(mine, gpu::AddPair{}, scratch);
  if (threadIdx.x == 0) parts[blockIdx.x] = mine;
}

/// `parts` is null if no sums are needed. Without dx a launch of one slice is enough.
template <int N>
__global__ void __launch_bounds__(kThreads)
    batch_norm_grad_slices(BatchNorm s, int64_t slices, int64_t part_slices, Parameters p, Gradients g,
                           const gpu::Pair* __restrict__ parts, const float* __restrict__ x,
                           const float* __restrict__ dy) {
  FOVEA_SHARED(gpu::Pair, scratch, [kThreads / 32]);
  SliceWalk<N> walk(s, slices);
  gpu::Pair total{0.0f, 0.0f};
  if (parts != nullptr)
    for (const int64_t i : gpu::block_stride(part_slices))
      total = gpu::AddPair{}(total, parts[walk.channel * part_slices + i]);
  total = gpu::block_reduce<kThreads>(total, gpu::AddPair{}, scratch);
  const Slope slope = slope_of(p, g, total, static_cast<float>(s.batch * s.inner), walk.channel,
                               walk.slice == 0 && threadIdx.x == 0);
  if (g.dx == nullptr) return;
  for (; walk.inside(); walk.advance()) {
    gpu::Pack<float, N> slopes = gpu::load_pack<N>(dy, walk.pack());
    if (g.statistics_depend_on_x) {
      const gpu::Pack<float, N> values = gpu::load_pack<N>(x, walk.pack());
      for (int k = 0; k < N; ++k) slopes[k] = slope(slopes[k], values[k]);
    } else {
      for (int k = 0; k < N; ++k) slopes[k] *= slope.scale;
    }
    gpu::store_pack<N>(g.dx, walk.pack(), slopes);
  }
}

__global__ void batch_norm_zero(int64_t channels, float* dgamma, float* dbeta) {
  for (const int64_t c : gpu::grid_stride(channels)) {
    if (dgamma != nullptr) dgamma[c] = 0.0f;
    if (dbeta != nullptr) dbeta[c] = 0.0f;
  }
}

// ---- launchers --------------------------------------------------------------------------------------------

int64_t slices_of(const BatchNorm& s) {
  const int64_t slices = (s.batch * s.inner + kSlice - 1) / kSlice;
  return slices < kMaxSlices ? slices : kMaxSlices;
}
dim3 unit_blocks(const BatchNorm& s) {
  return dim3(static_cast<unsigned>((s.channels + kUnits - 1) / kUnits));
}
dim3 slice_blocks(const BatchNorm& s, int64_t slices) {
  return dim3(static_cast<unsigned>(s.channels * slices));
}

void gradient(gpu::Queue& q, const BatchNorm& s, const Parameters& p, const Gradients& g, const float* x,
              const float* dy) {
  if (s.channels == 0) return;
  if (s.count() == 0)
    return launch(q, "batch_norm_zero", batch_norm_zero, gpu::blocks_for(s.channels, kThreads), kThreads, 0,
                  s.channels, g.dgamma, g.dbeta);
  if (s.inner == 1)
    return launch(q, "batch_norm_grad_units", batch_norm_grad_units, unit_blocks(s), dim3(kUnits, kRowWarps),
                  0, s, p, g, x, dy);
  const bool packs = gpu::can_pack<4>(s.inner, x, dy) && (g.dx == nullptr || gpu::can_pack<4>(s.inner, g.dx));
  const int64_t slices = slices_of(s);
  Scratch<gpu::Pair> parts(q, s.channels * slices, "batch_norm");
  if (g.needs_sums())
    launch(q, "batch_norm_slope_sums_slices",
           packs ? batch_norm_slope_sums_slices<4> : batch_norm_slope_sums_slices<1>, slice_blocks(s, slices),
           kThreads, 0, s, slices, p.mean, x, dy, parts.data());
  const int64_t writers = g.dx != nullptr ? slices : 1;
  launch(q, "batch_norm_grad_slices", packs ? batch_norm_grad_slices<4> : batch_norm_grad_slices<1>,
         slice_blocks(s, writers), kThreads, 0, s, writers, slices, p, g,
         g.needs_sums() ? parts.data() : nullptr, x, dy);
}

}  // namespace

void batch_norm_train(gpu::Queue& q, const BatchNorm& s, float eps, float momentum, const float* x,
                      const float* gamma, const float* beta, float* running_mean, float* running_var,
                      float* y, float* mean, float* inv_sd) {
  if (s.count() == 0) return;
  const Statistics to{eps, momentum, running_mean, running_var, mean, inv_sd};
  if (s.inner == 1)
    return launch(q, "batch_norm_train_units", batch_norm_train_units, unit_blocks(s),
                  dim3(kUnits, kRowWarps), 0, s, to, x, gamma, beta, y);
  const bool packs = gpu::can_pack<4>(s.inner, x, y);
  const int64_t slices = slices_of(s);
  Scratch<gpu::Moments> parts(q, s.channels * slices, "batch_norm");
  launch(q, "batch_norm_moments_slices", packs ? batch_norm_moments_slices<4> : batch_norm_moments_slices<1>,
         slice_blocks(s, slices), kThreads, 0, s, slices, x, parts.data());
  launch(q, "batch_norm_train_slices", packs ? batch_norm_train_slices<4> : batch_norm_train_slices<1>,
         slice_blocks(s, slices), kThreads, 0, s, slices, to, parts.data(), x, gamma, beta, y);
}

void batch_norm_inference(gpu::Queue& q, const BatchNorm& s, float eps, const float* x, const float* gamma,
                          const float* beta, const float* running_mean, const float* running_var, float* y) {
  if (s.count() == 0) return;
  const Parameters p{gamma, beta, running_mean, nullptr, running_var, eps};
  if (s.inner == 1) {
    constexpr int64_t kRowBlocks = 1024;
    const int64_t rows = (s.batch + 7) / 8 < kRowBlocks ? (s.batch + 7) / 8 : kRowBlocks;
    return launch(q, "batch_norm_inference_units", batch_norm_inference_units,
                  dim3(gpu::blocks_for(s.channels, kThreads, INT32_MAX), static_cast<unsigned>(rows)),
                  kThreads, 0, s, p, x, y);
  }
  const bool packs = gpu::can_pack<4>(s.inner, x, y);
  const int64_t slices = slices_of(s);
  launch(q, "batch_norm_inference_slices",
         packs ? batch_norm_inference_slices<4> : batch_norm_inference_slices<1>, slice_blocks(s, slices),
         kThreads, 0, s, slices, p, x, y);
}

void batch_norm_train_grad(gpu::Queue& q, const BatchNorm& s, const float* x, const float* gamma,
                           const float* mean, const float* inv_sd, const float* dy, float* dx, float* dgamma,
                           float* dbeta) {
  gradient(q, s, {gamma, nullptr, mean, inv_sd, nullptr, 0.0f}, {dx, dgamma, dbeta, true}, x, dy);
}

void batch_norm_inference_grad(gpu::Queue& q, const BatchNorm& s, float eps, const float* x,
                               const float* gamma, const float* running_mean, const float* running_var,
                               const float* dy, float* dx, float* dgamma, float* dbeta) {
  gradient(q, s, {gamma, nullptr, running_mean, nullptr, running_var, eps}, {dx, dgamma, dbeta, false}, x,
           dy);
}

}  // namespace fovea::kernels

// SPDX-License-Identifier: Apache-2.0
#include "kernels/ops/loss.h"

#include "kernels/arena.h"
#include "kernels/cuda/access.cuh"
#include "kernels/cuda/block.cuh"

/// Means in two stages: each block sums a slice that the count alone decides, then one block sums the slices.
/// In double: a loss is a number to be compared between epochs, and its traffic, 8 bytes an element, costs
/// more than its arithmetic. Retina batches (5000 bins × 5 cells, 0.2 MB) end within a launch; from 10^7
/// elements the forward kernels are expected at 0.8 and the gradients (12 bytes) at 0.85 of the H100's
/// 3.0 TB/s.
namespace fovea::kernels {
namespace {

using std::int64_t;

constexpr int kThreads = 256;
constexpr int64_t kSlice = 4096;      // elements of a block, as long as
constexpr int64_t kMaxSlices = 1024;  // slices are at most these

struct PoissonTerm {
  float eps;
  __device__ double operator()(float rate, float target) const {
    return static_cast<double>(rate) - static_cast<double>(target) * static_cast<double>(logf(rate + eps));
  }
};
struct PoissonSlope {
  float eps;
  __device__ float operator()(float rate, float target) const { return 1.0f - target / (rate + eps); }
};
struct SquareTerm {
  __device__ double operator()(float x, float target) const {
    const double d = static_cast<double>(x) - static_cast<double>(target);
    return d * d;
  }
};
struct SquareSlope {
  __device__ float operator()(float x, float target) const { return 2.0f * (x - target); }
};

template <class Term>
__global__ void __launch_bounds__(kThreads)
    loss_slices(int64_t count, int64_t slice, Term term, const float* __restrict__ x,
                const float* __restrict__ target, double* __restrict__ parts) {
  FOVEA_SHARED(double, scratch, [kThreads / 32]);
  const int64_t first = blockIdx.x * slice, left = count - first;
  double sum = 0.0;
  for (const int64_t i : gpu::block_stride(left < slice ? left : slice))
    sum += term(x[first + i], target[first + i]);
  sum = gpu::block_reduce<kThreads>(sum, gpu::Add{}, scratch);
  if (threadIdx.x == 0) parts[blockIdx.x] = sum;
}

__global__ void __launch_bounds__(kThreads)
    loss_mean(int64_t count, int64_t slices, const double* __restrict__ parts, float* __restrict__ loss) {
  FOVEA_SHARED(double, scratch, [kThreads / 32]);
  double sum = 0.0;
  for (const int64_t i : gpu::block_stride(slices)) sum += parts[i];
  sum = gpu::block_reduce<kThreads>(sum, gpu::Add{}, scratch);
  if (threadIdx.x == 0) *loss = static_cast<float>(sum / static_cast<double>(count));
}

template <class Slope, int N>
__global__ void __launch_bounds__(kThreads)
    loss_slopes(int64_t count, Slope slope, const float* __restrict__ x, const float* __restrict__ target,
                const float* __restrict__ dloss, float* __restrict__ dx) {
  const float scale = *dloss / static_cast<float>(count);
  for (const int64_t i : gpu::grid_stride(count / N)) {
    gpu::Pack<float, N> values = gpu::load_pack<N>(x, i);
    const gpu::Pack<float, N> targets = gpu::load_pack<N>(target, i);
    for (int k = 0; k < N; ++k) values[k] = scale * slope(values[k], targets[k]);
    gpu::store_pack<N>(dx, i, values);
  }
}

template <class Term>
void mean(gpu::Queue& q, const char* name, int64_t count, Term term, const float* x, const float* target,
          float* loss) {
  int64_t slice = (count + kMaxSlices - 1) / kMaxSlices;
  if (slice < kSlice) slice = kSlice;
  const int64_t slices = (count + slice - 1) / slice;
  Scratch<double> parts(q, slices, "loss");
  if (slices > 0)
    launch(q, name, loss_slices<Term>, static_cast<unsigned>(slices), kThreads, 0, count, slice, term, x,
           target, parts.data());
  launch(q, "loss_mean", loss_mean, 1, kThreads, 0, count, slices, parts.data(), loss);
}

template <class Slope>
void slopes(gpu::Queue& q, const char* name, int64_t count, Slope slope, const float* x, const float* target,
            const float* dloss, float* dx) {
  const bool packs = gpu::can_pack<4>(count, x, target, static_cast<const float*>(dx));
  launch(q, name, packs ? loss_slopes<Slope, 4> : loss_slopes<Slope, 1>,
         gpu::blocks_for(packs ? count / 4 : count, kThreads), kThreads, 0, count, slope, x, target, dloss,
         dx);
}

}  // namespace

void poisson_loss(gpu::Queue& q, int64_t count, float eps, const float* rate, const float* target,
                  float* loss) {
  mean(q, "poisson_loss", count, PoissonTerm{eps}, rate, target, loss);
}

void poisson_loss_grad(gpu::Queue& q, int64_t count, float eps, const float* rate, const float* target,
                       const float* dloss, float* drate) {
  slopes(q, "poisson_loss_grad", count, PoissonSlope{eps}, rate, target, dloss, drate);
}

void mse_loss(gpu::Queue& q, int64_t count, const float* x, const float* target, float* loss) {
  mean(q, "mse_loss", count, SquareTerm{}, x, target, loss);
}

void mse_loss_grad(gpu::Queue& q, int64_t count, const float* x, const float* target, const float* dloss,
                   float* dx) {
  slopes(q, "mse_loss_grad", count, SquareSlope{}, x, target, dloss, dx);
}

}  // namespace fovea::kernels

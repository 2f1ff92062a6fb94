// SPDX-License-Identifier: Apache-2.0
#include "kernels/ops/copy.h"

#include "kernels/convert.h"
#include "kernels/cuda/access.cuh"
#include "kernels/cuda/strided.cuh"
#include "kernels/simt/simt.h"

/// Moves bytes of x plus bytes of y per element and computes nothing: contiguous copies should reach 90 % of
/// the memory roof, rows of whole packs 80 %; other strided ones as much of it as their rows fill sectors of
/// 32 bytes.
namespace fovea {
namespace {

constexpr int kThreads = 256;

template <int kWidth, class To, class From>
__global__ void copy_flat(std::int64_t packs, const From* __restrict__ x, To* __restrict__ y) {
  for (const std::int64_t i : gpu::grid_stride(packs)) {
    const auto in = gpu::load_pack<kWidth>(x, i);
    gpu::Pack<To, kWidth> out;
    for (int k = 0; k < kWidth; ++k) out[k] = convert<To>(in[k]);
    gpu::store_pack(y, i, out);
  }
}

template <class To, class From>
__global__ void copy_strided(Strided shape, std::int64_t count, const From* __restrict__ x,
                             To* __restrict__ y) {
  for (const std::int64_t i : gpu::grid_stride(count)) {
    const gpu::Offsets<2> offset = gpu::offsets_at<2>(shape, i);
    y[offset.of[0]] = convert<To>(x[offset.of[1]]);
  }
}

/// Turns the loops into ones over packs, if rows consist of whole, aligned ones in both operands.
template <class T>
bool in_packs(Strided& shape, const T* x, const T* y) {
  constexpr int kWidth = gpu::kPackWidth<T>;
  const int inner = shape.rank - 1;
  Strided packs = shape;
  packs.extent[inner] /= kWidth;
  for (int k = 0; k < 2; ++k) {
    if (shape.stride[k][inner] != 1) return false;
    for (int d = 0; d < inner; ++d) {
      if (shape.stride[k][d] % kWidth != 0) return false;
      packs.stride[k][d] /= kWidth;
    }
  }
  if (!gpu::can_pack<kWidth>(shape.extent[inner], x, y)) return false;
  shape = packs;
  return true;
}

template <class To, class From>
void copy_as(gpu::Queue& queue, const Strided& shape, const void* x, void* y) {
  constexpr int kWidth = 16 / static_cast<int>(sizeof(To) > sizeof(From) ? sizeof(To) : sizeof(From));
  const From* from = static_cast<const From*>(x);
  To* to = static_cast<To*>(y);
  const std::int64_t count = shape.count();
  const bool flat = gpu::is_flat(shape, 0) && gpu::is_flat(shape, 1);
  if constexpr (kSameType<To, From>) {
    Strided packs = shape;
    if (!flat && in_packs(packs, from, to)) {
      using Pack = gpu::Pack<To, kWidth>;
      return launch(queue, "copy_strided", copy_strided<Pack, Pack>, gpu::blocks_for(packs.count(), kThreads),
                    kThreads, 0, packs, packs.count(), reinterpret_cast<const Pack*>(from),
                    reinterpret_cast<Pack*>(to));
    }
  }
  if (!flat)
    launch(queue, "copy_strided", copy_strided<To, From>, gpu::blocks_for(count, kThreads), kThreads, 0,
           shape, count, from, to);
  else if (gpu::can_pack<kWidth>(count, from, to))
    launch(queue, "copy_flat", copy_flat<kWidth, To, From>, gpu::blocks_for(count / kWidth, kThreads),
           kThreads, 0, count / kWidth, from, to);
  else
    launch(queue, "copy_flat", copy_flat<1, To, From>, gpu::blocks_for(count, kThreads), kThreads, 0, count,
           from, to);
}

}  // namespace

void kernels::copy(gpu::Queue& queue, const Strided& shape, const void* x, DType from, void* y, DType to) {
  with_copy_types(to, from, [&]<class To, class From>(TypeTag<To>, TypeTag<From>) {
    copy_as<To, From>(queue, shape, x, y);
  });
}

}  // namespace fovea

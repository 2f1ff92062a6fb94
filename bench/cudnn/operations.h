// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "bench/cudnn/plan.h"
#include "kernels/geometry.h"
#include "kernels/ops/pool2d.h"

/// Our geometries as cuDNN's operation graphs. Elements that are not f32 are computed in f32.
namespace fovea::bench::cudnn {

/// How planes lie in memory; weights follow: [O, C, R, S] or [O, R, S, C].
enum class Layout { nchw, channels_last };

/// Unique ids of tensors within a graph.
enum Uid : std::int64_t {
  kX = 1,  ///< or its slope
  kW,      ///< or its slope
  kY,      ///< or its slope
  kDy,
  kDx,
  kIndex,  ///< where in its window a maximum is
  kScale,
  kBias,
  kMean,
  kInverseSd,
  kRunningMean,
  kRunningVariance,
  kNewRunningMean,
  kNewRunningVariance,
  kDScale,
  kDBias,
  kEpsilon,   ///< one float on the host
  kMomentum,  ///< one float on the host
};

/// Tensors kX, kW, kY, one of them a slope. groups = 1; x contiguous. throws CudnnError
Graph conv2d_forward(const Target& target, const Conv2d& shape, Layout layout, cudnnDataType_t type);
Graph conv2d_grad_input(const Target& target, const Conv2d& shape, Layout layout, cudnnDataType_t type);
Graph conv2d_grad_weight(const Target& target, const Conv2d& shape, Layout layout, cudnnDataType_t type);

/// Windows without padding. Forward kX → kY, kIndex; backward kDy, kIndex → kDx. Channels last: cuDNN's engines with
/// an index know no other layout.
Graph max_pool2d_forward(const Target& target, const Pool2d& shape, std::int64_t channels,
                         cudnnDataType_t type);
Graph max_pool2d_backward(const Target& target, const Pool2d& shape, std::int64_t channels,
                          cudnnDataType_t type);

/// Over [batch, channels, height, width]. Forward kX, kScale, kBias, kRunningMean, kRunningVariance, kEpsilon, kMomentum
/// → kY, kMean, kInverseSd, kNewRunningMean, kNewRunningVariance; backward kX, kDy, kScale, kMean, kInverseSd → kDx,
/// kDScale, kDBias.
struct NormShape {
  std::int64_t batch, channels, height, width;
};
Graph batch_norm_forward(const Target& target, const NormShape& shape, Layout layout, cudnnDataType_t type);
Graph batch_norm_backward(const Target& target, const NormShape& shape, Layout layout, cudnnDataType_t type);

}  // namespace fovea::bench::cudnn

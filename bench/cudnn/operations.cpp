// SPDX-License-Identifier: Apache-2.0
#include "bench/cudnn/operations.h"

#include <array>

namespace fovea::bench::cudnn {
namespace {

using Dims = std::array<std::int64_t, 4>;

Descriptor tensor(std::int64_t uid, const Dims& d, Layout layout, cudnnDataType_t type) {
  const Dims strides = layout == Layout::nchw ? Dims{d[1] * d[2] * d[3], d[2] * d[3], d[3], 1}
                                              : Dims{d[1] * d[2] * d[3], 1, d[1] * d[3], d[1]};
  Descriptor tensor(CUDNN_BACKEND_TENSOR_DESCRIPTOR);
  tensor.set(CUDNN_ATTR_TENSOR_UNIQUE_ID, uid)
      .set(CUDNN_ATTR_TENSOR_DATA_TYPE, type)
      .set(CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, std::int64_t{16})
      .set(CUDNN_ATTR_TENSOR_DIMENSIONS, std::span<const std::int64_t>(d))
      .set(CUDNN_ATTR_TENSOR_STRIDES, std::span<const std::int64_t>(strides))
      .finalize();
  return tensor;
}

Descriptor host_number(std::int64_t uid) {
  const Dims one{1, 1, 1, 1};
  Descriptor tensor(CUDNN_BACKEND_TENSOR_DESCRIPTOR);
  tensor.set(CUDNN_ATTR_TENSOR_UNIQUE_ID, uid)
      .set(CUDNN_ATTR_TENSOR_DATA_TYPE, CUDNN_DATA_FLOAT)
      .set(CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, std::int64_t{4})
      .set(CUDNN_ATTR_TENSOR_DIMENSIONS, std::span<const std::int64_t>(one))
      .set(CUDNN_ATTR_TENSOR_STRIDES, std::span<const std::int64_t>(one))
      .set(CUDNN_ATTR_TENSOR_IS_BY_VALUE, true)
      .finalize();
  return tensor;
}

std::vector<Descriptor> list(std::initializer_list<Descriptor*> parts) {
  std::vector<Descriptor> moved;
  for (Descriptor* part : parts) moved.push_back(std::move(*part));
  return moved;
}

/// The attributes of an operation of convolution, which each pass has under names of its own.
struct ConvolutionNames {
  cudnnBackendDescriptorType_t type;
  cudnnBackendAttributeName_t x, w, y, convolution, alpha, beta;
};

Graph convolution(const Target& target, const ConvolutionNames& names, const Conv2d& s, Layout layout,
                  cudnnDataType_t type) {
  Descriptor x = tensor(kX, {s.batch, s.in_channels, s.in_height, s.in_width}, layout, type);
  Descriptor w = tensor(kW, {s.out_channels, s.in_channels, s.kernel_height, s.kernel_width}, layout, type);
  Descriptor y = tensor(kY, {s.batch, s.out_channels, s.out_height(), s.out_width()}, layout, type);
  const std::array<std::int64_t, 2> stride{s.stride.height, s.stride.width},
      dilation{s.dilation.height, s.dilation.width}, before{s.padding.top, s.padding.left},
      after{s.padding.bottom, s.padding.right};
  using Two = std::span<const std::int64_t>;
  Descriptor conv(CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR);
  conv.set(CUDNN_ATTR_CONVOLUTION_COMP_TYPE, CUDNN_DATA_FLOAT)
      .set(CUDNN_ATTR_CONVOLUTION_CONV_MODE, CUDNN_CROSS_CORRELATION)
      .set(CUDNN_ATTR_CONVOLUTION_SPATIAL_DIMS, std::int64_t{2})
      .set(CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES, Two(stride))
      .set(CUDNN_ATTR_CONVOLUTION_DILATIONS, Two(dilation))
      .set(CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS, Two(before))
      .set(CUDNN_ATTR_CONVOLUTION_POST_PADDINGS, Two(after))
      .finalize();
  Descriptor operation(names.type);
  operation.set(names.x, x)
      .set(names.w, w)
      .set(names.y, y)
      .set(names.convolution, conv)
      .set(names.alpha, 1.0f)
      .set(names.beta, 0.0f)
      .finalize();
  return Graph(target, list({&x, &w, &y, &conv}), std::move(operation));
}

Descriptor max_windows(const Pool2d& s) {
  const std::array<cudnnFraction_t, 2> window{{{s.rows.kernel, 1}, {s.columns.kernel, 1}}},
      stride{{{s.rows.stride, 1}, {s.columns.stride, 1}}}, none{{{0, 1}, {0, 1}}};
  using Two = std::span<const cudnnFraction_t>;
  Descriptor resample(CUDNN_BACKEND_RESAMPLE_DESCRIPTOR);
  resample.set(CUDNN_ATTR_RESAMPLE_MODE, CUDNN_RESAMPLE_MAXPOOL)
      .set(CUDNN_ATTR_RESAMPLE_COMP_TYPE, CUDNN_DATA_FLOAT)
      .set(CUDNN_ATTR_RESAMPLE_NAN_PROPAGATION, CUDNN_PROPAGATE_NAN)
      .set(CUDNN_ATTR_RESAMPLE_PADDING_MODE, CUDNN_NEG_INF_PAD)
      .set(CUDNN_ATTR_RESAMPLE_SPATIAL_DIMS, std::int64_t{2})
      .set(CUDNN_ATTR_RESAMPLE_WINDOW_DIMS, Two(window))
      .set(CUDNN_ATTR_RESAMPLE_PRE_PADDINGS, Two(none))
      .set(CUDNN_ATTR_RESAMPLE_POST_PADDINGS, Two(none))
      .set(CUDNN_ATTR_RESAMPLE_STRIDES, Two(stride))
      .finalize();
  return resample;
}

struct PoolTensors {
  PoolTensors(const Pool2d& s, std::int64_t channels, cudnnDataType_t type, Uid x_id, Uid y_id)
      : x(tensor(x_id, {s.planes / channels, channels, s.rows.in, s.columns.in}, Layout::channels_last,
                 type)),
        y(tensor(y_id, {s.planes / channels, channels, s.rows.out, s.columns.out}, Layout::channels_last,
                 type)),
        index(tensor(kIndex, {s.planes / channels, channels, s.rows.out, s.columns.out},
                     Layout::channels_last, CUDNN_DATA_INT8)) {}
  Descriptor x, y, index;
};

}  // namespace

Graph conv2d_forward(const Target& target, const Conv2d& shape, Layout layout, cudnnDataType_t type) {
  return convolution(
      target,
      {CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_X,
       CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_W, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_Y,
       CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_CONV_DESC, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_ALPHA,
       CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_BETA},
      shape, layout, type);
}

Graph conv2d_grad_input(const Target& target, const Conv2d& shape, Layout layout, cudnnDataType_t type) {
  return convolution(
      target,
      {CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR,
       CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DX, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_W,
       CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DY, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_CONV_DESC,
       CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_ALPHA, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_BETA},
      shape, layout, type);
}

Graph conv2d_grad_weight(const Target& target, const Conv2d& shape, Layout layout, cudnnDataType_t type) {
  return convolution(
      target,
      {CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_FILTER_DESCRIPTOR,
       CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_X, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DW,
       CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DY, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_CONV_DESC,
       CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_ALPHA, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_BETA},
      shape, layout, type);
}

Graph max_pool2d_forward(const Target& target, const Pool2d& shape, std::int64_t channels,
                         cudnnDataType_t type) {
  PoolTensors t(shape, channels, type, kX, kY);
  Descriptor windows = max_windows(shape), operation(CUDNN_BACKEND_OPERATION_RESAMPLE_FWD_DESCRIPTOR);
  operation.set(CUDNN_ATTR_OPERATION_RESAMPLE_FWD_XDESC, t.x)
      .set(CUDNN_ATTR_OPERATION_RESAMPLE_FWD_YDESC, t.y)
      .set(CUDNN_ATTR_OPERATION_RESAMPLE_FWD_IDXDESC, t.index)
      .set(CUDNN_ATTR_OPERATION_RESAMPLE_FWD_DESC, windows)
      .finalize();
  return Graph(target, list({&t.x, &t.y, &t.index, &windows}), std::move(operation));
}

Graph max_pool2d_backward(const Target& target, const Pool2d& shape, std::int64_t channels,
                          cudnnDataType_t type) {
  PoolTensors t(shape, channels, type, kDx, kDy);
  Descriptor windows = max_windows(shape), operation(CUDNN_BACKEND_OPERATION_RESAMPLE_BWD_DESCRIPTOR);
  operation.set(CUDNN_ATTR_OPERATION_RESAMPLE_BWD_DXDESC, t.x)
      .set(CUDNN_ATTR_OPERATION_RESAMPLE_BWD_DYDESC, t.y)
      .set(CUDNN_ATTR_OPERATION_RESAMPLE_BWD_IDXDESC, t.index)
      .set(CUDNN_ATTR_OPERATION_RESAMPLE_BWD_DESC, windows)
      .finalize();
  return Graph(target, list({&t.x, &t.y, &t.index, &windows}), std::move(operation));
}

Graph batch_norm_forward(const Target& target, const NormShape& s, Layout layout, cudnnDataType_t type) {
  const Dims maps{s.batch, s.channels, s.height, s.width}, channel{1, s.channels, 1, 1};
  const auto statistic = [&](Uid uid) {
    return tensor(uid, channel, Layout::channels_last, CUDNN_DATA_FLOAT);
  };
  Descriptor x = tensor(kX, maps, layout, type), y = tensor(kY, maps, layout, type),
             scale = statistic(kScale), bias = statistic(kBias), mean = statistic(kMean),
             inverse_sd = statistic(kInverseSd), running_mean = statistic(kRunningMean),
             running_variance = statistic(kRunningVariance), new_mean = statistic(kNewRunningMean),
             new_variance = statistic(kNewRunningVariance), epsilon = host_number(kEpsilon),
             momentum = host_number(kMomentum);
  Descriptor operation(CUDNN_BACKEND_OPERATION_NORM_FORWARD_DESCRIPTOR);
  operation.set(CUDNN_ATTR_OPERATION_NORM_FWD_MODE, CUDNN_BATCH_NORM)
      .set(CUDNN_ATTR_OPERATION_NORM_FWD_PHASE, CUDNN_NORM_FWD_TRAINING)
      .set(CUDNN_ATTR_OPERATION_NORM_FWD_XDESC, x)
      .set(CUDNN_ATTR_OPERATION_NORM_FWD_MEAN_DESC, mean)
      .set(CUDNN_ATTR_OPERATION_NORM_FWD_INV_VARIANCE_DESC, inverse_sd)
      .set(CUDNN_ATTR_OPERATION_NORM_FWD_SCALE_DESC, scale)
      .set(CUDNN_ATTR_OPERATION_NORM_FWD_BIAS_DESC, bias)
      .set(CUDNN_ATTR_OPERATION_NORM_FWD_EPSILON_DESC, epsilon)
      .set(CUDNN_ATTR_OPERATION_NORM_FWD_EXP_AVG_FACTOR_DESC, momentum)
      .set(CUDNN_ATTR_OPERATION_NORM_FWD_INPUT_RUNNING_MEAN_DESC, running_mean)
      .set(CUDNN_ATTR_OPERATION_NORM_FWD_INPUT_RUNNING_VAR_DESC, running_variance)
      .set(CUDNN_ATTR_OPERATION_NORM_FWD_OUTPUT_RUNNING_MEAN_DESC, new_mean)
      .set(CUDNN_ATTR_OPERATION_NORM_FWD_OUTPUT_RUNNING_VAR_DESC, new_variance)
      .set(CUDNN_ATTR_OPERATION_NORM_FWD_YDESC, y)
      .finalize();
  return Graph(target,
               list({&x, &y, &scale, &bias, &mean, &inverse_sd, &running_mean, &running_variance, &new_mean,
                     &new_variance, &epsilon, &momentum}),
               std::move(operation));
}

Graph batch_norm_backward(const Target& target, const NormShape& s, Layout layout, cudnnDataType_t type) {
  const Dims maps{s.batch, s.channels, s.height, s.width}, channel{1, s.channels, 1, 1};
  const auto statistic = [&](Uid uid) {
    return tensor(uid, channel, Layout::channels_last, CUDNN_DATA_FLOAT);
  };
  Descriptor x = tensor(kX, maps, layout, type), dy = tensor(kDy, maps, layout, type),
             dx = tensor(kDx, maps, layout, type), scale = statistic(kScale), mean = statistic(kMean),
             inverse_sd = statistic(kInverseSd), dscale = statistic(kDScale), dbias = statistic(kDBias);
  Descriptor operation(CUDNN_BACKEND_OPERATION_NORM_BACKWARD_DESCRIPTOR);
  operation.set(CUDNN_ATTR_OPERATION_NORM_BWD_MODE, CUDNN_BATCH_NORM)
      .set(CUDNN_ATTR_OPERATION_NORM_BWD_XDESC, x)
      .set(CUDNN_ATTR_OPERATION_NORM_BWD_DYDESC, dy)
      .set(CUDNN_ATTR_OPERATION_NORM_BWD_SCALE_DESC, scale)
      .set(CUDNN_ATTR_OPERATION_NORM_BWD_MEAN_DESC, mean)
      .set(CUDNN_ATTR_OPERATION_NORM_BWD_INV_VARIANCE_DESC, inverse_sd)
      .set(CUDNN_ATTR_OPERATION_NORM_BWD_DXDESC, dx)
      .set(CUDNN_ATTR_OPERATION_NORM_BWD_DSCALE_DESC, dscale)
      .set(CUDNN_ATTR_OPERATION_NORM_BWD_DBIAS_DESC, dbias)
      .finalize();
  return Graph(target, list({&x, &dy, &dx, &scale, &mean, &inverse_sd, &dscale, &dbias}),
               std::move(operation));
}

}  // namespace fovea::bench::cudnn

// SPDX-License-Identifier: Apache-2.0
#include "nn/pool2d.h"

namespace fovea::nn {
namespace {

/// Without the padding that `same` chooses for each input.
Pool2dOptions plain(const PoolOptions& options) {
  return {.stride = options.stride,
          .padding = options.padding,
          .ceil_mode = options.ceil_mode,
          .count_padding = options.count_padding};
}

void check_options(const char* layer, Size2d kernel, const PoolOptions& options) {
  pool2d_detail::check_options(layer, kernel, plain(options));
  if (options.same && (!(options.padding == Padding2d(0)) || options.ceil_mode || options.count_padding))
    reject<ValueError>(layer,
                       "`same` sets padding itself and leaves it out of averages; drop the other options");
}

/// The op's options for an x of this shape.
Pool2dOptions options_for(const std::string& layer, const Shape& x, Size2d kernel,
                          const PoolOptions& options) {
  Pool2dOptions all = plain(options);
  const bool images = x.rank() == 4 && x[2] > 0 && x[3] > 0;
  if (images && options.same) {
    const Size2d& step = options.stride;
    all.padding = same_padding(
        {x[2], x[3]}, kernel,
        {step.height == 0 ? kernel.height : step.height, step.width == 0 ? kernel.width : step.width});
  }
  const Pool2d pool = images ? pool2d_detail::geometry(x, kernel, all) : Pool2d();
  if (pool.rows.out == 0 || pool.columns.out == 0)
    reject(layer, "x {} is not [B, C, H, W] with room for a {}×{} window", x, kernel.height, kernel.width);
  return all;
}

}  // namespace

MaxPool2d::MaxPool2d(Size2d kernel, PoolOptions options) : kernel_(kernel), options_(options) {
  check_options("max_pool2d", kernel, options);
}

Var MaxPool2d::forward(const Var& x) {
  return max_pool2d(x, kernel_, options_for(label("max_pool2d"), x.shape(), kernel_, options_));
}

AveragePool2d::AveragePool2d(Size2d kernel, PoolOptions options) : kernel_(kernel), options_(options) {
  check_options("average_pool2d", kernel, options);
}

Var AveragePool2d::forward(const Var& x) {
  return average_pool2d(x, kernel_, options_for(label("average_pool2d"), x.shape(), kernel_, options_));
}

AdaptiveAveragePool2d::AdaptiveAveragePool2d(Size2d out) : out_(out) {
  check_sides("adaptive_average_pool2d", "out", out, 1);
}

Var AdaptiveAveragePool2d::forward(const Var& x) {
  check_planes(label("adaptive_average_pool2d").c_str(), x.shape());
  return adaptive_average_pool2d(x, out_);
}

Var GlobalAveragePool2d::forward(const Var& x) {
  check_planes(label("global_average_pool2d").c_str(), x.shape());
  return global_average_pool2d(x);
}

}  // namespace fovea::nn

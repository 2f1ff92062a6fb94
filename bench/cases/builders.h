// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "bench/case.h"

/// Cases of a given shape, for those who bring their own: `--shape` and the ladder. They are meant for every device.
namespace fovea::bench {

/// name.PASS.nBATCH; strides of x are those of a contiguous tensor, whatever
/// `shape` says.
Case conv_case(const std::string& name, const Conv2d& shape, Pass pass);
/// c[m, n] = a·b; operands a, b, c as they lie in memory. Called `name` as it is.
Case matmul_case(const std::string& name, const Matmul& shape);

/// Max pooling without padding, windows of kernel·kernel; name.PASS.nBATCH, as the next one.
Case pool_case(const std::string& name, std::int64_t batch, std::int64_t channels, std::int64_t height,
               std::int64_t width, std::int64_t kernel, std::int64_t stride, Pass pass);
/// Batch norm in training.
Case norm_case(const std::string& name, std::int64_t batch, std::int64_t channels, std::int64_t height,
               std::int64_t width, Pass pass);
/// name.PASS.bBATCH
Case lstm_case(const std::string& name, const LstmGeometry& geometry, Pass pass);

}  // namespace fovea::bench

// SPDX-License-Identifier: Apache-2.0
#include "kernels/ops/copy.h"

#include "kernels/convert.h"
#include "kernels/cpu/loops.h"
#include "kernels/cpu/queue.h"

namespace fovea {
namespace {

/// One loop per pair of strides that occurs often, so that the compiler vectorises each.
template <class To, class From>
void copy_run(std::int64_t n, const From* x, std::int64_t x_step, To* y, std::int64_t y_step) {
  if (x_step == 1 && y_step == 1) {
    if constexpr (kSameType<To, From>)
      __builtin_memcpy(y, x, static_cast<std::size_t>(n) * sizeof(To));
    else
      for (std::int64_t i = 0; i < n; ++i) y[i] = convert<To>(x[i]);
  } else if (x_step == 0) {
    const To value = convert<To>(*x);
    for (std::int64_t i = 0; i < n; ++i) y[i * y_step] = value;
  } else if (x_step == -1 && y_step == 1) {  // a row turned round
    for (std::int64_t i = 0; i < n; ++i) y[i] = convert<To>(x[-i]);
  } else {
    for (std::int64_t i = 0; i < n; ++i) y[i * y_step] = convert<To>(x[i * x_step]);
  }
}

template <class To, class From>
void copy_as(cpu::Queue& queue, const Strided& shape, const void* x, void* y) {
  const From* from = static_cast<const From*>(x);
  To* to = static_cast<To*>(y);
  const std::int64_t x_step = shape.rank > 0 ? shape.stride[1][shape.rank - 1] : 1;
  const std::int64_t y_step = shape.rank > 0 ? shape.stride[0][shape.rank - 1] : 1;
  cpu::for_runs<2>(queue, shape, [&](std::int64_t n, const std::int64_t(&offset)[2]) {
    copy_run(n, from + offset[1], x_step, to + offset[0], y_step);
  });
}

}  // namespace

void kernels::copy(cpu::Queue& queue, const Strided& shape, const void* x, DType from, void* y, DType to) {
  with_copy_types(to, from, [&]<class To, class From>(TypeTag<To>, TypeTag<From>) {
    copy_as<To, From>(queue, shape, x, y);
  });
}

}  // namespace fovea

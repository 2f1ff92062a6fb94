// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "tensor/tensor.h"

namespace fovea {
namespace {

constexpr std::int64_t kEdge = 3;        // elements shown at each end of a long axis
constexpr std::int64_t kSummarize = 12;  // axes longer than this are cut

struct Printer {
  const std::vector<double>& values;
  const Shape& shape;
  const Strides strides;
  bool whole_numbers;
  std::string text = {};

  void axis(int dim, std::int64_t offset) {
    if (dim == shape.rank()) {
      const double v = values[static_cast<std::size_t>(offset)];
      text += whole_numbers ? fmt::format("{}", static_cast<std::int64_t>(v)) : fmt::format("{:.5g}", v);
      return;
    }
    const std::string separator =
        dim + 1 == shape.rank() ? ", " : ",\n" + std::string(static_cast<std::size_t>(dim) + 1, ' ');
    text += '[';
    for (std::int64_t i = 0; i < shape[dim]; ++i) {
      if (i > 0) text += separator;
      if (shape[dim] > kSummarize && i == kEdge) {
        text += "…";
        i = shape[dim] - kEdge - 1;
        continue;
      }
      axis(dim + 1, offset + i * strides[dim]);
    }
    text += ']';
  }
};

}  // namespace

std::string Tensor::str() const {
  if (!defined()) return "tensor(undefined)";
  const auto values = to_vector<double>();
  const bool whole = dtype_ == DType::i64 || dtype_ == DType::i32 || dtype_ == DType::u8;
  Printer printer{values, shape_, contiguous_strides(shape_), whole};
  printer.axis(0, 0);
  return fmt::format("{}\ntensor{} {} on {}", printer.text, shape_, dtype_name(dtype_), device().name());
}

}  // namespace fovea

// SPDX-License-Identifier: Apache-2.0
#include "nn/stacked_conv2d.h"

#include <fmt/format.h>

namespace fovea::nn {
namespace {

/// A kernel in host memory, [out, in, side, side].
struct Kernel {
  std::int64_t out, in, side;
  std::vector<double> value;
  double& at(std::int64_t o, std::int64_t i, std::int64_t r, std::int64_t s) {
    return value[static_cast<std::size_t>(((o * in + i) * side + r) * side + s)];
  }
};

Kernel kernel_of(const Tensor& weight) {
  return {weight.size(0), weight.size(1), weight.size(2), weight.to_vector<double>()};
}

/// The kernel of `second` after `first`. A second one with groups (in of 1) sees channel o for its output o.
Kernel compose(Kernel& first, Kernel& second) {
  const std::int64_t side = first.side + second.side - 1;
  Kernel both{second.out, first.in, side,
              std::vector<double>(static_cast<std::size_t>(second.out * first.in * side * side))};
  const bool grouped = second.in == 1 && first.out != 1;
  for (std::int64_t o = 0; o < second.out; ++o)
    for (std::int64_t m = 0; m < second.in; ++m)
      for (std::int64_t i = 0; i < first.in; ++i)
        for (std::int64_t r = 0; r < second.side; ++r)
          for (std::int64_t s = 0; s < second.side; ++s)
            for (std::int64_t p = 0; p < first.side; ++p)
              for (std::int64_t q = 0; q < first.side; ++q)
                both.at(o, i, r + p, s + q) += second.at(o, m, r, s) * first.at(grouped ? o : m, i, p, q);
  return both;
}

}  // namespace

StackedConv2d::StackedConv2d(std::int64_t in, std::int64_t out, std::int64_t kernel, const Device& device,
                             const StackedConvOptions& options) {
  if (options.piece < 2 || kernel < options.piece)
    reject<ValueError>("stacked_conv2d", "pieces of {} do not make a kernel of {}: need 2 ≤ piece ≤ kernel",
                       options.piece, kernel);
  for (std::int64_t left = kernel - 1; left > 0;) {
    const std::int64_t grows = std::min(left, options.piece - 1);
    left -= grows;
    const bool first = pieces_.empty(), last = left == 0;
    ConvOptions conv;
    conv.bias = last && options.bias;
    if (options.one_to_one && !first) conv.groups = out;
    pieces_.push_back(std::make_unique<Conv2d>(first ? in : out, out, grows + 1, device, conv));
    add_child(fmt::format("piece{}", pieces_.size() - 1), *pieces_.back());
    if (last) break;
    dropouts_.push_back(std::make_unique<Dropout>(options.dropout));
    add_child(fmt::format("dropout{}", dropouts_.size() - 1), *dropouts_.back());
  }
}

Var StackedConv2d::forward(const Var& x) {
  Var h = (*pieces_.front())(x);
  for (std::size_t k = 1; k < pieces_.size(); ++k) h = (*pieces_[k])((*dropouts_[k - 1])(h));
  return h;
}

Tensor StackedConv2d::collapsed() const {
  Kernel all = kernel_of(pieces_.front()->weight.value);
  for (std::size_t k = 1; k < pieces_.size(); ++k) {
    Kernel next = kernel_of(pieces_[k]->weight.value);
    all = compose(all, next);
  }
  const std::vector<float> rounded(all.value.begin(), all.value.end());
  return Tensor::from(rounded, {all.out, all.in, all.side, all.side}, pieces_.front()->weight.value.device(),
                      "weight");
}

}  // namespace fovea::nn

// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cmath>

#include "kernels/function.h"
#include "tests/op_case.h"

/// The convolutions of recurrent cells in double, by the definition.
namespace fovea::test {

inline double sigmoid_of(double x) { return value_of<Function::sigmoid>(x); }
inline double value_at(Function f, double x) {
  double y = 0;
  with_function(f, [&]<Function kF>(FunctionTag<kF>) { y = value_of<kF>(x); });
  return y;
}

/// Sums of convolutions with SAME padding over one map size, and Σ|terms| of each.
struct ReferenceMap {
  std::int64_t batch, channels, height, width;
  Doubles y, magnitude;
  ReferenceMap(const Shape& like, std::int64_t c)
      : batch(like[0]),
        channels(c),
        height(like[2]),
        width(like[3]),
        y(static_cast<std::size_t>(batch * c * height * width), 0.0),
        magnitude(y.size(), 0.0) {}
  std::int64_t plane() const { return height * width; }
  /// Where channel c of pixel i of image n stands in a map of `all` channels.
  std::size_t at(std::int64_t n, std::int64_t c, std::int64_t i, std::int64_t all) const {
    return static_cast<std::size_t>((n * all + c) * plane() + i);
  }

  /// Adds x ⋆ w, where x [N, C, H, W] takes the input channels of w from first_in on; depthwise if w is [C,
  /// 1, R, S].
  void add(const Doubles& x, const Shape& xs, const Doubles& w, const Shape& ws, std::int64_t first_in = 0,
           bool depthwise = false) {
    const std::int64_t top = (ws[2] - 1) / 2, left = (ws[3] - 1) / 2, in = xs[1];
    for (std::int64_t n = 0; n < batch; ++n)
      for (std::int64_t o = 0; o < channels; ++o)
        for (std::int64_t c = depthwise ? o : 0; c < (depthwise ? o + 1 : in); ++c)
          for (std::int64_t r = 0; r < ws[2]; ++r)
            for (std::int64_t s = 0; s < ws[3]; ++s) {
              const double weight = w[static_cast<std::size_t>(
                  ((o * ws[1] + (depthwise ? 0 : first_in + c)) * ws[2] + r) * ws[3] + s)];
              for (std::int64_t i = std::max<std::int64_t>(0, top - r); i < height && i + r - top < height;
                   ++i)
                for (std::int64_t j = std::max<std::int64_t>(0, left - s); j < width && j + s - left < width;
                     ++j) {
                  const double term = weight * x[at(n, c, (i + r - top) * width + j + s - left, in)];
                  y[at(n, o, i * width + j, channels)] += term;
                  magnitude[at(n, o, i * width + j, channels)] += std::abs(term);
                }
            }
  }
  void add_bias(const Doubles& b) {
    for (std::int64_t n = 0; n < batch; ++n)
      for (std::int64_t o = 0; o < channels; ++o)
        for (std::int64_t i = 0; i < plane(); ++i) {
          y[at(n, o, i, channels)] += b[static_cast<std::size_t>(o)];
          magnitude[at(n, o, i, channels)] += std::abs(b[static_cast<std::size_t>(o)]);
        }
  }
  /// What came before counts as exact, its size as one term.
  void apply(Function f) {
    for (double& v : y) v = value_at(f, v);
  }
};

/// w ⋆ [x; h] + b.
inline ReferenceMap reference_gates(const Doubles& x, const Shape& xs, const Doubles& h, const Shape& hs,
                                    const Doubles& w, const Shape& ws, const Doubles* b) {
  ReferenceMap gates(xs, ws[0]);
  gates.add(x, xs, w, ws);
  gates.add(h, hs, w, ws, xs[1]);
  if (b != nullptr) gates.add_bias(*b);
  return gates;
}

/// New values and the sizes that their errors scale with.
struct ReferenceCell {
  Doubles y, magnitude;
  void push(double value, double size) {
    y.push_back(value);
    magnitude.push_back(size);
  }
  void append(const ReferenceCell& other) {
    y.insert(y.end(), other.y.begin(), other.y.end());
    magnitude.insert(magnitude.end(), other.magnitude.begin(), other.magnitude.end());
  }
};

inline Var zeros_of(const Shape& shape, const Device& device, DType dtype = DType::f32) {
  return Tensor::zeros(shape, dtype, device);
}

}  // namespace fovea::test

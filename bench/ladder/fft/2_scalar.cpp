// SPDX-License-Identifier: Apache-2.0
//
// Rung 2: the fast transform. A length of 50 = 5·5·2 takes 12 steps for a number instead of 50, and short transforms of
// length 5 share most of their multiplications. One plane at a time, one number at a time: the steps along a line are
// too short and too mixed for the compiler to find lanes in them, which eats most of what the method saves.
#include <algorithm>
#include <vector>

#include "bench/ladder/fft/rungs.h"
#include "bench/ladder/fft/transform.h"

namespace fovea::bench::ladder {
namespace {

/// One float that can what a vector can.
struct Single {
  float v;
  static Single all(float x) { return {x}; }
  friend Single operator+(Single a, Single b) { return {a.v + b.v}; }
  friend Single operator-(Single a, Single b) { return {a.v - b.v}; }
  friend Single operator*(Single a, Single b) { return {a.v * b.v}; }
  friend Single fma(Single a, Single b, Single c) { return {a.v * b.v + c.v}; }
};

using Number = Complex<Single>;

class Transforms {
 public:
  explicit Transforms(std::int64_t least)
      : plan_(make_plan(least)), line_(static_cast<std::size_t>(length())), other_(line_) {}

  std::int64_t length() const { return plan_.length; }

  /// Line of `count` numbers that lie `step` apart, the rest of it 0, to `kept` numbers in the same place.
  template <int sign>
  void line(Number* numbers, std::int64_t step, std::int64_t count, std::int64_t kept) {
    for (std::int64_t i = 0; i < length(); ++i)
      line_[static_cast<std::size_t>(i)] = i < count ? numbers[i * step] : Number{};
    const Number* const result = transform<sign>(plan_, line_.data(), other_.data());
    for (std::int64_t i = 0; i < kept; ++i) numbers[i * step] = result[i];
  }

  void spectrum(const float* from, std::int64_t height, std::int64_t width, Number* to) {
    const std::int64_t L = length();
    for (std::int64_t i = 0; i < height; ++i) {
      for (std::int64_t j = 0; j < width; ++j) to[i * L + j] = {{from[i * width + j]}, {0.0f}};
      line<-1>(to + i * L, 1, width, L);
    }
    for (std::int64_t k = 0; k < L; ++k) line<-1>(to + k, L, height, L);
  }

 private:
  Plan plan_;
  std::vector<Number> line_, other_;
};

/// to[i] += a[i]·conj(b[i])
void add_product(std::int64_t count, const Number* a, const Number* b, Number* to) {
  for (std::int64_t i = 0; i < count; ++i) {
    to[i].re.v += a[i].re.v * b[i].re.v + a[i].im.v * b[i].im.v;
    to[i].im.v += a[i].im.v * b[i].re.v - a[i].re.v * b[i].im.v;
  }
}

}  // namespace

void conv2d_fft_scalar(const Conv2d& s, const float* x, const float* w, float* y) {
  Transforms transforms(std::max(s.in_height, s.in_width));
  const std::int64_t L = transforms.length(), area = L * L, P = s.out_height(), Q = s.out_width();
  std::vector<Number> weights(static_cast<std::size_t>(s.out_channels * s.in_channels * area)),
      image(static_cast<std::size_t>(s.in_channels * area)), product(static_cast<std::size_t>(area));
  for (std::int64_t i = 0; i < s.out_channels * s.in_channels; ++i)
    transforms.spectrum(w + i * s.kernel_height * s.kernel_width, s.kernel_height, s.kernel_width,
                        weights.data() + i * area);
  for (std::int64_t n = 0; n < s.batch; ++n) {
    for (std::int64_t c = 0; c < s.in_channels; ++c)
      transforms.spectrum(x + (n * s.in_channels + c) * s.in_height * s.in_width, s.in_height, s.in_width,
                          image.data() + c * area);
    for (std::int64_t o = 0; o < s.out_channels; ++o) {
      std::fill(product.begin(), product.end(), Number{});
      for (std::int64_t c = 0; c < s.in_channels; ++c)
        add_product(area, image.data() + c * area, weights.data() + (o * s.in_channels + c) * area,
                    product.data());
      for (std::int64_t k = 0; k < L; ++k) transforms.line<1>(product.data() + k, L, L, P);
      float* const to = y + (n * s.out_channels + o) * P * Q;
      for (std::int64_t p = 0; p < P; ++p) {
        transforms.line<1>(product.data() + p * L, 1, L, Q);
        for (std::int64_t q = 0; q < Q; ++q)
          to[p * Q + q] = product[static_cast<std::size_t>(p * L + q)].re.v / static_cast<float>(area);
      }
    }
  }
}

}  // namespace fovea::bench::ladder

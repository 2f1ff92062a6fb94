// SPDX-License-Identifier: Apache-2.0
//
// Rung 1: the transform as its definition has it, a product with the matrix of roots of unity, along rows and then
// along columns. In the frequencies a 15x15 kernel costs one complex multiplication for a pixel and pair of channels
// instead of 225 real ones. But a matrix transform of length L takes L multiplications for a number, so getting there
// and back costs as much as was saved: by counting, this is about half as fast as the direct tile (rung 0). Loops are
// ordered as in the second rung of the multiplication, so the compiler finds its four lanes.
#include <algorithm>
#include <vector>

#include "bench/ladder/fft/plan.h"
#include "bench/ladder/fft/rungs.h"

namespace fovea::bench::ladder {
namespace {

/// A plane of L·L complex numbers: all real parts, then all imaginary ones.
struct Plane {
  explicit Plane(std::int64_t L) : re(static_cast<std::size_t>(L * L)), im(static_cast<std::size_t>(L * L)) {}
  std::vector<float> re, im;
};

/// (to_re, to_im)[0..n) += (f_re + i·f_im)·(re, im)[0..n)
void add_product(std::int64_t n, float f_re, float f_im, const float* __restrict re,
                 const float* __restrict im, float* __restrict to_re, float* __restrict to_im) {
  for (std::int64_t k = 0; k < n; ++k) {
    to_re[k] += f_re * re[k] - f_im * im[k];
    to_im[k] += f_re * im[k] + f_im * re[k];
  }
}

/// One axis for all lines of the other: out[k·L + j] = Σ_{t<count} exp(sign·2πi·k·t/L)·in[t·L + j].
void columns(const Plan& plan, float sign, std::int64_t count, const Plane& in, Plane& out) {
  const std::int64_t L = plan.length;
  std::fill(out.re.begin(), out.re.end(), 0.0f);
  std::fill(out.im.begin(), out.im.end(), 0.0f);
  for (std::int64_t k = 0; k < L; ++k)
    for (std::int64_t t = 0; t < count; ++t)
      add_product(L, plan.cosine[k * t % L], sign * plan.sine[k * t % L], in.re.data() + t * L,
                  in.im.data() + t * L, out.re.data() + k * L, out.im.data() + k * L);
}

/// out[y·L + k] = Σ_{t<count} exp(sign·2πi·k·t/L)·in[y·L + t] for the first `rows` rows, with `roots` the L·L matrix.
void rows(const Plane& roots, std::int64_t L, std::int64_t rows, std::int64_t count, const Plane& in,
          Plane& out) {
  for (std::int64_t y = 0; y < rows; ++y) {
    float *const re = out.re.data() + y * L, *const im = out.im.data() + y * L;
    std::fill(re, re + L, 0.0f);
    std::fill(im, im + L, 0.0f);
    for (std::int64_t t = 0; t < count; ++t) {
      const auto at = static_cast<std::size_t>(y * L + t);
      add_product(L, in.re[at], in.im[at], roots.re.data() + t * L, roots.im.data() + t * L, re, im);
    }
  }
}

Plane root_matrix(const Plan& plan, float sign) {
  const std::int64_t L = plan.length;
  Plane roots(L);
  for (std::int64_t i = 0; i < L * L; ++i) {
    roots.re[static_cast<std::size_t>(i)] = plan.cosine[i / L * (i % L) % L];
    roots.im[static_cast<std::size_t>(i)] = sign * plan.sine[i / L * (i % L) % L];
  }
  return roots;
}

}  // namespace

void conv2d_dft_matrix(const Conv2d& s, const float* x, const float* w, float* y) {
  const Plan plan = make_plan(std::max(s.in_height, s.in_width));
  const std::int64_t L = plan.length, P = s.out_height(), Q = s.out_width();
  const Plane forward = root_matrix(plan, -1.0f), backward = root_matrix(plan, 1.0f);
  Plane pixels(L), lines(L);
  const auto spectrum = [&](const float* from, std::int64_t height, std::int64_t width, Plane& to) {
    for (std::int64_t i = 0; i < height; ++i) std::copy_n(from + i * width, width, pixels.re.data() + i * L);
    std::fill(pixels.im.begin(), pixels.im.end(), 0.0f);
    rows(forward, L, height, width, pixels, lines);
    columns(plan, -1.0f, height, lines, to);
  };
  std::vector<Plane> weights(static_cast<std::size_t>(s.out_channels * s.in_channels), Plane(L));
  for (std::size_t i = 0; i < weights.size(); ++i)
    spectrum(w + static_cast<std::int64_t>(i) * s.kernel_height * s.kernel_width, s.kernel_height,
             s.kernel_width, weights[i]);
  std::vector<Plane> image(static_cast<std::size_t>(s.in_channels), Plane(L));
  Plane product(L);
  for (std::int64_t n = 0; n < s.batch; ++n) {
    for (std::int64_t c = 0; c < s.in_channels; ++c)
      spectrum(x + (n * s.in_channels + c) * s.in_height * s.in_width, s.in_height, s.in_width,
               image[static_cast<std::size_t>(c)]);
    for (std::int64_t o = 0; o < s.out_channels; ++o) {
      std::fill(product.re.begin(), product.re.end(), 0.0f);
      std::fill(product.im.begin(), product.im.end(), 0.0f);
      for (std::int64_t c = 0; c < s.in_channels; ++c) {
        const Plane &a = image[static_cast<std::size_t>(c)],
                    &b = weights[static_cast<std::size_t>(o * s.in_channels + c)];
        for (std::size_t i = 0; i < product.re.size(); ++i) {
          product.re[i] += a.re[i] * b.re[i] + a.im[i] * b.im[i];
          product.im[i] += a.im[i] * b.re[i] - a.re[i] * b.im[i];
        }
      }
      columns(plan, 1.0f, L, product, lines);
      rows(backward, L, P, L, lines, pixels);
      float* const to = y + (n * s.out_channels + o) * P * Q;
      for (std::int64_t i = 0; i < P * Q; ++i)
        to[i] = pixels.re[static_cast<std::size_t>(i / Q * L + i % Q)] / static_cast<float>(L * L);
    }
  }
}

}  // namespace fovea::bench::ladder

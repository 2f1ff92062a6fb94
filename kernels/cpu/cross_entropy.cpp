// SPDX-License-Identifier: Apache-2.0
#include "kernels/ops/cross_entropy.h"

#include "kernels/cpu/exp.h"
#include "kernels/cpu/queue.h"
#include "kernels/cpu/rows.h"

/// A row is read from memory once in each direction, 4 bytes an element, and its gradient written, 4 more;
/// the softmax itself is never stored.
namespace fovea {
namespace {

using std::int64_t;

/// Σ exp(x − most).
double sum_of_exponentials(int64_t count, const float* x, float most) {
  constexpr int64_t kPiece = 1024;
  float e[kPiece];
  double sum = 0.0;
  for (int64_t first = 0; first < count; first += kPiece) {
    const int64_t n = cpu::least(kPiece, count - first);
    for (int64_t i = 0; i < n; ++i) e[i] = cpu::exp_of_negative(x[first + i] - most);
    sum += cpu::sum_of(n, [&](int64_t i) { return e[i]; });
  }
  return sum;
}

}  // namespace

void kernels::cross_entropy(cpu::Queue& q, const CrossEntropy& s, const float* logits, const int64_t* labels,
                            const float* mask, float* loss, float* shares) {
  const double smoothing = static_cast<double>(s.smoothing);
  cpu::sum_over_rows(q, s.rows, s.classes, 1.0 / static_cast<double>(s.rows), loss, "cross_entropy",
                     [=](int64_t row) -> double {
                       const float* x = logits + row * s.classes;
                       const int64_t label = labels[row];
                       if (label < 0 || label >= s.classes) {
                         shares[2 * row] = shares[2 * row + 1] = __builtin_nanf("");
                         return __builtin_nan("");
                       }
                       const float most = cpu::largest(x, s.classes);
                       const double sum = sum_of_exponentials(s.classes, x, most);
                       shares[2 * row] = most;
                       shares[2 * row + 1] = static_cast<float>(1.0 / sum);
                       const auto below = [=](int64_t i) {
                         return static_cast<double>(most) - static_cast<double>(x[i]);
                       };
                       double of_row = __builtin_log(sum) + (1.0 - smoothing) * below(label);
                       if (smoothing > 0.0)
                         of_row += smoothing / static_cast<double>(s.classes) * cpu::sum_of(s.classes, below);
                       return mask != nullptr ? static_cast<double>(mask[row]) * of_row : of_row;
                     });
}

void kernels::cross_entropy_grad(cpu::Queue& q, const CrossEntropy& s, const float* logits,
                                 const int64_t* labels, const float* mask, const float* shares,
                                 const float* dloss, float* dlogits) {
  const float mean_scale = *dloss / static_cast<float>(s.rows);
  const float everywhere = s.smoothing / static_cast<float>(s.classes), at_label = 1.0f - s.smoothing;
  cpu::for_rows(q, s.rows, s.classes, [=](int64_t row) {
    const float* __restrict__ x = logits + row * s.classes;
    float* __restrict__ dx = dlogits + row * s.classes;
    const float scale = mask != nullptr ? mean_scale * mask[row] : mean_scale;
    const float most = shares[2 * row], inv_sum = shares[2 * row + 1];
    for (int64_t i = 0; i < s.classes; ++i)
      dx[i] = scale * (cpu::exp_of_negative(x[i] - most) * inv_sum - everywhere);
    const int64_t label = labels[row];
    if (label >= 0 && label < s.classes)  // else the row is NaN already
      dx[label] = scale * (cpu::exp_of_negative(x[label] - most) * inv_sum - everywhere - at_label);
  });
}

}  // namespace fovea

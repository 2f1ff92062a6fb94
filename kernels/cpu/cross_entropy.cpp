// SPDX-License-Identifier: Apache-2.0
#include "kernels/ops/cross_entropy.h"

#include "kernels/cpu/queue.h"
#include "kernels/cpu/rows.h"
#include "kernels/cpu/vec_exp.h"

/// A row is read from memory once in each direction, 4 bytes an element, and its gradient written, 4 more;
/// the softmax itself is never stored.
namespace fovea {
namespace {

using std::int64_t;

using cpu::Vec;

/// x − most of `lanes` classes from i on, −∞ in the other lanes.
Vec shifted(const float* x, int64_t i, int lanes, float most) {
  if (lanes == Vec::kLanes) return Vec::load(x + i) - Vec::all(most);
  float padded[Vec::kLanes];
  Vec::all(-__builtin_inff()).store(padded);
  (Vec::load_first(x + i, lanes) - Vec::all(most)).store_first(padded, lanes);
  return Vec::load(padded);
}

/// Calls f(i, lanes) for vectors that cover 0..count-1.
template <class F>
void for_vectors(int64_t count, const F& f) {
  int64_t i = 0;
  for (; i + Vec::kLanes <= count; i += Vec::kLanes) f(i, Vec::kLanes);
  if (i < count) f(i, static_cast<int>(count - i));
}

/// Σ exp(x − most): four vectors are added as floats, their sums as doubles.
double sum_of_exponentials(int64_t count, const float* x, float most) {
  constexpr int64_t kFour = 4 * Vec::kLanes;
  double sums[Vec::kLanes] = {};
  const auto add = [&](Vec e) {
    float lane[Vec::kLanes];
    e.store(lane);
    for (int k = 0; k < Vec::kLanes; ++k) sums[k] += static_cast<double>(lane[k]);
  };
  const auto e = [=](int64_t i) { return cpu::exp_below_zero(shifted(x, i, Vec::kLanes, most)); };
  int64_t i = 0;
  for (; i + kFour <= count; i += kFour)
    add((e(i) + e(i + Vec::kLanes)) + (e(i + 2 * Vec::kLanes) + e(i + 3 * Vec::kLanes)));
  for_vectors(count - i,
              [&](int64_t k, int lanes) { add(cpu::exp_below_zero(shifted(x, i + k, lanes, most))); });
  for (int step = Vec::kLanes / 2; step > 0; step /= 2)
    for (int k = 0; k < step; ++k) sums[k] += sums[k + step];
  return sums[0];
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
    const auto softmax_above = [=](Vec from_most) {  // what smoothing takes everywhere is off
      return cpu::exp_below_zero(from_most) * Vec::all(inv_sum) - Vec::all(everywhere);
    };
    for_vectors(s.classes, [=](int64_t i, int lanes) {
      cpu::store(dx + i, lanes, Vec::all(scale) * softmax_above(shifted(x, i, lanes, most)));
    });
    const int64_t label = labels[row];
    if (label < 0 || label >= s.classes) return;  // the row is NaN already
    const Vec at_its_label = softmax_above(Vec::all(x[label] - most)) - Vec::all(at_label);
    (Vec::all(scale) * at_its_label).store_first(dx + label, 1);
  });
}

}  // namespace fovea

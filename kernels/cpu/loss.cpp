// SPDX-License-Identifier: Apache-2.0
#include "kernels/ops/loss.h"

#include "kernels/arena.h"
#include "kernels/cpu/queue.h"

namespace fovea::kernels {
namespace {

using std::int64_t;

constexpr int64_t kPart = 8192;  // elements
constexpr int kChains = 8;  // sums that grow side by side, so that additions need not wait for each other

/// *loss = mean of term(i), in double: an eighth of a part per chain, chains added in pairs, parts in order.
template <class Term>
void mean(cpu::Queue& q, int64_t count, float* loss, const Term& term) {
  const int64_t parts = (count + kPart - 1) / kPart;
  Scratch<double> sums(q, parts, "loss");
  cpu::for_parts(q, parts, [&](int64_t part) {
    const int64_t first = part * kPart, last = first + kPart < count ? first + kPart : count;
    double chain[kChains] = {};
    int64_t i = first;
    for (; i + kChains <= last; i += kChains)
      for (int k = 0; k < kChains; ++k) chain[k] += term(i + k);
    for (int k = 0; i + k < last; ++k) chain[k] += term(i + k);
    for (int step = kChains / 2; step > 0; step /= 2)
      for (int k = 0; k < step; ++k) chain[k] += chain[k + step];
    sums.data()[part] = chain[0];
  });
  double total = 0;
  for (int64_t part = 0; part < parts; ++part) total += sums.data()[part];
  *loss = static_cast<float>(total / static_cast<double>(count));
}

template <class Slope>
void each(cpu::Queue& q, int64_t count, float* dx, const Slope& slope) {
  cpu::for_parts(q, (count + kPart - 1) / kPart, [&](int64_t part) {
    const int64_t first = part * kPart, last = first + kPart < count ? first + kPart : count;
    for (int64_t i = first; i < last; ++i) dx[i] = slope(i);
  });
}

}  // namespace

void poisson_loss(cpu::Queue& q, int64_t count, float eps, const float* rate, const float* target,
                  float* loss) {
  mean(q, count, loss, [=](int64_t i) {
    return static_cast<double>(rate[i]) -
           static_cast<double>(target[i]) * static_cast<double>(__builtin_logf(rate[i] + eps));
  });
}

void poisson_loss_grad(cpu::Queue& q, int64_t count, float eps, const float* rate, const float* target,
                       const float* dloss, float* drate) {
  const float scale = *dloss / static_cast<float>(count);
  each(q, count, drate, [=](int64_t i) { return scale * (1.0f - target[i] / (rate[i] + eps)); });
}

void mse_loss(cpu::Queue& q, int64_t count, const float* x, const float* target, float* loss) {
  mean(q, count, loss, [=](int64_t i) {
    const double d = static_cast<double>(x[i]) - static_cast<double>(target[i]);
    return d * d;
  });
}

void mse_loss_grad(cpu::Queue& q, int64_t count, const float* x, const float* target, const float* dloss,
                   float* dx) {
  const float scale = 2.0f * *dloss / static_cast<float>(count);
  each(q, count, dx, [=](int64_t i) { return scale * (x[i] - target[i]); });
}

}  // namespace fovea::kernels

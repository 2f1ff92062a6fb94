// SPDX-License-Identifier: Apache-2.0
#include "kernels/ops/softmax.h"

#include "kernels/cpu/exp.h"
#include "kernels/cpu/queue.h"
#include "kernels/cpu/rows.h"

/// Rows that lie together are vectorised along the row, others across 256 neighbouring rows. Each pass over a
/// row of some thousand elements finds it in the first cache, so x is read from memory once and y written
/// once: 8 bytes an element, 12 for the gradient. About 25 operations an element, 16 of them for exp.
namespace fovea {
namespace {

using std::int64_t;

constexpr int64_t kColumns = 256;  // rows taken side by side: their sums stay in the first cache

struct Softmax {
  /// What the second pass leaves of x − m and e = exp(x − m), and the third makes of it.
  static float held(float, float e) { return e; }
  static float factor(double sum) { return static_cast<float>(1.0 / sum); }
  static float finished(float held, float factor) { return held * factor; }
  static float term(float y, float dy) { return dy * y; }
  static float slope(float y, float dy, float total) { return y * (dy - total); }
};
struct LogSoftmax {
  static float held(float shifted, float) { return shifted; }
  static float factor(double sum) { return static_cast<float>(__builtin_log(sum)); }
  static float finished(float held, float factor) { return held - factor; }
  static float term(float, float dy) { return dy; }
  static float slope(float y, float dy, float total) {
    return dy - cpu::exp_of_negative(y < 0.0f ? y : y * 0.0f) * total;  // rounding may leave y above 0
  }
};

template <class Form>
void row(int64_t width, const float* __restrict__ x, float* __restrict__ y) {
  constexpr int64_t kPiece = 1024;  // exponentials of a row are summed in pieces that stay in the first cache
  float e[kPiece];
  const float most = cpu::largest(x, width);
  double sum = 0.0;
  for (int64_t first = 0; first < width; first += kPiece) {
    const int64_t n = cpu::least(kPiece, width - first);
    for (int64_t i = 0; i < n; ++i) {
      const float shifted = x[first + i] - most;
      e[i] = cpu::exp_of_negative(shifted);
      y[first + i] = Form::held(shifted, e[i]);
    }
    sum += cpu::sum_of(n, [&](int64_t i) { return e[i]; });
  }
  const float factor = Form::factor(sum);
  for (int64_t i = 0; i < width; ++i) y[i] = Form::finished(y[i], factor);
}

/// `columns` rows side by side, their elements `stride` apart.
template <class Form>
void across(int64_t width, int64_t columns, int64_t stride, const float* __restrict__ x,
            float* __restrict__ y) {
  float most[kColumns], factor[kColumns];
  double sum[kColumns];
  for (int64_t i = 0; i < columns; ++i) {
    most[i] = x[i];
    sum[i] = 0.0;
  }
  for (int64_t r = 1; r < width; ++r)
    for (int64_t i = 0; i < columns; ++i) most[i] = x[r * stride + i] > most[i] ? x[r * stride + i] : most[i];
  for (int64_t r = 0; r < width; ++r)
    for (int64_t i = 0; i < columns; ++i) {
      const float shifted = x[r * stride + i] - most[i];
      const float e = cpu::exp_of_negative(shifted);
      sum[i] += static_cast<double>(e);
      y[r * stride + i] = Form::held(shifted, e);
    }
  for (int64_t i = 0; i < columns; ++i) factor[i] = Form::factor(sum[i]);
  for (int64_t r = 0; r < width; ++r)
    for (int64_t i = 0; i < columns; ++i) y[r * stride + i] = Form::finished(y[r * stride + i], factor[i]);
}

template <class Form>
void row_grad(int64_t width, const float* __restrict__ y, const float* __restrict__ dy,
              float* __restrict__ dx) {
  const auto total =
      static_cast<float>(cpu::sum_of(width, [&](int64_t i) { return Form::term(y[i], dy[i]); }));
  for (int64_t i = 0; i < width; ++i) dx[i] = Form::slope(y[i], dy[i], total);
}

template <class Form>
void across_grad(int64_t width, int64_t columns, int64_t stride, const float* __restrict__ y,
                 const float* __restrict__ dy, float* __restrict__ dx) {
  double sum[kColumns] = {};
  float total[kColumns];
  for (int64_t r = 0; r < width; ++r)
    for (int64_t i = 0; i < columns; ++i)
      sum[i] += static_cast<double>(Form::term(y[r * stride + i], dy[r * stride + i]));
  for (int64_t i = 0; i < columns; ++i) total[i] = static_cast<float>(sum[i]);
  for (int64_t r = 0; r < width; ++r)
    for (int64_t i = 0; i < columns; ++i)
      dx[r * stride + i] = Form::slope(y[r * stride + i], dy[r * stride + i], total[i]);
}

/// Calls alone(offset) for each row, or together(columns, offset) for each group of rows side by side.
template <class Alone, class Together>
void each_row(cpu::Queue& q, const Reduce& s, const Alone& alone, const Together& together) {
  if (s.inner == 1) return cpu::for_rows(q, s.outer, s.width, [&](int64_t row) { alone(row * s.width); });
  const int64_t groups = cpu::blocks_of(s.inner, kColumns);
  cpu::for_rows(q, s.outer * groups, s.width * cpu::least(s.inner, kColumns), [&](int64_t item) {
    const int64_t first = item % groups * kColumns;
    together(cpu::least(kColumns, s.inner - first), item / groups * s.width * s.inner + first);
  });
}

template <class Form>
void forward(cpu::Queue& q, const Reduce& s, const float* x, float* y) {
  each_row(
      q, s, [&](int64_t at) { row<Form>(s.width, x + at, y + at); },
      [&](int64_t columns, int64_t at) { across<Form>(s.width, columns, s.inner, x + at, y + at); });
}

template <class Form>
void backward(cpu::Queue& q, const Reduce& s, const float* y, const float* dy, float* dx) {
  each_row(
      q, s, [&](int64_t at) { row_grad<Form>(s.width, y + at, dy + at, dx + at); },
      [&](int64_t columns, int64_t at) {
        across_grad<Form>(s.width, columns, s.inner, y + at, dy + at, dx + at);
      });
}

}  // namespace

void kernels::softmax(cpu::Queue& q, const Reduce& shape, const float* x, float* y) {
  forward<Softmax>(q, shape, x, y);
}
void kernels::softmax_grad(cpu::Queue& q, const Reduce& shape, const float* y, const float* dy, float* dx) {
  backward<Softmax>(q, shape, y, dy, dx);
}
void kernels::log_softmax(cpu::Queue& q, const Reduce& shape, const float* x, float* y) {
  forward<LogSoftmax>(q, shape, x, y);
}
void kernels::log_softmax_grad(cpu::Queue& q, const Reduce& shape, const float* y, const float* dy,
                               float* dx) {
  backward<LogSoftmax>(q, shape, y, dy, dx);
}

}  // namespace fovea

// SPDX-License-Identifier: Apache-2.0
#include "kernels/ops/pool2d.h"

#include "kernels/cpu/loops.h"
#include "kernels/cpu/pool2d_squares.h"
#include "kernels/cpu/queue.h"

/// Forward, lanes run along a row of results: lane k holds the window k further on, and all lanes walk through their
/// windows in step. Where windows stand out at the sides, or a row is shorter than a vector, the rows that they need
/// are first copied between columns of padding that cannot win, or adds nothing. Backward, a plane belongs to one
/// thread, which hands out its results' slopes in a fixed order.
namespace fovea {
namespace {

/// The rows of x that a row of windows needs: `at` is where the first window begins, `pitch` from row to row.
struct WindowRows {
  const float* at;
  int64_t pitch;
  Span rows;
};

/// How the windows of a row fall into vectors, and how many rows of them are copied together.
class WindowRow {
 public:
  explicit WindowRow(const Pool2d& pool) : s_(pool.columns) {
    constexpr int64_t kRoom = 4096;  // floats: half of a first-level cache
    lanes_ = cpu::Vec::kLanes;
    while (lanes_ > 4 && lanes_ > s_.out) lanes_ /= 2;
    in_place_ = s_.before == 0 && (s_.out - 1) * s_.stride + s_.kernel <= s_.in && s_.out >= lanes_;
    pitch_ = in_place_ ? s_.in : (padded_out() - 1) * s_.stride + s_.kernel;
    const SlidingWindows& r = pool.rows;
    const int64_t more = in_place_ ? r.out : (kRoom / pitch_ - r.kernel) / r.stride;
    band = cpu::least(more > 0 ? more + 1 : 1, r.out);
    room = in_place_ ? 0 : pitch_ * cpu::least((band - 1) * r.stride + r.kernel, r.in);
  }
  int64_t band;  ///< rows of results that are made from one copy
  int64_t room;  ///< floats that a copy takes
  /// Results of whole vectors.
  int64_t padded_out() const { return cpu::blocks_of(s_.out, lanes_) * lanes_; }
  int64_t pitch() const { return pitch_; }

  /// Where the first window begins in the first of these rows of a plane; they are copied into `to` if they have to
  /// be, between the padding that is there.
  const float* rows_of(const float* plane, Span rows, float* to) const {
    if (in_place_) return plane + rows.first * s_.in;
    const int64_t width = cpu::least(s_.in, pitch_ - s_.before);
    for (int64_t i = rows.first; i < rows.last; ++i) {
      float* const at = to + (i - rows.first) * pitch_ + s_.before;
      for (int64_t j = 0; j < width; ++j) at[j] = plane[i * s_.in + j];
    }
    return to;
  }

  /// Calls f(LaneCount<L>, q, count) so that the first `count` of the L windows from q on are all there are.
  template <class F>
  void vectors(F&& f) const {
    if (lanes_ == cpu::Vec::kLanes) return vectors_of(LaneCount<cpu::Vec::kLanes>{}, f);
    if constexpr (cpu::Vec::kLanes > 8)
      if (lanes_ == 8) return vectors_of(LaneCount<8>{}, f);
    if constexpr (cpu::Vec::kLanes > 4) vectors_of(LaneCount<4>{}, f);
  }

 private:
  template <int kLanes, class F>
  void vectors_of(LaneCount<kLanes> lanes, F& f) const {
    int64_t q = 0;
    for (; q + kLanes <= s_.out; q += kLanes) f(lanes, q, kLanes);
    if (q == s_.out) return;
    if (s_.out > kLanes)
      f(lanes, s_.out - kLanes, kLanes);  // some once more: the same values again
    else
      f(lanes, q, s_.out - q);
  }

  SlidingWindows s_;
  int64_t lanes_, pitch_;
  bool in_place_;
};

/// Calls f(LaneCount<L>, rows, p, q, at, count): `count` results from window (p, q) on go to y[at].
template <class F>
void for_windows(cpu::Queue& queue, const Pool2d& s, const WindowRow& row, const float* x, float fill,
                 F&& f) {
  for_planes(queue, s, row.room, fill, [&](int64_t n, float* room) {
    const float* from = nullptr;
    int64_t first = 0;
    for (int64_t p = 0; p < s.rows.out; ++p) {
      const Span span = s.rows.span(p);
      if (p % row.band == 0) {
        first = span.first;
        const int64_t last = s.rows.span(cpu::least(p + row.band, s.rows.out) - 1).last;
        from = row.rows_of(x + n * s.rows.in * s.columns.in, {first, last}, room);
      }
      const WindowRows rows{from + (span.first - first) * row.pitch(), row.pitch(), span};
      const int64_t at = (n * s.rows.out + p) * s.columns.out;
      row.vectors([&]<int kLanes>(LaneCount<kLanes> lanes, int64_t q, int64_t count) {
        f(lanes, rows, p, q, at + q, count);
      });
    }
  });
}

/// Calls f(c, lanes) for each column c of kLanes windows side by side whose first begins at p; there are kColumns of
/// them, or any number if that is 0. At a stride of 2 two columns come from the same two vectors.
template <int kLanes, int kStep, int kColumns, class F>
[[gnu::always_inline]] inline void for_columns(const SlidingWindows& s, const float* p, F&& f) {
  const int64_t columns = kColumns != 0 ? kColumns : s.kernel;
  int64_t c = 0;
  if constexpr (kStep == 2) {
#pragma GCC unroll 2
    for (; c + 2 <= columns; c += 2) {
      const auto two = Neighbours<kLanes>::load(p + c);
      f(c, two.even);
      f(c + 1, two.odd);
    }
  }
#pragma GCC unroll 3
  for (; c < columns; ++c) f(c, load_apart<kLanes, kStep>(p + c, s.stride));
}

/// Maxima of kLanes windows from window (p, q) on. `skipped` columns of each are padding: of places that are all
/// -∞, the first in x is found.
template <int kLanes, int kStep, int kColumns, class Place>
void max_of_windows(const Pool2d& s, const WindowRows& x, const std::int32_t* skipped, int64_t p, int64_t q,
                    int64_t count, float* y, Place* place) {
  using V = typename Lanes<kLanes>::Floats;
  using I = typename Lanes<kLanes>::Ints;
  V best = V{} - __builtin_inff();
  I row = I{} + static_cast<std::int32_t>((x.rows.first - s.rows.start(p)) * s.columns.kernel), found;
  __builtin_memcpy(&found, skipped + q, sizeof found);
  found += row;
  const float* from = x.at + q * s.columns.stride;
  for (int64_t r = x.rows.first; r < x.rows.last; ++r) {
    for_columns<kLanes, kStep, kColumns>(s.columns, from, [&](int64_t c, V value) {
      const I stays = (value <= best) | (best != best);  // greater, or the first NaN, wins
      best = stays ? best : value;
      found = stays ? found : row + static_cast<std::int32_t>(c);
    });
    row += static_cast<std::int32_t>(s.columns.kernel);
    from += x.pitch;
  }
  store_first(LaneCount<kLanes>{}, y, count, best);
  if (place != nullptr) store_first(LaneCount<kLanes>{}, place, count, found);
}

/// Averages of the same windows; `widths` are what their columns count.
template <int kLanes, int kStep>
void average_of_windows(const Pool2d& s, const WindowRows& x, const float* widths, int64_t p, int64_t q,
                        int64_t count, float* y) {
  using V = typename Lanes<kLanes>::Floats;
  V sum{}, size;
  for (int64_t r = 0; r < x.rows.last - x.rows.first; ++r) {
    const float* from = x.at + r * x.pitch + q * s.columns.stride;
    for (int64_t c = 0; c < s.columns.kernel; ++c)
      sum += load_apart<kLanes, kStep>(from + c, s.columns.stride);
  }
  __builtin_memcpy(&size, widths + q, sizeof size);
  store_first(LaneCount<kLanes>{}, y, count, sum / (size * static_cast<float>(s.rows.size(p))));
}

template <int kStep>
struct Step {};
template <int kStep, int kColumns>
struct Form {};

/// Calls f(Step<kStep>) with the step between windows, as load_apart takes it.
template <class F>
void with_step(int64_t stride, F&& f) {
  if (stride == 1) return f(Step<1>{});
  if (stride == 2) return f(Step<2>{});
  return f(Step<0>{});
}

template <class Place>
void max_pool2d_as(cpu::Queue& queue, const Pool2d& s, const float* x, float* y, Place* place) {
  if constexpr (sizeof(Place) == 1)
    if (are_squares(s)) return max_pool2d_squares<cpu::Vec::kLanes>(queue, s, x, y, place);
  const WindowRow row(s);
  Scratch<std::int32_t> skipped(queue, row.padded_out(), "max_pool2d");
  for (int64_t q = 0; q < row.padded_out(); ++q)
    skipped.data()[q] = static_cast<std::int32_t>(s.columns.start(q) < 0 ? -s.columns.start(q) : 0);
  const auto each = [&]<int kStep, int kColumns>(Form<kStep, kColumns>) {
    for_windows(queue, s, row, x, -__builtin_inff(),
                [&]<int kLanes>(LaneCount<kLanes>, const WindowRows& rows, int64_t p, int64_t q, int64_t at,
                                int64_t count) {
                  max_of_windows<kLanes, kStep, kColumns>(s, rows, skipped.data(), p, q, count, y + at,
                                                          place != nullptr ? place + at : nullptr);
                });
  };
  if (s.columns.kernel == 3 && s.columns.stride == 2) return each(Form<2, 3>{});
  with_step(s.columns.stride, [&]<int kStep>(Step<kStep>) { each(Form<kStep, 0>{}); });
}

template <class Place>
void max_pool2d_grad_as(cpu::Queue& queue, const Pool2d& s, const Place* place, const float* dy, float* dx) {
  if constexpr (sizeof(Place) == 1)
    if (are_squares(s)) return max_pool2d_squares_grad<cpu::Vec::kLanes>(queue, s, place, dy, dx);
  const int64_t width = s.columns.in, pixels = s.rows.in * width, results = s.rows.out * s.columns.out;
  constexpr int64_t kTable = sizeof(Place) == 1 ? 256 : 1;
  int64_t offset[kTable] = {};  // of each place from the window's start: no division by result
  for (int64_t k = 0; k < cpu::least(kTable, s.rows.kernel * s.columns.kernel); ++k)
    offset[k] = k / s.columns.kernel * width + k % s.columns.kernel;
  for_planes(queue, s, 0, 0.0f, [&](int64_t n, float*) {
    float* const to = dx + n * pixels;
    for (int64_t i = 0; i < pixels; ++i) to[i] = 0.0f;
    const Place* found = place + n * results;
    const float* slope = dy + n * results;
    for (int64_t p = 0; p < s.rows.out; ++p)
      for (int64_t q = 0; q < s.columns.out; ++q) {
        const Place k = *found++;
        const int64_t start = s.rows.start(p) * width + s.columns.start(q);
        if constexpr (kTable > 1) {
          to[start + offset[k]] += *slope++;
        } else {
          const Division d = divide(k, s.columns.kernel);
          to[start + d.quotient * width + d.remainder] += *slope++;
        }
      }
  });
}

/// What the columns of windows count in averages, as floats.
template <class Windows>
void fill_widths(const Windows& columns, int64_t count, float* widths) {
  for (int64_t q = 0; q < count; ++q)
    widths[q] = q < columns.out ? static_cast<float>(columns.size(q)) : 1.0f;
}

/// Adds each window's slope to the columns that it holds; the row begins with the padding.
void spread(const SlidingWindows& s, const float* slope, float* row) {
  for (int64_t c = 0; c < s.kernel; ++c)
    with_step(s.stride, [&]<int kStep>(Step<kStep>) {
      for (int64_t q = 0; q < s.out; ++q) row[q * (kStep != 0 ? kStep : s.stride) + c] += slope[q];
    });
}
void spread(const AdaptiveWindows& s, const float* slope, float* row) {
  for (int64_t q = 0; q < s.out; ++q) {
    const Span columns = s.span(q);
    for (int64_t j = columns.first; j < columns.last; ++j) row[j] += slope[q];
  }
}
int64_t padding_before(const SlidingWindows& s) { return s.before; }
int64_t padding_before(const AdaptiveWindows&) { return 0; }
/// Columns that the row of spread() must have.
int64_t spread_width(const SlidingWindows& s) {
  const int64_t windows = (s.out - 1) * s.stride + s.kernel, plane = s.before + s.in;
  return windows > plane ? windows : plane;
}
int64_t spread_width(const AdaptiveWindows& s) { return s.in; }

/// A row of results spreads its slopes along the columns, then adds the spread row to each row of its windows.
template <class Windows>
void average_grad(cpu::Queue& queue, const Pooling<Windows>& s, const float* dy, float* dx) {
  const int64_t width = s.columns.in, pixels = s.rows.in * width, results = s.columns.out;
  const int64_t wide = spread_width(s.columns);
  Scratch<float> table(queue, results, "average_pool2d");
  float* const widths = table.data();
  fill_widths(s.columns, results, widths);
  for_planes(queue, s, wide + results, 0.0f, [&](int64_t n, float* room) {
    float *const to = dx + n * pixels, *const share = room + wide;
    for (int64_t i = 0; i < pixels; ++i) to[i] = 0.0f;
    for (int64_t p = 0; p < s.rows.out; ++p) {
      const float* slope = dy + (n * s.rows.out + p) * results;
      const auto height = static_cast<float>(s.rows.size(p));
      for (int64_t q = 0; q < results; ++q) share[q] = slope[q] / (widths[q] * height);
      for (int64_t j = 0; j < wide; ++j) room[j] = 0.0f;
      spread(s.columns, share, room);
      const float* const from = room + padding_before(s.columns);
      const Span rows = s.rows.span(p);
      for (int64_t i = rows.first; i < rows.last; ++i)
        for (int64_t j = 0; j < width; ++j) to[i * width + j] += from[j];
    }
  });
}

/// Σ of x over a window of a plane, lanes along its rows.
float sum_of(const float* plane, int64_t width, Span rows, Span columns) {
  cpu::Vec total = cpu::Vec::zero();
  for (int64_t i = rows.first; i < rows.last; ++i)
    for (int64_t j = columns.first; j < columns.last; j += cpu::Vec::kLanes)
      total = total + cpu::load(plane + i * width + j,
                                static_cast<int>(cpu::least(cpu::Vec::kLanes, columns.last - j)));
  return cpu::sum(total);
}

}  // namespace

void kernels::max_pool2d(cpu::Queue& queue, const Pool2d& shape, const float* x, float* y, void* place) {
  if (place_type(shape) == DType::u8)
    max_pool2d_as(queue, shape, x, y, static_cast<std::uint8_t*>(place));
  else
    max_pool2d_as(queue, shape, x, y, static_cast<std::int32_t*>(place));
}

void kernels::max_pool2d_grad(cpu::Queue& queue, const Pool2d& shape, const void* place, const float* dy,
                              float* dx) {
  if (place_type(shape) == DType::u8)
    max_pool2d_grad_as(queue, shape, static_cast<const std::uint8_t*>(place), dy, dx);
  else
    max_pool2d_grad_as(queue, shape, static_cast<const std::int32_t*>(place), dy, dx);
}

void kernels::average_pool2d(cpu::Queue& queue, const Pool2d& shape, const float* x, float* y) {
  const Pool2d& s = shape;
  const WindowRow row(s);
  Scratch<float> widths(queue, row.padded_out(), "average_pool2d");
  fill_widths(s.columns, row.padded_out(), widths.data());
  with_step(s.columns.stride, [&]<int kStep>(Step<kStep>) {
    for_windows(queue, s, row, x, 0.0f,
                [&]<int kLanes>(LaneCount<kLanes>, const WindowRows& rows, int64_t p, int64_t q, int64_t at,
                                int64_t count) {
                  average_of_windows<kLanes, kStep>(s, rows, widths.data(), p, q, count, y + at);
                });
  });
}

void kernels::adaptive_average_pool2d(cpu::Queue& queue, const AdaptivePool2d& s, const float* x, float* y) {
  for_planes(queue, s, 0, 0.0f, [&](int64_t n, float*) {
    const float* const plane = x + n * s.rows.in * s.columns.in;
    float* to = y + n * s.rows.out * s.columns.out;
    for (int64_t p = 0; p < s.rows.out; ++p)
      for (int64_t q = 0; q < s.columns.out; ++q)
        *to++ = sum_of(plane, s.columns.in, s.rows.span(p), s.columns.span(q)) /
                static_cast<float>(s.rows.size(p) * s.columns.size(q));
  });
}

void kernels::average_pool2d_grad(cpu::Queue& queue, const Pool2d& shape, const float* dy, float* dx) {
  average_grad(queue, shape, dy, dx);
}

void kernels::adaptive_average_pool2d_grad(cpu::Queue& queue, const AdaptivePool2d& shape, const float* dy,
                                           float* dx) {
  average_grad(queue, shape, dy, dx);
}

}  // namespace fovea

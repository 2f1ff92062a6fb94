// SPDX-License-Identifier: Apache-2.0
#include "kernels/ops/resize.h"

#include "kernels/arena.h"
#include "kernels/cpu/loops.h"
#include "kernels/cpu/queue.h"
#include "kernels/cpu/transpose.h"

/// The two axes are taken one after the other. Forward, two rows of x become one at a result's height, which is then
/// read at each result's column; backward, rows of slopes become one at the height of a row of x, which is then handed
/// out to its columns. Where columns come from is the same for all rows and stands in a table.
namespace fovea {
namespace {

using std::int64_t;

using Source = ResizeAxis::Source;

/// Where results lie along the columns: between `low` and the column behind it, which exists in each row here.
class Columns {
  static constexpr int kLanes = cpu::Vec::kLanes;

 public:
  Columns(cpu::Queue& queue, const ResizeAxis& axis)
      : low_(queue, axis.out, "resize"),
        ahead_(queue, axis.out, "resize"),
        weights_(queue, 2 * axis.out, "resize") {
    low = low_.data();
    low_weight = weights_.data();
    high_weight = weights_.data() + axis.out;
    for (int64_t q = 0; q < axis.out; ++q) {
      const Source from = axis.source(axis.at(q));
      low_.data()[q] = static_cast<std::int32_t>(from.low);
      weights_.data()[q] = from.low_weight;
      weights_.data()[axis.out + q] = from.high_weight;
      ahead_.data()[q] = low[q] - low[q / kLanes * kLanes];
    }
  }
  /// to[q] for all results of a row, of which kLanes columns more may be read than there are.
  void interpolate(const float* row, int64_t out_width, float* to) const {
    int64_t q = 0;
    for (; q + kLanes <= out_width; q += kLanes) {
      const std::int32_t* const ahead = ahead_.data() + q;
      if (ahead[kLanes - 1] + 1 < kLanes) {  // all in one vector, and in the one that begins a column later
        const auto near = [&](int64_t begin) { return picked(cpu::Vec::load(row + low[q] + begin), ahead); };
        (cpu::Vec::load(low_weight + q) * near(0) + cpu::Vec::load(high_weight + q) * near(1)).store(to + q);
        continue;
      }
      for (int64_t i = q; i < q + kLanes; ++i) to[i] = one(row, i);
    }
    for (; q < out_width; ++q) to[q] = one(row, q);
  }
  const std::int32_t* low;
  const float *low_weight, *high_weight;

 private:
  float one(const float* row, int64_t q) const {
    return low_weight[q] * row[low[q]] + high_weight[q] * row[low[q] + 1];
  }

  Scratch<std::int32_t> low_, ahead_;  // ahead of the first result of its vector
  Scratch<float> weights_;
};

/// The slopes of a plane of x, row by row: results, still at their columns, add to the two rows that they lie between;
/// when no further result lies before a row's successor, its slopes go to the columns of x.
class PlaneSlopes {
 public:
  /// room  2·out_width + width + 1 floats
  PlaneSlopes(const Columns& column, int64_t width, int64_t out_width, float* room, float* plane)
      : column_(column),
        width_(width),
        out_width_(out_width),
        upper_(room),
        lower_(room + out_width),
        row_(room + 2 * out_width),
        plane_(plane) {
    for (int64_t q = 0; q < 2 * out_width; ++q) room[q] = 0.0f;
  }
  void add(const Source& from, const float* slope) {
    float* const high = from.high == from.low ? upper_ : lower_;
    for (int64_t q = 0; q < out_width_; ++q) upper_[q] += from.low_weight * slope[q];
    for (int64_t q = 0; q < out_width_; ++q) high[q] += from.high_weight * slope[q];
  }
  /// Rows before row i have all their results.
  void finish_until(int64_t i) {
    for (; done_ < i; ++done_) {
      for (int64_t j = 0; j <= width_; ++j) row_[j] = 0.0f;
      for (int64_t q = 0; q < out_width_; ++q) {
        row_[column_.low[q]] += column_.low_weight[q] * upper_[q];
        row_[column_.low[q] + 1] += column_.high_weight[q] * upper_[q];
      }
      row_[width_ - 1] += row_[width_];
      for (int64_t j = 0; j < width_; ++j) plane_[done_ * width_ + j] = row_[j];
      float* const finished = upper_;
      upper_ = lower_;
      lower_ = finished;
      for (int64_t q = 0; q < out_width_; ++q) lower_[q] = 0.0f;
    }
  }

 private:
  const Columns& column_;
  int64_t width_, out_width_, done_ = 0;
  float *upper_, *lower_;  // slopes of rows done_ and done_ + 1
  float *row_, *plane_;
};

/// Calls f(n, room) for each plane; the `floats` of room belong to the part.
template <class F>
void for_planes(cpu::Queue& queue, const Resize2d& s, int64_t floats, F&& f) {
  const int64_t size = cpu::group_of(s.rows.in * s.columns.in + s.rows.out * s.columns.out);
  Scratch<float> room(queue, cpu::blocks_of(s.planes, size) * floats, "resize");
  const auto planes = [&](int64_t first, int64_t last) {
    for (int64_t n = first; n < last; ++n) f(n, room.data() + first / size * floats);
  };
  cpu::for_ranges(queue, s.planes, planes, size);
}

}  // namespace

void kernels::resize(cpu::Queue& queue, const Resize2d& s, const float* x, float* y) {
  const Columns column(queue, s.columns);
  const int64_t width = s.columns.in, out_width = s.columns.out;
  for_planes(queue, s, s.nearest ? 0 : width + 1 + cpu::Vec::kLanes, [&](int64_t n, float* __restrict__ row) {
    for (int64_t p = 0; p < s.rows.out; ++p) {
      const Source from = s.rows.source(s.rows.at(p));
      const float *low = x + (n * s.rows.in + from.low) * width,
                  *high = x + (n * s.rows.in + from.high) * width;
      float* __restrict__ to = y + (n * s.rows.out + p) * out_width;
      const std::int32_t* const at = column.low;
      if (s.nearest) {
        for (int64_t q = 0; q < out_width; ++q) to[q] = low[at[q]];
        continue;
      }
      for (int64_t j = 0; j < width; ++j) row[j] = from.low_weight * low[j] + from.high_weight * high[j];
      row[width] = row[width - 1];
      column.interpolate(row, out_width, to);
    }
  });
}

void kernels::resize_grad(cpu::Queue& queue, const Resize2d& s, const float* dy, float* dx) {
  const Columns column(queue, s.columns);
  const int64_t width = s.columns.in, out_width = s.columns.out;
  for_planes(queue, s, s.nearest ? 0 : 2 * out_width + width + 1, [&](int64_t n, float* room) {
    const float* slope = dy + n * s.rows.out * out_width;
    float* const plane = dx + n * s.rows.in * width;
    if (s.nearest) {
      for (int64_t i = 0; i < s.rows.in * width; ++i) plane[i] = 0.0f;
      for (int64_t p = 0; p < s.rows.out; ++p) {
        float* const to = plane + s.rows.at(p).whole * width;
        for (int64_t q = 0; q < out_width; ++q) to[column.low[q]] += *slope++;
      }
      return;
    }
    PlaneSlopes slopes(column, width, out_width, room, plane);
    for (int64_t p = 0; p < s.rows.out; ++p) {
      const Source from = s.rows.source(s.rows.at(p));
      slopes.finish_until(from.low);
      slopes.add(from, slope + p * out_width);
    }
    slopes.finish_until(s.rows.in);
  });
}

}  // namespace fovea

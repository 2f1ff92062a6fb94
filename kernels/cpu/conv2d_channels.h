// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/cpu/conv2d_cost.h"
#include "kernels/cpu/matmul_block.h"
#include "kernels/cpu/pool.h"
#include "kernels/cpu/stream.h"

/// Forward pass and input gradient for many output channels, which the lanes hold: no lane idles at any width of the
/// image. A tile is up to kNumbers pixels of a row times a panel of output channels. Weights are packed once, as
/// [kernel row][kernel column][input channel][kPanel]; x some rows at a time, by the part that uses them, so that it
/// comes from the part's own caches: [row][input channel][pixel], a row with stride as `stride` rows (Note [Strides
/// in lanes]).
namespace fovea::cpu {
namespace {

/// y = bias + x ⋆ w, where x and w may also be dy and the turned weights. Element (n, o, p, q) of y stands at
/// y[n·image + o·channel + p·row + q·column].
struct Correlation {
  Images x;
  Weights w;
  Windows windows;
  float* y;
  Index image, channel, row, column;
};

class Channels {
 public:
  explicit Channels(const Correlation& k);
  /// Whether some rows of x fit.
  bool fits() const { return x_rows(1) * row_ <= kRowFloats && k_.windows.out_width <= kMostPixels; }
  void run(Pool& pool, const float* bias) const;

 private:
  static constexpr Index kRowFloats = 48 * 1024;      // of packed x
  static constexpr Index kMostPixels = 512;           // of a part's sums
  static constexpr Index kWeightFloats = 512 * 1024;  // of a part: the fewer parts, the fewer copies of x
  static constexpr Index kEnoughParts = 8;

  Correlation k_;
  Index taps_, panels_;                // of a group
  Index phases_, width_, line_, row_;  // of packed x: a line is a row of a channel
  Index rows_, strips_, out_blocks_;   // of outputs
  bool rows_touch_, streams_;          // the rows of y are one run; y goes past the caches

  Index x_rows(Index out_rows) const {
    const Windows& w = k_.windows;
    return ((out_rows - 1) * w.stride.height + (w.kernel_height - 1) * w.dilation.height) / w.row_step() + 1;
  }
  Index panel_floats() const { return taps_ * k_.w.in_channels * kPanel; }
  void pack_vector(Index part, float* packed) const;
  void pack_x(Index image, Index group, Index row, Index count, float* to) const;
  template <class F>
  void add_panel(bool full, Index first_row, Index count, const float* x, const Index* columns,
                 const float* w, const float* start, float* sums, const F& finish) const;
  /// Calls f(row, column, numbers) for the tiles of `count` rows.
  template <class F>
  void for_tiles(Index count, const F& f) const {
    const Index width = k_.windows.out_width, tiles = blocks_of(width, kNumbers);
    for (Index row = 0; row < count; ++row)
      for (Index t = 0; t < tiles; ++t)
        f(row, cut(width, tiles, t), static_cast<int>(cut(width, tiles, t + 1) - cut(width, tiles, t)));
  }
  void part(Index part, const Index* columns, const float* packed, const float* bias) const;
  void write(const float* sums, Index first, Index pixels, Index count, float* to) const;
};

Channels::Channels(const Correlation& k) : k_(k) {
  const Windows& w = k.windows;
  taps_ = w.kernel_height * w.kernel_width;
  panels_ = blocks_of(k.w.out_channels, kPanel);
  phases_ = w.stride.width;
  width_ = blocks_of(w.width(), phases_);
  line_ = phases_ * width_;
  row_ = k.w.in_channels * line_;
  rows_ = most(1, least(w.out_height, kMostPixels / w.out_width));
  while (rows_ > 1 && x_rows(rows_) * row_ > kRowFloats) --rows_;
  strips_ = blocks_of(w.out_height, rows_);
  out_blocks_ = blocks_of(panels_ * panel_floats(), kWeightFloats);
  if (k.x.count * k.w.groups * strips_ * out_blocks_ < kEnoughParts) out_blocks_ = panels_;
  out_blocks_ = least(out_blocks_, panels_);
  const Index parts = k.x.count * k.w.groups * out_blocks_;
  strips_ = most(strips_, least(blocks_of(kEnoughParts, parts), w.out_height));
  rows_ = blocks_of(w.out_height, strips_);
  strips_ = blocks_of(w.out_height, rows_);
  rows_touch_ = k.column == 1 && k.row == w.out_width;
  streams_ = rows_touch_ && k.channel % Vec::kLanes == 0 &&  // each channel begins at a vector if one does
             are_streamed(k.x.count * k.w.groups * k.w.out_channels * w.out_height * w.out_width);
}

/// The weights of one vector of output channels.
void Channels::pack_vector(Index part, float* packed) const {
  constexpr Index kLanes = Vec::kLanes;
  const Weights& w = k_.w;
  const Index vectors = panels_ * kVectors, group = part / vectors, o = part % vectors * kLanes;
  const Index lines = most(0, least(kLanes, w.out_channels - o)), channels = w.in_channels;
  float* const to = packed + (group * panels_ + o / kPanel) * panel_floats() + o % kPanel;
  const float* const from = w.data + group * w.group + o * w.out;
  const bool forward = w.column == 1 && w.row == w.kernel_width && w.in == taps_;
  const bool turned = w.column == -1 && w.row == -w.kernel_width;
  if (forward || turned) {  // the taps of a channel are neighbours; forward, those of all channels are
    constexpr Index kAhead = 64, kChannelsAhead = 4;  // too far apart for the processor to foresee them
    const Index run = forward ? taps_ * channels : taps_;
    Index tap = 0, channel = 0;  // of the next vector
    for (Index c = 0; c < channels; c += run / taps_) {
      const float* const first = from + c * w.in - (turned ? taps_ - 1 : 0);
      if (turned)
        for (Index i = 0; i < kLanes * taps_; i += 16) __builtin_prefetch(first + kChannelsAhead * w.in + i);
      for (Index i = 0; i < run; i += kLanes) {
        if (forward)
          for (Index l = 0; l < kLanes; ++l) __builtin_prefetch(first + l * w.out + i + kAhead);
        Vec square[kLanes];
        load_square(first + i, w.out, lines, run - i, square);
        for (Index j = 0; j < least(kLanes, run - i); ++j) {
          square[j].store(to + ((turned ? taps_ - 1 - tap : tap) * channels + channel) * kPanel);
          if (++tap == taps_) {
            tap = 0;
            ++channel;
          }
        }
      }
    }
    return;
  }
  for (Index r = 0; r < w.kernel_height; ++r)
    for (Index s = 0; s < w.kernel_width; ++s)
      for (Index c = 0; c < channels; ++c)
        for (Index i = 0; i < kLanes; ++i)
          to[((r * w.kernel_width + s) * channels + c) * kPanel + i] =
              i < lines ? from[i * w.out + c * w.in + r * w.row + s * w.column] : 0.0f;
}

/// Whole vectors are written, of which the next line covers what is too much: kLanes floats behind the last one are
/// overwritten.
void Channels::pack_x(Index image, Index group, Index row, Index count, float* to) const {
  constexpr Index kLanes = Vec::kLanes;
  const Windows& win = k_.windows;
  const Index channels = k_.w.in_channels, top = row * win.stride.height - win.padding_top;
  const float* const planes = k_.x.data + image * k_.x.image_stride + group * channels * k_.x.channel_stride;
  const Range read = common({0, k_.x.height}, {top, top + (count - 1) * win.row_step() + 1});
  for (Index c = 0; c < channels; ++c)
    fetch(planes + c * k_.x.channel_stride + read.begin * k_.x.width, (read.end - read.begin) * k_.x.width);
  for (Index r = 0; r < count; ++r, to += row_) {
    const Index y = top + r * win.row_step();
    if (y < 0 || y >= k_.x.height) {
      store_zeros(to, row_);
      continue;
    }
    const float* const first = planes + y * k_.x.width;
    for (Index phase = 0; phase < phases_; ++phase) {
      const Index start = phase - win.padding_left;
      const Range seen = inside(start, phases_, width_, k_.x.width);
      float* line = to + phase * width_;
      const float* from = first + start;
      for (Index c = 0; c < channels; ++c, line += line_, from += k_.x.channel_stride) {
        if (phases_ > 1) {
          store_zeros(line, seen.begin);
          if (phases_ == 2)
            store_every_second(from + 2 * seen.begin, k_.x.width - start - 2 * seen.begin, line + seen.begin,
                               seen.end - seen.begin);
          else
            for (Index j = seen.begin; j < seen.end; ++j) line[j] = from[j * phases_];
          store_zeros(line + seen.end, width_ - seen.end);
          continue;
        }
        Index j = 0;
        do {
          Vec::zero().store(line + j);
          j += kLanes;
        } while (j < seen.begin);
        for (j = seen.begin; j < seen.end; j += kLanes)
          load(from + j, static_cast<int>(least(kLanes, seen.end - j))).store(line + j);
        for (; j < width_; j += kLanes) Vec::zero().store(line + j);
      }
    }
  }
}

/// Some taps of some channels: x(r, s, c) = x[r·row + columns[s] + c·line], w(r, s, c) = w[(r·w_row + s·w_tap + c)·kPanel].
struct Chain {
  Index rows, columns, channels;
  Index row, line, w_row, w_tap;
};

/// sums[p][panel] += Σ_{r,s,c} x(r, s, c)[p]·w(r, s, c)[panel]. A function of its own: what else its caller holds
/// would cost it registers.
template <int P, int V>
[[gnu::noinline]] void add_chain(Chain k, const float* x, const Index* columns, const float* w, float* sums) {
  Vec sum[P][V] = {};
  for (Index r = 0; r < k.rows; ++r, x += k.row, w += k.w_row * kPanel)
    for (Index s = 0; s < k.columns; ++s)
      add_outer(sum, x + columns[s], k.line, w + s * k.w_tap * kPanel, kPanel, k.channels);
#pragma GCC unroll 14
  for (int p = 0; p < P; ++p)
#pragma GCC unroll 2
    for (int v = 0; v < V; ++v) {
      float* const to = sums + p * kPanel + v * Vec::kLanes;
      (Vec::load(to) + sum[p][v]).store(to);
    }
}

/// `pixels` ≤ kLanes pixels from `first` of a strip on, of `count` output channels; `to` is where the strip begins.
void Channels::write(const float* sums, Index first, Index pixels, Index count, float* to) const {
  constexpr Index kLanes = Vec::kLanes;
  const bool stream = streams_ && pixels == kLanes && is_aligned(to + first);
  for (Index o = 0; o < count; o += kLanes) {
    Vec square[kLanes];
#pragma GCC unroll 16
    for (Index p = 0; p < kLanes; ++p)
      square[p] = p < pixels ? Vec::load(sums + (first + p) * kPanel + o) : Vec::zero();
    transpose(square);
    float* line = to + o * k_.channel;
    for (Index i = 0; i < least(kLanes, count - o); ++i, line += k_.channel) {
      if (stream) {
        square[i].stream(line + first);
      } else if (rows_touch_) {
        store(line + first, static_cast<int>(pixels), square[i]);
      } else {
        alignas(64) float values[kLanes];
        square[i].store(values);
        for (Index p = 0; p < pixels; ++p)
          line[(first + p) / k_.windows.out_width * k_.row + (first + p) % k_.windows.out_width * k_.column] =
              values[p];
      }
    }
  }
}

void Channels::part(Index part, const Index* columns, const float* packed, const float* bias) const {
  alignas(64) float packed_x[kRowFloats + 2 * Vec::kLanes];
  alignas(64) float sums[kMostPixels * kPanel + kNumbers * kPanel];
  const Windows& win = k_.windows;
  const Index strip = part % strips_, image = part / strips_ % k_.x.count;
  const Index group = part / strips_ / k_.x.count % k_.w.groups,
              block = part / strips_ / k_.x.count / k_.w.groups;
  const Index first_row = strip * rows_, count = least(rows_, win.out_height - first_row);
  pack_x(image, group, first_row, x_rows(count), packed_x);
  for (Index panel = cut(panels_, out_blocks_, block); panel < cut(panels_, out_blocks_, block + 1);
       ++panel) {
    const Index out = panel * kPanel, some = least(kPanel, k_.w.out_channels - out);
    const Index first_out = group * k_.w.out_channels + out;
    float* const to = k_.y + image * k_.image + first_out * k_.channel + first_row * k_.row;
    Index done = 0;  // pixels that are written
    alignas(64) float start[kPanel] = {};
    for (Index o = 0; bias != nullptr && o < some; ++o) start[o] = bias[first_out + o];
    add_panel(some > Vec::kLanes, first_row, count, packed_x, columns,
              packed + (group * panels_ + panel) * panel_floats(), start, sums, [&](Index complete) {
                for (; done + Vec::kLanes <= complete; done += Vec::kLanes)
                  write(sums, done, Vec::kLanes, some, to);
              });
    write(sums, done, count * win.out_width - done, some, to);
  }
}

/// Weights of one chain of sums, some 256 terms (Note [Short runs]), meet all pixels before the next ones, so that
/// they are read from the first- or second-level cache. Of a tile at the border, each column of the kernel takes the
/// pixels that it meets, where a column's channels are enough for a chain. finish(pixels) is called when so many
/// pixels of the strip are complete, between the sums of others: nobody waits while memory takes them.
template <class F>
void Channels::add_panel(bool full, Index first_row, Index count, const float* x, const Index* columns,
                         const float* w, const float* start, float* sums, const F& finish) const {
  const Windows& win = k_.windows;
  const Index channels = k_.w.in_channels, pieces = blocks_of(channels, kChain),
              taps = channels * win.kernel_width;
  const Index rows = most(1, (kChain + taps / 2) / taps), some = most(1, kChain / channels);
  const Index row_pitch = win.stride.height / win.row_step() * row_;
  const Index tap_row = win.kernel_height > 1 ? win.dilation.height / win.row_step() * row_ : 0;
  for (Index r = 0; r < win.kernel_height; r += rows)
    for (Index s = 0; s < win.kernel_width; s += some)
      for (Index piece = 0; piece < pieces; ++piece) {
        const Index c = cut(channels, pieces, piece), terms = cut(channels, pieces, piece + 1) - c;
        for_tiles(count, [&](Index row, Index column, int numbers) {
          const Range down =
              common({r, r + rows}, inside((first_row + row) * win.stride.height - win.padding_top,
                                           win.dilation.height, win.kernel_height, k_.x.height));
          if (r == 0 && s == 0 && piece == 0)
            for (Index p = row * win.out_width + column, end = p + numbers; p < end; ++p)
              for (Index o = 0; o < kPanel; o += Vec::kLanes)
                Vec::load(start + o).store(sums + p * kPanel + o);
          const auto add = [&](Range across, Range pixels) {
            if (down.begin >= down.end || across.begin >= across.end || pixels.begin >= pixels.end) return;
            const Chain chain{.rows = down.end - down.begin,
                              .columns = across.end - across.begin,
                              .channels = terms,
                              .row = tap_row,
                              .line = line_,
                              .w_row = win.kernel_width * channels,
                              .w_tap = channels};
            const float* const from =
                x + row * row_pitch + down.begin * tap_row + c * line_ + column + pixels.begin;
            const float* const weights =
                w + ((down.begin * win.kernel_width + across.begin) * channels + c) * kPanel;
            float* const to = sums + (row * win.out_width + column + pixels.begin) * kPanel;
            with_numbers(static_cast<int>(pixels.end - pixels.begin), [&]<int P>() {
              if (full)
                add_chain<P, kVectors>(chain, from, columns + across.begin, weights, to);
              else
                add_chain<P, 1>(chain, from, columns + across.begin, weights, to);
            });
          };
          const Range across =
              common({s, s + some}, columns_met(win, k_.x.width, column, column + numbers - 1));
          const Index left = column * win.stride.width - win.padding_left;
          const Index right =
              left + (numbers - 1) * win.stride.width + (win.kernel_width - 1) * win.dilation.width;
          if (terms < kShortChain || (left >= 0 && right < k_.x.width))
            add(across, {0, numbers});
          else
            for (Index i = across.begin; i < across.end; ++i)
              add({i, i + 1}, inside(left + i * win.dilation.width, win.stride.width, numbers, k_.x.width));
          if (r + rows >= win.kernel_height && s + some >= win.kernel_width && piece + 1 == pieces)
            finish(row * win.out_width + column + numbers);
        });
      }
}

void Channels::run(Pool& pool, const float* bias) const {
  const Windows& win = k_.windows;
  const Scratch<float> packed(pool, k_.w.groups * panels_ * panel_floats(), "conv2d");
  const Scratch<Index> columns(pool, win.kernel_width, "conv2d");
  for (Index s = 0; s < win.kernel_width; ++s) {
    const Index at = s * win.dilation.width;
    columns.data()[s] = at % phases_ * width_ + at / phases_;
  }
  for_parts(pool, k_.w.groups * panels_ * kVectors, [&](Index i) { pack_vector(i, packed.data()); });
  for_parts(pool, out_blocks_ * k_.w.groups * k_.x.count * strips_, [&](Index i) {
    part(i, columns.data(), packed.data(), bias);
    if (streams_) finish_streams();
  });
}

}  // namespace
}  // namespace fovea::cpu

// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/cpu/fetch.h"
#include "kernels/cpu/fft.h"
#include "kernels/cpu/queue.h"
#include "kernels/cpu/transpose.h"
#include "kernels/geometry.h"

/// Convolution by Fourier transforms: correlation of planes is a product of spectra. With large kernels it takes a
/// tenth of the operations (Vasilache et al. 2015, Fast convolutional nets with fbfft).
///
/// Note [Pairs of images]: two images are the real and imaginary part of one complex plane. Weights are real, so a
/// convolution keeps the two apart, and nothing has to be unpacked. kLanes such pairs make one vector: a *group* of
/// 2·kLanes images. Of a weight gradient, conj(dY)·X summed over pairs has the sum of both images in the real part
/// of its inverse transform; the imaginary part is dropped.
///
/// Note [Circular]: a transform of n columns makes a circular correlation. Element j of a plane that is padded on
/// the left stands at j + padding; what wraps around meets zeros or ends in results that nobody reads, if n ≥
/// width + padding and n ≥ outputs + kernel width - 1 - padding. So 50 columns serve a "valid" 15-wide kernel on 50.
///
/// Note [Order of passes]: rows are transformed first, out of the images, and stored by column frequency kx. All that
/// follows for one kx, columns, product over channels, columns back, stays in the second-level cache. Rows come back
/// last. Each of the three is cut into parts by the shape.
///
/// Note [Shared frames]: where windows roll over a movie, image n's channel c is frame n + c, and pair p's is pair
/// p + c/2 of the frames (c, c + 1), (c + 2, c + 3), …: each frame is transformed in two pairs, not once for each
/// channel, and the lanes of a channel are an unaligned vector.
namespace fovea::cpu {
namespace {

constexpr Index kLanes = Vec::kLanes;
constexpr Index kGroup = 2 * kLanes;  // images
constexpr Index kPartRows = 10;       // rows that one part transforms
constexpr Index kLongest = kLongestFft;

/// Planes that are transformed, a vector of pairs at a time.
struct Planes {
  const float* data;
  Index images, channels, height, width;
  Index image_stride, channel_stride;
  Index left, top;  // where a plane begins in the transform

  /// Of an odd number of windows, the last would be paired with a frame that no copy of the windows has beside it.
  bool rolling() const { return image_stride == channel_stride && images % 2 == 0 && channels > 1; }
  Index groups() const { return blocks_of(images, kGroup); }
  Index frames() const { return images + channels - 1; }
  /// Rolling: vectors of pairs that begin with an even frame, as many as begin with an odd one.
  Index frame_vectors() const { return blocks_of(blocks_of(frames(), 2), kLanes); }
  /// Vectors to be transformed along rows, and how many of them one group reads (from columns).
  Index row_vectors() const { return rolling() ? 2 * frame_vectors() : channels; }
  Index group_vectors() const { return rolling() ? 2 * group_frame_vectors() : channels; }
  Index group_frame_vectors() const { return 1 + blocks_of(blocks_of(channels, 2), kLanes); }
  /// Vector v of a group among row_vectors(); at or above it if there is no such frame.
  Index row_vector(Index group, Index v) const {
    if (!rolling()) return v;
    const Index parity = v / group_frame_vectors(), block = group + v % group_frame_vectors();
    return block < frame_vectors() ? parity * frame_vectors() + block : row_vectors();
  }
  /// Where the pairs of a channel begin among the pairs of a group's vectors.
  Index first_pair(Index channel) const {
    return rolling() ? channel % 2 * group_frame_vectors() * kLanes + channel / 2 : channel * kLanes;
  }
};

/// Row-transformed planes: [kx][vector][y], complex vectors.
struct Rows {
  const Fft* fft;
  Index vectors, height;
  Index slab() const { return (vectors * height + 3) * kLine; }  // of one kx; 3 keeps them off one cache set
  Index floats() const { return fft->length * slab(); }
  Index parts() const { return vectors * blocks_of(height, kPartRows); }
  /// Too much for the caches, where it would have to be read before it is written.
  bool streamed() const { return floats() > kFftCachedFloats; }
};

/// The images in the lanes of a vector: real parts at data, data + 2·step, …, imaginary ones a step after them.
struct Pairs {
  const float* data;
  Index step, real, imaginary;  // floats; how many there are
};
Pairs pairs_of(const Planes& x, Index group, Index vector) {
  const Index first =
      x.rolling() ? vector % x.frame_vectors() * kGroup + vector / x.frame_vectors() : group * kGroup;
  const Index count = most(0, (x.rolling() ? x.frames() : x.images) - first);
  return {x.data + first * x.image_stride + (x.rolling() ? 0 : vector * x.channel_stride), x.image_stride,
          least(kLanes, (count + 1) / 2), least(kLanes, count / 2)};
}

/// Transforms some rows of one vector; `group` counts only where frames are not shared. The rows are gathered in the
/// second-level cache, so that what goes to each kx is a run of lines.
void transform_rows(const Planes& x, const Rows& rows, Index group, Index part, float* out) {
  alignas(64) float line[kLongest * kLine];
  const Index blocks = blocks_of(rows.height, kPartRows), vector = part / blocks,
              first = part % blocks * kPartRows;
  const Index end = least(first + kPartRows, x.height), n = rows.fft->length;
  alignas(64) float gathered[kPartRows * kLongest * kLine];
  const Pairs pairs = pairs_of(x, group, vector);
  for (Index l = 0; l < pairs.real; ++l)
    fetch(pairs.data + 2 * l * pairs.step + first * x.width, (end - first) * x.width);
  for (Index l = 0; l < pairs.imaginary; ++l)
    fetch(pairs.data + (2 * l + 1) * pairs.step + first * x.width, (end - first) * x.width);
  for (Index y = first; y < end; ++y) {
    for (Index j = 0; j < x.width; j += kLanes) {
      const Index some = least(kLanes, x.width - j);
      const float* const from = pairs.data + y * x.width + j;
      Vec square[kLanes];
      load_square(from, 2 * pairs.step, pairs.real, some, square);
      for (Index l = 0; l < some; ++l) square[l].store(line + (j + l) * kLine);
      load_square(from + pairs.step, 2 * pairs.step, pairs.imaginary, some, square);
      for (Index l = 0; l < some; ++l) square[l].store(line + (j + l) * kLine + kLanes);
    }
    rows.fft->forward(line, {kLine, x.left, x.width}, gathered + (y - first) * kLine,
                      {kPartRows * kLine, 0, n});
  }
  const bool streamed = rows.streamed();
  for (Index kx = 0; kx < n; ++kx) {
    const float* const from = gathered + kx * kPartRows * kLine;
    float* const to = out + kx * rows.slab() + (vector * rows.height + first) * kLine;
    for (Index i = 0; i < (end - first) * kLine; i += kLanes)
      if (streamed)
        Vec::load(from + i).stream(to + i);
      else
        Vec::load(from + i).store(to + i);
  }
  if (streamed) finish_streams();
}

/// Calls f(part, memory) for every part, with `floats` of working memory that belong to the thread meanwhile: as much
/// memory for any order in which the threads arrive.
template <class F>
void for_parts_with(Pool& pool, Index parts, Index floats, const char* owner, F&& f) {
  const Index workers = least(parts, pool.threads());
  const Scratch<float> memory(pool, workers * floats, owner);
  Index next = 0;
  for_parts(pool, workers, [&](Index worker) {
    for (;;) {
      const Index part = __atomic_fetch_add(&next, 1, __ATOMIC_RELAXED);
      if (part >= parts) return;
      f(part, memory.data() + worker * floats);
    }
  });
}

/// Both axes of a convolution's transforms.
struct Spectrum {
  const Fft *across, *down;
  float scale() const { return 1.0f / static_cast<float>(across->length * down->length); }
};
Spectrum spectrum_of(const Conv2d& s) { return {&fft_for(fft_width(s)), &fft_for(fft_height(s))}; }

Planes planes_of(const Conv2d& s, const float* x) {
  return {x,
          s.batch,
          s.in_channels,
          s.in_height,
          s.in_width,
          s.image_stride,
          s.channel_stride,
          s.padding.left,
          s.padding.top};
}
Planes slope_planes(const Conv2d& s, const float* dy) {
  const Index plane = s.out_height() * s.out_width();
  return {dy, s.batch, s.out_channels, s.out_height(), s.out_width(), s.out_channels * plane, plane, 0, 0};
}

}  // namespace
}  // namespace fovea::cpu

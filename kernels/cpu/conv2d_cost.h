// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/cpu/conv2d_pack.h"
#include "kernels/cpu/outer_tile.h"

/// What a direct convolution costs, in multiply-adds of whole vectors, by what the lanes hold: the least cost decides
/// (Note [What the lanes hold]), and direct_cost() serves to compare with other methods. Counted are idle lanes, taps
/// that tiles skip because they would meet padding only, and tiles too small to hide their loads; the rest, copies of
/// the operands above all, is a share that was measured (kShare).
namespace fovea::cpu {
namespace {

/// Terms of a chain of sums, about (Note [Short runs]), and those that are worth a chain of their own.
constexpr Index kChain = 256, kShortChain = 128;

enum class Lanes { images, pixels, channels };

/// A correlation: forward pass, or a phase of an input gradient.
struct Work {
  Index images, groups, in_channels, out_channels;  // channels of a group
  Index height, width;                              // of x
  Windows windows;
};

/// Rows of the kernel that meet x, over all rows of outputs.
constexpr double rows_met(const Work& k) {
  const Windows& w = k.windows;
  Index met = 0;
  for (Index p = 0; p < w.out_height; ++p) {
    const Range r = inside(p * w.stride.height - w.padding_top, w.dilation.height, w.kernel_height, k.height);
    met += r.end - r.begin;
  }
  return static_cast<double>(met);
}

/// Columns of the kernel that a tile of the outputs first..last of a row meets.
constexpr Range columns_met(const Windows& w, Index in_width, Index first, Index last) {
  return {inside(last * w.stride.width - w.padding_left, w.dilation.width, w.kernel_width, in_width).begin,
          inside(first * w.stride.width - w.padding_left, w.dilation.width, w.kernel_width, in_width).end};
}

/// Multiply-adds of a row of outputs for each row of the kernel, input channel and vector (or number) of output
/// channels; tiles of up to `tile` pieces of `piece` outputs, cut evenly or not.
constexpr double row_cost(const Work& k, Index piece, Index tile, bool evenly, double single) {
  const Index pieces = blocks_of(k.windows.out_width, piece), tiles = blocks_of(pieces, tile);
  double cost = 0;
  for (Index t = 0; t < tiles; ++t) {
    const Index first = evenly ? cut(pieces, tiles, t) : t * tile;
    const Index end = evenly ? cut(pieces, tiles, t + 1) : least(pieces, first + tile);
    const Range met =
        columns_met(k.windows, k.width, first * piece, least(end * piece, k.windows.out_width) - 1);
    cost += static_cast<double>((met.end - met.begin) * (end - first)) * (end - first == 1 ? single : 1.0);
  }
  return cost;
}

/// Multiply-adds with pixels in the lanes, all rows and columns as they are.
constexpr double whole_rows_cost(const Work& k) {
  constexpr double kSingle = 1.25;  // a single vector of a row: nine loads for eight multiply-adds
  return static_cast<double>(k.images * k.groups * k.in_channels * k.out_channels) * rows_met(k) *
         row_cost(k, Vec::kLanes, 3, false, k.windows.out_width > Vec::kLanes ? kSingle : 1.0);
}

/// The outputs of whole vectors of a row, and those that remain, rows and columns exchanged: 36 columns are two
/// vectors and four columns, and columns of 36 rows are 2.25 vectors each.
constexpr Work main_of(Work k) {
  k.windows.out_width -= k.windows.out_width % Vec::kLanes;
  return k;
}
constexpr Work rest_of(const Work& k) {
  const Windows& w = k.windows;
  const Index rest = w.out_width % Vec::kLanes;
  return {k.images,
          k.groups,
          k.in_channels,
          k.out_channels,
          k.width,
          k.height,
          {rest, w.out_height, w.kernel_width, w.kernel_height, Size2d(w.stride.width, w.stride.height),
           Size2d(w.dilation.width, w.dilation.height),
           w.padding_left - (w.out_width - rest) * w.stride.width, w.padding_top}};
}
/// Whether rows are worth being split so: copies are made and threads are called twice.
constexpr bool splits(const Work& k) {
  constexpr double kWorth = 0.08, kCalls = 50e3;
  const Index rest = k.windows.out_width % Vec::kLanes;
  if (rest == 0 || rest == k.windows.out_width) return false;
  const double whole = whole_rows_cost(k),
               gain = whole - whole_rows_cost(main_of(k)) - whole_rows_cost(rest_of(k));
  return gain > kWorth * whole && gain > kCalls;
}

constexpr double cost_of(Lanes lanes, const Work& k) {
  constexpr Index kLanes = Vec::kLanes;
  if (lanes == Lanes::pixels)
    return splits(k) ? whole_rows_cost(main_of(k)) + whole_rows_cost(rest_of(k)) : whole_rows_cost(k);
  const double sums = static_cast<double>(k.groups * k.in_channels) * rows_met(k);
  if (lanes == Lanes::images)
    return sums * static_cast<double>(blocks_of(k.images, kLanes) * k.out_channels) *
           row_cost(k, 1, 3, false, 1.0);
  // Of many channels, the pixels at a border leave out the columns of the kernel that they do not meet.
  return sums * static_cast<double>(k.images * blocks_of(k.out_channels, kLanes)) *
         row_cost(k, 1, k.in_channels >= kShortChain ? 1 : kNumbers, true, 1.0);
}

/// What costs least. Channels are given a little ahead: their part copies x for itself, the others copy all of it
/// first.
constexpr Lanes lanes_of(const Work& k) {
  constexpr double kAhead = 1.05;
  const double images = cost_of(Lanes::images, k), pixels = cost_of(Lanes::pixels, k);
  const double other = images <= pixels ? images : pixels;
  if (k.out_channels >= Vec::kLanes && cost_of(Lanes::channels, k) <= kAhead * other) return Lanes::channels;
  return images <= pixels ? Lanes::images : Lanes::pixels;
}

/// Of a pass's time, what multiply-adds of whole vectors would take at the processor's peak: measured with AVX-512 on
/// Zen 4, one thread, for kernels of 3x3 to 15x15, 8 to 512 channels, batches of 1 to 32: within a tenth for most,
/// a fifth too low for a single small image, and far too low for fewer than four output channels.
struct Share {
  double forward = 0.86, weights_in_channels = 0.86, weights = 0.76;
};
inline constexpr Share kShare;

constexpr Work forward_work(const Conv2d& s) {
  return {s.batch, s.groups, s.group_inputs(), s.group_outputs(), s.in_height, s.in_width, windows_of(s)};
}
constexpr Work phase_work(const Conv2d& s, const Phase& down, const Phase& across) {
  return {s.batch,
          s.groups,
          s.group_outputs(),
          s.group_inputs(),
          s.out_height(),
          s.out_width(),
          {down.count,
           across.count,
           down.taps,
           across.taps,
           1,
           {down.dilation, across.dilation},
           down.padding,
           across.padding}};
}

/// Multiply-adds of whole vectors that the direct forms of the passes are worth, what they lose included: at one of
/// these a cycle, the cycles of one thread.
[[maybe_unused]] double direct_cost_forward(const Conv2d& s) {
  const Work k = forward_work(s);
  return cost_of(lanes_of(k), k) / kShare.forward;
}
[[maybe_unused]] double direct_cost_grad_input(const Conv2d& s) {
  double cost = 0;
  for_phases(s, [&](const Phase& down, const Phase& across) {
    const Work k = phase_work(s, down, across);
    cost += cost_of(lanes_of(k), k) / kShare.forward;
  });
  return cost;
}
[[maybe_unused]] double direct_cost_grad_weight(const Conv2d& s) {
  const Index kLanes = Vec::kLanes, width = s.out_width();
  const Work k = forward_work(s);
  const double sums = rows_met(k) * static_cast<double>(s.kernel_width * s.in_channels);
  if (lanes_hold_channels(s.group_outputs(), s.batch, width))
    return sums * static_cast<double>(s.batch * width * blocks_of(s.group_outputs(), kLanes)) /
           kShare.weights_in_channels;
  const Index vectors = lanes_hold_images(s.batch, width) ? blocks_of(s.batch, kLanes) * width
                                                          : s.batch * blocks_of(width, kLanes);
  return sums * static_cast<double>(vectors * s.group_outputs()) / kShare.weights;
}

}  // namespace
}  // namespace fovea::cpu

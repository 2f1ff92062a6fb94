// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <functional>

#include "models/retina/rate_model.h"

namespace fovea::retina {

enum class Encoding : std::uint8_t {
  rates,  ///< of the model's cells
  maps,   ///< of its filters everywhere (RateModel::maps)
};

struct EncodeOptions {
  Encoding what = Encoding::rates;
  std::int64_t history = 40;  ///< frames that the model sees
  std::int64_t every = 1;     ///< only each so many-th bin
  std::int64_t pool = 0;      ///< maps averaged to so many rows and columns; 0: as they are
  std::int64_t batch = 0;     ///< bins at a time; 0: by the size of the frames
  std::int64_t tile = 0;      ///< maps are put together from frames of at most this side; 0: by device
};

/// Bins that a movie of so many frames gets: none for the first `history`, which nothing precedes.
std::int64_t encoded_bins(const EncodeOptions& options, std::int64_t frames);

/// Shape of what a bin gives: [cells], or [filters, H', W']. Runs the model once, on a grey frame.
/// throws ValueError as encode()
Shape encoded_shape(RateModel& model, const Device& device, const EncodeOptions& options, Size2d frame);

/// Where the places of a map look: the centre of what place (r, c) sees is the pixel with centre
/// offset + (r, c)·stride, in rows and columns, counted from the centre of the first pixel.
struct MapGrid {
  std::array<double, 2> offset_px, stride_px;
};
MapGrid map_grid(const RateModel& model, const EncodeOptions& options, Size2d frame);

/// Runs a model, in inference mode, over a movie of any length, of which it keeps only what it needs; batch and tile change memory, time and last bits. Result i is for bin
/// history + i·every and was computed from the `history` frames before that bin.
///
/// device  where the model is
/// frame   height and width of the frames
/// next    puts the next frame [H, W], normalised, into host memory; false after the last
/// take    gets the results in order, in host memory: [n, cells], or [n, filters, H', W']; false ends it early
/// throws  ValueError if options are out of range or the frames too small for maps; what the model throws
void encode(RateModel& model, const Device& device, const EncodeOptions& options, Size2d frame,
            const std::function<bool(float*)>& next, const std::function<bool(const Tensor&)>& take);

}  // namespace fovea::retina

// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>

#include "models/retina/recording_file.h"

/// What is done to a recording before windows are cut from it. None of these changes the tensors that it was
/// given: others may share them.
namespace fovea::retina {

/// Only these cells, in this order, counted from 0; "cells" in the metadata keeps their numbers.
/// throws ValueError for one that is not there, or is named twice
void select_cells(RecordingData& data, std::span<const std::int64_t> cells);

/// Only the first `frames` of the training movie; blocks beyond are gone, the last one left is cut.
/// throws ValueError if frames is below 1
void keep_frames(RecordingData& data, std::int64_t frames);

/// Takes the training movie for `blocks` pieces that were recorded one after the other, equally long but for
/// the last one, which has the frames left over. throws ValueError if there are fewer frames
void split_blocks(RecordingData& data, std::int64_t blocks);

/// The test movie and its responses of another recording of the same cells, say white noise for a model of
/// natural scenes. throws ValueError if the number of cells or the size of the frames differs
void take_test(RecordingData& data, const RecordingData& other);

/// The null model's data: each group of 200 bins of the training movie gets the responses of another, drawn
/// time of it (of all cells together, at least 200 bins away if the movie is long enough, round its end), so
/// that rates and their correlations stay and what the movie has to do with them goes.
void shift_responses(RecordingData& data, std::uint64_t seed);

/// Both movies z-scored pixel by pixel, by mean and standard deviation (+1e-7) over the frames of the training
/// movie from `skip` on in each block, as f32, which takes four times the memory of u8.
struct PixelStatistics {
  Tensor mean, sd;  ///< [H, W] f32
};
PixelStatistics normalize_pixels(RecordingData& data, std::int64_t skip);

}  // namespace fovea::retina

// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <vector>

#include "models/retina/deep_retina.h"

namespace fovea::retina {

/// Groups the filters of a convolution that are alike: [n, in, R, S], two of which are as alike as their correlation at
/// the best shift of up to 2 px in each direction, since a shifted filter serves a shifted position. Starting from one
/// group a filter, the two groups whose least alike members are most alike are joined, as long as these correlate by
/// `at_least`.
///
/// returns  the group of each filter, numbered from 0 in the order of their first filters
/// throws   ValueError unless at_least is in -1 … 1; ShapeError unless filters have rank 4
std::vector<std::int64_t> alike_filters(const Tensor& filters, double at_least);

/// A one-hot model in which cells with filters that are alike share one, each with a selection of its own: that of
/// `trained`, with the first filter of each group (and its norm) in the place of the group, and new selections, which
/// start at random by `seed`, since a shared filter may see a cell's place elsewhere.
///
/// throws   ValueError unless `trained` has a one-hot readout with a filter for each cell
/// source   the consolidated one-hot layer of torch-deep-retina
std::unique_ptr<DeepRetina> consolidated(const DeepRetina& trained, double at_least, std::uint64_t seed);

}  // namespace fovea::retina

// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "nn/module.h"

namespace fovea::nn {

/// One number of each map: r[b, i] = Σ_j p[i, j]·x[b, i, j], where j runs over the positions of map i and the weights
/// p follow from `weight` as fovea::selection_weights says: at least 0, and 1 in sum. Trained with ExactlyOneLoss
/// (nn/loss.h), each cell settles on one position; without this module the model before it gives maps.
///
/// x           [B, cells, H, W] f32, of the map's size
/// returns     [B, cells], in the units of x
/// parameters  weight [cells, H·W], starts in U(0, 1): of equal weights none would be picked
/// throws      ShapeError naming the layer if x is not such; ValueError if cells or the map is empty
/// source      the one-hot layer of torch-deep-retina; its loss: Xu et al. 2018, A semantic loss function for deep
///             learning with symbolic knowledge
class Selection final : public Module {
 public:
  Selection(std::int64_t cells, Size2d map, const Device& device);
  Var forward(const Var& x) override;

  /// p [cells, H·W], on x's tape: what ExactlyOneLoss takes.
  Var weights(const Var& x);

  Parameter weight;

 private:
  Size2d map_;
};

}  // namespace fovea::nn

// SPDX-License-Identifier: Apache-2.0
#include "models/retina/rate_model.h"

#include "autograd/ops/elementwise.h"
#include "tensor/errors.h"

namespace fovea::retina {
namespace {

[[noreturn]] void without_maps() {
  reject<ValueError>(
      "maps",
      "this model's readout belongs to one size of frame; train one whose readout is a convolution, such as "
      "the presets convgc and one-hot of deep-retina");
}

}  // namespace

Var RateModel::rate(const Var& drive) { return softplus(drive); }
Var RateModel::maps(const Var&) { without_maps(); }
std::int64_t RateModel::reach() const { without_maps(); }

}  // namespace fovea::retina

// SPDX-License-Identifier: Apache-2.0
#include "nn/selection.h"

#include "autograd/ops/elementwise.h"
#include "autograd/ops/reduce.h"
#include "autograd/ops/reshape.h"
#include "autograd/ops/selection.h"
#include "nn/init.h"

namespace fovea::nn {

Selection::Selection(std::int64_t cells, Size2d map, const Device& device) : map_(map) {
  if (cells < 1 || map.height < 1 || map.width < 1)
    reject<ValueError>("selection", "{} cells and maps of {}×{}: each must be at least 1", cells, map.height,
                       map.width);
  add_parameter("weight", weight, Role::weight, {cells, map.height * map.width}, device,
                init::uniform(0.0f, 1.0f));
}

Var Selection::weights(const Var& x) { return selection_weights(on_tape(weight, x)); }

Var Selection::forward(const Var& x) {
  const std::int64_t cells = weight.value.size(0);
  const Shape& shape = x.shape();
  if (shape.rank() != 4 || shape[1] != cells || shape[2] != map_.height || shape[3] != map_.width)
    reject(label("selection"), "x {} is not [B, {}, {}, {}]", shape, cells, map_.height, map_.width);
  return sum(x * reshape(weights(x), {cells, map_.height, map_.width}), {2, 3});
}

}  // namespace fovea::nn

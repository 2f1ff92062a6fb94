// SPDX-License-Identifier: Apache-2.0
#include "nn/dropout.h"

#include "autograd/ops/dropout.h"

namespace fovea::nn {

Dropout::Dropout(float p, const DropoutOptions& options) : p_(p), per_sample_(options.per_sample) {
  if (!(p >= 0.0f && p < 1.0f)) reject<ValueError>("dropout", "p must be in [0, 1), got {}", p);
}

Var Dropout::forward(const Var& x) {
  if (!training() || p_ == 0.0f) return x;
  if (x.tape() == nullptr)
    reject<ValueError>(label("dropout"),
                       "training draws from the tape's seed and step, but x {} is on no tape; pass "
                       "tape.input(x), or call eval() for inference",
                       x.shape());
  return dropout(x, p_, x.tape()->key(path()), per_sample_);
}

}  // namespace fovea::nn

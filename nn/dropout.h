// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "nn/module.h"

namespace fovea::nn {

struct DropoutOptions {
  bool per_sample = false;  ///< keep or leave out samples as a whole
};

/// y = x/(1 − p) for the elements that are kept and 0 for the others, drawn anew in each training step; y = x
/// after eval(). The numbers come from (seed and step of the tape, path of this module, element): the same
/// mask on every device. A module that is applied twice within a step draws the same mask twice, as recurrent
/// dropout wants it; for two masks use two modules.
///
/// x, returns  [...] f32
/// throws      ValueError in training if x is not on a tape, which is where seed and step are kept
/// source      Srivastava et al. 2014, Dropout
class Dropout final : public Module {
 public:
  /// throws ValueError unless p is in [0, 1)
  explicit Dropout(float p, const DropoutOptions& options = {});
  Var forward(const Var& x) override;
  float p() const { return p_; }

 private:
  float p_;
  bool per_sample_;
};

}  // namespace fovea::nn

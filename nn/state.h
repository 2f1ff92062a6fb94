// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <string>

#include "tensor/tensor.h"

namespace fovea::nn {

/// Named tensors, sorted by name: what a checkpoint holds of a module or an optimizer.
using State = std::map<std::string, Tensor>;

/// Copies `from` into the tensors of `into`, converting dtype and device; all or nothing, also when memory
/// runs out.
///
/// throws  ValueError, beginning with `op`, that lists each name of `into` that is missing, each name of
///         `from` that is unexpected, and each difference in shape; a missing name shows the nearest
///         unexpected one
void copy_state(const char* op, const State& into, const State& from);

/// The entries whose names begin with `prefix`, without it; and the reverse. A checkpoint of several parts:
/// with_prefix("model.", model.state()).
State without_prefix(const std::string& prefix, const State& state);
State with_prefix(const std::string& prefix, const State& state);

}  // namespace fovea::nn

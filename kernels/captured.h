// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>

namespace fovea {

/// Launches that a queue has kept instead of running them, with their arguments; for that queue's replay().
/// tensor/graph.h is what programs use.
struct Captured {
  std::shared_ptr<const void> work;
  std::int64_t launches = 0;  ///< kernels, and on a GPU also fills and copies of the runtime
};

}  // namespace fovea

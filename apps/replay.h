// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>

#include "apps/repro.h"

namespace fovea::apps {

/// What came of a bad step that was done again.
struct Replayed {
  std::optional<NonFinite> found;  ///< empty: every number is finite
  bool same = false;               ///< found in the same place, from the same values to the last bit
  std::string warning;             ///< why the last bits may differ; empty: they may not
};

/// Does the step of a repro folder again, every number looked at. throws IoError, UsageError
Replayed replay(const std::filesystem::path& folder, const Repro& repro, const Device& device);

}  // namespace fovea::apps

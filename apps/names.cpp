// SPDX-License-Identifier: Apache-2.0
#include "apps/names.h"

#include <fmt/format.h>

#include <algorithm>

#include "apps/exit_code.h"

namespace fovea::apps {

void check_choice(std::string_view option, std::string_view value, const std::vector<std::string>& names) {
  if (std::find(names.begin(), names.end(), value) != names.end()) return;
  std::string list;
  for (std::size_t i = 0; i < names.size(); ++i)
    list += fmt::format("{}{}", i == 0 ? "" : i + 1 == names.size() ? " or " : ", ", names[i]);
  throw UsageError(fmt::format("{} {}: expected {}{}", option, value, list, did_you_mean(value, names)));
}

}  // namespace fovea::apps

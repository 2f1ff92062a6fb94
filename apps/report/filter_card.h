// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "apps/report/report_data.h"

namespace fovea::apps {

/// HTML of one filter: its picture at the peak of its time course, the time course, and a strip of its
/// slices.
std::string filter_card(const SpaceTimeFilter& filter);

}  // namespace fovea::apps

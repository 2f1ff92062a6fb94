// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "apps/report/report_data.h"

namespace fovea::apps {

/// report.html: one file with style and pictures inside, no scripts, nothing fetched; follows the reader's
/// choice of light or dark and the width of the window. With several runs, they are compared first and then
/// shown one after the other. runs: at least one
std::string report_html(const std::vector<ReportData>& runs);

}  // namespace fovea::apps

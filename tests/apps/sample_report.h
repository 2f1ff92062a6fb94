// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "apps/report/report_data.h"

namespace fovea::apps {

/// Made-up numbers in the shape of a real run: eight cells, bursts that two models follow well and badly,
/// filters of the centre-surround kind. Always the same.
ReportData sample_report();

}  // namespace fovea::apps

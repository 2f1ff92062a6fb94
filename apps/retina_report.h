// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <string>

#include "apps/config.h"
#include "apps/retina_data.h"
#include "models/retina/predict.h"
#include "models/retina/rate_model.h"
#include "models/retina/scores.h"

namespace fovea::apps {

/// Writes report.json and report.html of a finished run.
///
/// model  the tested weights; test  what it predicts for the repeated movie
void write_retina_report(const std::filesystem::path& run, const Config& config, const RetinaData& data,
                         retina::RateModel& model, const retina::Predictions& test);

/// Per cell and mean, for a terminal; beside the ceiling, which is known for the repeated test movie only.
std::string scores_table(const RetinaData& data, const retina::Scores& scores, bool with_ceiling);

/// Of a model that sees the past, where the spikes before each bin are from; "" for others.
std::string spike_history(const retina::RateModel& model, const retina::Predictions& predicted);

/// "cell 3, slow OFF"
std::string cell_name(const RetinaData& data, std::size_t cell);

}  // namespace fovea::apps

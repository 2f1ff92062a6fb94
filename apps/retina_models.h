// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <memory>
#include <vector>

#include "apps/model_list.h"
#include "models/retina/rate_model.h"
#include "nn/data/window_dataset.h"

namespace fovea::apps {

/// The models that are fitted to recordings, with their settings and presets.
std::vector<ModelEntry> retina_models();

/// Whether the model of the configuration sees the cells' spikes (RateModel::sees_past): what its data must have.
bool sees_past(const Config& config);

/// `model.centres`, for models with cells at fixed places: row and column of each receptive field, one after the other.
Key centres_key();
/// The centres of the configuration; the middle of the screen for all cells if none are set, as when a step is only
/// looked at. throws UsageError if they are not two numbers a cell within the screen
std::vector<retina::Position> centres_of(const Config& config, std::int64_t cells, std::int64_t size);

/// The configuration with what other sources say filled in, and weights to start from, if it names any.
struct Prepared {
  Config config;
  nn::State start;  ///< empty: none
};
/// Receptive fields from the training data, and shared filters from another run, for models that ask for them.
/// throws IoError, UsageError for a run that cannot be read or is not of a one-hot model
Prepared prepare_retina_model(Config config, const nn::WindowDataset& train);

/// The model of the configuration, initialised by its seed. throws UsageError for settings that do not fit together
std::unique_ptr<retina::RateModel> make_retina_model(const Config& config, std::int64_t cells,
                                                     const Device& device);

/// By which mean and standard deviation the frames were normalised that a checkpoint was trained on.
/// throws IoError naming the file if it does not say
nn::Normalization saved_normalization(const std::filesystem::path& checkpoint);

/// The trained model of a checkpoint, without the recording: how many cells it has is seen from its weights.
/// throws IoError naming the checkpoint, also if the weights are another model's
std::unique_ptr<retina::RateModel> load_retina_model(const Config& config,
                                                     const std::filesystem::path& checkpoint,
                                                     const Device& device);

}  // namespace fovea::apps

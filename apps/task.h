// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "apps/config.h"
#include "apps/metrics_log.h"
#include "apps/run_folder.h"
#include "autograd/tape.h"
#include "nn/data/loader.h"
#include "nn/module.h"

namespace fovea::apps {

/// What a batch costs.
struct StepLoss {
  Var total;     ///< one element; backward starts here
  Tensor shown;  ///< one element; the figure that is logged, without penalties
};

/// A model with its loss, on one device: all it takes to record a training step.
struct Trainable {
  std::unique_ptr<nn::Module> module;
  /// Forward and loss of a batch on a tape. Reads nothing back from the device.
  std::function<StepLoss(Tape&, const nn::Batch&)> loss;
};

/// Scores on held-out data.
struct Evaluation {
  double score;     ///< decides which weights are best, and when to stop: higher is better
  Figures figures;  ///< what is logged; the score is among them, under Task::score_name()
};

/// What the training loop (train_run.cpp) trains: data, model, loss and scores. The loop owns everything else:
/// optimizer, schedule, steps, files. A task draws all its random numbers from train.seed and, within a step,
/// from the tape.
class Task {
 public:
  virtual ~Task() = default;

  /// Where the model is.
  virtual const Device& device() const = 0;
  virtual Trainable& trainable() = 0;
  nn::Module& model() { return *trainable().module; }

  /// A second model of the same sizes on another device, and a batch of zeros for it: for planning a step.
  virtual Trainable twin(const Device& device) const = 0;
  virtual nn::Batch blank(std::int64_t batch, const Device& device) const = 0;

  /// Before anything else of a new run: fits a model that has a closed form.
  virtual void fit() {}
  /// The next batch, endlessly; which one that is follows from seed and position alone.
  virtual nn::Batch next_batch() = 0;
  virtual std::int64_t batches_per_epoch() const = 0;
  virtual nn::LoaderPosition position() const = 0;
  virtual void seek(nn::LoaderPosition position) = 0;

  /// Scores of the model as it is now on held-out data. Changes nothing.
  virtual Evaluation evaluate() = 0;
  virtual const char* score_name() const = 0;  ///< "val_pearson"

  /// The settings of the run with what follows from the data filled in: what config.toml says.
  virtual Config resolved(const Config& config) const { return config; }
  /// "46200 windows of 8 cells", for the line at the start.
  virtual std::string data_summary() const = 0;
  /// Checksum of the data: a run goes on with the data it began with.
  virtual const std::string& data_checksum() const = 0;
  virtual std::string data_path() const = 0;
  /// What else a user of the weights needs, such as the normalisation of the input; goes into checkpoints.
  virtual nn::State constants() const = 0;

  /// Scores of these weights on the test data, for summary.json.
  virtual nlohmann::ordered_json test(const nn::State& weights) = 0;
  /// After test(), when the run has its summary.json: writes report.json and report.html, prints the scores.
  virtual void report(const RunFolder& run) = 0;
};

/// The task of the configuration's model, with its data. throws IoError, UsageError
std::unique_ptr<Task> make_task(const Config& config, const Device& device);

/// Without any data: the same model and loss for the sizes of the model's standard data set, and a batch of
/// train.batch samples of zeros, for looking at a step.
Trainable make_trainable(const Config& config, const Device& device);
nn::Batch blank_batch(const Config& config, const Device& device);
/// The same for the sizes of a batch that is there.
Trainable make_trainable(const Config& config, const nn::Batch& batch, const Device& device);

}  // namespace fovea::apps

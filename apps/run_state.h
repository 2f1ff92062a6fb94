// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cmath>
#include <cstdint>
#include <filesystem>
#include <string>

#include "apps/checkpoint.h"
#include "apps/config.h"
#include "apps/run_folder.h"
#include "apps/task.h"
#include "nn/optim/optimizer.h"
#include "nn/optim/schedule.h"

namespace fovea::apps {

/// The optimizer of the configuration. Weights decay, biases and normalisation do not.
nn::Optimizer make_optimizer(const Config& config, const nn::Module& module);

/// Everything that changes while a run goes on: what a checkpoint holds, and what a resumed run starts from.
/// The model and the loader's position belong to it; the task keeps them.
class RunState {
 public:
  RunState(const Config& config, Task& task);

  /// The step size of the next step.
  double lr() const;
  /// Clips the gradients of the model as optim.clip_value and optim.clip_norm say, before the optimizer's
  /// step.
  void clip_gradients();
  /// Takes in the score of an evaluation at this step; true if these weights are the best so far.
  bool take_score(double score);
  /// The weights with the best score are gone: the next ones that are scored are the best.
  void forget_best();
  /// Whether train.patience evaluations in a row brought no score that was better by train.min_delta.
  bool stalled() const;

  SavedRun save(const LogBytes& logs) const;
  /// Goes on where `saved` was taken. returns a warning in one line if the last bits may now differ: another
  /// build, device or instruction set; else ""
  /// throws UsageError if a setting that must stay, or the data, is not what it was; IoError naming what is missing
  ///        or of another shape. The message begins with `file`.
  std::string restore(const SavedRun& saved, const std::filesystem::path& file);

  /// Takes the weights of another run, and nothing else. throws as restore()
  void start_from(const SavedRun& saved, const std::filesystem::path& file);

  std::int64_t step = 0;        ///< steps done
  double best = std::nan("");   ///< highest score so far
  std::int64_t best_step = -1;  ///< where that was; -1: nothing was scored yet
  LogBytes logs = {};           ///< as restored
  nn::Optimizer optimizer;

 private:
  void load(const nn::State& state);

  const Config& config_;
  Task& task_;
  nn::Plateau plateau_;
  // Early stopping: the score to beat, and the evaluations that did not.
  double reference_ = std::nan("");
  std::int64_t bad_evaluations_ = 0;
};

/// The weights of a checkpoint. throws IoError, naming it, also if they are another model's
void load_weights(nn::Module& into, const std::filesystem::path& file);

/// What decides the bits of a result, without the number of threads: "cpu avx512", "cuda:0 NVIDIA H100".
std::string arithmetic_of(const Device& device);

}  // namespace fovea::apps

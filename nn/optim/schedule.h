// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace fovea::nn {

/// Learning rates that change from epoch to epoch. A schedule starts at `lr`; step() ends an epoch; lr() is
/// the rate for the next one, to be handed to Optimizer::set_lr. state() and load_state() continue a run: a
/// map of plain numbers under the names of the docstrings.
using ScheduleState = std::map<std::string, double>;

/// lr·factor^⌊epoch/every⌋.
class StepSchedule {
 public:
  /// throws ValueError if every < 1, or lr or factor is negative
  StepSchedule(double lr, std::int64_t every, double factor);
  void step() { ++epoch_; }
  double lr() const;
  /// epoch
  ScheduleState state() const;
  void load_state(const ScheduleState& state);

 private:
  double start_, factor_;
  std::int64_t every_, epoch_ = 0;
};

/// lr·factor^(number of milestones ≤ epoch).
class MultiStep {
 public:
  /// throws ValueError if milestones are not increasing, or lr or factor is negative
  MultiStep(double lr, std::vector<std::int64_t> milestones, double factor);
  void step() { ++epoch_; }
  double lr() const;
  /// epoch
  ScheduleState state() const;
  void load_state(const ScheduleState& state);

 private:
  double start_, factor_;
  std::vector<std::int64_t> milestones_;
  std::int64_t epoch_ = 0;
};

/// Up to `lr` in even parts, then down along half a cosine: lr·(t + 1)/warm_up for t < warm_up, then
/// min_lr + (lr − min_lr)·(1 + cos(π·(t − warm_up)/(total − warm_up)))/2, from t = total on min_lr. t counts
/// calls of step(), which may stand after each training step as well.
/// source  Loshchilov and Hutter 2017, SGDR (one cycle); warm-up: Goyal et al. 2017
class WarmUpCosine {
 public:
  /// throws ValueError if warm_up is negative, total is not more than that, or lr or min_lr is negative
  WarmUpCosine(double lr, std::int64_t warm_up, std::int64_t total, double min_lr = 0.0);
  void step() { ++epoch_; }
  double lr() const;
  /// epoch
  ScheduleState state() const;
  void load_state(const ScheduleState& state);

 private:
  double peak_, min_;
  std::int64_t warm_up_, total_, epoch_ = 0;
};

/// end_lr + (lr − end_lr)·(1 − t/total)^power, from t = total on end_lr; t as for WarmUpCosine. A straight
/// line with power 1; TensorFlow calls it polynomial decay.
class Polynomial {
 public:
  /// throws ValueError if total < 1, power is not above 0, or lr or end_lr is negative
  Polynomial(double lr, double end_lr, std::int64_t total, double power = 1.0);
  void step() { ++epoch_; }
  double lr() const;
  /// epoch
  ScheduleState state() const;
  void load_state(const ScheduleState& state);

 private:
  double start_, end_, power_;
  std::int64_t total_, epoch_ = 0;
};

enum class PlateauMode { min, max };

struct PlateauOptions {
  PlateauMode mode = PlateauMode::min;  ///< whether a smaller or a larger metric is better
  double factor = 0.1;
  std::int64_t patience = 10;  ///< epochs without improvement that are let pass
  double threshold = 1e-4;     ///< an improvement exceeds threshold·|best|
  double min_lr = 0.0;
};

/// Multiplies the rate by `factor` when the metric has not improved for more than `patience` epochs, then
/// counts afresh.
///
/// As PyTorch's ReduceLROnPlateau with a relative threshold, except for |best|: PyTorch takes best·(1 -
/// threshold), which for a negative loss, as the Poisson loss is, calls a small loss of ground an
/// improvement. A NaN never improves.
class Plateau {
 public:
  /// throws ValueError if factor is not in (0, 1), or patience, threshold, min_lr or lr is negative
  Plateau(double lr, PlateauOptions options);
  void step(double metric);
  double lr() const { return lr_; }
  /// lr, best, bad_epochs, seen (0 until the first metric)
  ScheduleState state() const;
  void load_state(const ScheduleState& state);

 private:
  PlateauOptions options_;
  double lr_, best_ = 0.0;
  std::int64_t bad_epochs_ = 0;
  bool seen_ = false;
};

}  // namespace fovea::nn

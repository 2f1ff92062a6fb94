// SPDX-License-Identifier: Apache-2.0
#include "nn/optim/schedule.h"

#include <algorithm>
#include <cmath>

#include "tensor/errors.h"

namespace fovea::nn {
namespace {

double number(const char* schedule, const ScheduleState& state, const std::string& name) {
  const auto found = state.find(name);
  if (found == state.end()) reject<ValueError>(schedule, "the state has no '{}'", name);
  return found->second;
}

/// By repeated products: the same bits wherever it runs, which std::pow does not promise.
double decayed(double lr, double factor, std::int64_t times) {
  for (std::int64_t i = 0; i < times; ++i) lr *= factor;
  return lr;
}

void check_range(const char* schedule, double lr, double factor) {
  if (!(lr >= 0.0) || !(factor >= 0.0))
    reject<ValueError>(schedule, "lr and factor must be at least 0, got {} and {}", lr, factor);
}

}  // namespace

StepSchedule::StepSchedule(double lr, std::int64_t every, double factor)
    : start_(lr), factor_(factor), every_(every) {
  check_range("step_schedule", lr, factor);
  if (every < 1) reject<ValueError>("step_schedule", "every must be at least 1 epoch, got {}", every);
}

double StepSchedule::lr() const { return decayed(start_, factor_, epoch_ / every_); }

ScheduleState StepSchedule::state() const { return {{"epoch", static_cast<double>(epoch_)}}; }

void StepSchedule::load_state(const ScheduleState& state) {
  epoch_ = static_cast<std::int64_t>(number("step_schedule", state, "epoch"));
}

MultiStep::MultiStep(double lr, std::vector<std::int64_t> milestones, double factor)
    : start_(lr), factor_(factor), milestones_(std::move(milestones)) {
  check_range("multi_step", lr, factor);
  if (std::adjacent_find(milestones_.begin(), milestones_.end(), std::greater_equal<>()) != milestones_.end())
    reject<ValueError>("multi_step", "the milestones must increase");
}

double MultiStep::lr() const {
  const auto passed = std::upper_bound(milestones_.begin(), milestones_.end(), epoch_) - milestones_.begin();
  return decayed(start_, factor_, passed);
}

ScheduleState MultiStep::state() const { return {{"epoch", static_cast<double>(epoch_)}}; }

void MultiStep::load_state(const ScheduleState& state) {
  epoch_ = static_cast<std::int64_t>(number("multi_step", state, "epoch"));
}

Plateau::Plateau(double lr, PlateauOptions options) : options_(options), lr_(lr) {
  check_range("plateau", lr, options.factor);
  if (!(options.factor > 0.0 && options.factor < 1.0))
    reject<ValueError>("plateau", "factor must be in (0, 1), got {}", options.factor);
  if (options.patience < 0 || !(options.threshold >= 0.0) || !(options.min_lr >= 0.0))
    reject<ValueError>("plateau", "patience, threshold and min_lr must be at least 0, got {}, {} and {}",
                       options.patience, options.threshold, options.min_lr);
}

void Plateau::step(double metric) {
  const double margin = options_.threshold * std::abs(best_);
  const bool better = options_.mode == PlateauMode::min ? metric < best_ - margin : metric > best_ + margin;
  if (!std::isnan(metric) && (!seen_ || better)) {
    best_ = metric;
    seen_ = true;
    bad_epochs_ = 0;
    return;
  }
  if (++bad_epochs_ <= options_.patience) return;
  lr_ = std::max(lr_ * options_.factor, std::min(options_.min_lr, lr_));  // never up, never below min_lr
  bad_epochs_ = 0;
}

ScheduleState Plateau::state() const {
  return {{"lr", lr_},
          {"best", best_},
          {"bad_epochs", static_cast<double>(bad_epochs_)},
          {"seen", seen_ ? 1.0 : 0.0}};
}

void Plateau::load_state(const ScheduleState& state) {
  const double lr = number("plateau", state, "lr"), best = number("plateau", state, "best"),
               bad = number("plateau", state, "bad_epochs"), seen = number("plateau", state, "seen");
  lr_ = lr;
  best_ = best;
  bad_epochs_ = static_cast<std::int64_t>(bad);
  seen_ = seen != 0.0;
}

}  // namespace fovea::nn

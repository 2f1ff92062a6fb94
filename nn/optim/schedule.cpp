// SPDX-License-Identifier: Apache-2.0
#include "nn/optim/schedule.h"

#include <algorithm>
#include <cmath>
#include <numbers>

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

WarmUpCosine::WarmUpCosine(double lr, std::int64_t warm_up, std::int64_t total, double min_lr)
    : peak_(lr), min_(min_lr), warm_up_(warm_up), total_(total) {
  if (!(lr >= 0.0) || !(min_lr >= 0.0))
    reject<ValueError>("warm_up_cosine", "lr and min_lr must be at least 0, got {} and {}", lr, min_lr);
  if (warm_up < 0 || total <= warm_up)
    reject<ValueError>("warm_up_cosine", "needs 0 ≤ warm_up < total, got {} and {}", warm_up, total);
}

double WarmUpCosine::lr() const {
  if (epoch_ < warm_up_) return peak_ * static_cast<double>(epoch_ + 1) / static_cast<double>(warm_up_);
  if (epoch_ >= total_) return min_;
  const double done = static_cast<double>(epoch_ - warm_up_) / static_cast<double>(total_ - warm_up_);
  return min_ + (peak_ - min_) * 0.5 * (1.0 + std::cos(std::numbers::pi * done));
}

ScheduleState WarmUpCosine::state() const { return {{"epoch", static_cast<double>(epoch_)}}; }

void WarmUpCosine::load_state(const ScheduleState& state) {
  epoch_ = static_cast<std::int64_t>(number("warm_up_cosine", state, "epoch"));
}

Polynomial::Polynomial(double lr, double end_lr, std::int64_t total, double power)
    : start_(lr), end_(end_lr), power_(power), total_(total) {
  if (!(lr >= 0.0) || !(end_lr >= 0.0))
    reject<ValueError>("polynomial", "lr and end_lr must be at least 0, got {} and {}", lr, end_lr);
  if (total < 1 || !(power > 0.0))
    reject<ValueError>("polynomial", "needs total of at least 1 and power above 0, got {} and {}", total,
                       power);
}

double Polynomial::lr() const {
  if (epoch_ >= total_) return end_;
  const double left = 1.0 - static_cast<double>(epoch_) / static_cast<double>(total_);
  return end_ + (start_ - end_) * std::pow(left, power_);
}

ScheduleState Polynomial::state() const { return {{"epoch", static_cast<double>(epoch_)}}; }

void Polynomial::load_state(const ScheduleState& state) {
  epoch_ = static_cast<std::int64_t>(number("polynomial", state, "epoch"));
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

// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <chrono>
#include <cmath>
#include <nlohmann/json.hpp>

#include "apps/checkpoint.h"
#include "apps/progress.h"
#include "apps/run_state.h"
#include "apps/stop_signal.h"
#include "apps/task.h"
#include "apps/train.h"
#include "apps/version.h"

namespace fovea::apps {
namespace {

using Clock = std::chrono::steady_clock;

/// One run from its first step, or from its last checkpoint, to its summary. Knows nothing of what is trained.
class Trainer {
 public:
  Trainer(const TrainRequest& request, RunFolder& run)
      : request_(request),
        config_(request.config),
        run_(run),
        task_(make_task(config_, request.device == "auto" ? Device::best() : Device::parse(request.device))),
        state_(config_, *task_) {
    total_steps_ = config_.integer("train.steps");
    const std::int64_t by_epochs = config_.integer("train.epochs") * task_->batches_per_epoch();
    if (total_steps_ == 0 || (by_epochs > 0 && by_epochs < total_steps_)) total_steps_ = by_epochs;
  }

  int run() {
    run_.write("config.toml", config_.to_toml());
    resume();
    StopSignal stop;
    Progress progress(state_.step, total_steps_);
    describe(progress);
    const std::int64_t checkpoint_every = config_.integer("train.checkpoint_every");
    const std::int64_t eval_every = config_.integer("train.eval_every");
    const std::int64_t log_every = config_.integer("train.log_every");
    const auto due = [&](std::int64_t every) { return every > 0 && state_.step % every == 0; };
    double loss = std::nan("");
    bool stopping = false;
    while (state_.step < total_steps_ && !stopping) {
      const Tensor loss_value = train_step(config_, *task_, state_);
      const bool last = state_.step == total_steps_;
      // The loss stays on the device between these steps: reading it would make a GPU wait.
      if (task_->device().host_memory() || due(log_every) || last) loss = finite(loss_value.item());
      progress.step(state_.step, loss);
      if (due(log_every) || last) log(loss);
      if (due(eval_every) || last) evaluate(progress);
      stopping = stop.requested();  // asked once a step: whoever leaves the loop has saved
      if (last || is_best_ || stopping || due(checkpoint_every)) save();
    }
    progress.finish();
    if (stopping && state_.step < total_steps_) {
      fmt::print(stderr, "stopped at step {}; go on with: fovea train {} --resume --out {}\n", state_.step,
                 config_.text("model.name"), run_.path().string());
      return stop.exit_code();
    }
    finish();
    return kDone;
  }

 private:
  void describe(Progress& progress) {
    progress.note(fmt::format("{}, {} parameters, {}, {} steps of {} on {}", config_.text("model.name"),
                              task_->model().parameter_count(), task_->data_summary(), total_steps_,
                              config_.integer("train.batch"), task_->device().description()));
  }

  double finite(double loss) const {
    if (std::isfinite(loss)) return loss;
    throw IoError(
        fmt::format("the loss became {} at step {}; the last checkpoint is kept. Try a smaller optim.lr",
                    loss, state_.step));
  }

  void log(double loss) {
    run_.metrics().append(state_.step, {{"loss", loss}, {"lr", state_.optimizer.lr()}});
  }

  void evaluate(Progress& progress) {
    const Evaluation evaluation = task_->evaluate();
    is_best_ = state_.take_score(evaluation.score);
    run_.metrics().append(state_.step, evaluation.figures);
    progress.metric(task_->score_name(), evaluation.score);
  }

  /// A step from a finite loss can still leave weights that are not, and the next checkpoints would push out
  /// the good ones.
  void check_weights() const {
    for (const auto& [name, parameter] : task_->model().named_parameters())
      for (const float value : parameter->value.to_vector<float>())
        if (!std::isfinite(value))
          throw IoError(
              fmt::format("{} became {} at step {}; the last checkpoint is kept. Try a smaller optim.lr",
                          name, value, state_.step));
  }

  void save() {
    check_weights();
    save_checkpoint(run_, state_.step, state_.to_tensors(), is_best_);
    is_best_ = false;
  }

  void resume() {
    if (const auto latest = run_.latest())
      state_.from_tensors(load_checkpoint(latest->path, task_->device()));
    else if (request_.init_from)
      task_->model().load_state(
          nn::without_prefix("model.", load_checkpoint(*request_.init_from, task_->device())));
  }

  /// Scores of the best weights on the test data, and everything a reader wants to see.
  void finish() {
    const Checkpoint best = find_checkpoint(run_.path(), "best");
    nlohmann::ordered_json summary{{"model", config_.text("model.name")}};
    summary.update(task_->test(nn::without_prefix("model.", load_checkpoint(best.path, task_->device()))));
    summary.update(nlohmann::ordered_json{
        {task_->score_name(), state_.best},
        {"best_step", best.step},
        {"steps", state_.step},
        {"parameters", task_->model().parameter_count()},
        {"seconds", std::chrono::duration<double>(Clock::now() - started_).count()},
        {"seed", config_.integer("train.seed")},
        {"device", task_->device().description()},
        {"build_id", build_id()},
        {"data_checksum", task_->data_checksum()},
    });
    run_.write("summary.json", summary.dump(2) + "\n");
    task_->report(run_);
  }

  const TrainRequest& request_;
  const Config& config_;
  RunFolder& run_;
  Clock::time_point started_ = Clock::now();
  std::unique_ptr<Task> task_;
  RunState state_;
  std::int64_t total_steps_ = 0;
  bool is_best_ = false;
};

}  // namespace

int train(const TrainRequest& request, RunFolder& run) { return Trainer(request, run).run(); }

}  // namespace fovea::apps

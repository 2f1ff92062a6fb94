// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <chrono>
#include <cmath>
#include <nlohmann/json.hpp>

#include "apps/atomic_file.h"
#include "apps/bad_numbers.h"
#include "apps/checkpoint.h"
#include "apps/memory_plan.h"
#include "apps/progress.h"
#include "apps/run_device.h"
#include "apps/run_state.h"
#include "apps/stop_signal.h"
#include "apps/task.h"
#include "apps/trace.h"
#include "apps/train.h"
#include "apps/train_step.h"
#include "apps/version.h"

namespace fovea::apps {
namespace {

using Clock = std::chrono::steady_clock;

/// One run from its first step, or from its last checkpoint, to its summary. Knows nothing of what is trained.
class Trainer {
 public:
  Trainer(const TrainRequest& request, RunFolder& run)
      : request_(request),
        run_(run),
        task_(make_task(request.config, training_device(request.device, request.config))),
        config_(task_->resolved(request.config)),
        state_(config_, *task_) {
    total_steps_ = config_.integer("train.steps");
    const std::int64_t by_epochs = config_.integer("train.epochs") * task_->batches_per_epoch();
    if (total_steps_ == 0 || (by_epochs > 0 && by_epochs < total_steps_)) {
      total_steps_ = by_epochs;
      limit_ = "epochs";
    }
  }

  int run() {
    StopSignal stop;  // from the first save on, a signal lets it finish
    begin();
    Progress progress(state_.step, total_steps_);
    describe(progress);
    const std::int64_t checkpoint_every = config_.integer("train.checkpoint_every");
    const std::int64_t eval_every = config_.integer("train.eval_every");
    const std::int64_t log_every = config_.integer("train.log_every");
    const auto due = [&](std::int64_t every) { return every > 0 && state_.step % every == 0; };
    double loss = std::nan("");
    bool stopping = stop.requested();
    try {
      while (state_.step < total_steps_ && !state_.stalled() && !stopping) {
        const Tensor loss_value = step();
        const bool last = state_.step == total_steps_;
        const bool looks = due(log_every) || last;
        if (looks) check_stopped();
        // The loss stays on the device between these steps: reading it would make a GPU wait.
        if (looks || (!graph_ && task_->device().host_memory())) loss = finite(loss_value.item());
        progress.step(state_.step, loss);
        if (looks) log(loss);
        if (due(eval_every) || last) evaluate(progress);
        stopping = stop.requested();  // asked once a step: whoever leaves the loop has saved
        if (last || is_best_ || state_.stalled() || stopping || due(checkpoint_every)) save();
      }
    } catch (const BadStep& bad) {
      progress.finish();
      throw stopped_at(bad, config_, task_->device(), run_);
    } catch (const BadNumbers& noticed) {
      progress.finish();
      throw look_back(noticed.what(), stop);
    } catch (const std::bad_alloc& error) {
      progress.finish();
      throw out_of_memory(error, state_.step + 1, config_, run_);
    } catch (const DeviceFault& fault) {
      progress.finish();
      throw device_failed(fault, state_.step + 1, config_, run_);
    }
    progress.finish();
    if (trace_) replace_file(*request_.profile, trace_->json());
    if (closed_form()) return finish("closed form");
    if (state_.step >= total_steps_) return finish(limit_);
    if (state_.stalled()) return finish("early stopping");
    return interrupted(stop.exit_code());
  }

 private:
  Tensor step() {
    if (request_.anomaly) return recorded_step(config_, *task_, state_);
    return graph_ ? graph_->step(trace_.get()) : train_step(config_, *task_, state_, trace_.get());
  }

  /// Whether steps are graphs: where they gain, unless someone looks at their parts.
  bool wants_graph() const {
    const std::string& wish = config_.text("train.graph");
    const Device& device = task_->device();
    if (wish == "on" && !Graph::supported(device))
      throw UsageError(
          fmt::format("train.graph = on: the {} has no graphs; leave it at auto, or train with --device cuda",
                      device.name()));
    const bool fits = !request_.anomaly && (wish == "on" || !request_.profile);
    return fits && (wish == "on" || (wish == "auto" && device.kind() == DeviceKind::cuda));
  }

  /// Finds where to go on, and saves before anything is computed: hours must not be lost to a disk that is full
  /// or forbidden.
  void begin() {
    if (wants_graph()) graph_.emplace(config_, *task_, state_);
    plan_ = plan_memory(
        config_,
        {[this](const Device& device) { return task_->twin(device); },
         [this](std::int64_t batch, const Device& device) { return task_->blank(batch, device); }},
        task_->device(), graph_ ? 2 : 1);
    check_fits(plan_);
    if (request_.profile) trace_ = std::make_unique<Trace>();
    const std::optional<Checkpoint> from = resume();
    const SavedRun first = state_.save({});
    std::uint64_t bytes = 1 << 16;  // names and notes
    for (const auto& [name, tensor] : first.tensors) bytes += static_cast<std::uint64_t>(tensor.bytes());
    run_.check_space(bytes);
    if (from && !run_.repair_links(*from, state_.best_step)) state_.forget_best();
    run_.write("config.toml", config_.to_toml());
    for (const std::string& warning : run_.open_logs(state_.step, state_.logs)) warn(warning);
    if (!from && closed_form()) {
      task_->fit();
      log_score();
    }
    if (const auto bad = find_bad_state(*task_, state_.optimizer))
      throw IoError(fmt::format("{} before the first step{}", is_bad(bad->tensor, bad->first.value),
                                request_.init_from ? "; look at the file of --init-from" : ""));
    save();
  }

  /// Loads the newest checkpoint that can be read; empty if there is none.
  std::optional<Checkpoint> resume() {
    std::string otherwise;
    std::vector<std::string> warnings;
    const auto newest = run_.newest_readable(
        [&](const Checkpoint& checkpoint) {
          otherwise = state_.restore(read_checkpoint(checkpoint.path), checkpoint.path);
        },
        warnings);
    if (newest) {
      warnings.push_back(otherwise);
      if (request_.init_from)
        warnings.push_back("--init-from is not used: the run has a checkpoint to go on from");
    } else if (request_.init_from) {
      state_.start_from(read_checkpoint(*request_.init_from), *request_.init_from);
    } else if (request_.resume) {
      warnings.push_back(fmt::format("{}: has no checkpoint yet; starting at step 0", run_.path().string()));
    }
    for (const std::string& warning : warnings) warn(warning);
    return newest;
  }

  static void warn(const std::string& text) {
    if (!text.empty()) fmt::print(stderr, "warning: {}\n", text);
  }

  void describe(Progress& progress) {
    const std::string steps =
        closed_form() ? "fitted in one pass"
                      : fmt::format("{} steps of {}", total_steps_, config_.integer("train.batch"));
    progress.note(fmt::format("{}, {} parameters, {}, {} on {}", config_.text("model.name"),
                              task_->model().parameter_count(), task_->data_summary(), steps,
                              task_->device().description()));
    if (!closed_form()) progress.note(plan_.str());
  }

  static std::string is_bad(const std::string& name, double value) {
    return fmt::format("{} is {}", name, std::isnan(value) ? "nan" : "infinite");
  }

  /// The device has looked at the loss and the gradients of every step, and changes no weight once they were bad.
  void check_stopped() const {
    if (const std::int64_t step = state_.optimizer.stopped_at(); step > 0)
      throw BadNumbers(fmt::format("the loss or a gradient of step {} is not finite", step));
  }

  double finite(double loss) const {
    if (std::isfinite(loss)) return loss;
    throw BadNumbers(is_bad("the loss", loss));
  }

  /// Goes over the steps since the last checkpoint to find where the numbers were left.
  StoppedRun look_back(const std::string& noticed, const StopSignal& stop) {
    const std::int64_t last = state_.step;
    fmt::print(stderr, "{} at step {}: looking for where that began, from the last checkpoint on\n", noticed,
               last);
    const std::int64_t eval_every = config_.integer("train.eval_every");
    const bool fed = config_.text("optim.schedule") == "plateau";
    const auto bad = find_bad_step(config_, *task_, state_, run_, last, [&] {
      if (stop.requested())
        throw StoppedRun(fmt::format("{} at step {}; looked no further than step {}", noticed, last,
                                     state_.step));  // untested: a signal within the search
      if (fed && eval_every > 0 && state_.step % eval_every == 0)
        (void)state_.take_score(task_->evaluate().score);
    });
    return bad ? stopped_at(*bad, config_, task_->device(), run_)
               : stopped_without_finding(noticed, last, run_);
  }

  void log(double loss) { run_.log(state_.step, {{"loss", loss}, {"lr", state_.optimizer.lr()}}); }

  bool closed_form() const { return total_steps_ == 0; }

  double log_score() {
    const Span span(trace_.get(), "evaluation", "train");
    const Evaluation evaluation = task_->evaluate();
    is_best_ = state_.take_score(evaluation.score);
    run_.log(state_.step, evaluation.figures);
    return evaluation.score;
  }
  void evaluate(Progress& progress) { progress.metric(task_->score_name(), log_score()); }

  /// A step from a finite loss can still leave weights that are not, and the next checkpoints would push out
  /// the good ones.
  void check_state() {
    check_stopped();
    if (const auto bad = find_bad_state(*task_, state_.optimizer))
      throw BadNumbers(is_bad(bad->tensor, bad->first.value));
  }

  void save() {
    const Span span(trace_.get(), "checkpoint", "train");
    check_state();
    const bool best = is_best_ || state_.best_step < 0;  // until a score is known, the latest are the best
    run_.save_checkpoint(
        state_.step,
        [&](const std::filesystem::path& file) { write_checkpoint(file, state_.save(run_.log_bytes())); },
        best);
    is_best_ = false;
  }

  /// What is known of a run however it ended.
  nlohmann::ordered_json summary(const std::string& ended_by, const nlohmann::ordered_json& test_figures) {
    nlohmann::ordered_json summary{{"model", config_.text("model.name")}, {"ended_by", ended_by}};
    summary.update(test_figures);
    summary.update(nlohmann::ordered_json{
        {task_->score_name(), state_.best},
        {"best_step", find_checkpoint(run_.path(), "best").step},
        {"steps", state_.step},
        {"parameters", task_->model().parameter_count()},
        {"seconds", std::chrono::duration<double>(Clock::now() - started_).count()},
        {"seed", config_.integer("train.seed")},
        {"device", task_->device().description()},
        {"arithmetic", arithmetic_of(task_->device())},
        {"graph_launches", graph_ ? graph_->launches() : 0},
        {"build_id", build_id()},
        {"data", task_->data_path()},
        {"data_checksum", task_->data_checksum()},
    });
    return summary;
  }

  /// Scores of the best weights on the test data, and everything a reader wants to see.
  int finish(const std::string& ended_by) {
    const auto figures = task_->test(read_weights(find_checkpoint(run_.path(), "best").path));
    run_.write("summary.json", summary(ended_by, figures).dump(2) + "\n");
    task_->report(run_);
    return kDone;
  }

  int interrupted(ExitCode code) {
    run_.write(
        "summary.json",
        summary(code == kInterrupted ? "SIGINT" : "SIGTERM", nlohmann::ordered_json::object()).dump(2) +
            "\n");
    fmt::print(stderr, "stopped at step {}; go on with: fovea train {} --resume --out {}\n", state_.step,
               config_.text("model.name"), run_.path().string());
    return code;
  }

  const TrainRequest& request_;
  RunFolder& run_;
  Clock::time_point started_ = Clock::now();
  std::unique_ptr<Task> task_;
  Config config_;
  RunState state_;
  std::optional<StepGraph> graph_;
  MemoryPlan plan_;
  std::unique_ptr<Trace> trace_;  // null without --profile
  std::int64_t total_steps_ = 0;
  const char* limit_ = "steps";  // which of the two ends the run
  bool is_best_ = false;
};

}  // namespace

int train(const TrainRequest& request, RunFolder& run) { return Trainer(request, run).run(); }

}  // namespace fovea::apps

// SPDX-License-Identifier: Apache-2.0
#include "apps/retina_training.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "apps/retina_data.h"
#include "apps/retina_models.h"
#include "apps/retina_report.h"
#include "autograd/ops/elementwise.h"
#include "models/retina/circuit.h"
#include "models/retina/deep_retina.h"
#include "models/retina/predict.h"
#include "models/retina/scores.h"
#include "models/retina/selected_places.h"
#include "nn/loss.h"

namespace fovea::apps {
namespace {

Trainable with_loss(const Config& config, std::unique_ptr<retina::RateModel> made) {
  const double rate_l1 = config.real("model.activity_l1"), drive_l1 = config.real("model.drive_l1");
  const nn::ActivityNorm form =
      config.text("model.activity_form") == "sum" ? nn::ActivityNorm::sum : nn::ActivityNorm::mean;
  auto loss = [rate_l1, drive_l1, form, &model = *made](Tape& tape, const nn::Batch& batch) {
    const Var x = tape.input(batch.x);
    Var drive = model.drive(x);
    if (model.sees_past()) drive = drive + model.past_drive(tape.input(batch.past));
    const Var rate = model.rate(drive);
    Var total = nn::PoissonLoss{}(rate, batch.target, batch.mask);
    const Tensor poisson = total.value();
    const auto penalty = [&](const Var& activity, double coefficient) {
      return nn::activity_l1(activity, static_cast<float>(coefficient), form, batch.mask);
    };
    if (rate_l1 > 0) total = total + penalty(rate, rate_l1);
    if (drive_l1 > 0) total = total + penalty(drive, drive_l1);
    if (const Var own = model.penalty(x); own.value().defined()) total = total + own;
    return StepLoss{total, poisson};
  };
  return {std::move(made), std::move(loss)};
}

nn::LastBatch last_batch(const Config& config) {
  return config.text("train.last_batch") == "pad" ? nn::LastBatch::pad : nn::LastBatch::drop;
}

struct Baseline {
  std::string model;
  double test_pearson;
};

/// throws IoError if the run has no such score: it has not finished, or is of another kind of task
Baseline read_baseline(const std::string& run) {
  const auto summary = read_summary(run);
  if (!summary.contains("model") || !summary["model"].is_string() || !summary.contains("test_pearson") ||
      !summary["test_pearson"].is_number())
    throw IoError(
        fmt::format("eval.baseline {}: its summary has no test_pearson; finish it with --resume", run));
  return {summary["model"].get<std::string>(), summary["test_pearson"].get<double>()};
}

class RetinaTask final : public Task {
 public:
  RetinaTask(const Config& config, const Device& device)
      : device_(device),
        // The emulation would take hours for the thousands of windows of an evaluation.
        eval_device_(device.kind() == DeviceKind::simt ? Device::cpu() : device),
        data_(load_retina_data(config)),
        prepared_(prepare_retina_model(config, data_.train)),
        config_(prepared_.config),
        trainable_(make_retina_trainable(config_, data_.train.cells(), device)),
        loader_(data_.train,
                {.batch = config.integer("train.batch"),
                 .shuffle = true,
                 .last_batch = last_batch(config),
                 .seed = static_cast<std::uint64_t>(config.integer("train.seed"))},
                device) {
    if (!prepared_.start.empty()) model().load_state(prepared_.start);
    if (const std::string& baseline = config.text("eval.baseline"); !baseline.empty())
      (void)read_baseline(baseline);  // a wrong name is said now, not after hours
  }

  const Device& device() const override { return device_; }
  Trainable& trainable() override { return trainable_; }

  Trainable twin(const Device& device) const override {
    return make_retina_trainable(config_, data_.train.cells(), device);
  }
  nn::Batch blank(std::int64_t batch, const Device& device) const override {
    Config config = config_;
    config.set("train.batch", batch, "plan");
    return blank_retina_batch(config, data_.train.cells(), device);
  }

  void fit() override { (void)rate_model().fit(data_.train); }

  nn::Batch next_batch() override {
    std::optional<nn::Batch> batch = loader_.next();
    if (!batch) batch = loader_.next();  // the next epoch
    return *std::move(batch);
  }
  std::int64_t batches_per_epoch() const override { return loader_.batches_per_epoch(); }
  nn::LoaderPosition position() const override { return loader_.position(); }
  void seek(nn::LoaderPosition position) override { loader_.seek(position); }

  Evaluation evaluate() override {
    const retina::Predictions held_out =
        retina::predict(model_for_evaluation(), data_.validation, eval_device_);
    const retina::Scores scores = retina::score(held_out.rate, held_out.target);
    const double r = scores.pearson.mean;
    return {r, {{score_name(), r}, {"val_log_likelihood", scores.log_likelihood.mean}}};
  }
  const char* score_name() const override { return "val_pearson"; }

  Config resolved(const Config&) const override { return config_; }
  std::string data_summary() const override {
    return fmt::format("{} windows of {} cells", data_.train.size(), data_.train.cells());
  }
  const std::string& data_checksum() const override { return data_.checksum; }
  std::string data_path() const override { return data_.path.string(); }
  nn::State constants() const override {
    const Device host = Device::cpu({.threads = 1});
    const auto number = [&](double value) { return Tensor::full({}, value, DType::f64, host); };
    nn::State constants{{"norm.mean", number(data_.train.normalization().mean)},
                        {"norm.sd", number(data_.train.normalization().sd)}};
    if (data_.pixels.mean.defined()) {  // before norm.*, pixel by pixel
      constants.emplace("norm.pixel_mean", data_.pixels.mean);
      constants.emplace("norm.pixel_sd", data_.pixels.sd);
    }
    return constants;
  }

  nlohmann::ordered_json test(const nn::State& weights) override {
    tested_ = make_retina_model(config_, data_.train.cells(), eval_device_);
    tested_->load_state(weights);
    predicted_ = retina::predict(*tested_, data_.test, eval_device_);
    const retina::Scores scores = retina::score(predicted_.rate, predicted_.target, data_.test_repeats);
    const nn::CellScores ceiling = nn::summarize(data_.ceiling);
    nlohmann::ordered_json figures{
        {"test_pearson", scores.pearson.mean},
        {"test_pearson_per_cell", scores.pearson.values},
        {"noise_ceiling", ceiling.mean},
        {"noise_ceiling_per_cell", data_.ceiling},
        {"share_of_ceiling", scores.pearson.mean / ceiling.mean},
        {"test_explained_variance", scores.explained_variance.mean},
        {"test_rmse_hz", scores.rmse_hz.mean},
        {"test_cc_norm", scores.cc_norm.mean},
        {"test_cc_norm_per_cell", scores.cc_norm.values},
        {"test_feve", scores.feve.mean},
        {"test_feve_per_cell", scores.feve.values},
    };
    if (predicted_.free_trials > 0) {
      figures["free_run_trials"] = predicted_.free_trials;
      figures["free_run_capped_share"] = predicted_.free_capped;
    }
    if (auto* const deep = dynamic_cast<retina::DeepRetina*>(tested_.get());
        deep != nullptr && deep->options().readout == retina::Readout::one_hot)
      figures.update(selection_figures(*deep));
    if (const std::string& baseline = config_.text("eval.baseline"); !baseline.empty()) {
      const Baseline other = read_baseline(baseline);
      figures[other.model + "_test_pearson"] = other.test_pearson;
    }
    return figures;
  }

  void report(const RunFolder& run) override {
    write_retina_report(run.path(), config_, data_, *tested_, predicted_);
    fmt::print("{}", scores_table(data_, retina::score(predicted_.rate, predicted_.target), true));
    fmt::print("{}\n", (run.path() / "report.html").string());
  }

 private:
  /// Where the cells of a one-hot model have settled, and by how much their rates change, as a share of the mean
  /// rate, if each takes its place and no other.
  nlohmann::ordered_json selection_figures(retina::DeepRetina& model) {
    nlohmann::ordered_json weights, centres;
    for (const retina::SelectedPlace& place : retina::selected_places(model)) {
      weights.push_back(place.weight);
      centres.push_back({place.centre.row, place.centre.col});
    }
    const Tensor weight = model.state().at("selection.weight"), before = weight.clone();
    retina::decide(model);
    const retina::Predictions decided = retina::predict(model, data_.test, eval_device_);
    weight.copy_from(before);
    return {{"selection_weight", weights},
            {"selection_centre", centres},
            {"selection_rate_change", retina::mean_change(decided.rate, predicted_.rate)}};
  }

  retina::RateModel& rate_model() { return static_cast<retina::RateModel&>(model()); }

  retina::RateModel& model_for_evaluation() {
    if (eval_device_ == device_) return rate_model();
    if (!eval_model_) eval_model_ = make_retina_model(config_, data_.train.cells(), eval_device_);
    eval_model_->load_state(model().state());
    return *eval_model_;
  }

  Device device_, eval_device_;
  RetinaData data_;
  Prepared prepared_;
  const Config& config_;
  Trainable trainable_;
  nn::Loader loader_;
  std::unique_ptr<retina::RateModel> eval_model_;  // where training and evaluation are on different devices
  std::unique_ptr<retina::RateModel> tested_;      // from test() on
  retina::Predictions predicted_;                  // by it, of the test movie
};

}  // namespace

std::unique_ptr<Task> make_retina_task(const Config& config, const Device& device) {
  return std::make_unique<RetinaTask>(config, device);
}

Trainable make_retina_trainable(const Config& config, std::int64_t cells, const Device& device) {
  return with_loss(config, make_retina_model(config, cells, device));
}

nn::Batch blank_retina_batch(const Config& config, std::int64_t cells, const Device& device) {
  const std::int64_t batch = config.integer("train.batch");
  return {Tensor::zeros({batch, config.integer("model.history"), retina::kSize, retina::kSize}, DType::f32,
                        device, "batch"),
          Tensor::zeros({batch, cells}, DType::f32, device, "batch"),
          {},
          last_batch(config) == nn::LastBatch::pad ? Tensor::full({batch}, 1.0, DType::f32, device, "batch")
                                                   : Tensor(),
          sees_past(config)
              ? Tensor::zeros({batch, config.integer("model.history"), cells}, DType::f32, device, "batch")
              : Tensor()};
}

}  // namespace fovea::apps

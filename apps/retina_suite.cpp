// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <nlohmann/json.hpp>

#include "apps/atomic_file.h"
#include "apps/eval.h"
#include "apps/model_list.h"
#include "apps/retina_data.h"
#include "apps/retina_report.h"
#include "apps/retina_suite.h"
#include "apps/run_folder.h"
#include "apps/version.h"
#include "models/retina/receptive_field.h"
#include "nn/data/hdf5.h"
#include "nn/metrics/responses.h"

namespace fovea::apps {
namespace {

namespace fs = std::filesystem;
using Settings = std::vector<std::string>;

// The rules of the suite, the same for all models and made before any of them ran: batches of 32 (128 for linear ones), a
// step size of 1e-2 with batch norm and 1e-3 without, as published, which falls to 0.3 of itself after half and after
// five sixths of the epochs; whatever else a preset says, such as penalties and decay, stays.
constexpr double kBatch = 32, kFramesPerMinute = 6000, kHeldOut = 0.05;

struct Member {
  const char* name;
  const char* label;
  const char* model;
  const char* preset;
  double lr;  ///< 0: the preset's
  bool main;  ///< with several seeds
  Settings more = {};
};

const std::vector<Member>& members() {
  static const std::vector<Member> all{
      {"null", "null", "deep-retina", "bn-cnn", 1e-2, true, {"data.shift_null=true"}},
      {"ln", "LN", "ln", "demo", 0, true, {"train.batch=128"}},
      {"ln-revcorr", "LN, reverse correlation", "ln-revcorr", "published", 0, false},
      {"glm", "GLM", "glm", "demo", 0, false, {"train.batch=128"}},
      {"nips-cnn", "NIPS-CNN", "deep-retina", "nips-2016", 1e-3, true},
      {"bn-cnn", "BN-CNN", "deep-retina", "bn-cnn", 1e-2, true},
      {"bn-cnn-channel", "BN-CNN, norm per channel", "deep-retina", "bn-cnn-channel", 1e-2, false},
      {"stacked", "stacked", "deep-retina", "stacked", 1e-2, false},
      {"convgc", "convgc", "deep-retina", "convgc", 1e-2, false},
      {"one-hot", "one-hot", "deep-retina", "one-hot", 1e-2, false},
      {"one-hot-shared", "one-hot, shared filters", "deep-retina", "one-hot-shared", 1e-2, false},
      {"simple-cnn", "simple CNN", "deep-retina", "simple-cnn", 1e-3, false},
      {"ss-cnn", "SSCNN", "deep-retina", "ss-cnn", 1e-3, false},
  };
  return all;
}

class RetinaSuite {
 public:
  explicit RetinaSuite(const SuiteRequest& request) : request_(request), runs_(request.out / "runs") {}

  int run() {
    make_folder(runs_);
    natural_ = recording("natural");
    noise_ = recording("white-noise");
    plan();
    std::vector<SuiteRun> trainings;
    for (const Planned& planned : plan_) trainings.push_back(planned.run);
    if (const int code = train_all(trainings, runs_); code != kDone) {
      fmt::print(stderr, "go on with: fovea suite retina --out {}\n", request_.out.string());
      return code;
    }
    write(result());
    return kDone;
  }

 private:
  fs::path recording(const char* stimulus) const {
    const RecordingRequest wanted{.stimulus = stimulus, .minutes = request_.minutes, .seed = 1};
    const fs::path file = request_.out / "data" /
                          (std::string(stimulus) + (nn::hdf5_version().empty() ? ".safetensors" : ".h5"));
    if (!fs::exists(file)) {
      fmt::print("a simulated retina watches {:g} minutes of {}\n", request_.minutes, stimulus);
      std::fflush(stdout);
      make_recording(wanted, file);
    }
    return file;
  }

  SuiteRun training(const Member& member, const std::string& name, const fs::path& data, std::int64_t seed,
                    double minutes) const {
    SuiteRun run{.name = name, .options = {}};
    TrainOptions& o = run.options;
    o.model = member.model;
    o.preset = member.preset;
    o.data = data.string();
    o.device = request_.device;
    o.seed = seed;
    if (find_model(member.model).closed_form) return run;
    // As many steps whatever the length of the recording, so that a short one is not also trained less.
    const auto epochs = static_cast<std::int64_t>(
        std::lround(static_cast<double>(request_.epochs) * request_.minutes / minutes));
    o.epochs = epochs;
    const auto steps = static_cast<std::int64_t>(static_cast<double>(epochs) * minutes * kFramesPerMinute *
                                                 (1 - kHeldOut) / kBatch);
    const std::int64_t look = std::max<std::int64_t>(1, steps / (2 * request_.epochs));
    o.set = {"train.batch=32",
             fmt::format("train.eval_every={}", look),
             fmt::format("train.checkpoint_every={}", look),
             "train.patience=0",
             "train.min_delta=0",
             "optim.schedule=milestones",
             fmt::format("optim.schedule_milestones=[{},{}]", std::max<std::int64_t>(1, epochs / 2),
                         std::max<std::int64_t>(2, epochs * 5 / 6)),
             "optim.schedule_factor=0.3"};
    if (member.lr > 0) o.set.push_back(fmt::format("optim.lr={:g}", member.lr));
    if (minutes < request_.minutes) o.set.push_back(fmt::format("data.minutes={:g}", minutes));
    o.set.insert(o.set.end(), member.more.begin(), member.more.end());
    return run;
  }

  /// A training and where its scores belong.
  struct Planned {
    SuiteRun run;
    SuiteRow row;
    enum { in_table, in_curve, crossed } part;
  };

  void add(const Member& member, const char* stimulus, std::int64_t seed, double minutes,
           decltype(Planned::part) part) {
    const bool natural = std::string_view(stimulus) == "natural";
    std::string name = member.name;
    if (!natural) name += "-white-noise";
    if (part == Planned::in_curve) name += fmt::format("-{:g}min", minutes);
    if (seed > 1) name += fmt::format("-seed{}", seed);
    Planned planned{training(member, name, natural ? natural_ : noise_, seed, minutes), {}, part};
    if (std::string_view(member.name) == "one-hot-shared")
      planned.run.options.set.push_back("model.share_from=" + (runs_ / "one-hot").string());
    planned.row = {.name = name,
                   .label = member.label,
                   .stimulus = natural ? "natural" : "white noise",
                   .test = natural ? "natural" : "white noise",
                   .seed = seed,
                   .minutes = minutes};
    plan_.push_back(std::move(planned));
  }

  void plan() {
    for (const Member& member : members())
      for (std::int64_t seed = 1; seed <= (member.main ? request_.seeds : 1); ++seed)
        add(member, "natural", seed, request_.minutes, Planned::in_table);
    for (const Member& member : members()) {
      const std::string_view name = member.name;
      if (name != "bn-cnn" && name != "ln") continue;
      add(member, "white noise", 1, request_.minutes, Planned::crossed);
      for (double minutes = 1; minutes < request_.minutes; minutes *= 2)
        add(member, "natural", 1, minutes, Planned::in_curve);
    }
  }

  SuiteRow with_summary(SuiteRow row) const {
    const auto summary = read_summary(runs_ / row.name);
    row.pearson = number(summary, "test_pearson");
    row.explained_variance = number(summary, "test_explained_variance");
    row.ceiling = number(summary, "noise_ceiling");
    row.parameters = summary.at("parameters").get<std::int64_t>();
    row.seconds = number(summary, "seconds");
    for (const auto& r : summary.at("test_pearson_per_cell"))
      row.pearson_per_cell.push_back(r.is_number() ? r.get<double>() : std::nan(""));
    for (const auto& r : summary.at("noise_ceiling_per_cell"))
      row.ceiling_per_cell.push_back(r.is_number() ? r.get<double>() : std::nan(""));
    return row;
  }

  /// The run on the test movie of the other stimulus.
  SuiteRow on_other(SuiteRow row) const {
    const bool natural = row.stimulus == "natural";
    EvalRequest request{.run = runs_ / row.name, .device = request_.device};
    request.data = natural ? noise_ : natural_;
    const Evaluated other = evaluate_run(request);
    row.test = natural ? "white noise" : "natural";
    row.pearson = other.scores.pearson.mean;
    row.pearson_per_cell = other.scores.pearson.values;
    row.ceiling = nn::summarize(other.data.ceiling).mean;
    row.ceiling_per_cell = other.data.ceiling;
    return row;
  }

  SuiteResult result() const {
    SuiteResult result{.minutes = request_.minutes,
                       .epochs = request_.epochs,
                       .seeds = request_.seeds,
                       .cells = {},
                       .rows = {},
                       .curve = {},
                       .crossed = {},
                       .criteria = {}};
    for (const Planned& planned : plan_) {
      const SuiteRow row = with_summary(planned.row);
      result.seconds += row.seconds;
      if (planned.part == Planned::in_table) result.rows.push_back(row);
      if (planned.part == Planned::in_curve) result.curve.push_back(row);
      const bool whole =
          planned.part == Planned::in_table && row.seed == 1 && (row.label == "BN-CNN" || row.label == "LN");
      if (planned.part == Planned::crossed || whole) {
        result.crossed.push_back(row);
        result.crossed.push_back(on_other(row));
      }
    }
    for (const SuiteRow& row : result.rows)
      if (row.seed == 1 && (row.label == "BN-CNN" || row.label == "LN")) result.curve.push_back(row);
    std::stable_sort(result.curve.begin(), result.curve.end(), [](const SuiteRow& a, const SuiteRow& b) {
      return std::pair(a.label != "BN-CNN", a.minutes) < std::pair(b.label != "BN-CNN", b.minutes);
    });
    const std::size_t cells = result.rows.front().pearson_per_cell.size();
    const RetinaData data = load_retina_data(read_run_config(runs_ / result.rows.front().name));
    for (std::size_t c = 0; c < cells; ++c) result.cells.push_back(cell_name(data, c));
    result.criteria = retina_criteria(result);
    for (const Criterion& criterion : one_hot_criteria(data)) result.criteria.push_back(criterion);
    return result;
  }

  /// What the one-hot model was made to show: that it decides, and for the right places.
  std::vector<Criterion> one_hot_criteria(const RetinaData& data) const {
    const auto summary = read_summary(runs_ / "one-hot");
    const auto weights = summary.at("selection_weight").get<std::vector<double>>();
    const auto places = summary.at("selection_centre").get<std::vector<std::array<double, 2>>>();
    const double change = number(summary, "selection_rate_change");
    const double least = *std::min_element(weights.begin(), weights.end());
    std::vector<Criterion> criteria{
        {"one-hot: each selection row above 0.9", fmt::format("least {:.3f}", least), least > 0.9},
        {"one-hot: rates from the selected place alone within 5 % of rates",
         fmt::format("{:.1f} %", 100 * change), change <= 0.05}};
    const std::vector<retina::Position> truth = retina::known_centres(data.recording);
    if (truth.size() == places.size()) {
      double worst = 0;
      std::string each;
      for (std::size_t c = 0; c < places.size(); ++c) {
        const double off = std::hypot(places[c][0] - static_cast<double>(truth[c].row),
                                      places[c][1] - static_cast<double>(truth[c].col));
        worst = std::max(worst, off);
        each += fmt::format("{}{:.1f}", c > 0 ? ", " : "", off);
      }
      criteria.push_back(
          {"one-hot: receptive field within 2 px of its place", fmt::format("{} px", each), worst <= 2});
    }
    return criteria;
  }

  void write(const SuiteResult& result) const {
    using Json = nlohmann::ordered_json;
    const auto rows = [](const std::vector<SuiteRow>& of) {
      Json list = Json::array();
      for (const SuiteRow& row : of)
        list.push_back({{"run", row.name},
                        {"model", row.label},
                        {"trained_on", row.stimulus},
                        {"tested_on", row.test},
                        {"seed", row.seed},
                        {"minutes", row.minutes},
                        {"parameters", row.parameters},
                        {"seconds", row.seconds},
                        {"pearson", row.pearson},
                        {"explained_variance", row.explained_variance},
                        {"noise_ceiling", row.ceiling},
                        {"pearson_per_cell", row.pearson_per_cell}});
      return list;
    };
    Json criteria = Json::array();
    for (const Criterion& c : result.criteria)
      criteria.push_back({{"claim", c.claim}, {"measured", c.measured}, {"met", c.met}});
    const Json summary{{"suite", "retina"},
                       {"minutes", result.minutes},
                       {"epochs", result.epochs},
                       {"seeds", result.seeds},
                       {"training_seconds", result.seconds},
                       {"build_id", build_id()},
                       {"criteria", criteria},
                       {"models", rows(result.rows)},
                       {"learning_curve", rows(result.curve)},
                       {"across_stimuli", rows(result.crossed)}};
    replace_file(request_.out / "summary.json", summary.dump(2) + "\n");
    replace_file(request_.out / "report.html", retina_suite_html(result));
    const std::string tables = retina_suite_markdown(result);
    replace_file(request_.out / "tables.md", tables);
    fmt::print("\n{}{}\n", tables, (request_.out / "report.html").string());
  }

  static double number(const nlohmann::json& from, const char* name) {
    return from.contains(name) && from.at(name).is_number() ? from.at(name).get<double>() : std::nan("");
  }

  const SuiteRequest& request_;
  fs::path runs_, natural_, noise_;
  std::vector<Planned> plan_;
};

}  // namespace

int run_retina_suite(const SuiteRequest& request) { return RetinaSuite(request).run(); }

}  // namespace fovea::apps

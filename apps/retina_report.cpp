// SPDX-License-Identifier: Apache-2.0
#include "apps/retina_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <sstream>

#include "apps/atomic_file.h"
#include "apps/metrics_log.h"
#include "apps/report/report_data.h"
#include "apps/report/report_html.h"
#include "apps/run_folder.h"
#include "models/retina/deep_retina.h"
#include "models/retina/separable.h"
#include "models/retina/spike_triggered_average.h"
#include "tensor/views.h"

namespace fovea::apps {
namespace {

constexpr double kPixel_um = 55.55;
constexpr double kTrace_s = 6;  // of test movie shown per cell

std::vector<double> column(const Tensor& table, std::int64_t cell) {
  return select(table, 1, cell).to_vector<double>();
}

/// x [frames, height, width]
SpaceTimeFilter space_time_filter(std::string name, const Tensor& x) {
  SpaceTimeFilter filter;
  filter.name = std::move(name);
  filter.frames = x.size(0);
  filter.height = x.size(1);
  filter.width = x.size(2);
  filter.pixel_um = kPixel_um;
  const auto values = x.to_vector<double>();
  take_slices(filter, values);
  retina::Separable separable = retina::separate(values, filter.frames);
  filter.time = std::move(separable.time);
  filter.space = std::move(separable.space);
  filter.separable_share = separable.share;
  return filter;
}

Curve curve(const std::vector<MetricsRow>& rows, const std::string& figure, std::string name) {
  Curve result{.name = std::move(name)};
  for (const MetricsRow& row : rows)
    for (const auto& [key, value] : row.figures)
      if (key == figure) {
        result.step.push_back(static_cast<double>(row.step));
        result.value.push_back(value);
      }
  return result;
}

std::vector<CellTrace> traces(const RetinaData& data, const retina::Predictions& test,
                              const nn::CellScores& pearson) {
  constexpr double kBin_s = 0.01;
  const std::int64_t samples = test.rate.size(0);
  const auto shown = std::min<std::int64_t>(samples, static_cast<std::int64_t>(kTrace_s / kBin_s));
  const std::int64_t first = (samples - shown) / 2;
  const std::int64_t bin0 = data.test.first_frame(0) + data.test.history();  // the time bin of sample 0
  const Tensor& repeats = data.recording.test_repeats;
  const double trials = static_cast<double>(repeats.size(0));
  std::vector<CellTrace> result;
  for (std::int64_t cell = 0; cell < data.train.cells(); ++cell) {
    CellTrace trace;
    trace.name = cell_name(data, static_cast<std::size_t>(cell));
    trace.start_s = static_cast<double>(bin0 + first) * kBin_s;
    trace.recorded_hz = column(slice(test.target, 0, first, first + shown), cell);
    trace.predicted_hz = column(slice(test.rate, 0, first, first + shown), cell);
    const auto trial =
        slice(select(repeats, 1, cell), 1, bin0 + first, bin0 + first + shown).to_vector<double>();
    for (std::int64_t t = 0; t < shown; ++t) {
      double square = 0;
      const double mean = trace.recorded_hz[static_cast<std::size_t>(t)];
      for (std::int64_t n = 0; n < repeats.size(0); ++n)
        square += std::pow(trial[static_cast<std::size_t>(n * shown + t)] - mean, 2);
      const double error = trials > 1 ? std::sqrt(square / (trials - 1) / trials) : 0;
      trace.recorded_low_hz.push_back(std::max(0.0, mean - error));
      trace.recorded_high_hz.push_back(mean + error);
    }
    trace.correlation = pearson.values[static_cast<std::size_t>(cell)];
    result.push_back(std::move(trace));
  }
  return result;
}

/// Takes scores and traces of the baseline's own report.
void add_baseline(ReportData& report, const std::filesystem::path& run) {
  const std::filesystem::path path = run / "report.json";
  const ReportData other = report_from_json(read_file(path), path.string());
  report.baseline = other.model;
  for (std::size_t c = 0; c < std::min(report.cells.size(), other.cells.size()); ++c)
    report.cells[c].baseline = other.cells[c].model;
  for (std::size_t c = 0; c < std::min(report.traces.size(), other.traces.size()); ++c)
    if (other.traces[c].start_s == report.traces[c].start_s)
      report.traces[c].baseline_hz = other.traces[c].predicted_hz;
}

std::string shown_name(const std::string& model) {
  if (model == "deep-retina") return "Deep Retina";
  if (model == "ln-revcorr") return "LN by reverse correlation";
  return model == "glm" ? "GLM" : "LN";
}

std::string text_of(const nlohmann::json& value) {
  return value.is_string() ? value.get<std::string>() : value.dump();
}

}  // namespace

std::string cell_name(const RetinaData& data, std::size_t cell) {
  const auto part = [&](const char* key) -> std::string {
    const auto list = data.recording.metadata.find(key);
    if (list == data.recording.metadata.end()) return {};
    std::istringstream parts(list->second);
    std::string text;
    for (std::size_t i = 0; i <= cell; ++i) std::getline(parts, text, ';');
    return text;
  };
  const std::string number = part("cells"), kind = part("cell_types");
  return fmt::format("cell {}{}{}", number.empty() ? std::to_string(cell) : number, kind.empty() ? "" : ", ",
                     kind);
}

std::string spike_history(const retina::RateModel& model, const retina::Predictions& predicted) {
  if (!model.sees_past()) return "";
  if (predicted.free_trials == 0) return "recorded; rates one bin ahead, beside counts that are not smoothed";
  return fmt::format("the model's own spikes, mean of {} trials, {:.2g} % of the rates cut to 1000 Hz",
                     predicted.free_trials, 100 * predicted.free_capped);
}

std::string scores_table(const RetinaData& data, const retina::Scores& scores, bool with_ceiling) {
  std::string text = fmt::format("{:<20} {:>8}", "", "Pearson");
  text += with_ceiling ? fmt::format(" {:>8} {:>8}\n", "ceiling", "share") : "\n";
  const auto row = [&](const std::string& name, double r, double ceiling) {
    text += fmt::format("{:<20} {:>8.3f}", name, r);
    const bool known = with_ceiling && !std::isnan(ceiling);
    text += known ? fmt::format(" {:>8.3f} {:>7.0f}%\n", ceiling, 100 * r / ceiling)
                  : (with_ceiling ? fmt::format(" {:>8} {:>8}\n", "-", "-") : "\n");
  };
  for (std::size_t c = 0; c < scores.pearson.values.size(); ++c)
    row(cell_name(data, c), scores.pearson.values[c], data.ceiling[c]);
  row("mean", scores.pearson.mean, nn::summarize(data.ceiling).mean);
  return text;
}

void write_retina_report(const std::filesystem::path& run, const Config& config, const RetinaData& data,
                         retina::RateModel& model, const retina::Predictions& test) {
  const auto summary = read_summary(run);
  const retina::Scores scores = retina::score(test.rate, test.target, data.test_repeats);
  ReportData report;
  auto* const deep = dynamic_cast<retina::DeepRetina*>(&model);
  report.model = shown_name(config.text("model.name"));
  const auto stimulus = data.recording.metadata.find("stimulus");
  const bool simulated = data.recording.simulated();
  report.title =
      fmt::format("{} on {}", report.model,
                  simulated && stimulus != data.recording.metadata.end() ? stimulus->second
                                                                         : data.path.filename().string());
  report.run = run.filename().string();
  report.trials = data.recording.test_repeats.size(0);
  report.data_note =
      simulated ? "simulated retina with a known circuit; no biological recording" : data.path.string();
  const double ceiling = nn::summarize(data.ceiling).mean;
  report.summary = fmt::format(
      "{} fitted to {} cells, {} windows of 400 ms. On a movie it has not seen, shown {} times, it predicts "
      "the mean rate with a correlation of {:.3f}{}.",
      report.model, data.train.cells(), data.train.size(), report.trials, scores.pearson.mean,
      std::isnan(ceiling) ? "" : fmt::format("; knowing the true rate would give {:.3f}", ceiling));
  if (const std::string history = spike_history(model, test); !history.empty())
    report.summary += fmt::format(" Spikes that it saw: {}.", history);
  for (std::size_t c = 0; c < scores.pearson.values.size(); ++c)
    report.cells.push_back(
        {.name = cell_name(data, c), .model = scores.pearson.values[c], .ceiling = data.ceiling[c]});
  const auto rows = MetricsLog::read(run / "metrics.jsonl");
  report.loss_label = "Poisson loss, Hz per bin";
  report.loss = {curve(rows, "loss", "training")};
  report.correlation = {curve(rows, "val_pearson", "held out")};
  report.traces = traces(data, test, scores.pearson);
  if (const std::string& baseline = config.text("eval.baseline"); !baseline.empty())
    add_baseline(report, baseline);

  if (deep != nullptr) {
    const Tensor filters = deep->first_filters();
    for (std::int64_t c = 0; c < filters.size(0); ++c)
      report.filters.push_back(space_time_filter(fmt::format("filter {}", c), select(filters, 0, c)));
  } else if (const Tensor filters = model.cell_filters(); filters.defined()) {
    for (std::int64_t c = 0; c < filters.size(0); ++c)
      report.filters.push_back(
          space_time_filter(cell_name(data, static_cast<std::size_t>(c)), select(filters, 0, c)));
  }
  const Tensor averages = retina::spike_triggered_average(data.train);
  for (std::int64_t c = 0; c < averages.size(0); ++c)
    report.averages.push_back(
        space_time_filter(cell_name(data, static_cast<std::size_t>(c)), select(averages, 0, c)));

  report.config = config.listing();
  for (const char* key : {"ended_by", "steps", "best_step", "seed", "device", "build_id", "data",
                          "data_checksum", "seconds", "parameters"})
    if (summary.contains(key)) report.provenance.emplace_back(key, text_of(summary[key]));
  replace_file(run / "report.json", to_json(report));
  replace_file(run / "report.html", report_html({report}));
}

}  // namespace fovea::apps

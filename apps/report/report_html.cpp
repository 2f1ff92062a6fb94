// SPDX-License-Identifier: Apache-2.0
#include "apps/report/report_html.h"

#include <fmt/format.h>

#include <algorithm>
#include <cassert>
#include <cmath>

#include "apps/report/filter_card.h"
#include "apps/report/style.h"
#include "apps/report/svg.h"
#include "apps/version.h"

namespace fovea::apps {
namespace {

using svg::escape;

/// A mosaic that is finest in the middle, as the cones of a fovea are.
constexpr const char* kMark =
    R"(<svg viewBox="0 0 32 32" aria-hidden="true"><g fill="none" stroke="currentColor"><circle cx="16" cy="16" r="14" stroke-width="1.6" stroke-dasharray="4 3.33"/><circle cx="16" cy="16" r="9" stroke-width="2" stroke-dasharray="2.6 2.11"/></g><circle cx="16" cy="16" r="4" fill="currentColor"/></svg>)";

std::string score(double value) { return std::isfinite(value) ? fmt::format("{:.3f}", value) : "–"; }
std::string share(double part, double whole) {
  return std::isfinite(part) && std::isfinite(whole) && whole > 0
             ? fmt::format("{:.0f} %", 100 * part / whole)
             : "–";
}

/// Over the cells that have the score; nan if none has.
double mean(const std::vector<CellScore>& cells, double CellScore::*member) {
  double sum = 0;
  int count = 0;
  for (const CellScore& cell : cells)
    if (std::isfinite(cell.*member)) sum += cell.*member, ++count;
  return count > 0 ? sum / count : std::numeric_limits<double>::quiet_NaN();
}

CellScore mean_score(const ReportData& data) {
  return {"mean", mean(data.cells, &CellScore::model), mean(data.cells, &CellScore::baseline),
          mean(data.cells, &CellScore::ceiling)};
}

/// Sections of one run; figures are numbered through the page.
class RunPage {
 public:
  RunPage(const ReportData& data, int run, int& figure)
      : data_(data),
        run_(run),
        figure_(figure),
        with_baseline_(std::isfinite(mean(data.cells, &CellScore::baseline))) {}

  std::string html(bool heading) {
    std::string out = fmt::format("<article id=\"run-{}\">", run_);
    if (heading) out += top();
    out += scores();
    out += curves();
    out += traces();
    out += filters(
        "filters", "First-layer filters",
        "What the model looks for. Each filter weighs the pixels of the last frames; the picture is its "
        "profile in space, the curve its profile in time, and the strip shows eight of its frames.",
        data_.filters);
    out +=
        filters("averages", "Spike-triggered averages",
                "What a cell was looking at before it fired: the mean stimulus before a spike, in standard "
                "deviations of the stimulus.",
                data_.averages);
    out += configuration();
    return out + provenance() + "</article>";
  }

 private:
  std::string section(std::string_view id, std::string_view title, std::string_view intro) const {
    return fmt::format("<h2 id=\"{}-{}\">{}</h2><p class=\"intro\">{}</p>", id, run_, escape(title), intro);
  }

  std::string figure(std::string_view content, std::string_view caption) {
    return fmt::format("<figure>{}<figcaption><b>Figure {}.</b> {}</figcaption></figure>", content, ++figure_,
                       caption);
  }

  std::string top() const {
    std::string out = fmt::format("<header><p class=\"eyebrow\">{}<span>fovea · {}</span></p><h1>{}</h1>",
                                  kMark, escape(data_.run), escape(data_.title));
    if (!data_.summary.empty()) out += fmt::format("<p class=\"lead\">{}</p>", escape(data_.summary));
    if (!data_.data_note.empty()) out += fmt::format("<p class=\"badge\">{}</p>", escape(data_.data_note));
    if (!data_.cells.empty()) {
      const CellScore average = mean_score(data_);
      const auto tile = [](std::string_view ink, std::string_view value, std::string_view text) {
        return fmt::format("<div class=\"tile\"><b class=\"ink-{}\">{}</b><span>{}</span></div>", ink, value,
                           escape(text));
      };
      out += "<div class=\"tiles\">";
      out += tile("model", score(average.model), data_.model + ": mean correlation with the recording");
      if (with_baseline_)
        out += tile("baseline", score(average.baseline), data_.baseline + ", fitted to the same data");
      out += tile("ceiling", score(average.ceiling), "noise ceiling: what a perfect model would reach");
      out += tile("model", share(average.model, average.ceiling), "of the ceiling reached");
      out += "</div>";
    }
    out += "<nav>";
    const auto link = [&](bool there, std::string_view id, std::string_view text) {
      if (there) out += fmt::format("<a href=\"#{}-{}\">{}</a>", id, run_, text);
    };
    link(!data_.cells.empty(), "scores", "Scores");
    link(!data_.loss.empty() || !data_.correlation.empty(), "training", "Training");
    link(!data_.traces.empty(), "traces", "Predicted rates");
    link(!data_.filters.empty(), "filters", "Filters");
    link(!data_.averages.empty(), "averages", "Spike-triggered averages");
    link(!data_.config.empty(), "config", "Configuration");
    link(!data_.provenance.empty(), "provenance", "Provenance");
    return out + "</nav></header>";
  }

  std::string scores() {
    if (data_.cells.empty()) return {};
    std::vector<CellScore> rows = data_.cells;
    if (rows.size() > 1) rows.push_back(mean_score(data_));

    svg::BarChart chart;
    chart.x_label = "Pearson correlation r";
    chart.bars = {{data_.model, "model", {}}};
    if (with_baseline_) chart.bars.push_back({data_.baseline, "baseline", {}});
    chart.marks = {{"noise ceiling", "ceiling", {}}};
    std::string table = fmt::format(
        "<div class=\"scroll\"><table><thead><tr><th>cell</th>{}<th>{}</th><th>ceiling</th>"
        "<th>of ceiling</th></tr></thead><tbody>",
        with_baseline_ ? fmt::format("<th>{}</th>", escape(data_.baseline)) : "", escape(data_.model));
    for (const CellScore& row : rows) {
      chart.categories.push_back(row.name);
      chart.bars[0].values.push_back(row.model);
      if (with_baseline_) chart.bars[1].values.push_back(row.baseline);
      chart.marks[0].values.push_back(row.ceiling);
      const bool is_mean = rows.size() > 1 && &row == &rows.back();
      const bool better = !(row.model < row.baseline);
      table += fmt::format("<tr{}><td>{}</td>{}<td{}>{}</td><td>{}</td><td>{}</td></tr>",
                           is_mean ? " class=\"mean\"" : "", escape(row.name),
                           with_baseline_ ? "<td>" + score(row.baseline) + "</td>" : "",
                           better ? " class=\"best\"" : "", score(row.model), score(row.ceiling),
                           share(row.model, row.ceiling));
    }
    table += "</tbody></table></div>";
    const std::string trials = data_.trials > 0 ? fmt::format(" of {} trials", data_.trials) : "";
    std::string out = section(
        "scores", "Scores",
        "How well the predicted rate follows the recorded one on a test movie that no model has seen. "
        "1 is perfect, 0 is chance; trial noise keeps even a perfect model below the ceiling.");
    out += "<div class=\"pair\">";
    out += figure(
        svg::render(chart, "correlation of model, baseline and ceiling for each cell"),
        fmt::format(
            "Each cell: {} (thick){} and the noise ceiling (stroke). The nearer the thick bar comes to "
            "the stroke, the less there is left to explain.",
            escape(data_.model), with_baseline_ ? fmt::format(", {} (thin)", escape(data_.baseline)) : ""));
    out += figure(table,
                  fmt::format("The same in numbers: correlation between the predicted rate and the mean{} "
                              "over the whole test movie, 10 ms bins.",
                              trials));
    return out + "</div>";
  }

  std::string curve_plot(const std::vector<Curve>& curves, std::string_view y_label,
                         bool with_references) const {
    svg::LinePlot plot;
    plot.x_label = "training step";
    plot.y_label = y_label;
    plot.height_px = 230;
    plot.x_ticks = 5;
    plot.x_least = 0;
    double last = 0;
    for (const Curve& curve : curves) {
      const bool training = curve.name == "training";
      plot.lines.push_back({curve.name, training ? "ceiling" : "model", curve.step, curve.value, false,
                            training ? 1.25 : 2.25});
      if (!curve.step.empty()) last = std::max(last, curve.step.back());
    }
    if (with_references) {
      const CellScore average = mean_score(data_);
      if (std::isfinite(average.ceiling))
        plot.lines.push_back(
            {"noise ceiling", "recorded", {0, last}, {average.ceiling, average.ceiling}, true});
      if (std::isfinite(average.baseline))
        plot.lines.push_back(
            {data_.baseline + " (test)", "baseline", {0, last}, {average.baseline, average.baseline}, true});
      plot.y_least = 0;
      plot.y_ticks = 5;
    }
    return svg::render(plot, fmt::format("{} over training steps", y_label));
  }

  std::string curves() {
    if (data_.loss.empty() && data_.correlation.empty()) return {};
    std::string out =
        section("training", "Training",
                "A loss that still falls asks for more steps; a validation curve that turns away from "
                "the training curve asks for more data or a stronger penalty.");
    out += "<div class=\"pair\">";
    if (!data_.loss.empty()) {
      const bool held_out = std::any_of(data_.loss.begin(), data_.loss.end(),
                                        [](const Curve& curve) { return curve.name != "training"; });
      out +=
          figure(curve_plot(data_.loss, data_.loss_label, false),
                 fmt::format("Loss by training step; lower is better. Grey: on the samples it learns from.{}",
                             held_out ? " Blue: on samples held out." : ""));
    }
    if (!data_.correlation.empty())
      out += figure(
          curve_plot(data_.correlation, "correlation r, mean over cells", true),
          fmt::format("Correlation by training step, mean over cells, on held-out data; higher is better. "
                      "Dashed: the noise ceiling{} on the test movie.",
                      with_baseline_ ? " and " + escape(data_.baseline) : ""));
    return out + "</div>";
  }

  std::string trace(const CellTrace& trace, bool first) {
    svg::LinePlot plot;
    plot.x_label = "time in the test movie (s)";
    plot.y_label = "rate (Hz)";
    plot.height_px = 170;
    plot.x_ticks = 8;
    plot.y_ticks = 3;
    plot.y_least = 0;
    std::vector<double> time_s;
    for (std::size_t i = 0; i < trace.recorded_hz.size(); ++i)
      time_s.push_back(trace.start_s + static_cast<double>(i) * trace.bin_s);
    if (!trace.recorded_low_hz.empty())
      plot.bands.push_back({"± 1 s.e.m.", "recorded", time_s, trace.recorded_low_hz, trace.recorded_high_hz});
    plot.lines.push_back({"recorded", "recorded", time_s, trace.recorded_hz, false, 1.5});
    if (!trace.baseline_hz.empty())
      plot.lines.push_back({data_.baseline, "baseline", time_s, trace.baseline_hz, false, 1.25});
    plot.lines.push_back({data_.model, "model", time_s, trace.predicted_hz, false, 2});
    plot.events = trace.spikes_s;
    plot.events_label = "spikes, one row a trial";
    return figure(svg::render(plot, fmt::format("{}: recorded and predicted rate over time", trace.name)),
                  fmt::format("<b>{}</b>, r = {} over the whole test movie.{}", escape(trace.name),
                              score(trace.correlation), first ? explanation() : ""));
  }

  /// Once, under the first of the pictures that are all alike.
  std::string explanation() const {
    return fmt::format(" Recorded rate ({}), and the rate predicted from the movie alone by {}{}.{}",
                       data_.trials > 0 ? fmt::format("mean of {} trials", data_.trials) : "mean over trials",
                       escape(data_.model),
                       data_.traces.front().baseline_hz.empty() ? "" : " and by " + escape(data_.baseline),
                       data_.traces.front().spikes_s.empty()
                           ? ""
                           : " Spikes that line up from row to row are what a model can predict.");
  }

  std::string traces() {
    if (data_.traces.empty()) return {};
    std::string out =
        section("traces", "Predicted against recorded rates",
                "A few seconds of the test movie, shown again and again to the same cells. What repeats "
                "from trial to trial is the signal; what does not is noise.");
    for (const CellTrace& one : data_.traces) out += trace(one, &one == &data_.traces.front());
    return out;
  }

  std::string filters(std::string_view id, std::string_view title, std::string_view intro,
                      const std::vector<SpaceTimeFilter>& filters) {
    if (filters.empty()) return {};
    std::string out = section(id, title, intro);
    out += "<div class=\"scale\">darker excites<i></i>brighter excites</div><div class=\"cards\">";
    for (const SpaceTimeFilter& filter : filters) out += filter_card(filter);
    const SpaceTimeFilter& first = filters.front();
    const std::string size =
        first.pixel_um > 0
            ? fmt::format(" A picture is {} × {} pixels or {:.2f} × {:.2f} mm on the retina.", first.height,
                          first.width, static_cast<double>(first.height) * first.pixel_um / 1e3,
                          static_cast<double>(first.width) * first.pixel_um / 1e3)
            : fmt::format(" A picture is {} × {} pixels.", first.height, first.width);
    out += fmt::format(
        "</div><figcaption><b>Figure {}.</b> Red: light raises the response; blue: light lowers it; the "
        "page's own "
        "colour: no effect. Each filter is scaled to its own largest value, and its picture shows it at the "
        "peak of "
        "the curve.{} Numbers under the strip are milliseconds before the response. “Separable” is the share "
        "of the filter that one picture times one curve "
        "explains.</figcaption>",
        ++figure_, size);
    return out;
  }

  std::string configuration() const {
    if (data_.config.empty()) return {};
    std::string out = section("config", "Configuration", "All settings of this run, as in its config.toml.");
    out += fmt::format("<details><summary>{} settings</summary><dl class=\"settings\">", data_.config.size());
    for (const auto& [key, value] : data_.config)
      out += fmt::format("<dt>{}</dt><dd>{}</dd>", escape(key), escape(value));
    return out + "</dl></details>";
  }

  std::string provenance() const {
    if (data_.provenance.empty()) return {};
    std::string out = section("provenance", "Provenance", "What it takes to get these numbers again.");
    out += "<figure><dl class=\"facts\">";
    for (const auto& [key, value] : data_.provenance)
      out += fmt::format("<dt>{}</dt><dd>{}</dd>", escape(key), escape(value));
    return out + "</dl></figure>";
  }

  const ReportData& data_;
  int run_;
  int& figure_;
  bool with_baseline_;
};

std::string comparison(const std::vector<ReportData>& runs, int& figure) {
  std::string out = fmt::format(
      "<header><p class=\"eyebrow\">{}<span>fovea · {} runs</span></p><h1>Comparison of {} "
      "runs</h1></header>",
      kMark, runs.size(), runs.size());
  out +=
      "<figure><div class=\"scroll\"><table><thead><tr><th>run</th><th>model</th><th>cells</th><th>mean "
      "r</th>"
      "<th>ceiling</th><th>of ceiling</th></tr></thead><tbody>";
  svg::LinePlot plot;
  plot.x_label = "training step";
  plot.y_label = "validation correlation r, mean over cells";
  for (std::size_t i = 0; i < runs.size(); ++i) {
    const CellScore average = mean_score(runs[i]);
    out += fmt::format(
        "<tr><td><a href=\"#run-{}\">{}</a></td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>",
        i, escape(runs[i].run), escape(runs[i].model), runs[i].cells.size(), score(average.model),
        score(average.ceiling), share(average.model, average.ceiling));
    for (const Curve& curve : runs[i].correlation)
      if (curve.name != "training")
        plot.lines.push_back({runs[i].run, fmt::format("run-{}", i % 6), curve.step, curve.value, i >= 6, 2});
  }
  out += fmt::format(
      "</tbody></table></div><figcaption><b>Figure {}.</b> Mean correlation over cells on the test "
      "movie.</figcaption></figure>",
      ++figure);
  if (!plot.lines.empty())
    out += fmt::format(
        "<figure>{}<figcaption><b>Figure {}.</b> How each run learned: correlation on held-out data "
        "by training step.</figcaption></figure>",
        svg::render(plot, "validation correlation of all runs over training steps"), ++figure);
  return out;
}

}  // namespace

std::string report_html(const std::vector<ReportData>& runs) {
  assert(!runs.empty());
  int figure = 0;
  const std::string title =
      runs.size() == 1 ? runs.front().title : fmt::format("Comparison of {} runs", runs.size());
  std::string out = fmt::format(
      "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
      "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">"
      "<title>{}</title><style>{}</style></head><body><main>",
      escape(title), kReportStyle);
  if (runs.size() > 1) out += comparison(runs, figure);
  for (std::size_t i = 0; i < runs.size(); ++i)
    out += RunPage(runs[i], static_cast<int>(i), figure).html(/*heading=*/true);
  out += fmt::format("<footer>Written by fovea {} ({}).</footer></main></body></html>\n", escape(version()),
                     escape(build_id()));
  return out;
}

}  // namespace fovea::apps

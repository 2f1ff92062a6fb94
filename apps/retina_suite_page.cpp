// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>

#include "apps/report/style.h"
#include "apps/report/svg.h"
#include "apps/retina_suite.h"
#include "apps/version.h"

namespace fovea::apps {
namespace {

using svg::escape;

std::string score(double value) { return std::isfinite(value) ? fmt::format("{:.3f}", value) : "–"; }
std::string share(double part, double whole) {
  return whole > 0 ? fmt::format("{:.0f} %", 100 * part / whole) : "–";
}

/// Rows of text, drawn as HTML or as Markdown.
struct Table {
  std::vector<std::string> head;
  std::vector<std::vector<std::string>> rows;
};

std::string html(const Table& table) {
  std::string out = "<div class=\"scroll\"><table><thead><tr>";
  for (const std::string& cell : table.head) out += fmt::format("<th>{}</th>", escape(cell));
  out += "</tr></thead><tbody>";
  for (const auto& row : table.rows) {
    out += "<tr>";
    for (const std::string& cell : row) out += fmt::format("<td>{}</td>", escape(cell));
    out += "</tr>";
  }
  return out + "</tbody></table></div>";
}

std::string markdown(const Table& table) {
  const auto line = [](const std::vector<std::string>& cells) {
    std::string text = "|";
    for (const std::string& cell : cells) text += fmt::format(" {} |", cell);
    return text + "\n";
  };
  std::string out = line(table.head) + "|";
  for (std::size_t k = 0; k < table.head.size(); ++k) out += "---|";
  out += "\n";
  for (const auto& row : table.rows) out += line(row);
  return out + "\n";
}

Table model_table(const SuiteResult& result) {
  Table table{{"model", "parameters", "seeds", "Pearson", "s.e.m. of cells", "SD of seeds", "of the ceiling",
               "training, min"},
              {}};
  for (const ModelScore& m : model_scores(result.rows))
    table.rows.push_back({m.label, std::to_string(m.parameters), std::to_string(m.seeds), score(m.mean),
                          score(m.error), score(m.seeds_sd), share(m.mean, m.ceiling),
                          fmt::format("{:.1f}", m.seconds / 60)});
  return table;
}

Table crossed_table(const SuiteResult& result) {
  Table table{{"model", "trained on", "tested on", "Pearson", "ceiling", "of the ceiling"}, {}};
  for (const SuiteRow& row : result.crossed)
    table.rows.push_back({row.label, row.stimulus, row.test, score(row.pearson), score(row.ceiling),
                          share(row.pearson, row.ceiling)});
  return table;
}

Table curve_table(const SuiteResult& result) {
  Table table{{"model", "recording, min", "Pearson", "of the ceiling"}, {}};
  for (const SuiteRow& row : result.curve)
    table.rows.push_back(
        {row.label, fmt::format("{:g}", row.minutes), score(row.pearson), share(row.pearson, row.ceiling)});
  return table;
}

Table criteria_table(const SuiteResult& result) {
  Table table{{"claim", "measured", "met"}, {}};
  for (const Criterion& c : result.criteria)
    table.rows.push_back({c.claim, c.measured, c.met ? "yes" : "NO"});
  return table;
}

Table cell_table(const SuiteResult& result) {
  Table table{{"model"}, {}};
  for (const std::string& cell : result.cells) table.head.push_back(cell);
  for (const ModelScore& m : model_scores(result.rows)) {
    std::vector<std::string> row{m.label};
    for (const double r : m.per_cell) row.push_back(score(r));
    table.rows.push_back(std::move(row));
  }
  if (!result.rows.empty()) {
    std::vector<std::string> row{"ceiling"};
    for (const double r : result.rows.front().ceiling_per_cell) row.push_back(score(r));
    table.rows.push_back(std::move(row));
  }
  return table;
}

std::string bars(const SuiteResult& result) {
  svg::BarChart chart;
  chart.x_label = "correlation with the mean response to a test movie, mean of the cells";
  svg::BarChart::Series model{"model", "model"}, ceiling{"ceiling", "ceiling"};
  for (const ModelScore& m : model_scores(result.rows)) {
    chart.categories.push_back(m.label);
    model.values.push_back(m.mean);
    ceiling.values.push_back(m.ceiling);
    chart.x_least = std::min(chart.x_least, m.mean);
  }
  chart.bars = {model};
  chart.marks = {ceiling};
  return svg::render(chart, "Correlation of each model as a bar, with the ceiling as a stroke.");
}

std::string curves(const SuiteResult& result) {
  svg::LinePlot plot;
  plot.x_label = "length of the recording (min)";
  plot.y_label = "correlation r, mean over cells";
  plot.y_least = 0;
  svg::Line ceiling{.name = "ceiling", .ink = "ceiling", .dashed = true};
  for (const SuiteRow& row : result.curve) {
    auto line = std::find_if(plot.lines.begin(), plot.lines.end(),
                             [&](const svg::Line& l) { return l.name == row.label; });
    if (line == plot.lines.end()) {
      plot.lines.push_back({.name = row.label, .ink = fmt::format("run-{}", plot.lines.size())});
      line = plot.lines.end() - 1;
    }
    line->x.push_back(row.minutes);
    line->y.push_back(row.pearson);
    if (line == plot.lines.begin()) {
      ceiling.x.push_back(row.minutes);
      ceiling.y.push_back(row.ceiling);
    }
  }
  plot.lines.push_back(ceiling);
  return svg::render(plot, "Correlation against the length of the recording that a model was trained on.");
}

std::string section(std::string_view title, std::string_view intro, std::string_view content) {
  return fmt::format("<h2>{}</h2><p class=\"intro\">{}</p><figure>{}</figure>", title, intro, content);
}

}  // namespace

std::string retina_suite_html(const SuiteResult& result) {
  std::string out = fmt::format(
      "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
      "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">"
      "<title>Models of the retina</title><style>{}</style></head><body><main><header>"
      "<p class=\"eyebrow\"><span>fovea · suite retina</span></p><h1>Models of the retina, compared</h1>"
      "<p class=\"lead\">Trained for {} epochs on {:g} minutes of simulated recording; scores are "
      "correlations with "
      "the mean of six trials of a movie that no model has seen. The ceiling is what a model scores that "
      "knows the true rate.</p>"
      "<p class=\"badge\">simulated retina with a known circuit; no biological recording</p></header>",
      kReportStyle, result.epochs, result.minutes);
  out += section("Models", "Mean over eight cells, and over seeds where there are several.",
                 bars(result) + html(model_table(result)));
  out += section("Cells", "The same for each cell.", html(cell_table(result)));
  out += section("How much recording a model needs", "All trainings have the same number of steps.",
                 curves(result) + html(curve_table(result)));
  out += section("From one kind of stimulus to another", "Each model was trained on one and tested on both.",
                 html(crossed_table(result)));
  out += section("What was claimed before, and what came out",
                 "Data, seeds and claims were fixed before the trainings.", html(criteria_table(result)));
  return out + fmt::format("<footer>Written by fovea {} ({}).</footer></main></body></html>\n",
                           escape(version()), escape(build_id()));
}

std::string retina_suite_markdown(const SuiteResult& result) {
  return "## Models\n\n" + markdown(model_table(result)) + "## Cells\n\n" + markdown(cell_table(result)) +
         "## Length of the recording\n\n" + markdown(curve_table(result)) + "## Across stimuli\n\n" +
         markdown(crossed_table(result)) + "## Claims\n\n" + markdown(criteria_table(result));
}

}  // namespace fovea::apps

// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <cmath>
#include <set>
#include <sstream>

#include "apps/atomic_file.h"
#include "apps/cli.h"
#include "apps/exit_code.h"
#include "apps/report/report_html.h"
#include "tests/apps/sample_report.h"
#include "tests/temporary_folder.h"

namespace fovea::apps {
using test::has;
using test::TemporaryFolder;
using test::text_of;
namespace {

/// "" if every tag is closed in order and every id is unique, else what is wrong.
std::string wrong_in(const std::string& html) {
  const std::set<std::string> empty{"meta", "img", "!doctype"};
  std::vector<std::string> open;
  std::set<std::string> ids;
  for (std::size_t at = 0; (at = html.find('<', at)) != std::string::npos;) {
    const std::size_t end = html.find('>', at);
    if (end == std::string::npos) return "a tag without end";
    const std::string tag = html.substr(at + 1, end - at - 1);
    at = end;
    if (const auto id = tag.find(" id=\""); id != std::string::npos) {
      const std::string name = tag.substr(id + 5, tag.find('"', id + 5) - id - 5);
      if (!ids.insert(name).second) return "id " + name + " twice";
    }
    if (tag.front() == '/') {
      if (open.empty() || open.back() != tag.substr(1)) return "unexpected <" + tag + ">";
      open.pop_back();
    } else if (tag.back() != '/' && !empty.contains(tag.substr(0, tag.find(' ')))) {
      open.push_back(tag.substr(0, tag.find(' ')));
    }
    if (tag == "style") at = html.find("</style>", at) - 1;
  }
  for (std::size_t at = 0; (at = html.find("href=\"#", at)) != std::string::npos; ++at) {
    const std::string target = html.substr(at + 7, html.find('"', at + 7) - at - 7);
    if (!ids.contains(target)) return "a link to #" + target + ", which is not there";
  }
  return open.empty() ? "" : "<" + open.back() + "> is not closed";
}

/// As a coordinate or as a figure; the letters alone occur in words and in pictures.
bool has_nan(const std::string& html) {
  return has(html, "nan%") || has(html, "nan ") || has(html, "nan<") || has(html, "Mnan") ||
         has(html, "Lnan");
}

}  // namespace

TEST_CASE("the report is well formed, whole and needs nothing else") {
  const std::string html = report_html({sample_report()});
  CHECK(wrong_in(html) == "");
  CHECK_FALSE(has(html, "<script"));
  CHECK_FALSE(has(html, "src=\"http"));
  CHECK_FALSE(has(html, "url("));
  CHECK_FALSE(has_nan(html));
  for (const char* part : {"0.714", "0.508", "0.861", "83 %", "cell 5, ON-OFF", "time in the test movie (s)",
                           "rate (Hz)", "training step", "0.83 × 0.83 mm", "Simulated retina",
                           "prefers-color-scheme:dark", "model.channels", "1a2b3c4 release"})
    CHECK_MESSAGE(has(html, part), part);
  int figure = 1;
  for (; has(html, "Figure " + std::to_string(figure) + "."); ++figure) {
  }
  CHECK(figure - 1 == 10);
  CHECK(html.size() < 2'000'000);
}

TEST_CASE("equal numbers give equal reports") {
  CHECK(report_html({sample_report()}) == report_html({sample_report()}));
}

TEST_CASE("several runs are compared and then shown") {
  ReportData other = sample_report();
  other.run = "runs/other";
  const std::string html = report_html({sample_report(), other});
  CHECK(wrong_in(html) == "");
  CHECK(has(html, "Comparison of 2 runs"));
  CHECK(has(html, "href=\"#run-1\">runs/other<"));
}

TEST_CASE("what is not known leaves no hole") {
  ReportData data;
  data.title = "<nothing> & more";
  const std::string html = report_html({data});
  CHECK(wrong_in(html) == "");
  CHECK(has(html, "&lt;nothing&gt; &amp; more"));
  CHECK_FALSE(has(html, "Figure"));
  data.cells = {{.name = "cell 0"}};
  data.filters = {{.name = "f", .frames = 1, .height = 1, .width = 1}};
  take_slices(data.filters[0], std::vector<double>{0.5});
  data.loss = {{"training", {}, {}}};
  data.correlation = {{"validation", {10}, {0.5}}};
  data.traces = {{.name = "cell 0", .recorded_hz = {1, 2}, .predicted_hz = {2, 3}}};
  const std::string sparse = report_html({data});
  CHECK(wrong_in(sparse) == "");
  CHECK_FALSE(has_nan(sparse));
}

TEST_CASE("a report without a baseline does not speak of one") {
  ReportData data = sample_report();
  for (CellScore& cell : data.cells) cell.baseline = std::nan("");
  for (CellTrace& trace : data.traces) trace.baseline_hz.clear();
  const std::string html = report_html({data});
  CHECK(wrong_in(html) == "");
  data.baseline = "another model";
  CHECK_FALSE(has(report_html({data}), "another model"));
  CHECK_FALSE(has(html, "ink-baseline\""));
}

TEST_CASE("eight slices, the newest among them") {
  SpaceTimeFilter filter{.name = "f", .frames = 40, .height = 1, .width = 2};
  std::vector<double> values;
  for (int i = 0; i < 80; ++i) values.push_back(i);
  take_slices(filter, values);
  CHECK(filter.slice_frames == std::vector<std::int64_t>{4, 9, 14, 19, 24, 29, 34, 39});
  CHECK(filter.slices.back() == std::vector<double>{78, 79});
}

TEST_CASE("report.json keeps the numbers of a report") {
  const ReportData data = sample_report();
  const std::string text = to_json(data);
  const ReportData back = report_from_json(text, "report.json");
  CHECK(to_json(back) == text);
  CHECK(back.cells[3].model == doctest::Approx(data.cells[3].model).epsilon(1e-5));
  CHECK(back.filters[2].slices == report_from_json(text, "").filters[2].slices);
  CHECK(back.provenance == data.provenance);
  ReportData unknown;
  unknown.cells = {{.name = "cell 0"}};
  CHECK(std::isnan(report_from_json(to_json(unknown), "x").cells[0].ceiling));
  CHECK(has(text_of<IoError>([] { (void)report_from_json("{}", "f.json"); }), "f.json: not the numbers"));
  CHECK(
      has(text_of<IoError>([] { (void)report_from_json("nonsense", "f.json"); }), "f.json: not the numbers"));
}

TEST_CASE("fovea report draws a run folder") {
  const TemporaryFolder folder;
  replace_file(folder.path() / "report.json", to_json(sample_report()));
  std::ostringstream out, err;
  const std::string run = folder.path().string(), file = (folder.path() / "two.html").string();
  CHECK(run_program({"report", run}, out, err) == kDone);
  CHECK(wrong_in(read_file(folder.path() / "report.html")) == "");
  CHECK(run_program({"report", run, run, "--out", file}, out, err) == kDone);
  CHECK(has(read_file(file), "Comparison of 2 runs"));
  CHECK(err.str().empty());
  CHECK(run_program({"report", run + "/none"}, out, err) == kFailed);
  CHECK(has(err.str(), "none: there is no such run folder\n"));
  std::filesystem::create_directory(folder.path() / "empty");
  CHECK(run_program({"report", run + "/empty"}, out, err) == kFailed);
  CHECK(has(err.str(), "has no report.json yet"));
}

}  // namespace fovea::apps

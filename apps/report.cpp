// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <filesystem>
#include <memory>
#include <vector>

#include "apps/atomic_file.h"
#include "apps/cli.h"
#include "apps/exit_code.h"
#include "apps/report/report_html.h"

namespace fovea::apps {
namespace {

namespace fs = std::filesystem;

ReportData load_report(const fs::path& run) {
  if (!fs::is_directory(run)) throw IoError(fmt::format("{}: there is no such run folder", run.string()));
  const fs::path numbers = run / "report.json";
  if (!fs::exists(numbers))
    throw IoError(
        fmt::format("{}: has no report.json yet; a run writes it when it ends; finish it with fovea train "
                    "MODEL --resume --out RUN",
                    run.string()));
  return report_from_json(read_file(numbers), numbers.string());
}

int write_report(const std::vector<fs::path>& runs, fs::path out) {
  std::vector<ReportData> reports;
  for (const fs::path& run : runs) reports.push_back(load_report(run));
  if (out.empty()) out = runs.size() == 1 ? runs.front() / "report.html" : fs::path("report.html");
  replace_file(out, report_html(reports));
  fmt::print("{}\n", out.string());
  return kDone;
}

}  // namespace

void register_report(CLI::App& program, Action& action) {
  const auto runs = std::make_shared<std::vector<fs::path>>();
  const auto out = std::make_shared<fs::path>();
  CLI::App* command = program.add_subcommand("report", "Draw one HTML file of one or several runs");
  command->add_option("RUN", *runs, "Run folders; several are compared")->required();
  command->add_option("--out", *out, "The file to write")
      ->default_str("RUN/report.html, or report.html for several runs");
  command->callback([runs, out, &action] { action = [runs, out] { return write_report(*runs, *out); }; });
}

}  // namespace fovea::apps

// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <iostream>

#include "apps/atomic_file.h"
#include "apps/exit_code.h"
#include "apps/version.h"
#include "bench/ladder/ladder.h"
#include "bench/machine.h"
#include "bench/program.h"
#include "bench/report.h"
#include "tensor/names.h"

namespace {

using namespace fovea;
using namespace fovea::bench;

int run(const std::string& filter, int rounds, const std::string& json) {
  std::vector<ladder::Family> families = ladder::families();
  std::string names;
  for (const ladder::Family& family : families) names += " " + family.name;
  std::erase_if(families, [&](const ladder::Family& family) { return !matches(family.name, filter); });
  if (families.empty()) {
    std::cerr << fmt::format("fovea_ladder: no family has '{}' in its name; there are{}\n", printable(filter),
                             names);
    return apps::kWrongUsage;
  }
  const Device device = Device::cpu({.threads = 1});
  const MachineFacts machine = read_machine_facts(device);
  const Ceilings ceilings = measure_ceilings(device, 1);
  std::cout << fmt::format("{}; {}; fp32 {:.0f} GFLOP/s\n", machine.device, machine.processor,
                           ceilings.fp32_gflop_s);
#ifndef NDEBUG
  std::cout << "note: this build has asserts and is not optimised as a release: gains will differ\n";
#endif
  nlohmann::ordered_json found = nlohmann::ordered_json::array();
  for (const ladder::Family& family : families) {
    const std::vector<ladder::Climbed> climbed = ladder::climb(family, rounds);
    std::cout << ladder::table(family, climbed, ceilings) << std::flush;
    found.push_back(ladder::to_json(family, climbed, ceilings));
  }
  const nlohmann::ordered_json report{{"machine",
                                       {{"device", machine.device},
                                        {"processor", machine.processor},
                                        {"copy_gb_s", ceilings.copy_gb_s},
                                        {"fp32_gflop_s", ceilings.fp32_gflop_s}}},
                                      {"versions", {{"fovea", apps::version()}}},
                                      {"commit", apps::build_id()},
                                      {"date", today()},
                                      {"families", found}};
  if (!json.empty()) apps::replace_file(json, report.dump(1) + "\n");
  return apps::kDone;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("The same results by better and better programs, measured in turns on one core.",
               "fovea_ladder");
  std::string filter, json;
  int rounds = 9;
  app.add_option("FILTER", filter, "Part of a family's name: gemm, direct, fft");
  app.add_option("--rounds", rounds, "Each runs all rungs of a family once")
      ->capture_default_str()
      ->check(CLI::PositiveNumber);
  app.add_option("--json", json, "Write the results to this file");
  try {
    app.parse(argc, argv);
    return run(filter, rounds, json);
  } catch (const CLI::CallForHelp&) {
    std::cout << app.help();
    return apps::kDone;
  } catch (const CLI::ParseError& error) {
    std::cerr << "fovea_ladder: " << error.what() << "\n";
    return apps::kWrongUsage;
  } catch (const std::exception& error) {
    std::cerr << "fovea_ladder: " << error.what() << "\n";
    return apps::kFailed;
  }
}

// SPDX-License-Identifier: Apache-2.0
#include "bench/google.h"

#include <benchmark/benchmark.h>

#include <cmath>
#include <ostream>

namespace fovea::bench {
namespace {

void measure(benchmark::State& state, const Runnable& runnable, bool& failed) {
  const std::vector<Entry> entries = runnable.run();
  const Entry& first = entries.front();
  if (first.samples.ours.empty()) {
    failed = failed || first.status == "failed";
    state.SkipWithError((first.status + ": " + first.reason).c_str());
    return;
  }
  std::size_t round = 0;  // the runner asks for as many as were asked for; fewer are taken again
  for (auto _ : state) state.SetIterationTime(first.samples.ours[round++ % first.samples.ours.size()] * 1e-3);
  if (first.floor_ms > 0) state.counters["share_of_floor"] = first.floor_ms / first.samples.ours_ms();
  for (const Entry& e : entries) {
    if (e.samples.peer.empty()) continue;
    state.counters["ratio " + e.peer->name] = quantile(e.samples.ratios(), 0.5);
    const double errors = e.our_error / e.peer_relative_error;
    if (std::isfinite(errors)) state.counters["error_ratio " + e.peer->name] = errors;
  }
}

}  // namespace

bool run_as_benchmarks(const std::vector<Runnable>& cases, const std::vector<std::string>& flags,
                       std::ostream& out, std::ostream& err) {
  std::vector<std::string> arguments{"fovea_bench"};
  arguments.insert(arguments.end(), flags.begin(), flags.end());
  std::vector<char*> argv;
  for (std::string& argument : arguments) argv.push_back(argument.data());
  int argc = static_cast<int>(argv.size());
  benchmark::Initialize(&argc, argv.data());
  if (argc > 1) {
    err << "fovea_bench: Google Benchmark does not know '" << argv[1] << "'\n";
    return false;
  }
  bool failed = false;
  benchmark::ClearRegisteredBenchmarks();
  constexpr int kRounds = 15;
  for (const Runnable& runnable : cases)
    benchmark::RegisterBenchmark(
        runnable.name.c_str(),
        [&runnable, &failed](benchmark::State& state) { measure(state, runnable, failed); })
        ->UseManualTime()
        ->Iterations(kRounds)
        ->Unit(benchmark::kMillisecond);
  benchmark::ConsoleReporter console(benchmark::ConsoleReporter::OO_Tabular);
  console.SetOutputStream(&out);
  console.SetErrorStream(&err);
  // A reporter of our own would take the place of --benchmark_format; the console is only for its stream.
  bool own_format = false;
  for (const std::string& flag : flags) own_format = own_format || flag.starts_with("--benchmark_format");
  if (own_format)
    benchmark::RunSpecifiedBenchmarks();
  else
    benchmark::RunSpecifiedBenchmarks(&console);
  benchmark::ClearRegisteredBenchmarks();
  return !failed;
}

}  // namespace fovea::bench

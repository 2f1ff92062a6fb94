// SPDX-License-Identifier: Apache-2.0
#include "bench/program.h"

#include <fmt/format.h>
#include <fnmatch.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <ostream>
#include <thread>

#include "apps/exit_code.h"
#include "bench/google.h"
#include "bench/report.h"
#include "bench/shape.h"
#include "tensor/names.h"

namespace fovea::bench {
namespace {

struct Options {
  std::string filter, device = "cpu", math = "fp32", json;
  std::vector<std::string> peers{""};
  std::vector<int> threads;
  std::vector<std::string> shapes;
  std::vector<std::string> benchmark_flags;
  bool quick = false, list = false, without_peers = false;
  double seconds = 3600;
};

void add_options(CLI::App& app, Options& o) {
  app.add_option("FILTER", o.filter, "Part of a case's name, or a pattern with * and ?");
  app.add_option("--device", o.device, "cpu, simt, cuda or cuda:N")->capture_default_str();
  app.add_option("--math", o.math, "Arithmetic of both sides: fp32 (strict), tf32, bf16")
      ->capture_default_str();
  app.add_option("--json", o.json, "Write the results to this file, after each case");
  app.add_option("--seconds", o.seconds, "Start no case after this time")->capture_default_str();
  app.add_option("--threads", o.threads, "Threads of the host, such as 1,2 (default: 1 and all)")
      ->delimiter(',')
      ->allow_extra_args(false);
  app.add_option("--peer", o.peers,
                 "Only peers whose name contains this, such as onednn,pytorch (default: all)")
      ->delimiter(',')
      ->allow_extra_args(false);
  app.add_flag("--without-peers", o.without_peers, "Ours alone, beside the floor");
  app.add_flag("--quick", o.quick, "The most telling cases, few rounds");
  app.add_flag("--list", o.list, "Print the cases, run none");
  app.add_option("--shape", o.shapes, "Instead of the cases one of this shape; see below. May be repeated")
      ->allow_extra_args(false);
  app.footer(
      "Times are medians, a ratio is the median over rounds of ours/peer: lower is better, below 1 we are "
      "faster.\n"
      "Flags of Google Benchmark (--benchmark_filter=…, --benchmark_repetitions=…, --benchmark_format=json, "
      "…) run the "
      "same\ncases through its runner; ratios, share of the floor and error ratios are counters there.\n" +
      shape_help() + "\nExit codes: 0 done, 1 failed (or a case has), 2 wrong usage.");
}

bool meant_for(const Case& c, DeviceKind kind) {
  switch (kind) {
    case DeviceKind::cpu:
      return c.cpu;
    case DeviceKind::cuda:
      return c.cuda;
    case DeviceKind::simt:
      return c.simt;
  }
  return false;
}

DeviceKind kind_of(const std::string& device) {
  return device == "cpu" ? DeviceKind::cpu : device == "simt" ? DeviceKind::simt : DeviceKind::cuda;
}

/// A device with what is known of it: on the host one for each number of threads.
struct Runner {
  int threads;
  Device device;
  std::unique_ptr<Clock> clock;
  Ceilings ceilings;
};

/// throws UsageError unless all of them are threads
std::vector<int> thread_counts(const Options& o) {
  const int all = static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
  for (const int threads : o.threads)
    if (threads < 1 || threads > 256)
      throw apps::UsageError(fmt::format("--threads {}: must be 1 to 256", threads));
  if (!o.threads.empty()) return o.threads;
  return all > 1 ? std::vector<int>{1, all} : std::vector<int>{1};
}

std::vector<Case> cases_of_shapes(const Options& o) {
  if (!o.filter.empty())
    throw apps::UsageError(fmt::format("--shape says what to run: leave '{}' out", printable(o.filter)));
  std::vector<Case> cases;
  for (const std::string& shape : o.shapes) cases.push_back(case_of_shape(shape));
  return cases;
}

/// By Google Benchmark's runner instead of ours.
int run_through_google([[maybe_unused]] const std::vector<Case>& cases,
                       [[maybe_unused]] const std::vector<Runner>& runners,
                       [[maybe_unused]] const RunOptions& options, const Options& o,
                       [[maybe_unused]] std::ostream& out, [[maybe_unused]] std::ostream& err) {
#if FOVEA_HAS_GOOGLE_BENCHMARK
  std::vector<Runnable> all;
  for (const Case& c : cases)
    for (const Runner& runner : runners)
      all.push_back({fmt::format("{}/threads:{}", c.name, runner.threads), [&c, &runner, options] {
                       RunOptions own = options;
                       own.threads = runner.threads;
                       return run_case(c, runner.device, *runner.clock, runner.ceilings, own);
                     }});
  return run_as_benchmarks(all, o.benchmark_flags, out, err) ? apps::kDone : apps::kFailed;
#else
  throw apps::UsageError(
      fmt::format("{}: this build has no Google Benchmark (libbenchmark-dev)",  // untested: of such a build
                  o.benchmark_flags.front()));
#endif
}

int run(const Options& o, std::ostream& out, [[maybe_unused]] std::ostream& err) {
  const double start = seconds_now();
  const Math math = math_option(o.math);
  if (!(o.seconds > 0)) throw apps::UsageError(fmt::format("--seconds {}: must be above 0", o.seconds));
  const std::vector<Case> cases =
      o.shapes.empty() ? chosen_cases(kind_of(o.device), o.quick, o.filter) : cases_of_shapes(o);
  if (o.list) {
    for (const Case& c : cases) out << fmt::format("{:<32} {:<40} {}\n", c.name, c.shape, c.op);
    return apps::kDone;
  }
  const Device first_device = Device::parse(o.device, math);
  const bool host = first_device.kind() == DeviceKind::cpu;
  Report report;
  report.math = math;
  report.machine = read_machine_facts(first_device);
  report.machine.sm_clock_before = sm_clock_mhz(first_device);
  std::vector<Runner> runners;
  for (const int threads : host ? thread_counts(o) : std::vector<int>{1}) {
    const Device device = host ? Device::cpu({.threads = threads, .isa = {}}) : first_device;
    runners.push_back({threads, device, make_clock(device, threads), measure_ceilings(device, threads)});
    if (host) report.ceilings_by_threads.emplace_back(threads, runners.back().ceilings);
  }
  report.machine.ceilings = runners.back().ceilings;
  const std::vector<std::string> wanted = o.without_peers ? std::vector<std::string>{} : o.peers;
  if (!wanted.empty()) report.peer_versions = peer_versions(first_device.kind());
  out << fmt::format("{}; math {}", report.machine.device, o.math);
  if (!report.machine.cudnn.empty()) out << fmt::format("; cuDNN {}", report.machine.cudnn);
  for (const Runner& runner : runners)
    if (const Ceilings& c = runner.ceilings; c.copy_gb_s > 0)
      out << fmt::format("; {}copy {:.1f} GB/s, fp32 {:.0f} GFLOP/s, cache {:.0f} MB",
                         host ? fmt::format("threads {}: ", runner.threads) : "", c.copy_gb_s, c.fp32_gflop_s,
                         c.cache_bytes / 1e6);
  out << "\n";
  for (const auto& [name, version] : report.peer_versions) out << fmt::format("{}: {}\n", name, version);
#ifndef NDEBUG
  out << "note: this build has asserts, and waits for each kernel on a GPU: its times are not for "
         "comparison\n";
#endif
  RunOptions options{.math = math, .find = only_peers(wanted)};
  if (!o.benchmark_flags.empty()) return run_through_google(cases, runners, options, o, out, err);
  out << table_head() << std::flush;
  if (o.quick) options.limits = {.rounds = 5, .least_rounds = 3, .peer_seconds = 0.6, .seconds = 0.8};
  bool failed = false;
  for (const Case& c : cases) {
    for (const Runner& runner : runners) {
      options.threads = runner.threads;
      std::vector<Entry> entries;
      if (seconds_now() - start < o.seconds)
        entries = run_case(c, runner.device, *runner.clock, runner.ceilings, options);
      else
        entries = {entry_of(c, runner.device, runner.threads, "not run", "no time left")};
      for (Entry& e : entries) {
        failed = failed || e.status == "failed";
        out << table_line(e) << std::flush;
        report.entries.push_back(std::move(e));
      }
    }
    if (!o.json.empty()) save(report, o.json);
  }
  report.machine.sm_clock_after = sm_clock_mhz(first_device);
  if (!o.json.empty()) save(report, o.json);
  return failed ? apps::kFailed : apps::kDone;
}

std::string usage_error(const CLI::App& app, const CLI::ParseError& error) {
  const std::vector<std::string> extras = app.remaining();
  if (extras.empty()) return error.what();
  const std::string name = extras.front().substr(0, extras.front().find('='));
  if (!name.starts_with("-")) return fmt::format("unexpected argument '{}'", name);
  std::vector<std::string> names;
  for (const CLI::Option* option : app.get_options())
    for (const std::string& long_name : option->get_lnames()) names.push_back("--" + long_name);
  return fmt::format("unknown option '{}'{}", name, did_you_mean(name, names));
}

}  // namespace

bool matches(const std::string& name, const std::string& filter) {
  if (filter.find_first_of("*?") != std::string::npos) return fnmatch(filter.c_str(), name.c_str(), 0) == 0;
  return name.find(filter) != std::string::npos;
}

std::vector<Case> chosen_cases(DeviceKind kind, bool quick, const std::string& filter) {
  std::vector<Case> chosen;
  std::vector<std::string> names;
  for (Case& c : all_cases()) {
    if (!meant_for(c, kind) || (quick && !c.quick)) continue;
    names.push_back(c.name);
    if (matches(c.name, filter)) chosen.push_back(std::move(c));
  }
  if (chosen.empty())
    throw apps::UsageError(fmt::format("no case on this device matches '{}' (--list prints them){}",
                                       printable(filter), did_you_mean(filter, names)));
  return chosen;
}

int run_program(const std::vector<std::string>& arguments, std::ostream& out, std::ostream& err) {
  CLI::App app("Kernels beside what the machine could do, and beside other libraries.", "fovea_bench");
  Options options;
  add_options(app, options);
  try {
    std::vector<std::string> reversed(arguments.rbegin(), arguments.rend());  // as CLI11 wants them
    const auto is_google = [](const std::string& argument) { return argument.starts_with("--benchmark_"); };
    std::copy_if(arguments.begin(), arguments.end(), std::back_inserter(options.benchmark_flags), is_google);
    std::erase_if(reversed, is_google);
    app.parse(reversed);
    return run(options, out, err);
  } catch (const CLI::CallForHelp&) {
    out << app.help();
    return apps::kDone;
  } catch (const CLI::ParseError& error) {
    err << "fovea_bench: " << usage_error(app, error) << "\n";
    return apps::kWrongUsage;
  } catch (const apps::UsageError& error) {
    err << "fovea_bench: " << error.what() << "\n";
    return apps::kWrongUsage;
  } catch (const ValueError& error) {  // --device
    err << "fovea_bench: " << error.what() << "\n";
    return apps::kWrongUsage;
  } catch (const std::exception& error) {
    err << "fovea_bench: " << error.what() << "\n";
    return apps::kFailed;
  }
}

}  // namespace fovea::bench

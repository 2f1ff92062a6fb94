// SPDX-License-Identifier: Apache-2.0
#include "bench/report.h"

#include <fmt/format.h>

#include <cmath>
#include <ctime>

#include "apps/atomic_file.h"
#include "apps/version.h"

namespace fovea::bench {
namespace {

using Json = nlohmann::ordered_json;

Json number(double value) { return std::isfinite(value) ? Json(value) : Json(nullptr); }
Json known(double value) { return value > 0 ? number(value) : Json(nullptr); }
Json text(const std::string& value) { return value.empty() ? Json(nullptr) : Json(value); }

double error_ratio(const Entry& e) { return e.our_error / e.peer_relative_error; }  // of two zeros: NaN

Json to_json(const Entry& e) {
  const bool done = !e.samples.ours.empty(), paired = !e.samples.peer.empty();
  const std::vector<double> ratios = e.samples.ratios();
  const auto ratio = [&](double share) { return paired ? number(quantile(ratios, share)) : Json(nullptr); };
  return {{"name", e.name},
          {"device", e.device},
          {"op", e.op},
          {"pass", e.pass},
          {"shape", e.shape},
          {"threads", e.threads > 0 ? Json(e.threads) : Json(nullptr)},
          {"cold", e.cold},
          {"status", e.status},
          {"reason", text(e.reason)},
          {"ours_ms", done ? number(e.samples.ours_ms()) : Json(nullptr)},
          {"peer", e.peer && paired ? Json(e.peer->name) : Json(nullptr)},
          {"peer_ms", paired ? number(e.samples.peer_ms()) : Json(nullptr)},
          {"ratio_median", ratio(0.5)},
          {"ratio_p10", ratio(0.1)},
          {"ratio_p90", ratio(0.9)},
          {"floor_ms", known(e.floor_ms)},
          {"share_of_floor", done ? known(e.floor_ms / e.samples.ours_ms()) : Json(nullptr)},
          {"our_error", number(e.our_error)},
          {"peer_relative_error", number(e.peer_relative_error)},
          {"error_ratio", number(error_ratio(e))},
          {"engine", e.peer ? text(e.peer->engine) : Json(nullptr)},
          {"layout", e.peer ? text(e.peer->layout) : Json(nullptr)},
          {"workspace_bytes", e.peer ? Json(e.peer->workspace_bytes) : Json(nullptr)},
          {"tuning_ms", e.peer ? number(e.peer->tuning_ms) : Json(nullptr)},
          {"candidates", e.peer ? Json(e.peer->candidates) : Json(nullptr)},
          {"no_peer", text(e.no_peer)},
          {"peer_error", text(e.peer_error)},
          {"method", text(e.method)},
          {"noisy", e.noisy},
          {"discarded_rounds", e.discarded},
          {"flops", number(e.flops)},
          {"bytes", number(e.bytes)},
          {"ours_samples_ms", e.samples.ours},
          {"peer_samples_ms", e.samples.peer},
          {"ours_wall_samples_ms", e.samples.ours_wall},
          {"peer_wall_samples_ms", e.samples.peer_wall}};
}

std::string milliseconds(double ms) {
  return ms < 0.1 ? fmt::format("{:.2f} us", ms * 1e3) : fmt::format("{:.3f} ms", ms);
}

}  // namespace

nlohmann::ordered_json to_json(const Report& report) {
  Json cases = Json::array();
  for (const Entry& e : report.entries) cases.push_back(to_json(e));
  const MachineFacts& m = report.machine;
  Json by_threads = Json::array(),
       versions{{"fovea", apps::version()}, {"cuda", text(m.cuda)}, {"cudnn", text(m.cudnn)}};
  for (const auto& [threads, ceilings] : report.ceilings_by_threads)
    by_threads.push_back({{"threads", threads},
                          {"copy_gb_s", known(ceilings.copy_gb_s)},
                          {"fp32_gflop_s", known(ceilings.fp32_gflop_s)}});
  for (const auto& [name, version] : report.peer_versions) versions[name] = text(version);
  const auto clock = [](const std::optional<double>& mhz) { return mhz ? Json(*mhz) : Json(nullptr); };
  return {{"machine",
           {{"device", m.device},
            {"processor", m.processor},
            {"gpu", text(m.gpu)},
            {"driver", text(m.driver)},
            {"sm_clock_mhz", {{"before", clock(m.sm_clock_before)}, {"after", clock(m.sm_clock_after)}}},
            {"cache_bytes", known(m.ceilings.cache_bytes)},
            {"copy_gb_s", known(m.ceilings.copy_gb_s)},
            {"fp32_gflop_s", known(m.ceilings.fp32_gflop_s)},
            {"ceilings_by_threads", by_threads}}},
          {"versions", versions},
          {"commit", apps::build_id()},
          {"date", today()},
          {"math_mode", math_name(report.math)},
          {"cases", cases}};
}

std::string today() {
  const std::time_t now = std::time(nullptr);
  char text[16];
  return {text, std::strftime(text, sizeof text, "%Y-%m-%d", std::gmtime(&now))};
}

void save(const Report& report, const std::filesystem::path& path) {
  apps::replace_file(path, to_json(report).dump(1) + "\n");
}

std::string table_head() {
  return fmt::format("{:<32} {:>2} {:<5} {:>10} {:>10} {:>22} {:>10} {:>6} {:>8} {:>8}  {}\n", "case", "t",
                     "data", "ours", "peer", "ours/peer [p10..p90]", "floor", "share", "error", "peer's",
                     "peer");
}

std::string table_line(const Entry& e) {
  if (e.samples.ours.empty())
    return fmt::format("{:<32} {}{}{}\n", e.name, e.status, e.reason.empty() ? "" : ": ", e.reason);
  const std::vector<double> ratios = e.samples.ratios();
  const auto error = [](double value) { return std::isfinite(value) ? fmt::format("{:.1e}", value) : "-"; };
  std::string peer = e.no_peer + (e.no_peer.empty() || e.peer_error.empty() ? "" : "; ") + e.peer_error;
  if (!ratios.empty()) {
    peer = e.peer->name;
    if (!e.peer->engine.empty()) peer += ": " + e.peer->engine;
    if (!e.peer->layout.empty()) peer += ", " + e.peer->layout;
  }
  return fmt::format("{:<32} {:>2} {:<5} {:>10} {:>10} {:>22} {:>10} {:>6} {:>8} {:>8}  {}\n", e.name,
                     e.threads > 0 ? std::to_string(e.threads) : "-",
                     fmt::format("{}{}", e.cold ? "cold" : "warm", e.noisy ? "!" : ""),
                     milliseconds(e.samples.ours_ms()),
                     ratios.empty() ? "-" : milliseconds(e.samples.peer_ms()),
                     ratios.empty() ? "-"
                                    : fmt::format("{:.3f} [{:.3f}..{:.3f}]", quantile(ratios, 0.5),
                                                  quantile(ratios, 0.1), quantile(ratios, 0.9)),
                     e.floor_ms > 0 ? milliseconds(e.floor_ms) : "-",
                     e.floor_ms > 0 ? fmt::format("{:.0f} %", 100 * e.floor_ms / e.samples.ours_ms()) : "-",
                     error(e.our_error), error(e.peer_relative_error), peer);
}

}  // namespace fovea::bench

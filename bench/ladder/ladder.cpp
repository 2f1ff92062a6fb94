// SPDX-License-Identifier: Apache-2.0
#include "bench/ladder/ladder.h"

#include <fmt/format.h>

#include <cmath>

#include "bench/clock.h"
#include "bench/pair.h"
#include "bench/side.h"

namespace fovea::bench::ladder {
namespace {

constexpr double kLeastMs = 5.0;  // of a sample

class RungSide final : public Side {
 public:
  RungSide(const Rung& rung, const Device& device, const Buffers& buffers)
      : rung_(rung), device_(device), buffers_(buffers) {}
  void run(int set) override { rung_.run(device_, buffers_.set(set)); }

 private:
  const Rung& rung_;
  Device device_;
  const Buffers& buffers_;
};

Sample sample(Side& side, int runs) {
  const double cpu = thread_seconds(), wall = seconds_now();
  for (int i = 0; i < runs; ++i) side.run(0);
  const double per_run = 1e3 / runs;
  return {.ms = (thread_seconds() - cpu) * per_run, .wall_ms = (seconds_now() - wall) * per_run};
}

/// Median, 10 % and 90 % of the gains; the first rung has none.
std::string gain_text(const Climbed& c) {
  if (c.gains.empty()) return "-";
  return fmt::format("{:.2f} [{:.2f}..{:.2f}]", quantile(c.gains, 0.5), quantile(c.gains, 0.1),
                     quantile(c.gains, 0.9));
}

double milliseconds(const Rung& rung, const Climbed& c) {
  return quantile(rung.threads == 1 ? c.cpu_ms : c.wall_ms, 0.5);
}

}  // namespace

std::vector<Climbed> climb(const Family& family, int rounds) {
  const Device one = Device::cpu({.threads = 1}), two = Device::cpu({.threads = 2});
  const Buffers buffers(one, family.problem.operands, 1, 1);
  std::vector<RungSide> sides;
  for (const Rung& rung : family.rungs) sides.emplace_back(rung, rung.threads == 1 ? one : two, buffers);
  std::vector<Climbed> climbed(sides.size());
  std::vector<int> runs;
  for (std::size_t i = 0; i < sides.size(); ++i) {
    climbed[i].error = relative_error(family.problem, one, buffers, sides[i]);
    runs.push_back(batch_size(sample(sides[i], 1).ms, kLeastMs, 1));
  }
  for (int round = 0; round < rounds; ++round) {
    for (std::size_t k = 0; k < sides.size(); ++k) {
      const std::size_t i = round % 2 == 0 ? k : sides.size() - 1 - k;
      const Sample s = sample(sides[i], runs[i]);
      climbed[i].wall_ms.push_back(s.wall_ms);
      climbed[i].cpu_ms.push_back(s.ms);
    }
    for (std::size_t i = 1; i < sides.size(); ++i) {
      const bool alone = family.rungs[i].threads == 1 && family.rungs[i - 1].threads == 1;
      const auto &before = alone ? climbed[i - 1].cpu_ms : climbed[i - 1].wall_ms,
                 &now = alone ? climbed[i].cpu_ms : climbed[i].wall_ms;
      climbed[i].gains.push_back(before.back() / now.back());
    }
  }
  return climbed;
}

nlohmann::ordered_json to_json(const Family& family, const std::vector<Climbed>& climbed,
                               const Ceilings& ceilings) {
  using Json = nlohmann::ordered_json;
  Json rungs = Json::array();
  for (std::size_t i = 0; i < climbed.size(); ++i) {
    const Rung& rung = family.rungs[i];
    const Climbed& c = climbed[i];
    const auto gain = [&](double share) {
      return c.gains.empty() ? Json(nullptr) : Json(quantile(c.gains, share));
    };
    const double ms = milliseconds(rung, c), rate = family.problem.flops / ms / 1e6,
                 most = ceilings.fp32_gflop_s * rung.threads;
    rungs.push_back({{"name", rung.name},
                     {"change", rung.change},
                     {"threads", rung.threads},
                     {"ms", ms},
                     {"gflop_s", rate},
                     {"share_of_peak", most > 0 ? Json(rate / most) : Json(nullptr)},
                     {"predicted_gain", rung.predicted > 0 ? Json(rung.predicted) : Json(nullptr)},
                     {"gain_median", gain(0.5)},
                     {"gain_p10", gain(0.1)},
                     {"gain_p90", gain(0.9)},
                     {"error", std::isfinite(c.error) ? Json(c.error) : Json(nullptr)},
                     {"samples_wall_ms", c.wall_ms},
                     {"samples_cpu_ms", c.cpu_ms}});
  }
  return {{"name", family.name},
          {"shape", family.problem.shape},
          {"flops", family.problem.flops},
          {"rungs", rungs}};
}

std::string table(const Family& family, const std::vector<Climbed>& climbed, const Ceilings& ceilings) {
  std::string text = fmt::format("\n{}: {}\n{:<20} {:>10} {:>9} {:>8} {:>9} {:>22} {:>8}  {}\n", family.name,
                                 family.problem.shape, "rung", "ms", "GFLOP/s", "of peak", "predicted",
                                 "gain [p10..p90]", "error", "change");
  for (std::size_t i = 0; i < climbed.size(); ++i) {
    const Rung& rung = family.rungs[i];
    const double ms = milliseconds(rung, climbed[i]), rate = family.problem.flops / ms / 1e6,
                 most = ceilings.fp32_gflop_s * rung.threads;
    text += fmt::format("{:<20} {:>10.3f} {:>9.1f} {:>8} {:>9} {:>22} {:>8.1e}  {}\n", rung.name, ms, rate,
                        most > 0 ? fmt::format("{:.0f} %", 100 * rate / most) : "-",
                        rung.predicted > 0 ? fmt::format("{:.2f}", rung.predicted) : "-",
                        gain_text(climbed[i]), climbed[i].error, rung.change);
  }
  return text;
}

}  // namespace fovea::bench::ladder

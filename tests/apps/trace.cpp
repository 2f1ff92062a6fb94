// SPDX-License-Identifier: Apache-2.0
#include "apps/trace.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <set>

#include "apps/atomic_file.h"
#include "apps/exit_code.h"
#include "autograd/ops/elementwise.h"
#include "tests/apps/tiny_training.h"

namespace fovea::apps {
namespace {

struct Seen {
  std::string name;
  std::int64_t begin_ns, end_ns;
};

std::vector<Seen> spans(const nlohmann::json& trace) {
  std::vector<Seen> all;
  for (const auto& event : trace.at("traceEvents")) {
    if (event.at("ph") != "X") continue;
    const auto ns = [&](const char* key) { return std::llround(1000 * event.at(key).get<double>()); };
    all.push_back({event.at("name"), ns("ts"), ns("ts") + ns("dur")});
  }
  return all;
}

/// Whether of any two spans one holds the other, or they do not meet.
bool nested(std::vector<Seen> all) {
  std::stable_sort(all.begin(), all.end(), [](const Seen& a, const Seen& b) {
    return a.begin_ns != b.begin_ns ? a.begin_ns < b.begin_ns : a.end_ns > b.end_ns;
  });
  std::vector<std::int64_t> open;
  for (const Seen& span : all) {
    while (!open.empty() && open.back() <= span.begin_ns) open.pop_back();
    if (!open.empty() && span.end_ns > open.back()) return false;
    open.push_back(span.end_ns);
  }
  return true;
}

}  // namespace

TEST_CASE("train --profile writes spans of steps, their parts and every op, nested") {
  const Bench bench;
  const auto file = bench.folder.path() / "trace.json";
  const Outcome outcome = bench.train(
      bench.run("run"), {"--steps", "2", "--set", "train.eval_every=1", "--profile", file.string()});
  REQUIRE_MESSAGE(outcome.code == kDone, outcome.err);
  const auto trace = nlohmann::json::parse(read_file(file));
  const std::vector<Seen> all = spans(trace);
  CHECK(nested(all));
  std::multiset<std::string> names;
  for (const Seen& span : all) names.insert(span.name);
  CHECK(names.count("step") == 2);
  CHECK(names.count("evaluation") == 2);
  CHECK(names.count("checkpoint") >= 2);
  for (const char* name : {"data", "forward", "backward", "optimizer"}) CHECK(names.count(name) == 2);
  CHECK(names.count("conv2d") == 4);
  CHECK(names.count("conv2d gradient") == 4);
  bool shapes = false;
  for (const auto& event : trace.at("traceEvents"))
    if (event.at("name") == "conv2d")
      shapes |= event.at("args").at("what").get<std::string>().starts_with("conv1 [");
  CHECK(shapes);

  // Profiling changes no bit.
  REQUIRE(bench.train(bench.run("plain"), {"--steps", "2", "--set", "train.eval_every=1"}).code == kDone);
  CHECK(read_file(bench.run("plain") / "metrics.jsonl") == read_file(bench.run("run") / "metrics.jsonl"));
}

TEST_CASE("a profile that cannot be written is refused before anything is computed") {
  const Bench bench;
  check_one_line(
      bench.train(bench.run("run"), {"--steps", "2", "--profile", (bench.run("no") / "t.json").string()}),
      kWrongUsage, "--profile ");
  CHECK_FALSE(std::filesystem::exists(bench.run("run")));
}

TEST_CASE("a trace keeps the last spans, within its size") {
  Trace trace(10);
  TraceOps ops(trace);
  const std::string odd = "\"\\\n" + std::string(500, 'x') + "µ";
  for (int i = 0; i < 25; ++i) {
    const Span outer(&trace, "outer", "test");
    const Span inner(&trace, "inner", "test");
    trace.add(odd, "test", trace.last_ns(), odd);
  }
  CHECK(trace.events().size() == 10);
  CHECK(trace.dropped() == 65);
  CHECK(trace.events().back().name == "outer");
  const std::string text = trace.json();
  CHECK(text.size() < 10 * Trace::kMostSpanBytes + 400);
  const auto parsed = nlohmann::json::parse(text);
  CHECK(parsed.at("otherData").at("dropped_spans") == 65);
  CHECK(nested(spans(parsed)));

  Trace cuts;  // never within a character
  for (int lead = 0; lead < 4; ++lead) {
    std::string name(static_cast<std::size_t>(lead), 'a');
    for (int i = 0; i < 40; ++i) name += "µ";
    cuts.add(name, "test", cuts.last_ns());
    CHECK(cuts.events().back().name.size() >= 63);
  }
  CHECK(nlohmann::json::accept(cuts.json()));
  const Span nothing(nullptr, "nothing", "test");
}

TEST_CASE("ops of a tape begin where the one before ended") {
  Trace trace;
  TraceOps ops(trace);
  const Device device = Device::cpu({.threads = 1});
  Tape tape({}, &ops);
  const Var x = tape.leaf(Tensor::full({3}, 0.5, DType::f32, device));
  {
    const Tape::Scope scope(&tape, "layer");
    tape.backward(sum(exp(x) * Var(Tensor::full({3}, 2.0, DType::f32, device))));
  }
  const auto events = trace.events();
  REQUIRE(events.size() == 6);
  CHECK(events[0].name == "exp");
  CHECK(events[0].detail == "layer [3] -> [3]");
  CHECK(events[1].start_ns == events[0].start_ns + events[0].duration_ns);
  CHECK(events[1].detail == "layer [3] [3] -> [3]");
  CHECK(events[5].name == "exp gradient");
  CHECK(events[5].detail == "layer -> [3]");
}

}  // namespace fovea::apps

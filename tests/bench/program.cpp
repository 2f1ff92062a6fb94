// SPDX-License-Identifier: Apache-2.0
#include "bench/program.h"

#include <doctest/doctest.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>

#include "apps/exit_code.h"
#include "bench/math.h"
#include "bench/report.h"
#include "tests/temporary_folder.h"

using namespace fovea;
using namespace fovea::bench;

namespace {

struct Ran {
  int code;
  std::string out, err;
};

Ran ran(const std::vector<std::string>& arguments) {
  std::ostringstream out, err;
  const int code = bench::run_program(arguments, out, err);
  return {code, out.str(), err.str()};
}

nlohmann::json json_of(const std::filesystem::path& path) {
  std::ifstream file(path);
  return nlohmann::json::parse(file);
}

}  // namespace

TEST_CASE("wrong usage is exit code 2, one line and a hint") {
  const Ran option = ran({"--quik"});
  CHECK(option.code == 2);
  CHECK(option.err == "fovea_bench: unknown option '--quik'; did you mean '--quick'?\n");
  const Ran extra = ran({"conv", "pool"});
  CHECK(extra.code == 2);
  CHECK(extra.err == "fovea_bench: unexpected argument 'pool'\n");
  const Ran filter = ran({"tiny.adan"});
  CHECK(filter.code == 2);
  CHECK(filter.err ==
        "fovea_bench: no case on this device matches 'tiny.adan' (--list prints them); did you mean "
        "'tiny.adam'?\n");
  const Ran math = ran({"--math", "fp23"});
  CHECK(math.code == 2);
  CHECK(math.err == "fovea_bench: --math fp23: expected fp32, tf32 or bf16; did you mean 'fp32'?\n");
  const Ran exact = ran({"--math", "bf16", "--device", "cpu"});
  CHECK(exact.code != 0);
  CHECK(exact.err.find("device cpu: multiplies in fp32 only, not in bf16") != std::string::npos);
  const Ran seconds = ran({"--seconds", "-1"});
  CHECK(seconds.code == 2);
  CHECK(seconds.err == "fovea_bench: --seconds -1: must be above 0\n");
  const Ran threads = ran({"--threads", "1,0"});
  CHECK(threads.code == 2);
  CHECK(threads.err == "fovea_bench: --threads 0: must be 1 to 256\n");
  const Ran device = ran({"--device", "gpu"});
  CHECK(device.code == 2);
  CHECK(device.err.find("'gpu' is not a device; expected cpu, simt, cuda or cuda:N") != std::string::npos);
  CHECK(ran({"--help"}).code == 0);
}

TEST_CASE("cases have names of their own, and a filter is a part or a pattern") {
  std::set<std::string> names;
  for (const Case& c : all_cases()) {
    CHECK_MESSAGE(names.insert(c.name).second, c.name);
    CHECK_MESSAGE((c.flops > 0 || c.bytes > 0), c.name);
    CHECK_MESSAGE((c.cpu || c.cuda || c.simt), c.name);
  }
  CHECK(matches("conv1.forward.n32", "conv1"));
  CHECK(matches("conv1.forward.n32", ""));
  CHECK(matches("conv1.forward.n32", "*.n32"));
  CHECK_FALSE(matches("conv1.forward.n512", "*.n32"));
  CHECK_FALSE(matches("conv1.forward.n32", "conv2"));
  const auto count = [](DeviceKind kind, bool quick) { return chosen_cases(kind, quick, "").size(); };
  CHECK(2 * count(DeviceKind::cuda, true) <= count(DeviceKind::cuda, false));
  CHECK(count(DeviceKind::cpu, true) >= 25);
  CHECK(count(DeviceKind::cuda, true) >= 5);
  CHECK(ran({"--list", "--device", "cuda", "conv1"}).out.find("conv1.grad_weight.n512") != std::string::npos);
}

TEST_CASE("both sides compute in the math mode that is asked for") {
  const test::TemporaryFolder folder;
  std::vector<double> errors;
  for (const char* math : {"fp32", "tf32", "bf16"}) {
    const std::filesystem::path file = folder.path() / math;
    CHECK(ran({"--device", "simt", "--math", math, "--json", file.string(), "tiny.conv.forward*"}).code == 0);
    const nlohmann::json report = json_of(file);
    CHECK(report["math_mode"] == math);
    errors.push_back(report["cases"][0]["our_error"]);
  }
  CHECK(errors[0] < 1e-6);
  CHECK(errors[1] > 1e-5);
  CHECK(errors[2] > errors[1]);
}

TEST_CASE("a run on the host writes a table and all keys of the JSON") {
  const test::TemporaryFolder folder;
  for (const char* device : {"cpu", "simt"}) {
    CAPTURE(device);
    const std::filesystem::path file = folder.path() / (std::string(device) + ".json");
    const Ran done =
        ran({"--device", device, "--quick", "--threads", "1", "--json", file.string(), "tiny.*"});
    CHECK(done.code == 0);
    CHECK(done.out.find("tiny.conv.forward.n2") != std::string::npos);
    const nlohmann::json report = json_of(file);
    for (const char* key : {"machine", "versions", "commit", "math_mode", "cases"})
      CHECK_MESSAGE(report.contains(key), key);
    CHECK(report["math_mode"] == "fp32");
    CHECK(report["machine"]["sm_clock_mhz"]["before"].is_null());
    const bool cpu = std::string(device) == "cpu";
    CHECK(report["machine"]["copy_gb_s"].is_null() == !cpu);
    if (cpu) {
      CHECK(report["machine"]["copy_gb_s"] > 0.1);
      CHECK(report["machine"]["fp32_gflop_s"] > 0.1);
    }
    std::set<std::string> names;
    for (const nlohmann::json& c : report["cases"]) {
      CAPTURE(c.dump());
      for (const char* key : {"name",
                              "device",
                              "op",
                              "pass",
                              "shape",
                              "threads",
                              "cold",
                              "noisy",
                              "discarded_rounds",
                              "status",
                              "reason",
                              "ours_ms",
                              "peer",
                              "peer_ms",
                              "ratio_median",
                              "ratio_p10",
                              "ratio_p90",
                              "floor_ms",
                              "share_of_floor",
                              "our_error",
                              "peer_relative_error",
                              "error_ratio",
                              "engine",
                              "layout",
                              "workspace_bytes",
                              "tuning_ms",
                              "candidates",
                              "no_peer",
                              "peer_error",
                              "method",
                              "flops",
                              "bytes",
                              "ours_samples_ms",
                              "peer_samples_ms",
                              "ours_wall_samples_ms",
                              "peer_wall_samples_ms"})
        CHECK_MESSAGE(c.contains(key), key);
      names.insert(c["name"]);
      CHECK(c["status"] == "done");
      CHECK(c["ours_ms"] > 0);
      CHECK(c["our_error"] < 1e-5);
      CHECK(c["peer"].is_null());
      CHECK(c["no_peer"] == (cpu ? "peers: too small for them" : "simt: an emulation has no peers"));
      CHECK(c["threads"] == 1);
      CHECK(c["ours_samples_ms"].size() >= 3);
      CHECK(c["floor_ms"].is_null() == !cpu);
      if (cpu) {
        CHECK(c["floor_ms"] > 0);
        CHECK(c["share_of_floor"].get<double>() ==
              doctest::Approx(c["floor_ms"].get<double>() / c["ours_ms"].get<double>()));
      }
    }
    CHECK(names == std::set<std::string>{"tiny.adam", "tiny.batchnorm.backward.n3",
                                         "tiny.batchnorm.forward.n3", "tiny.conv.forward.n2",
                                         "tiny.conv.grad_input.n2", "tiny.conv.grad_weight.n2",
                                         "tiny.lstm.backward.b2", "tiny.lstm.forward.b2",
                                         "tiny.maxpool.backward.n2", "tiny.maxpool.forward.n2"});
  }
}

TEST_CASE("each number of threads has lines of its own, and without peers ours is alone") {
  const test::TemporaryFolder folder;
  const std::filesystem::path file = folder.path() / "threads.json";
  const Ran done =
      ran({"--quick", "--threads", "1,2", "--without-peers", "--json", file.string(), "matmul.256"});
  CHECK(done.code == 0);
  const nlohmann::json report = json_of(file);
  REQUIRE(report["cases"].size() == 2);
  CHECK(report["cases"][0]["threads"] == 1);
  CHECK(report["cases"][0]["method"] == "thread cpu");
  CHECK(report["cases"][1]["threads"] == 2);
  CHECK(report["cases"][1]["method"] == "wall");
  CHECK(report["cases"][1]["no_peer"].is_null());
  CHECK(report["machine"]["ceilings_by_threads"].size() == 2);
  CHECK(report["machine"]["ceilings_by_threads"][0]["fp32_gflop_s"] > 0.1);
}

TEST_CASE("the training steps and cells of the bench compute what their references say") {
  const Device device = Device::cpu({.threads = 2, .isa = {}});
  for (const Case& c : all_cases()) {
    if (!c.ours || c.name == "rgc_step.128@28.n8") continue;  // as the smaller one
    CAPTURE(c.name);
    const Buffers buffers(device, c.operands, 1, 1);
    const std::unique_ptr<Side> ours = our_side(c, device, buffers);
    CHECK(checked_error(c, device, buffers, *ours, Math::fp32) < 0.02);
  }
}

#if FOVEA_HAS_GOOGLE_BENCHMARK
TEST_CASE("Google Benchmark's flags run the same cases through its runner") {
  const Ran done = ran({"--threads", "1", "tiny.*", "--benchmark_filter=tiny.conv.*put"});
  CHECK(done.code == 0);
  CHECK(done.out.find("tiny.conv.grad_input.n2/threads:1/iterations:15/manual_time") != std::string::npos);
  CHECK(done.out.find("share_of_floor") != std::string::npos);
  CHECK(done.out.find("tiny.adam") == std::string::npos);
  const Ran unknown = ran({"--threads", "1", "tiny.adam", "--benchmark_fliter=x"});
  CHECK(unknown.code == 1);
  CHECK(unknown.err == "fovea_bench: Google Benchmark does not know '--benchmark_fliter=x'\n");
}
#endif

TEST_CASE("cases for which no time is left are named") {
  const test::TemporaryFolder folder;
  const std::filesystem::path file = folder.path() / "late.json";
  CHECK(ran({"--device", "simt", "--seconds", "1e-9", "--json", file.string(), "tiny.conv"}).code == 0);
  const nlohmann::json report = json_of(file);
  CHECK(report["cases"].size() == 3);
  for (const nlohmann::json& c : report["cases"]) {
    CHECK(c["status"] == "not run");
    CHECK(c["reason"] == "no time left");
    CHECK(c["ours_ms"].is_null());
  }
}

TEST_CASE("a case that fails is reported, and the others go on") {
  const Device device = Device::cpu();
  const std::unique_ptr<Clock> clock = make_clock(device);
  Case c = chosen_cases(DeviceKind::cpu, true, "tiny.conv.forward.n2").front();
  const RunOptions options{
      .math = Math::fp32, .limits = {.rounds = 3, .least_rounds = 3}, .find = only_peers({})};
  const auto run = [&] {
    const std::vector<Entry> entries = run_case(c, device, *clock, {}, options);
    REQUIRE(entries.size() == 1);
    return entries.front();
  };
  CHECK(run().status == "done");
  const auto good = c.run;
  c.run = [](const Device&, const Pointers&, const Pointers&) {};
  CHECK(run().status == "failed");
  CHECK(run().reason == "results are not finite, or not all of them were written");
  c.run = [good](const Device& d, const Pointers& p, const Pointers& s) {
    good(d, p, s);
    static_cast<float*>(p[2])[0] += 1;  // element 0 is among those that are compared
  };
  CHECK(run().reason.find("relative error") == 0);
  CHECK(run().reason.find(" is above 0.0001") != std::string::npos);
  c.run = [](const Device&, const Pointers&, const Pointers&) { throw std::runtime_error("two\nlines"); };
  CHECK(run().reason == "two lines");
}

TEST_CASE("a pair makes a line with its ratio, and JSON with both sides") {
  Entry e;
  e.name = "conv1.forward.n512";
  e.status = "done";
  e.cold = true;
  e.floor_ms = 0.5;
  e.our_error = 1e-7;
  e.peer_relative_error = 2e-7;
  e.threads = 2;
  e.noisy = true;
  e.samples = {{1.0, 1.1, 0.9}, {2.0, 2.0, 2.0}, {}, {}};
  e.peer = PeerInfo{"cudnn 9", "engine 28", "nchw", 1024, 12.5, 4};
  const std::string line = table_line(e);
  CHECK(line.find("0.500 [0.460..0.540]") != std::string::npos);
  CHECK(line.find("50 %") != std::string::npos);
  CHECK(line.find(" 2 cold!") != std::string::npos);
  CHECK(line.find("cudnn 9: engine 28, nchw") != std::string::npos);
  Report report;
  report.entries = {e};
  const nlohmann::ordered_json c = to_json(report)["cases"][0];
  CHECK(c["threads"] == 2);
  CHECK(c["noisy"] == true);
  CHECK(c["ratio_median"] == 0.5);
  CHECK(c["peer"] == "cudnn 9");
  CHECK(c["peer_ms"] == 2.0);
  CHECK(c["error_ratio"] == doctest::Approx(0.5));
  CHECK(c["share_of_floor"] == 0.5);
  CHECK(c["workspace_bytes"] == 1024);
}

TEST_CASE("channels-last is another order of the same values") {
  const Shape shape{2, 3, 2, 2};
  std::vector<float> values(24);
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i);
  const std::vector<float> last = to_channels_last(shape, values);
  CHECK(last[0] == 0);  // pixel 0 of the three channels
  CHECK(last[1] == 4);
  CHECK(last[2] == 8);
  CHECK(last[3] == 1);
  CHECK(from_channels_last(shape, last) == values);
  CHECK(to_channels_last({24}, values) == values);
}

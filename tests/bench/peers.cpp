// SPDX-License-Identifier: Apache-2.0
#include <cblas.h>
#include <doctest/doctest.h>

#include <nlohmann/json.hpp>
#include <stdexcept>

#include "bench/openblas.h"
#include "bench/program.h"
#include "bench/report.h"
#include "bench/run_case.h"

using namespace fovea;
using namespace fovea::bench;

namespace {

/// Our own kernels as a peer. In channels-last order it works on copies that it puts in our order and back.
class StandIn final : public Peer {
 public:
  StandIn(const Case& c, const Device& device, const Buffers& buffers, bool last)
      : case_(c),
        device_(device),
        buffers_(buffers),
        own_(device, c.operands, 1, 7),
        state_(device, c.state, 1, 8),
        last_(last) {}

  void run(int) override {
    if (!last_) return case_.run(device_, buffers_.set(0), state_.set(0));
    for (int k = 0; k < 2; ++k) own_.upload(k, from_channels_last(shape(k), buffers_.download(k)));
    case_.run(device_, own_.set(0), state_.set(0));
    device_.synchronize();
    buffers_.upload(2, to_channels_last(shape(2), own_.download(2)));
  }
  bool channels_last() const override { return last_; }
  PeerInfo info() const override {
    return {"stand-in 1", "loops", last_ ? "channels_last" : "nchw", 0, 0, 1};
  }

 private:
  const Shape& shape(int k) const { return case_.operands[static_cast<std::size_t>(k)].shape; }

  const Case& case_;
  Device device_;
  const Buffers& buffers_;
  Buffers own_, state_;
  bool last_;
};

class Idle final : public Peer {
 public:
  void run(int) override {}
  PeerInfo info() const override { return {"idle", "", "", 0, 0, 0}; }
};

std::vector<Entry> all_with(const PeerFinder& find, const char* name = "tiny.conv.forward.n2") {
  const Device device = Device::cpu({.threads = 1, .isa = {}});
  const std::unique_ptr<Clock> clock = make_clock(device);
  const Case c = chosen_cases(DeviceKind::cpu, true, name).front();
  const RunOptions options{.math = Math::fp32, .limits = {.rounds = 4, .least_rounds = 4}, .find = find};
  return run_case(c, device, *clock, {}, options);
}
Entry run_with(const PeerFinder& find, const char* name = "tiny.conv.forward.n2") {
  const std::vector<Entry> entries = all_with(find, name);
  REQUIRE(entries.size() == 1);
  return entries.front();
}

using Offers = std::vector<PeerOffer>;
PeerOffer stand_in(const Case& c, const Device& device, const Buffers& buffers, bool last) {
  return {.name = last ? "last" : "first", .make = [&c, &device, &buffers, last] {
            return std::make_unique<StandIn>(c, device, buffers, last);
          }};
}

}  // namespace

TEST_CASE("a peer is checked, tuned and timed in turns with ours, in either layout") {
  for (const char* name : {"tiny.conv.forward.n2", "tiny.conv.grad_input.n2", "tiny.conv.grad_weight.n2"})
    for (const bool last : {false, true}) {
      CAPTURE(name);
      CAPTURE(last);
      const Entry e = run_with([&](const Case& c, const Device& device, int, const Buffers& buffers,
                                   Math) { return Offers{stand_in(c, device, buffers, last)}; },
                               name);
      CHECK(e.status == "done");
      CHECK(e.peer_error == "");
      CHECK(e.our_error == e.peer_relative_error);  // the same kernel on the same numbers
      CHECK(e.samples.ours.size() == 4);
      CHECK(e.samples.peer.size() == 4);
      CHECK(e.samples.peer_ms() > 0);
      Report report;
      report.entries = {e};
      const auto json = to_json(report)["cases"][0];
      CHECK(json["peer"] == "stand-in 1");
      CHECK(json["layout"] == (last ? "channels_last" : "nchw"));
      CHECK(json["error_ratio"] == 1.0);
    }
}

TEST_CASE("several peers share the samples of ours, a line each") {
  const std::vector<Entry> entries =
      all_with([&](const Case& c, const Device& device, int threads, const Buffers& buffers, Math) {
        CHECK(threads == 1);
        return Offers{stand_in(c, device, buffers, false), stand_in(c, device, buffers, true)};
      });
  REQUIRE(entries.size() == 2);
  CHECK(entries[0].samples.ours == entries[1].samples.ours);
  CHECK(entries[0].samples.peer != entries[1].samples.peer);
  CHECK(entries[0].samples.peer_wall.size() == entries[0].samples.peer.size());
  Report report;
  report.entries = entries;
  const auto json = to_json(report)["cases"];
  CHECK(json[0]["threads"] == 1);
  CHECK(json[0]["method"] == "thread cpu");
  CHECK(json[0]["layout"] == "nchw");
  CHECK(json[1]["layout"] == "channels_last");
}

TEST_CASE("peers can be chosen by name, before any is made") {
  int made = 0;
  const PeerFinder find = [&](const Case&, const Device&, int, const Buffers&, Math) {
    const auto make = [&made] {
      ++made;
      return std::unique_ptr<Peer>();
    };
    return Offers{
        {.name = "onednn", .make = make}, {.name = "onednn plain", .make = make}, {.name = "pytorch"}};
  };
  const Device device = Device::cpu({.threads = 1, .isa = {}});
  const Case c = chosen_cases(DeviceKind::cpu, true, "tiny.conv.forward.n2").front();
  const Buffers buffers(device, c.operands, 1, 1);
  const auto names = [&](const std::vector<std::string>& wanted) {
    std::string all;
    for (const PeerOffer& offer : only_peers(wanted, find)(c, device, 1, buffers, Math::fp32))
      all += offer.name + ";";
    return all;
  };
  CHECK(names({""}) == "onednn;onednn plain;pytorch;");
  CHECK(names({"plain", "torch"}) == "onednn plain;pytorch;");
  CHECK(names({}) == "");
  CHECK(made == 0);
  const Offers real = find_peers(c, device, 1, buffers, Math::fp32);
  REQUIRE(real.size() == 1);
  CHECK(real[0].absent == "too small for them");
}

TEST_CASE("OpenBLAS multiplies on threads of its own, and leaves ours none") {
  const Device device = Device::cpu({.threads = 1, .isa = {}});
  const std::vector<Case> cases = chosen_cases(DeviceKind::cpu, true, "matmul.256");
  const Buffers buffers(device, cases[0].operands, 1, 1);
  const std::unique_ptr<Peer> peer = make_openblas_peer(cases[0], 2, buffers);
  CHECK(relative_error(cases[0], device, buffers, *peer) < 1e-5);
  CHECK(peer->timed(0, 1, 2)->wall_ms > 0);
  CHECK(openblas_get_num_threads() == 1);
  CHECK(peer->info().name.starts_with("openblas 0."));
}

TEST_CASE("a peer that fails or is wrong leaves a line without a peer") {
  const Entry broken = run_with([](const Case&, const Device&, int, const Buffers&, Math) {
    return Offers{{.name = "first", .make = []() -> std::unique_ptr<Peer> {
                     throw std::runtime_error("no plan\nthat runs");
                   }}};
  });
  CHECK(broken.status == "done");
  CHECK(broken.peer_error == "first: no plan that runs");
  CHECK(broken.samples.peer.empty());
  CHECK(table_line(broken).find("no plan that runs") != std::string::npos);

  const Entry idle = run_with([](const Case&, const Device&, int, const Buffers&, Math) {
    return Offers{{.name = "idle", .make = [] { return std::make_unique<Idle>(); }}};
  });
  CHECK(idle.status == "done");
  CHECK(idle.peer_error == "idle: results are not finite, or not all of them were written");
  CHECK(idle.samples.ours.size() == 4);
  Report report;
  report.entries = {idle};
  const auto json = to_json(report)["cases"][0];
  CHECK(json["peer"].is_null());
  CHECK(json["peer_ms"].is_null());
  CHECK(json["peer_error"] == idle.peer_error);

  const Entry none = run_with([](const Case&, const Device&, int, const Buffers&, Math) {
    return Offers{{.name = "a", .absent = "not built in"}, {.name = "b", .absent = "not installed"}};
  });
  CHECK(none.no_peer == "a: not built in; b: not installed");
  CHECK(none.peer_error == "");
}

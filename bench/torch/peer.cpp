// SPDX-License-Identifier: Apache-2.0
#include "bench/torch/peer.h"

#include <fmt/format.h>

#include <array>
#include <cstdlib>
#include <cstring>
#include <filesystem>

#include "bench/torch/child.h"

namespace fovea::bench::torch {
namespace {

constexpr std::size_t kAlignment = 256;  // bytes, of an operand in the shared memory

/// The process of a mode; made when it is first asked for, and for good. Null with `why` if there is no PyTorch.
struct Process {
  std::unique_ptr<Child> child;
  std::string why;
};

Process start(const std::string& python, Mode mode) {
  const std::array<const char*, 3> names{"eager", "compiled", "graphed"};
  std::vector<std::string> environment{"GOMP_SPINCOUNT=30000",
                                       "PYTHONDONTWRITEBYTECODE=1"};  // see onednn/library.cpp
  const std::filesystem::path stand_ins = std::filesystem::path(FOVEA_PEERS_FOLDER) / "stand-ins";
  if (std::filesystem::exists(stand_ins)) {
    const char* const before = std::getenv("LD_LIBRARY_PATH");
    environment.push_back(fmt::format("LD_LIBRARY_PATH={}{}{}", before != nullptr ? before : "",
                                      before != nullptr ? ":" : "", stand_ins.string()));
  }
  try {
    auto child =
        std::make_unique<Child>(std::vector<std::string>{python, "-u", FOVEA_TORCH_PEER, "--shared", "3",
                                                         "--mode", names[static_cast<std::size_t>(mode)]},
                                environment);
    if (child->hello().contains("error")) return {nullptr, child->hello()["error"]};
    return {std::move(child), ""};
  } catch (const std::exception& error) {
    return {nullptr, error.what()};
  }
}

Process find(Mode mode) {
  std::vector<std::string> pythons;
  if (const char* const chosen = std::getenv("FOVEA_BENCH_PYTHON"))
    pythons = {chosen};
  else
    pythons = {FOVEA_PEERS_FOLDER "/venv/bin/python", "/usr/bin/python3"};
  std::string reasons;
  for (const std::string& python : pythons) {
    if (!std::filesystem::exists(python)) continue;
    Process process = start(python, mode);
    if (process.child) return process;
    reasons += fmt::format("{}{}: {}", reasons.empty() ? "" : "; ", python, process.why);
  }
  return {nullptr, reasons.empty() ? "not installed (./run bench --peers brings it)" : reasons};
}

Process& process(Mode mode) {
  static std::array<std::unique_ptr<Process>, 3> all;
  std::unique_ptr<Process>& one = all[static_cast<std::size_t>(mode)];
  if (!one) one = std::make_unique<Process>(find(mode));
  return *one;
}

class TorchPeer final : public Peer {
 public:
  TorchPeer(const Case& c, const Device& device, int threads, const Buffers& buffers, Math math, Mode mode)
      : device_(device), buffers_(buffers), child_(*process(mode).child) {
    nlohmann::json operands = nlohmann::json::array();
    std::size_t offset = 0;
    for (const Operand& o : c.operands) {
      std::vector<std::int64_t> shape;
      for (int d = 0; d < o.shape.rank(); ++d) shape.push_back(o.shape[d]);
      const std::size_t bytes = static_cast<std::size_t>(o.shape.numel() * dtype_bytes(o.dtype));
      operands.push_back({{"name", o.name},
                          {"shape", shape},
                          {"dtype", dtype_name(o.dtype)},
                          {"offset", offset},
                          {"output", o.output}});
      places_.push_back({o.name, o.output, offset, bytes});
      offset += (bytes + kAlignment - 1) / kAlignment * kAlignment;
    }
    memory_ = child_.memory(offset);
    bring(0);
    const nlohmann::json made =
        child_.ask({{"make",
                     {{"case", c.torch},
                      {"pass", pass_name(c.pass)},
                      {"attributes", c.attributes},
                      {"operands", operands},
                      {"bytes", offset},
                      {"sets", buffers.sets()},
                      {"device", device.kind() == DeviceKind::cuda ? device.name() : "cpu"},
                      {"math", math_name(math)},
                      {"threads", threads}}}});
    info_ = {.name = fmt::format("{} {}", mode_name(mode), version()),
             .engine = made.at("engine"),
             .layout = made.at("layout"),
             .tuning_ms = made.at("tuning_ms"),
             .candidates = made.at("candidates")};
  }

  void prepare(int set) override {
    bring(set);
    child_.ask({{"load", set}});
  }
  void run(int set) override { child_.ask({{"run", {set, set + 1, 1}}}); }
  std::optional<Elapsed> timed(int first_set, int sets, int runs) override {
    const nlohmann::json took = child_.ask({{"run", {first_set, sets, runs}}});
    return Elapsed{took.at("wall_ns").get<double>() * 1e-6, took.at("cpu_ns").get<double>() * 1e-6};
  }
  void deliver() override {
    const nlohmann::json given = child_.ask({{"deliver", 0}}).at("delivered");
    for (std::size_t k = 0; k < places_.size(); ++k)
      for (const auto& name : given)
        if (name == places_[k].name)
          device_.copy_from_host(buffers_.set(0)[k], memory_.data() + places_[k].offset, places_[k].bytes);
  }
  PeerInfo info() const override { return info_; }

 private:
  /// The inputs of a set, into the shared memory.
  void bring(int set) {
    for (std::size_t k = 0; k < places_.size(); ++k)
      if (!places_[k].output)
        device_.copy_to_host(memory_.data() + places_[k].offset, buffers_.set(set)[k], places_[k].bytes);
  }

  struct Place {
    std::string name;
    bool output;
    std::size_t offset, bytes;
  };
  Device device_;
  const Buffers& buffers_;
  Child& child_;
  std::vector<Place> places_;
  std::span<std::byte> memory_;
  PeerInfo info_;
};

}  // namespace

std::vector<Mode> modes(DeviceKind kind) {
  if (kind == DeviceKind::cuda) return {Mode::eager, Mode::compiled, Mode::graphed};
  return {Mode::eager};
}

const char* mode_name(Mode mode) {
  switch (mode) {
    case Mode::eager:
      return "pytorch";
    case Mode::compiled:
      return "pytorch compiled";
    case Mode::graphed:
      return "pytorch graphed";
  }
  return "?";
}

std::string missing() { return process(Mode::eager).why; }

std::string version() {
  const Process& eager = process(Mode::eager);
  if (!eager.child) return eager.why;
  const std::string full = eager.child->hello().at("version");  // "2.15.0+cu132"
  return full.substr(0, full.find('+'));
}

std::unique_ptr<Peer> make_peer(const Case& c, const Device& device, int threads, const Buffers& buffers,
                                Math math, Mode mode) {
  if (!process(mode).child) throw std::runtime_error(process(mode).why);
  return std::make_unique<TorchPeer>(c, device, threads, buffers, math, mode);
}

}  // namespace fovea::bench::torch

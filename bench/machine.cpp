// SPDX-License-Identifier: Apache-2.0
#include "bench/machine.h"

#include <fmt/format.h>

#include <array>
#include <cstdio>
#include <memory>

#include "apps/doctor/machine.h"
#if FOVEA_HAS_CUDA
#include "kernels/cuda/stream.h"
#endif
#if FOVEA_HAS_CUDNN
#include "bench/cudnn/library.h"
#endif

namespace fovea::bench {
namespace {

/// First line of one property of a GPU; empty if nvidia-smi is not there or does not know it.
std::string ask_nvidia_smi(const Device& device, const char* property) {
  const std::string name = device.name();  // "cuda:0"
  const std::string command =
      fmt::format("nvidia-smi --query-gpu={} --format=csv,noheader,nounits -i {} 2>/dev/null", property,
                  name.substr(name.find(':') + 1));
  const std::unique_ptr<FILE, int (*)(FILE*)> pipe(popen(command.c_str(), "r"), pclose);
  std::array<char, 128> line{};
  if (pipe == nullptr || std::fgets(line.data(), line.size(), pipe.get()) == nullptr) return "";
  std::string text(line.data());
  while (!text.empty() && (text.back() == '\n' || text.back() == ' ')) text.pop_back();
  return text;
}

std::string cudnn_version() {
#if FOVEA_HAS_CUDNN
  try {
    return cudnn::version();
  } catch (const std::exception& error) {
    return error.what();
  }
#else
  return "not built in";
#endif
}

}  // namespace

MachineFacts read_machine_facts(const Device& device) {
  MachineFacts facts;
  facts.device = device.description();
  facts.processor = apps::read_machine("/").processor;
  if (device.kind() != DeviceKind::cuda) return facts;
#if FOVEA_HAS_CUDA
  const std::string name = device.name();
  facts.gpu = cuda::device_name(std::stoi(name.substr(name.find(':') + 1)));
  facts.cuda = cuda::versions();
#endif
  facts.driver = ask_nvidia_smi(device, "driver_version");
  facts.cudnn = cudnn_version();
  return facts;
}

std::optional<double> sm_clock_mhz(const Device& device) {
  if (device.kind() != DeviceKind::cuda) return {};
  try {
    return std::stod(ask_nvidia_smi(device, "clocks.sm"));
  } catch (const std::exception&) {  // nothing, or words
    return {};
  }
}

}  // namespace fovea::bench

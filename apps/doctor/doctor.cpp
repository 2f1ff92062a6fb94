// SPDX-License-Identifier: Apache-2.0
#include "apps/doctor/doctor.h"

#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdlib>
#include <memory>
#include <nlohmann/json.hpp>

#include "apps/cli.h"
#include "apps/exit_code.h"
#include "apps/retina_data.h"
#include "apps/version.h"
#include "nn/data/hdf5.h"

namespace fovea::apps {
namespace {

using nlohmann::ordered_json;

template <class T>
ordered_json or_null(const std::optional<T>& value) {
  return value ? ordered_json(*value) : ordered_json(nullptr);
}

void line(std::string& text, const char* mark, const std::string& name, const std::string& what) {
  text += fmt::format("  {:7} {:24} {}\n", mark, name, what);
}
void get(std::string& text, const std::string& command) {
  if (!command.empty()) text += fmt::format("  {:7} {:24} -> {}\n", "", "", command);
}

void list(std::string& text, const std::vector<Finding>& findings) {
  for (const Finding& finding : findings) {
    const char* mark = finding.is == Finding::Is::there     ? "ok"
                       : finding.is == Finding::Is::missing ? "missing"
                                                            : "by hand";
    line(text, mark, finding.name, fmt::format("{} ({})", finding.what, finding.purpose));
    get(text, finding.get);
  }
}

std::string memory_text(const Machine& machine) {
  std::string text = machine.memory_bytes ? bytes_text(*machine.memory_bytes) : "unknown";
  if (machine.free_memory_bytes)
    text += fmt::format(", {} of it free", bytes_text(*machine.free_memory_bytes));
  if (machine.memory_limit_bytes)
    text += fmt::format("; this control group may use {}", bytes_text(*machine.memory_limit_bytes));
  return text;
}

std::string cores_text(const Machine& machine) {
  std::string text = fmt::format("{}", machine.cores);
  if (machine.core_limit)
    text += fmt::format("; this control group may use the time of {:g}", *machine.core_limit);
  return text;
}

constexpr std::int64_t kLittleSpace = std::int64_t{1} << 30;

void folder(std::string& text, const std::string& name, const std::filesystem::path& path) {
  const std::optional<std::int64_t> free = free_space(path);
  const bool little = free && *free < kLittleSpace;
  line(text, little ? "low" : "ok", name,
       fmt::format("{}: {}", path.string(), free ? bytes_text(*free) + " free" : "free space unknown"));
  if (little) get(text, "free some space, or name another folder");
}

ordered_json json_list(const std::vector<Finding>& findings) {
  ordered_json list = ordered_json::array();
  for (const Finding& finding : findings) {
    ordered_json entry{{"name", finding.name}, {"purpose", finding.purpose}};
    entry["found"] = finding.is == Finding::Is::by_hand ? ordered_json(nullptr)
                                                        : ordered_json(finding.is == Finding::Is::there);
    entry["what"] = finding.what;
    if (!finding.get.empty()) entry["get"] = finding.get;
    list.push_back(std::move(entry));
  }
  return list;
}

}  // namespace

bool Diagnosis::passed() const {
  const bool cpu = std::ranges::any_of(devices, [](const auto& d) { return d.name == "cpu" && d.there; });
  return cpu && std::ranges::all_of(devices, [](const auto& d) { return d.fault.empty(); });
}

Diagnosis diagnose(const Surroundings& where) {
  Diagnosis found;
  found.where = where;
  found.system = read_system(where.os_release);
  found.system.root = geteuid() == 0;
  found.machine = read_machine(where.root);
  found.devices = check_devices();
  for (DeviceReport& device : found.devices)
    if (device.name == "cuda" && !device.there &&
        device.description.find("-DFOVEA_CUDA_ARCHITECTURES") ==
            std::string::npos) {  // else it says what to do
      found.get_cuda = get_cuda(found.machine, found.system, build_has_cuda());
    }
  found.data = find_data(where, found.system);
  found.tools = find_tools(where, found.system);
  found.peers = find_peers(where, found.system);
  return found;
}

std::string diagnosis_text(const Diagnosis& found) {
  const Machine& machine = found.machine;
  std::string text = "machine\n";
  line(text, "ok", "system", found.system.name);
  line(text, "ok", "processor", machine.processor);
  line(text, "ok", "cores", cores_text(machine));
  line(text, "ok", "instruction sets",
       fmt::format("{}; {} is used", fmt::join(machine.isas, ", "), machine.isas.back()));
  line(text, "ok", "memory", memory_text(machine));
  line(text, "ok", "NVIDIA GPU",
       machine.nvidia_gpu ? "there, driver " + machine.nvidia_driver.value_or("missing") : "none to be seen");
  folder(text, "generated data", found.where.cache);
  folder(text, "runs", found.where.runs);

  text += "build\n";
  line(text, "ok", "fovea", fmt::format("{} ({})", version(), build_id()));
  line(text, "ok", "compiler options", build_options());
  line(text, "ok", "cuda", build_cuda());
  const std::string hdf5 = nn::hdf5_version();
  line(text, hdf5.empty() ? "missing" : "ok", "HDF5",
       hdf5.empty() ? "off: recordings of labs cannot be read" : hdf5);
  if (hdf5.empty()) get(text, install_command(found.system, "libhdf5-dev") + ", then build again");

  text += "devices\n";
  for (const DeviceReport& device : found.devices) {
    if (!device.there)
      line(text, "missing", device.name, device.description);
    else if (device.fault.empty())
      line(text, "ok", device.name, device.description + "; a convolution and its gradients are right");
    else
      line(text, "FAILED", device.name, fmt::format("{}; {}", device.description, device.fault));
    if (device.name == "cuda") get(text, found.get_cuda);
  }
  text += "data sets\n";
  list(text, found.data);
  text += "tools\n";
  list(text, found.tools);
  text += "other libraries, only to compare with\n";
  list(text, found.peers);

  std::vector<std::string> usable;
  for (const DeviceReport& device : found.devices)
    if (device.there && device.fault.empty()) usable.push_back(device.name);
  text += found.passed() ? fmt::format("Fovea can run here, on {}.\n", fmt::join(usable, ", "))
                         : "Fovea cannot be trusted here: a device computes what it should not.\n";
  return text;
}

ordered_json diagnosis_json(const Diagnosis& found) {
  const Machine& machine = found.machine;
  ordered_json devices = ordered_json::array();
  for (const DeviceReport& device : found.devices) {
    ordered_json entry{{"name", device.name}, {"there", device.there}, {"description", device.description}};
    if (device.there) entry["passed"] = device.fault.empty();
    if (!device.fault.empty()) entry["fault"] = device.fault;
    if (device.name == "cuda" && !found.get_cuda.empty()) entry["get"] = found.get_cuda;
    devices.push_back(std::move(entry));
  }
  const auto space = [](const std::filesystem::path& path) {
    return ordered_json{{"path", path.string()}, {"free_bytes", or_null(free_space(path))}};
  };
  return {{"machine",
           {{"system", found.system.name},
            {"processor", machine.processor},
            {"cores", machine.cores},
            {"core_limit", or_null(machine.core_limit)},
            {"isas", machine.isas},
            {"isa", machine.isas.back()},
            {"memory_bytes", or_null(machine.memory_bytes)},
            {"free_memory_bytes", or_null(machine.free_memory_bytes)},
            {"memory_limit_bytes", or_null(machine.memory_limit_bytes)},
            {"nvidia_gpu", machine.nvidia_gpu},
            {"nvidia_driver", or_null(machine.nvidia_driver)},
            {"cache", space(found.where.cache)},
            {"runs", space(found.where.runs)}}},
          {"build",
           {{"version", version()},
            {"id", build_id()},
            {"options", build_options()},
            {"has_cuda", build_has_cuda()},
            {"cuda", build_cuda()},
            {"hdf5", nn::hdf5_version()}}},
          {"devices", devices},
          {"data", json_list(found.data)},
          {"tools", json_list(found.tools)},
          {"peers", json_list(found.peers)},
          {"passed", found.passed()}};
}

void register_doctor(CLI::App& program, Action& action) {
  const auto json = std::make_shared<bool>(false);
  CLI::App* command = program.add_subcommand(
      "doctor", "What this machine and this build can do, what is missing, and the command that brings it.");
  command->add_flag("--json", *json, "One JSON object on stdout");
  command->footer("Exit code 0 if Fovea can run here, 1 if a device computes what it should not.");
  command->callback([json, &action] {
    action = [json]() -> int {
      const auto variable = [](const char* name, const char* otherwise) {
        const char* value = std::getenv(name);
        return std::string(value != nullptr && *value != '\0' ? value : otherwise);
      };
      Surroundings where;
      where.os_release = variable("FOVEA_OS_RELEASE", "/etc/os-release");
      where.path = variable("PATH", "/usr/local/bin:/usr/bin:/bin");
      where.cache = cache_folder();
      const Diagnosis found = diagnose(where);
      fmt::print("{}", *json ? diagnosis_json(found).dump(2) + "\n" : diagnosis_text(found));
      return found.passed() ? kDone : kFailed;
    };
  });
}

}  // namespace fovea::apps

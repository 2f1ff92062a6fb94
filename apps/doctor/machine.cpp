// SPDX-License-Identifier: Apache-2.0
#include "apps/doctor/machine.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <fstream>
#include <sstream>
#include <thread>

#include "tensor/device.h"

namespace fovea::apps {
namespace {

namespace fs = std::filesystem;

std::string first_line(const fs::path& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

std::optional<std::int64_t> number(const std::string& text) {
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end == text.data()) return std::nullopt;
  return value;
}

/// The line `name: value` or `name : value` of a file such as /proc/meminfo.
std::optional<std::string> field(const fs::path& path, const std::string& name) {
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    const std::size_t colon = line.find(':');
    if (colon == std::string::npos || !line.starts_with(name)) continue;
    if (line.find_first_not_of(" \t", name.size()) != colon) continue;  // a longer name
    const std::size_t begin = line.find_first_not_of(" \t", colon + 1);
    return begin == std::string::npos ? "" : line.substr(begin);
  }
  return std::nullopt;
}

std::optional<std::int64_t> kibibytes(const fs::path& path, const std::string& name) {
  const std::optional<std::string> text = field(path, name);
  const std::optional<std::int64_t> value = text ? number(*text) : std::nullopt;
  return value ? std::optional(*value * 1024) : std::nullopt;
}

/// The folders of this process's control group, from its own up to the root (version 2), or version 1's one.
std::vector<fs::path> control_groups(const fs::path& root) {
  const fs::path base = root / "sys/fs/cgroup";
  std::vector<fs::path> folders;
  std::string own = "/";
  std::ifstream file(root / "proc/self/cgroup");
  for (std::string line; std::getline(file, line);)
    if (line.starts_with("0::/")) own = line.substr(3);
  // "0::/../x" names a group outside of this process's namespace: it is not to be seen here.
  for (fs::path group = fs::path(own).relative_path(); !group.empty(); group = group.parent_path())
    if (*group.begin() != "..") folders.push_back(base / group);
  folders.push_back(base);
  return folders;
}

void read_limits(const fs::path& root, Machine& machine) {
  const auto lower = [](auto& limit, auto value) { limit = limit ? std::min(*limit, value) : value; };
  for (const fs::path& group : control_groups(root)) {
    if (const auto bytes = number(first_line(group / "memory.max")))
      lower(machine.memory_limit_bytes, *bytes);
    const std::string quota = first_line(group / "cpu.max");  // "150000 100000", or "max 100000"
    const auto used = number(quota);
    const std::size_t space = quota.find(' ');
    const auto period = space == std::string::npos ? std::nullopt : number(quota.substr(space + 1));
    if (used && period && *period > 0)
      lower(machine.core_limit, static_cast<double>(*used) / static_cast<double>(*period));
  }
  const fs::path version_1 = root / "sys/fs/cgroup";
  if (const auto bytes = number(first_line(version_1 / "memory/memory.limit_in_bytes")))
    lower(machine.memory_limit_bytes, *bytes);
  // A limit above what there is limits nothing; version 1 has a huge number for "none".
  if (machine.memory_limit_bytes && machine.memory_bytes &&
      *machine.memory_limit_bytes >= *machine.memory_bytes)
    machine.memory_limit_bytes.reset();
}

bool has_nvidia_gpu(const fs::path& root) {
  std::error_code error;
  for (const fs::directory_entry& device : fs::directory_iterator(root / "sys/bus/pci/devices", error))
    if (first_line(device.path() / "vendor") == "0x10de" &&
        first_line(device.path() / "class").starts_with("0x03"))
      return true;
  return false;
}

/// "NVRM version: NVIDIA UNIX x86_64 Kernel Module  570.86.15  Mon …" gives 570.86.15.
std::optional<std::string> nvidia_driver(const fs::path& root) {
  const std::string line = first_line(root / "proc/driver/nvidia/version");
  if (line.empty()) return std::nullopt;
  std::istringstream words(line);
  for (std::string word; words >> word;)
    if (word.find_first_not_of("0123456789.") == std::string::npos) return word;
  return line;
}

}  // namespace

Machine read_machine(const fs::path& root) {
  Machine machine;
  const fs::path cpus = root / "proc/cpuinfo", memory = root / "proc/meminfo";
  for (const char* name : {"model name", "Model", "Hardware"})
    if (const auto text = field(cpus, name); text && !text->empty()) {
      machine.processor = *text;
      break;
    }
  machine.cores = static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
  for (const Isa isa : available_isas()) machine.isas.emplace_back(isa_name(isa));
  machine.memory_bytes = kibibytes(memory, "MemTotal");
  machine.free_memory_bytes = kibibytes(memory, "MemAvailable");
  read_limits(root, machine);
  machine.nvidia_driver = nvidia_driver(root);
  machine.nvidia_gpu = machine.nvidia_driver || has_nvidia_gpu(root);
  return machine;
}

std::optional<std::int64_t> free_space(const fs::path& folder) {
  std::error_code error;
  fs::path there = fs::absolute(folder, error);
  while (!there.empty() && !fs::exists(there, error) && there.has_relative_path())
    there = there.parent_path();
  const fs::space_info space = fs::space(there, error);
  if (error) return std::nullopt;
  return static_cast<std::int64_t>(space.available);
}

std::string bytes_text(std::int64_t bytes) {
  const double gibibytes = static_cast<double>(bytes) / (1024.0 * 1024.0 * 1024.0);
  return gibibytes >= 1.0 ? fmt::format("{:.1f} GiB", gibibytes)
                          : fmt::format("{:.0f} MiB", gibibytes * 1024.0);
}

}  // namespace fovea::apps

// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace fovea::apps {

/// What the machine has, and how much of it this process may use.
struct Machine {
  std::string processor = "unknown";  ///< "Intel(R) Xeon(R) Platinum 8488C"
  int cores = 1;                      ///< hardware threads that this process may run on
  std::optional<double> core_limit;   ///< of its control group: 1.5 is one and a half cores' time
  std::vector<std::string> isas;      ///< instruction sets with kernels of their own; the last one is used
  std::optional<std::int64_t> memory_bytes, free_memory_bytes;
  std::optional<std::int64_t> memory_limit_bytes;  ///< of its control group
  bool nvidia_gpu = false;                         ///< on the PCI bus, whether or not a driver is there
  std::optional<std::string> nvidia_driver;        ///< "570.86.15", or what its file says instead
};

/// root  holds proc and sys: "/", or a folder of a test
Machine read_machine(const std::filesystem::path& root);

/// Free space for files of this user under a folder that may not exist yet; empty if that cannot be told.
std::optional<std::int64_t> free_space(const std::filesystem::path& folder);

/// "23.4 GiB"
std::string bytes_text(std::int64_t bytes);

}  // namespace fovea::apps

// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "apps/doctor/machine.h"
#include "apps/doctor/system.h"

namespace fovea::apps {

/// Where to look. A test has folders of its own.
struct Surroundings {
  std::filesystem::path root = "/";
  std::filesystem::path os_release = "/etc/os-release";
  std::string path;             ///< folders of programs, as in PATH
  std::filesystem::path cache;  ///< of generated recordings
  std::filesystem::path runs = "runs";
};

/// Something that Fovea uses, and whether it is there.
struct Finding {
  enum class Is { there, missing, by_hand };
  std::string name;
  std::string purpose;  ///< "classification"
  Is is = Is::missing;
  std::string what;  ///< where or which version; why not, if that is known
  std::string get;   ///< the command that brings it; empty if it is there
};

std::vector<Finding> find_data(const Surroundings& where, const System& system);
std::vector<Finding> find_tools(const Surroundings& where, const System& system);
/// Other libraries to compare with: never needed.
std::vector<Finding> find_peers(const Surroundings& where, const System& system);
/// How to get a usable GPU, whatever is in its way; empty if this machine has none.
std::string get_cuda(const Machine& machine, const System& system, bool built_with_cuda);

}  // namespace fovea::apps

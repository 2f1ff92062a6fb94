// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "apps/doctor/device_check.h"
#include "apps/doctor/findings.h"

namespace fovea::apps {

/// All that `fovea doctor` knows.
struct Diagnosis {
  System system;
  Machine machine;
  Surroundings where;
  std::vector<DeviceReport> devices;
  std::string get_cuda;  ///< how to get the GPU to work; empty if it does or there is none
  std::vector<Finding> data, tools, peers;

  /// The CPU is there, and whatever device is there computes what it should.
  bool passed() const;
};

Diagnosis diagnose(const Surroundings& where);

/// For people: one line a fact, and below it the command that brings what is missing.
std::string diagnosis_text(const Diagnosis& diagnosis);
/// The same for scripts; see docs/INSTALL.md.
nlohmann::ordered_json diagnosis_json(const Diagnosis& diagnosis);

}  // namespace fovea::apps

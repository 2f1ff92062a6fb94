// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

namespace fovea::apps {

/// "cpu", "simt" and, in a build with it, "cuda": what every op is compiled for. The list follows from the queues of
/// this build (kernels/exec.h): an op that lacked a kernel for one of them would not link.
std::vector<std::string> compiled_devices();

/// Every op of this build, by name: {"ops":[{"name","devices","dtypes","gradient","deterministic",…}]}. "gradient" is
/// the rule, null if there is none.
std::string ops_json();
/// The same as a table for people.
std::string ops_table();

}  // namespace fovea::apps

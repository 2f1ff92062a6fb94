// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <iosfwd>
#include <string>
#include <vector>

#include "bench/case.h"

namespace fovea::bench {

/// Runs `fovea_bench` with these arguments (the program's name left out) and returns its exit code: 0 done, 1 failed,
/// 2 wrong usage. The table goes to `out`; an error is one line on `err`.
int run_program(const std::vector<std::string>& arguments, std::ostream& out, std::ostream& err);

/// Whether a name is asked for: with * or ? in the filter as a whole (glob), else if it contains the filter.
bool matches(const std::string& name, const std::string& filter);

/// The cases that are meant for a kind of device and asked for. throws UsageError, with the nearest name, if none is
std::vector<Case> chosen_cases(DeviceKind kind, bool quick, const std::string& filter);

}  // namespace fovea::bench

// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "bench/case.h"

namespace fovea::bench {

/// The case that a text such as "conv2d:n=32,c=40,h=50,w=50,o=8,k=15" describes; its name is the text with all keys.
/// throws UsageError that names the operation or the key, with the nearest one that there is
Case case_of_shape(const std::string& text);

/// The operations with their keys and defaults, a line each.
std::string shape_help();

}  // namespace fovea::bench

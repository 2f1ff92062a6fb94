// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>

namespace fovea::test {

/// What `new` gave out in this program, all threads together. Starts the measurement of a peak.
void start_peak();
/// The most bytes that were live at once since then, beyond those live at the start.
std::size_t peak_bytes();

}  // namespace fovea::test

// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <vector>

namespace fovea::apps {

/// A recording made of random numbers: two cells, twelve seconds of training movie, three of test movie.
void write_tiny_recording(const std::filesystem::path& path, std::vector<std::int64_t> blocks = {700, 500});

}  // namespace fovea::apps

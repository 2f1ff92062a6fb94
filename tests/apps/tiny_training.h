// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "tests/apps/tiny_recording.h"
#include "tests/temporary_folder.h"

namespace fovea::apps {

struct Outcome {
  int code;
  std::string err;
};

/// A folder with a tiny recording, and the program called on it.
struct Bench {
  Bench() { write_tiny_recording(data); }

  test::TemporaryFolder folder = {};
  std::filesystem::path data = folder.path() / "recording.safetensors";

  std::filesystem::path run(const char* name) const { return folder.path() / name; }
  Outcome fovea(const std::vector<std::string>& arguments) const;
  /// A small Deep Retina on the recording, on the cpu unless told otherwise.
  Outcome train(const std::filesystem::path& out, std::vector<std::string> more) const;
};

/// What a run logged under this name, in order.
std::vector<double> figures(const std::filesystem::path& run, const std::string& name);

/// The exit code, and one line on stderr that holds `part`.
void check_one_line(const Outcome& outcome, int code, const std::string& part);

}  // namespace fovea::apps

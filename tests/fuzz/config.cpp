// SPDX-License-Identifier: Apache-2.0
#include "apps/config.h"

#include <cstdlib>

#include "apps/model_list.h"
#include "tests/fuzz/input_file.h"

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace fovea::apps;
  Config config = default_config(find_model("deep-retina"));
  try {
    config.load_toml_text({reinterpret_cast<const char*>(data), size}, "F.toml");
  } catch (const UsageError&) {
    return 0;
  }
  // What was accepted is written and read back as the same.
  Config again = default_config(find_model("deep-retina"));
  again.load_toml_text(config.to_toml(), "again");
  if (again.to_toml() != config.to_toml()) std::abort();
  return 0;
}

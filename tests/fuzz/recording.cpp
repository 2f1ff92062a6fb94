// SPDX-License-Identifier: Apache-2.0
#include "models/retina/recording_file.h"

#include "tensor/errors.h"
#include "tests/fuzz/input_file.h"

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace fovea;
  const test::InputFile file(data, size);
  try {
    const retina::RecordingData recording = retina::load_recording(file.path(), test::host());
    // What loads can be used: the sizes fit together.
    for (const std::int64_t first : {0, 1, 300}) (void)retina::noise_ceilings(recording, first);
  } catch (const IoError&) {
  }
  return 0;
}

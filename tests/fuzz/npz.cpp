// SPDX-License-Identifier: Apache-2.0
#include "tensor/errors.h"
#include "tensor/io.h"
#include "tests/fuzz/input_file.h"

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace fovea;
  const test::InputFile file(data, size);
  try {
    (void)load_npz(file.path(), test::host());
  } catch (const IoError&) {
  }
  return 0;
}

// SPDX-License-Identifier: Apache-2.0
#include "apps/checkpoint.h"

#include "tensor/errors.h"
#include "tests/fuzz/input_file.h"

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace fovea;
  const test::InputFile file(data, size);
  try {
    (void)apps::read_checkpoint(file.path());
  } catch (const IoError&) {
  }
  return 0;
}

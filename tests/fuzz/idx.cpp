// SPDX-License-Identifier: Apache-2.0
#include "nn/data/idx.h"
#include "tensor/errors.h"
#include "tests/fuzz/input_file.h"

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace fovea;
  const test::InputFile file(data, size);
  try {
    (void)nn::load_idx(file.path(), test::host());
  } catch (const IoError&) {
  }
  return 0;
}

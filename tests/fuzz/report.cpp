// SPDX-License-Identifier: Apache-2.0
#include "apps/report/report_html.h"
#include "tensor/errors.h"
#include "tests/fuzz/input_file.h"

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace fovea::apps;
  try {
    // What is accepted can be drawn: the lists have the sizes that the pictures take.
    (void)report_html({report_from_json({reinterpret_cast<const char*>(data), size}, "report.json")});
  } catch (const fovea::IoError&) {
  }
  return 0;
}

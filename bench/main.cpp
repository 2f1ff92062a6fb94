// SPDX-License-Identifier: Apache-2.0
#include <iostream>

#include "bench/program.h"

int main(int argc, char** argv) {
  return fovea::bench::run_program({argv + 1, argv + argc}, std::cout, std::cerr);
}

// SPDX-License-Identifier: Apache-2.0
#include <iostream>

#include "apps/cli.h"

int main(int argc, char** argv) {
  return fovea::apps::run_program({argv + 1, argv + argc}, std::cout, std::cerr);
}

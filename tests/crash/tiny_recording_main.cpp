// SPDX-License-Identifier: Apache-2.0
// fovea_tiny_recording FILE: data for the shell scripts of this folder.
#include "tests/apps/tiny_recording.h"

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  fovea::apps::write_tiny_recording(argv[1]);
}

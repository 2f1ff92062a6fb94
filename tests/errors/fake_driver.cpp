// SPDX-License-Identifier: Apache-2.0
// Stands in for NVIDIA's driver, libcuda.so.1, as far as the CUDA runtime asks before it gives up: what the driver
// serves is the environment's FOVEA_FAKE_DRIVER (12020 for CUDA 12.2), and there is no GPU. A GPU cannot be feigned:
// the runtime talks to the driver's unpublished tables then.
#include <cstdint>
#include <cstdlib>
#include <cstring>

extern "C" {

constexpr int kSuccess = 0, kNoDevice = 100;  // of CUresult

int cuDriverGetVersion(int* version) {
  const char* const text = std::getenv("FOVEA_FAKE_DRIVER");
  *version = text != nullptr ? std::atoi(text) : 0;
  return kSuccess;
}

int cuInit(unsigned) { return kNoDevice; }
int no_device() { return kNoDevice; }

int cuGetProcAddress_v2(const char* name, void** function, int, std::uint64_t, int* found) {
  if (found != nullptr) *found = 0;
  *function = reinterpret_cast<void*>(&no_device);
  if (std::strcmp(name, "cuDriverGetVersion") == 0) *function = reinterpret_cast<void*>(&cuDriverGetVersion);
  if (std::strcmp(name, "cuGetProcAddress") == 0) *function = reinterpret_cast<void*>(&cuGetProcAddress_v2);
  return kSuccess;
}
}

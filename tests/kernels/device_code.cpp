// SPDX-License-Identifier: Apache-2.0
#include "kernels/device_code.h"

#include <doctest/doctest.h>

#include <filesystem>
#include <set>
#include <string>

namespace fovea {
namespace {

KernelCode code(std::string_view architecture, int registers, int shared_bytes) {
  return {"a.cu", "_Z1fv", architecture, registers, shared_bytes, 0, 0, 0, 0};
}

}  // namespace

TEST_CASE("registers and static shared memory limit what a multiprocessor holds") {
  CHECK(warps_by_registers(code("90a", 32, 0)) == 64);
  CHECK(warps_by_registers(code("90a", 33, 0)) == 48);  // 40 registers, 1280 a warp, 12 warps a quarter
  CHECK(warps_by_registers(code("90a", 128, 0)) == 16);
  CHECK(warps_by_registers(code("90a", 255, 0)) == 8);
  CHECK(warps_by_registers(code("75", 16, 0)) == 32);
  CHECK(warps_by_registers(code("86", 16, 0)) == 48);
  CHECK(blocks_by_shared_memory(code("90a", 32, 0)) == 32);
  CHECK(blocks_by_shared_memory(code("90a", 32, 20992)) == 10);  // 228 KiB over 20992 + 1024 bytes
  CHECK(blocks_by_shared_memory(code("75", 32, 16 << 10)) == 4);
  CHECK(blocks_by_shared_memory(code("80", 32, 40 << 10)) == 4);
  CHECK(blocks_by_shared_memory(code("61", 32, 1024)) == 0);  // unknown
}

TEST_CASE("code serves its own architecture, and what its kind reaches beyond") {
  CHECK(has_code_for("75", 7, 5));
  CHECK(has_code_for("75", 8, 6));  // by its PTX
  CHECK_FALSE(has_code_for("75", 7, 0));
  CHECK_FALSE(has_code_for("75-real", 8, 0));
  CHECK(has_code_for("80-real", 8, 6));
  CHECK_FALSE(has_code_for("86-real", 8, 0));
  CHECK(has_code_for("75-real 80-virtual", 9, 0));
  CHECK_FALSE(has_code_for("80-virtual", 7, 5));
  CHECK(has_code_for("90a", 9, 0));
  CHECK_FALSE(has_code_for("90a", 10, 0));
  CHECK_FALSE(has_code_for("90a", 8, 0));
  CHECK(has_code_for("100f", 10, 3));
  CHECK_FALSE(has_code_for("100f", 12, 0));
  CHECK(has_code_for("75 80 86 89 90a 100 120", 12, 1));
  CHECK_FALSE(has_code_for("75-real 80-real 90a", 12, 0));
  CHECK(has_code_for("native", 12, 0));  // CMake has looked at the GPU
  CHECK_FALSE(has_code_for("", 9, 0));
}

TEST_CASE("a GPU that the build has no code for is told with its capability, the list and the cure") {
  CHECK(why_no_code("80 90a", 9, 0).empty());
  CHECK(why_no_code("80-real 90a", 12, 0) ==
        "the GPU has compute capability 12.0, and this build has code for 80-real 90a only: configure with "
        "-DFOVEA_CUDA_ARCHITECTURES=120 and build again");
}

TEST_CASE("device_code() tells of every CUDA source, once for each architecture") {
  if (!FOVEA_HAS_CUDA) {
    CHECK(device_code().empty());
    CHECK(compiled_architectures().empty());
    return;
  }
  std::set<std::string_view> sources, architectures;
  std::set<std::pair<std::string_view, std::string_view>> kernels;
  for (const KernelCode& kernel : device_code()) {
    CAPTURE(kernel.kernel);
    sources.insert(kernel.source);
    architectures.insert(kernel.architecture);
    CHECK(kernels.emplace(kernel.kernel, kernel.architecture).second);
    CHECK(kernel.registers > 0);
    CHECK(kernel.registers <= 255);
    CHECK(warps_by_registers(kernel) > 0);
    CHECK(blocks_by_shared_memory(kernel) > 0);
  }
  CHECK(kernels.size() % architectures.size() == 0);
  for (const std::string_view architecture : architectures)
    CHECK(compiled_architectures().find(architecture) != std::string_view::npos);
  for (const auto& file :
       std::filesystem::directory_iterator(std::filesystem::path(FOVEA_SOURCE_DIR) / "kernels/cuda"))
    if (file.path().extension() == ".cu") {
      const std::string name = file.path().filename().string();
      CAPTURE(name);
      CHECK(sources.count(name) == 1);
    }
}

}  // namespace fovea

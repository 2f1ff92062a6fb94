// SPDX-License-Identifier: Apache-2.0
#include "kernels/device_code.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

namespace fovea {
namespace {

/// What one multiprocessor has: CUDA C++ Programming Guide, Technical Specifications per Compute Capability, and the
/// toolkit's cuda_occupancy.h.
struct Multiprocessor {
  int number;         // of the architecture
  int warps, blocks;  // at most
  int shared_bytes;   // of all blocks
  // From 8.0 on the system takes some of each block's.
  int taken_bytes() const { return number < 80 ? 0 : 1024; }
  int granule() const { return number < 80 ? 256 : 128; }
};
constexpr int kKiB = 1024;
constexpr Multiprocessor kMultiprocessors[] = {
    {75, 32, 16, 64 * kKiB},  {80, 64, 32, 164 * kKiB},  {86, 48, 16, 100 * kKiB},  {89, 48, 24, 100 * kKiB},
    {90, 64, 32, 228 * kKiB}, {100, 64, 32, 228 * kKiB}, {120, 48, 24, 100 * kKiB},
};

/// "90a" -> 90, what follows stays in `text`; 0 if there is no number.
int take_number(std::string_view& text) {
  int number = 0;
  const char* const end = std::from_chars(text.data(), text.data() + text.size(), number).ptr;
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  return number;
}

constexpr int round_up(int value, int step) { return (value + step - 1) / step * step; }

/// "90a"; zeros for one that is not known.
Multiprocessor multiprocessor(std::string_view architecture) {
  const int number = take_number(architecture);
  for (const Multiprocessor& one : kMultiprocessors)
    if (one.number == number) return one;
  return {};
}

}  // namespace

int warps_by_registers(const KernelCode& code) {
  constexpr int kQuarter = 16384, kGranule = 256, kLanes = 32;
  const int warp = std::max(kGranule, round_up(code.registers * kLanes, kGranule));
  return std::min(4 * (kQuarter / warp), multiprocessor(code.architecture).warps);
}

int blocks_by_shared_memory(const KernelCode& code) {
  const Multiprocessor has = multiprocessor(code.architecture);
  if (code.shared_bytes == 0) return has.blocks;
  return std::min(has.blocks,
                  has.shared_bytes / round_up(code.shared_bytes + has.taken_bytes(), has.granule()));
}

bool has_code_for(std::string_view architectures, int major, int minor) {
  const int gpu = 10 * major + minor;
  while (!architectures.empty()) {
    std::string_view one = architectures.substr(0, architectures.find(' '));
    architectures.remove_prefix(std::min(architectures.size(), one.size() + 1));
    const int number = take_number(one);
    if (number == 0) return true;
    const bool machine = !one.ends_with("-virtual"), ptx = !one.ends_with("-real");
    if (number == gpu) return true;
    if (one.starts_with('a') || number > gpu) continue;
    if (one.starts_with('f')) {  // machine code and PTX for one family, which here is one major version
      if (number / 10 == major) return true;
      continue;
    }
    if (ptx || (machine && number / 10 == major)) return true;
  }
  return false;
}

std::string why_no_code(std::string_view architectures, int major, int minor) {
  if (has_code_for(architectures, major, minor)) return {};
  return fmt::format(
      "the GPU has compute capability {0}.{1}, and this build has code for {2} only: configure with "
      "-DFOVEA_CUDA_ARCHITECTURES={0}{1} and build again",
      major, minor, architectures);
}

}  // namespace fovea

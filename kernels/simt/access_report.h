// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <vector>

/// How well kernels use the memory of a GPU, counted by the emulation: bank conflicts in shared memory and
/// sectors in global memory. See "Access report" in README.md for what is counted and what is approximated.
namespace fovea::simt {

/// One load or store in the machine code of a kernel, summed over the warps that executed it.
///
/// A request is one execution by a warp. Its cost is counted in units: for shared memory a unit is a
/// wavefront (each of the 32 banks gives 4 bytes), for global memory a sector of 32 bytes.
struct AccessSite {
  const void* code = nullptr;  ///< address in this process, behind the hook's call
  bool shared = false;
  bool write = false;
  int bytes = 0;              ///< that a lane moves: 1, 2, 4, 8 or 16
  std::int64_t requests = 0;  ///< warp-wide
  std::int64_t units = 0;     ///< what they cost
  std::int64_t ideal = 0;     ///< the least that could move the same bytes
  std::int64_t worst = 0;     ///< of one request. shared: the conflict degree, 1 = none; global: sectors
};

struct KernelAccesses {
  std::string kernel;  ///< as named in the launch
  std::int64_t launches = 0;
  std::int64_t dropped = 0;  ///< accesses of single lanes that were not matched: the table was full
  std::vector<AccessSite> sites;

  /// Sums over the sites of shared or of global memory; `worst` is the largest.
  AccessSite total(bool shared) const;
};

struct AccessReport {
  std::vector<KernelAccesses> kernels;  ///< by name

  const KernelAccesses* find(const std::string& kernel) const;
  /// A table: a line per kernel, and below it the source lines that waste most, at most `worst_lines`.
  /// Runs addr2line to name the lines; without it they are offsets in the program.
  std::string text(int worst_lines = 3) const;
};

/// "conv2d.cu:88", "block.cuh:31 in reduce.cu:40" for code that was inlined into a kernel; one for each address.
std::vector<std::string> source_lines(const std::vector<const void*>& code);

}  // namespace fovea::simt

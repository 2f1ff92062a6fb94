// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace fovea {

/// What the compiler made of one kernel for one architecture, as ptxas tells with -v.
struct KernelCode {
  std::string_view source;        ///< "conv2d.cu" of kernels/cuda
  std::string_view kernel;        ///< mangled
  std::string_view architecture;  ///< "90a"
  int registers;                  ///< of a thread
  int shared_bytes;               ///< static; what a launch asks for comes on top
  int local_bytes;                ///< of a thread, in memory off the chip: spills, arrays that are indexed
  int spill_store_bytes, spill_load_bytes;  ///< moved by the spill instructions, each counted once
  int constant_bytes;                       ///< arguments included; 0 where ptxas tells none
};

/// All kernels of this build, once for each architecture; empty in a build without CUDA. The build makes the list from
/// the compiler's reports.
std::span<const KernelCode> device_code();

/// Warps of this kernel that the registers of a multiprocessor hold at a time. Each quarter of it has 16384 of them and
/// gives them to whole warps, 256 at a time. 0 if the
/// architecture is not known.
int warps_by_registers(const KernelCode& code);
/// Blocks that its shared memory holds at a time, if a launch asks for none on top of the static.
int blocks_by_shared_memory(const KernelCode& code);

/// "75 80 90a", as CMake was told; empty in a build without CUDA.
std::string_view compiled_architectures();

/// Whether a GPU of compute capability major.minor runs code for one of `architectures` (as CMake is told): machine
/// code serves the minor versions above its own, PTX all GPUs above, what ends in 'a' its own version only, in
/// 'f' those of its family.
/// "native" and "all" leave the answer to the driver: true.
bool has_code_for(std::string_view architectures, int major, int minor);
/// Why not, and how to get it, in one line; empty if it does.
std::string why_no_code(std::string_view architectures, int major, int minor);

}  // namespace fovea

// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>

/// What a running thread of an emulated kernel may ask of the scheduler. Kernels do not call these: simt.h
/// gives them CUDA's names.
namespace fovea::simt {

/// Where in the source a thread waits. Threads that wait for each other must wait at the same line.
struct Place {
  const char* call;  // "__syncthreads"
  const char* file;
  unsigned line;
};

enum class Collective : unsigned char { shuffle, vote, sync };

/// Waits for all threads of the block. returns how many of them came with `vote` set
int block_barrier(bool vote, Place place);

/// Waits for the lanes of `mask`. returns for a shuffle: the bits of lane `source`, or all ones if that lane
/// does not exist or is outside of the mask (undefined on a GPU); for a vote: the lanes that came with
/// nonzero bits
std::uint64_t warp_collective(Collective kind, unsigned mask, std::uint64_t bits, unsigned source,
                              Place place);

/// This thread's number within its warp.
unsigned lane_index();

/// Memory of one __shared__ variable, the same for all threads of a block. `site` identifies the declaration.
void* shared_variable(const void* site, const char* name, std::size_t bytes, std::size_t alignment);

/// Memory of the launch's dynamic shared bytes.
void* dynamic_shared();

/// A load or store by kernel code at `code`; see race_hooks.cpp. Does nothing outside of a kernel.
void note_access(const void* memory, std::size_t bytes, bool write, const void* code);

}  // namespace fovea::simt

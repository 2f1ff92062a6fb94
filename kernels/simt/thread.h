// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>

/// A function whose loads and stores the `races` build does not note. ThreadSanitizer itself sees everything.
#if defined(FOVEA_FOLLOWED)
#define FOVEA_NOT_NOTED __attribute__((no_sanitize_thread))
#else
#define FOVEA_NOT_NOTED
#endif

/// What a running thread of an emulated kernel may ask of the scheduler. Kernels do not call these: simt.h
/// gives them CUDA's names.
namespace fovea::simt {

/// Where in the source a thread waits. Threads that wait for each other must wait at the same line.
struct Place {
  const char* call;  // "__syncthreads"
  const char* file;
  unsigned line;
};

enum class Collective : unsigned char { shuffle, vote, sync, together };

/// Waits for all threads of the block. returns how many of them came with `vote` set
int block_barrier(bool vote, Place place);

/// Waits for the lanes of `mask`. returns for a shuffle: the bits of lane `source`, or all ones if that lane
/// does not exist or is outside of the mask (undefined on a GPU); for a vote: the lanes that came with
/// nonzero bits
std::uint64_t warp_collective(Collective kind, unsigned mask, std::uint64_t bits, unsigned source,
                              Place place);

/// One instruction of a whole warp: waits for all 32 lanes, then one of them calls work(what each lane came
/// with). throws KernelFault if the warp has fewer than 32 lanes
void warp_together(void (*work)(void* const* lanes), void* mine, Place place);

/// This thread's number within its warp.
unsigned lane_index();

/// Memory of one __shared__ variable, the same for all threads of a block. `site` identifies the declaration.
void* shared_variable(const void* site, const char* name, std::size_t bytes, std::size_t alignment);

/// Memory of the launch's dynamic shared bytes.
void* dynamic_shared();

/// throws KernelFault unless all bytes are shared memory of this block and the address is a multiple of
/// `alignment`
void require_shared(const void* address, std::size_t bytes, std::size_t alignment, Place place);

/// A copy that arrives when it is waited for; see async_copy.h.
struct AsyncCopy {
  void* to;
  const void* from;
  unsigned bytes, valid;   // `valid` of the bytes come from `from`, the rest are zeros
  unsigned char data[16];  // all of it, as read when the copy started
  Place place;
  const void* code;  // of the caller
};
/// throws KernelFault where cp.async would fail or do harm: misaligned, not from global to shared memory
void check_async(const AsyncCopy& copy);
void async_start(const AsyncCopy& copy);
void async_commit();
/// Lets the copies of all but the latest `groups` commits arrive.
void async_wait(unsigned groups);

/// An atomic operation by kernel code. Does nothing in builds that do not note accesses.
void note_atomic(const void* memory, std::size_t bytes, const void* code);

/// A load or store by kernel code at `code`; see race_hooks.cpp. Does nothing outside of a kernel.
void note_access(const void* memory, std::size_t bytes, bool write, const void* code);

}  // namespace fovea::simt

// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "kernels/captured.h"
#include "kernels/math.h"

#include "kernels/device_fault.h"

namespace fovea {
class Arena;
}

/// The emulation of a GPU: CUDA sources compiled by the host compiler (kernels/simt/simt.h) run here.
/// This header gives host code the queue only; it declares none of CUDA's global names.
namespace fovea::simt {

/// In which order blocks, the warps of a block and the lanes of a warp take their turns. A kernel without a
/// race gives the same bits in all three; a test runs them all.
enum class Order { forward, reversed, shuffled };

struct Index3 {
  unsigned x = 0, y = 0, z = 0;
};

/// A kernel broke a rule of the machine: a divergent barrier or warp collective, too much shared memory, a
/// launch outside of the limits.
///
/// what()   one line: kernel, block, thread, what happened and where in the source
/// kernel   as named in the launch
/// block, thread   of the first thread concerned; zero for a launch that never started
class KernelFault : public DeviceFault {
 public:
  KernelFault(const std::string& kernel_name, Index3 block_index, Index3 thread_index,
              const std::string& why);
  std::string kernel;
  Index3 block, thread;
};

/// One kernel launch. Extents count blocks in the grid and threads in a block.
struct Launch {
  const char* name;
  Index3 grid, block;
  std::size_t dynamic_shared_bytes = 0;
};

struct AccessReport;  // access_report.h
class Scheduler;

/// The queue of the emulation. A launch returns when the kernel has finished.
///
/// Used by one thread at a time; several grids may run on several threads. Each keeps the stacks of its
/// fibers (up to 1024) until it is destroyed.
class Grid {
 public:
  explicit Grid(Order order = Order::forward, Math math = Math::fp32);
  ~Grid();
  Grid(Grid&&) noexcept;
  Grid& operator=(Grid&&) noexcept;

  Order order() const;
  Math math() const noexcept { return math_; }
  Arena& arena();

  /// Kernels launched since construction or the last reset; tests count how many launches a fused op takes.
  std::int64_t launches() const;
  void reset_launches();

  /// The byte that fills shared memory before a block starts: 0xff (a NaN in any float type) unless told.
  /// A kernel whose result depends on this byte reads shared memory that it has not written.
  void set_shared_fill(unsigned char fill);

  /// From now on, counts bank conflicts and global memory sectors of each launch, from zero; or stops. Only
  /// kernels compiled with FOVEA_RACES are followed.
  void count_accesses(bool on);
  AccessReport access_report() const;

  /// Runs thread(context) once per thread of the launch. Called by launch() in simt.h.
  /// throws KernelFault; or what the kernel threw, with the grid ready for the next launch
  void run(const Launch& launch, void (*thread)(const void* context), const void* context);

  /// As a CUDA stream that is captured: from now on launches are kept, not run, until end_capture(). Whoever reads a
  /// result in between finds what was there before.
  /// throws std::logic_error if this has begun already
  void begin_capture();
  Captured end_capture();
  /// Forgets what was kept, after a failure.
  void abandon_capture() noexcept;
  bool capturing() const { return capturing_; }
  /// Called by launch() in simt.h, with a copy of the arguments.
  void keep(const Launch& launch, void (*thread)(const void* context), std::shared_ptr<const void> context);
  /// Runs the launches in their order. throws as run()
  void replay(const Captured& captured);

 private:
  struct Kept {
    Launch launch;
    void (*thread)(const void*);
    std::shared_ptr<const void> context;
  };
  std::unique_ptr<Scheduler> scheduler_;
  bool capturing_ = false;
  std::vector<Kept> kept_;
  Math math_;
};

}  // namespace fovea::simt

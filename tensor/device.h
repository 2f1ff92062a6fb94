// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "kernels/exec.h"
#include "kernels/math.h"

namespace fovea {

/// Instruction sets of the cpu backend. Results are bit-identical per instruction set, not across them.
enum class Isa { scalar, avx2, avx512 };
const char* isa_name(Isa isa);
/// What this machine can run; the last one is the best.
std::vector<Isa> available_isas();

enum class DeviceKind { cpu, simt, cuda };

/// Where tensors live and kernels run: a shared handle on one queue and its memory. Copies are the same
/// device. The program makes a device and hands it on; there is no default one.
class Device {
 public:
  struct CpuOptions {
    int threads = 0;              ///< 0: all hardware threads
    std::optional<Isa> isa = {};  ///< empty: the best available
  };
  static Device cpu(CpuOptions options);
  static Device cpu() { return cpu({}); }
  static Device simt(simt::Order order = simt::Order::forward, Math math = Math::fp32);
  /// throws DeviceError if the build has no CUDA, the machine no such GPU, or the GPU no such math; the text says
  /// which and what to do
  static Device cuda(int index = 0, Math math = Math::fp32);

  /// "cpu", "simt", "cuda", "cuda:1"; throws ValueError on anything else, DeviceError as cuda() does, and if the cpu
  /// is asked for any math but fp32
  static Device parse(std::string_view text, Math math = Math::fp32);
  /// The first GPU if there is one, else the cpu. throws DeviceError as parse()
  static Device best(Math math = Math::fp32);
  /// Why cuda(0) would throw; empty if it would not.
  static std::string cuda_missing_reason();

  DeviceKind kind() const;
  /// What products and convolutions may do with f32 operands here; always fp32 on the cpu.
  Math math() const;
  /// "cpu", "simt", "cuda:0"
  std::string name() const;
  /// "cpu avx512, 2 threads", "simt", "simt bf16", "cuda:0 NVIDIA H100 …", "cuda:0 tf32 NVIDIA H100 …"
  std::string description() const;
  const Queue& queue() const;
  Arena& arena() const;
  /// Memory that the host may read and write directly (cpu and simt).
  bool host_memory() const { return kind() != DeviceKind::cuda; }
  /// A host device to make tensors on that Upload copies here beside the kernels: of a GPU one of pinned memory, new at
  /// each call; else this device itself.
  Device staging() const;
  /// Whether this is the staging() of a GPU.
  bool pinned() const;
  /// Waits for all kernels started on this device; only cuda ever has to.
  void synchronize() const;
  /// Blocks until done, unless `host` is pinned, which then must live until synchronize(). The pointer named `host` is host memory, the other is this device's.
  void copy_from_host(void* device, const void* host, std::size_t bytes) const;
  void copy_to_host(void* host, const void* device, std::size_t bytes) const;

  /// While one lives, this device's memory is not copied to or from the host and nobody waits for the device: the
  /// functions above throw DeviceError. For work that must not, such as a step that is captured (tensor/graph.h).
  class HostAccessRefused {
   public:
    explicit HostAccessRefused(const Device& device);
    ~HostAccessRefused();
    HostAccessRefused(const HostAccessRefused&) = delete;
    HostAccessRefused& operator=(const HostAccessRefused&) = delete;

   private:
    std::shared_ptr<void> state_;
  };

  bool operator==(const Device& other) const { return state_ == other.state_; }

 private:
  struct State;
  void check_host_access(const char* what) const;
  explicit Device(std::shared_ptr<State> state) : state_(std::move(state)) {}
  std::shared_ptr<State> state_;
};

}  // namespace fovea

// SPDX-License-Identifier: Apache-2.0
#include "tensor/device.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <thread>

#include "tensor/errors.h"

namespace fovea {
namespace {

template <class T>
T& get(const Queue& queue) {
  return std::get<std::reference_wrapper<T>>(queue).get();
}

Isa isa_of(const Queue& queue) {
#if defined(__x86_64__)
  if (std::holds_alternative<std::reference_wrapper<cpu::Avx512>>(queue)) return Isa::avx512;
  if (std::holds_alternative<std::reference_wrapper<cpu::Avx2>>(queue)) return Isa::avx2;
#endif
  (void)queue;
  return Isa::scalar;
}

Device exact_cpu(Math math) {
  if (math != Math::fp32)
    reject<DeviceError>("device cpu",
                        "multiplies in fp32 only, not in {}; take cuda or simt, or leave math at fp32",
                        math_name(math));
  return Device::cpu();
}

}  // namespace

struct Device::State {
  DeviceKind kind;
  int index = 0;
  std::shared_ptr<void> owner;  // keeps the object behind `queue` alive
  Queue queue;
  bool pinned = false;
  int refusals = 0;  // HostAccessRefused that live
};

const char* isa_name(Isa isa) {
  switch (isa) {
    case Isa::scalar:
      return "scalar";
    case Isa::avx2:
      return "avx2";
    case Isa::avx512:
      return "avx512";
  }
  return "?";
}

std::vector<Isa> available_isas() {
  std::vector<Isa> isas{Isa::scalar};
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) isas.push_back(Isa::avx2);
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl"))
    isas.push_back(Isa::avx512);
#endif
  return isas;
}

Device Device::cpu(CpuOptions options) {
  const int hardware = static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
  const int threads = options.threads > 0 ? options.threads : hardware;
  const std::vector<Isa> available = available_isas();
  const Isa isa = options.isa.value_or(available.back());
  if (std::find(available.begin(), available.end(), isa) == available.end())
    reject<DeviceError>("device", "this processor has no {} instructions",
                        isa_name(isa));  // untested: needs an older processor
  const auto make = [&]<class Pool>(std::type_identity<Pool>) {
    auto pool = std::make_shared<Pool>(threads);
    return Device(std::make_shared<State>(State{DeviceKind::cpu, 0, pool, std::ref(*pool)}));
  };
#if defined(__x86_64__)
  if (isa == Isa::avx512) return make(std::type_identity<cpu::Avx512>{});
  if (isa == Isa::avx2) return make(std::type_identity<cpu::Avx2>{});
#endif
  return make(std::type_identity<cpu::Scalar>{});
}

Device Device::simt(simt::Order order, Math math) {
  auto grid = std::make_shared<simt::Grid>(order, math);
  return Device(std::make_shared<State>(State{DeviceKind::simt, 0, grid, std::ref(*grid)}));
}

std::string Device::cuda_missing_reason() {
#if FOVEA_HAS_CUDA
  return cuda::missing_reason();
#else
  return "this build has no CUDA: install the CUDA Toolkit and configure again";
#endif
}

Device Device::cuda([[maybe_unused]] int index, [[maybe_unused]] Math math) {
  if (const std::string reason = cuda_missing_reason(); !reason.empty())
    reject<DeviceError>("device cuda", "{}", reason);
#if FOVEA_HAS_CUDA
  if (index < 0 || index >= cuda::device_count())
    reject<DeviceError>("device cuda", "there is no GPU {}, this machine has {}", index,
                        cuda::device_count());
  if (const std::string reason = cuda::missing_code(index); !reason.empty())
    reject<DeviceError>("device cuda", "{}", reason);
  if (math != Math::fp32 && !cuda::has_tensor_cores(index))
    reject<DeviceError>("device cuda", "GPU {} has no {} products (they come with sm_80); leave math at fp32",
                        index, math_name(math));  // untested: needs an older GPU
  auto stream = std::make_shared<cuda::Stream>(index, math);
  return Device(std::make_shared<State>(State{DeviceKind::cuda, index, stream, std::ref(*stream)}));
#else
  std::abort();  // the reason above is never empty in a build without CUDA
#endif
}

Device Device::parse(std::string_view text, Math math) {
  if (text == "cpu") return exact_cpu(math);
  if (text == "simt") return simt(simt::Order::forward, math);
  if (text == "cuda") return cuda(0, math);
  if (text.starts_with("cuda:")) {
    int index = 0;
    const auto [end, error] = std::from_chars(text.data() + 5, text.data() + text.size(), index);
    if (error == std::errc{} && end == text.data() + text.size()) return cuda(index, math);
  }
  reject<ValueError>("device", "'{}' is not a device; expected cpu, simt, cuda or cuda:N", text);
}

Device Device::best(Math math) { return cuda_missing_reason().empty() ? cuda(0, math) : exact_cpu(math); }

DeviceKind Device::kind() const { return state_->kind; }

Math Device::math() const {
  return on(queue(), [](auto& q) {
    if constexpr (requires { q.math(); })
      return q.math();
    else
      return Math::fp32;
  });
}

std::string Device::name() const {
  switch (kind()) {
    case DeviceKind::cpu:
      return "cpu";
    case DeviceKind::simt:
      return "simt";
    case DeviceKind::cuda:
      return fmt::format("cuda:{}", state_->index);
  }
  return "?";
}

std::string Device::description() const {
  if (kind() == DeviceKind::cpu) {
    const int threads = on(queue(), [](auto& q) {
      if constexpr (requires { q.threads(); })
        return q.threads();
      else
        return 0;
    });
    return fmt::format("cpu {}, {} threads", isa_name(isa_of(queue())), threads);
  }
  const std::string name_and_math =
      math() == Math::fp32 ? name() : fmt::format("{} {}", name(), math_name(math()));
#if FOVEA_HAS_CUDA
  if (kind() == DeviceKind::cuda)
    return fmt::format("{} {}, {}, {}", name_and_math, cuda::device_name(state_->index),
                       cuda::device_facts(state_->index), cuda::versions());
#endif
  return name_and_math;
}

const Queue& Device::queue() const { return state_->queue; }

Arena& Device::arena() const {
  return on(queue(), [](auto& q) -> Arena& { return q.arena(); });
}

Device::HostAccessRefused::HostAccessRefused(const Device& device) : state_(device.state_) {
  ++static_cast<State*>(state_.get())->refusals;
}
Device::HostAccessRefused::~HostAccessRefused() { --static_cast<State*>(state_.get())->refusals; }

void Device::check_host_access(const char* what) const {
  if (state_->refusals == 0) return;
  reject<DeviceError>(
      name(),
      "the host {} here, where it must not touch device memory; keep the value on the device, or "
      "move this out of the captured work",
      what);
}

Device Device::staging() const {
#if FOVEA_HAS_CUDA
  if (kind() == DeviceKind::cuda) {
    auto pool = std::make_shared<cpu::Scalar>(1, cuda::pinned_memory(state_->index));
    return Device(std::make_shared<State>(State{DeviceKind::cpu, 0, pool, std::ref(*pool), true}));
  }
#endif
  return *this;
}

bool Device::pinned() const { return state_->pinned; }

void Device::synchronize() const {
  check_host_access("waits");
#if FOVEA_HAS_CUDA
  if (kind() == DeviceKind::cuda) get<cuda::Stream>(queue()).synchronize();
#endif
}

void Device::copy_from_host(void* device, const void* host, std::size_t bytes) const {
  check_host_access("writes");
#if FOVEA_HAS_CUDA
  if (kind() == DeviceKind::cuda) return get<cuda::Stream>(queue()).copy_from_host(device, host, bytes);
#endif
  if (bytes > 0) std::memcpy(device, host, bytes);
}

void Device::copy_to_host(void* host, const void* device, std::size_t bytes) const {
  check_host_access("reads");
#if FOVEA_HAS_CUDA
  if (kind() == DeviceKind::cuda) return get<cuda::Stream>(queue()).copy_to_host(host, device, bytes);
#endif
  if (bytes > 0) std::memcpy(host, device, bytes);
}

}  // namespace fovea

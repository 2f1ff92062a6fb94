// SPDX-License-Identifier: Apache-2.0
#include "kernels/simt/accesses.h"

#include <algorithm>
#include <bit>
#include <utility>

namespace fovea::simt {
namespace {

constexpr std::uintptr_t kBanks = 32, kBankBytes = 4, kSectorBytes = 32;

/// The distinct values, sorted.
template <std::size_t N>
std::size_t distinct(std::array<std::uintptr_t, N>& values, std::size_t count) {
  std::sort(values.begin(), values.begin() + static_cast<std::ptrdiff_t>(count));
  return static_cast<std::size_t>(
      std::unique(values.begin(), values.begin() + static_cast<std::ptrdiff_t>(count)) - values.begin());
}

}  // namespace

void Accesses::begin_launch(const char* kernel) {
  match();
  kernel_ = &kernels_[kernel];
  ++kernel_->launches;
}

void Accesses::access(const void* memory, std::size_t bytes, bool write, bool shared, Lane who,
                      const void* code) {
  if (who.warp != warp_) {
    match();
    warp_ = who.warp;
  }
  // A struct is moved in the widest pieces that its address and size allow, at most 16 bytes.
  const auto start = reinterpret_cast<std::uintptr_t>(memory);
  const std::size_t width = std::size_t{1} << std::countr_zero(start | bytes | 16);
  for (std::size_t i = 0; i < bytes; i += width) piece(start + i, width, write, shared, who.lane, code);
}

void Accesses::piece(std::uintptr_t address, std::size_t bytes, bool write, bool shared, unsigned lane,
                     const void* code) {
  const std::uintptr_t key = reinterpret_cast<std::uintptr_t>(code) << 6 | bytes << 1 | (shared ? 1u : 0u);
  Site& site = kernel_->sites[key];
  if (site.sum.code == nullptr)
    site.sum = {.code = code, .shared = shared, .write = write, .bytes = static_cast<int>(bytes)};
  const std::uint32_t n = site.executed[lane]++;
  if (n >= kMaxRequests) {
    ++kernel_->dropped;
    return;
  }
  if (site.used == 0) touched_.push_back(&site);
  while (site.used <= n) {
    if (site.used == site.requests.size()) site.requests.emplace_back();
    site.requests[site.used++].lanes = 0;
  }
  site.requests[n].lanes |= 1u << lane;
  site.requests[n].address[lane] = address;
}

void Accesses::match() {
  for (Site* site : touched_) {
    for (std::uint32_t n = 0; n < site->used; ++n) count(site->sum, site->requests[n]);
    site->used = 0;
    site->executed.fill(0);
  }
  touched_.clear();
}

/// Shared memory serves a full warp at once up to 4 bytes a lane; halves of a warp one after another at 8
/// bytes, quarters at 16. Lanes that want the same word share it.
void Accesses::count(AccessSite& sum, const Request& request) {
  const auto bytes = static_cast<std::uintptr_t>(sum.bytes);
  ++sum.requests;
  if (!sum.shared) {
    std::array<std::uintptr_t, kLanes> addresses{}, sectors{};
    std::size_t lanes = 0;
    for (unsigned lane = 0; lane < kLanes; ++lane) {
      if ((request.lanes >> lane & 1u) == 0) continue;
      addresses[lanes] = request.address[lane];
      sectors[lanes++] = request.address[lane] / kSectorBytes;
    }
    const auto units = static_cast<std::int64_t>(distinct(sectors, lanes));
    const std::uintptr_t moved = distinct(addresses, lanes) * bytes;
    sum.units += units;
    sum.ideal += static_cast<std::int64_t>((moved + kSectorBytes - 1) / kSectorBytes);
    sum.worst = std::max(sum.worst, units);
    return;
  }
  const unsigned lanes_at_once = bytes <= 4 ? kLanes : kLanes * 4 / static_cast<unsigned>(bytes);
  for (unsigned first = 0; first < kLanes; first += lanes_at_once) {
    std::array<std::uintptr_t, kLanes> words{};
    std::size_t count = 0;
    for (unsigned lane = first; lane < first + lanes_at_once; ++lane)
      if ((request.lanes >> lane & 1u) != 0)
        for (std::uintptr_t b = 0; b < bytes; b += kBankBytes)
          words[count++] = (request.address[lane] + b) / kBankBytes;
    if (count == 0) continue;
    std::array<std::int64_t, kBanks> load{};
    count = distinct(words, count);
    for (std::size_t i = 0; i < count; ++i) ++load[words[i] % kBanks];
    const std::int64_t degree = *std::max_element(load.begin(), load.end());
    sum.units += degree;
    ++sum.ideal;
    sum.worst = std::max(sum.worst, degree);
  }
}

AccessReport Accesses::report() {
  match();
  AccessReport report;
  for (const auto& [name, kernel] : kernels_) {
    KernelAccesses& k = report.kernels.emplace_back();
    k.kernel = name;
    k.launches = kernel.launches;
    k.dropped = kernel.dropped;
    for (const auto& [key, site] : kernel.sites) k.sites.push_back(site.sum);
    std::sort(k.sites.begin(), k.sites.end(), [](const AccessSite& a, const AccessSite& b) {
      return std::pair(a.code, a.bytes * 2 + a.shared) < std::pair(b.code, b.bytes * 2 + b.shared);
    });
  }
  return report;
}

}  // namespace fovea::simt

// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <unordered_map>
#include <vector>

#include "kernels/simt/access_report.h"

namespace fovea::simt {

/// Puts together what the lanes of a warp do one after another to the requests that a GPU would see. Internal
/// to the scheduler, which tells of each access and of each point where lanes have waited for each other.
///
/// Between two such points the n-th execution of an instruction by one lane belongs together with the n-th
/// execution by each other lane.
class Accesses {
 public:
  /// warp counts warps over all launches.
  struct Lane {
    std::uint64_t warp;
    unsigned lane;
  };

  void begin_launch(const char* kernel);
  void access(const void* memory, std::size_t bytes, bool write, bool shared, Lane who, const void* code);
  /// All lanes of the warp have got as far as they can.
  void match();
  AccessReport report();

 private:
  static constexpr unsigned kLanes = 32;
  static constexpr std::uint32_t kMaxRequests = 1 << 14;  // of a site that wait to be matched: 4.3 MB

  struct Request {
    std::uint32_t lanes = 0;
    std::uintptr_t address[kLanes];
  };
  struct Site {
    AccessSite sum;
    std::array<std::uint32_t, kLanes> executed{};  // since the last match
    std::vector<Request> requests;
    std::uint32_t used = 0;
  };
  struct Kernel {
    std::int64_t launches = 0, dropped = 0;
    std::unordered_map<std::uintptr_t, Site> sites;
  };

  void piece(std::uintptr_t address, std::size_t bytes, bool write, bool shared, unsigned lane,
             const void* code);
  static void count(AccessSite& sum, const Request& request);

  std::map<std::string, Kernel> kernels_;
  Kernel* kernel_ = nullptr;
  std::vector<Site*> touched_;
  std::uint64_t warp_ = 0;
};

}  // namespace fovea::simt

// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <string>

namespace fovea {

/// The kernels that a queue has launched since it was last seen to be idle and well: one of them is at fault when the
/// next wait fails. Keeps the last few, of equal ones in a row one; a launch costs a comparison and a store.
class RecentLaunches {
 public:
  static constexpr std::size_t kMost = 8;

  /// name  a string literal
  void add(const char* name) noexcept {
    if (count_ > 0 && names_[(count_ - 1) % kMost] == name) return;
    names_[count_++ % kMost] = name;
  }
  void clear() noexcept { count_ = 0; }
  bool empty() const noexcept { return count_ == 0; }
  /// "relu, conv2d": the newest first.
  std::string str() const {
    std::string text;
    for (std::size_t i = 0; i < kMost && i < count_; ++i) {
      if (i > 0) text += ", ";
      text += names_[(count_ - 1 - i) % kMost];
    }
    if (count_ > kMost) text += ", …";
    return text;
  }

 private:
  std::array<const char*, kMost> names_{};
  std::size_t count_ = 0;
};

}  // namespace fovea

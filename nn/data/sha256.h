// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>

namespace fovea::nn {

/// The checksum by which data sets are published, over bytes that come in pieces.
/// source  NIST, FIPS 180-4 (2015), Secure Hash Standard, sections 4.1.2, 4.2.2, 5.1.1, 5.3.3 and 6.2
class Sha256 {
 public:
  void add(std::span<const std::uint8_t> bytes);
  /// Of all bytes so far, 64 hexadecimal digits in lower case. The object is used up.
  std::string finish();

 private:
  void block(const std::uint8_t* bytes);

  std::array<std::uint32_t, 8> hash_{0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                     0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
  std::array<std::uint8_t, 64> rest_{};
  std::size_t held_ = 0;     // bytes in rest_
  std::uint64_t bytes_ = 0;  // of the whole message
};

/// throws IoError
std::string sha256_of_file(const std::filesystem::path& path);

}  // namespace fovea::nn

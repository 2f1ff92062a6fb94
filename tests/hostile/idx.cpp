// SPDX-License-Identifier: Apache-2.0
#include "nn/data/idx.h"

#include <doctest/doctest.h>

#include "tests/hostile/bad_file.h"

using namespace fovea;
using namespace fovea::test;

namespace {

void load(const std::filesystem::path& path) {
  static const Device device = Device::cpu({.threads = 1});
  (void)nn::load_idx(path, device);
}

std::string idx(int type, std::initializer_list<std::uint32_t> extents, const std::string& data) {
  std::string bytes{'\0', '\0', static_cast<char>(type), static_cast<char>(extents.size())};
  for (const std::uint32_t extent : extents) bytes += big32(extent);
  return bytes + data;
}

std::vector<BadFile> bad_files() {
  const std::string good = idx(8, {2, 3}, "123456"), packed = deflated(good, true);
  const std::string zeros(1 << 20, '\0');
  std::string no_checksum = packed;
  no_checksum[packed.size() - 8] = static_cast<char>(no_checksum[packed.size() - 8] ^ 1);
  std::string no_length = packed;
  no_length[packed.size() - 1] = '\x7f';
  std::string no_method = packed;
  no_method[2] = 7;
  return {
      {"empty", ""},
      {"three bytes", std::string("\0\0\x08", 3)},
      {"first byte not 0", std::string("\x01") + good.substr(1)},
      {"second byte not 0", std::string("\0\x01", 2) + good.substr(2)},
      {"a text file", "pictures of clothes"},
      {"type 0", idx(0, {6}, "123456")},
      {"signed bytes", idx(0x09, {6}, "123456")},
      {"16-bit integers", idx(0x0B, {3}, "123456")},
      {"type 255", idx(0xff, {6}, "123456")},
      {"rank 7", idx(8, {1, 1, 1, 1, 1, 1, 6}, "123456")},
      {"rank 255", std::string("\0\0\x08\xff", 4) + std::string(4 * 255, '\0')},
      {"extents cut off", idx(8, {2, 3}, "").substr(0, 9)},
      {"extents and no data", idx(8, {2, 3}, "")},
      {"2^32-1 pictures", idx(8, {0xffffffff}, "123456")},
      {"extents that multiply to 2^64 and more", idx(8, {0x80000000, 0x80000000, 4}, "123456")},
      {"extents that wrap to 6", idx(8, {0x80000003, 0x80000000, 4, 6}, "123456")},
      {"huge extents beside a 0", idx(0x0E, {0, 0xffffffff, 0xffffffff}, "")},
      {"one byte short", idx(8, {2, 3}, "12345")},
      {"trailing byte", idx(8, {2, 3}, "1234567")},
      {"floats short of a byte", idx(0x0D, {2}, "1234567")},
      {"gzip magic and nothing else", std::string("\x1f\x8b")},
      {"gzip magic and two bytes", std::string("\x1f\x8b\x08\0", 4)},
      {"gzip cut off in its header", packed.substr(0, 9)},
      {"gzip cut off in its data", packed.substr(0, packed.size() - 12)},
      {"gzip cut off in its checksum", packed.substr(0, packed.size() - 6)},
      {"gzip with a wrong checksum", no_checksum},
      {"gzip with a wrong length", no_length},
      {"gzip of an unknown method", no_method},
      {"gzip with trailing bytes", packed + "more"},
      {"gzip with a second member", packed + packed},
      {"gzip of nothing", deflated("", true)},
      {"gzip of a text file", deflated("pictures of clothes", true)},
      {"gzip of an extent cut off", deflated(idx(8, {2, 3}, "").substr(0, 9), true)},
      {"gzip with a byte missing inside", deflated(idx(8, {2, 3}, "12345"), true)},
      {"gzip with a byte too many inside", deflated(idx(8, {2, 3}, "1234567"), true)},
      {"bomb: a MiB of zeros declared as 6 bytes", deflated(idx(8, {2, 3}, zeros), true)},
      {"bomb: 4 GiB declared, a MiB there", deflated(idx(8, {0xffffffff}, zeros), true)},
      {"bomb: 9 GiB declared", deflated(idx(8, {9, 0x40000000}, zeros), true)},
      {"gzip of a gzip", deflated(packed, true)},
  };
}

}  // namespace

TEST_CASE("hostile IDX files are refused before memory is taken") {
  check_refused("idx", bad_files(), load);
  check_damaged("idx", idx(8, {2, 3}, "123456"), load);
  check_damaged("idx.gz", deflated(idx(8, {2, 3}, "123456"), true), load);
}

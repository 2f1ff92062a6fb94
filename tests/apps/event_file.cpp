// SPDX-License-Identifier: Apache-2.0
#include "apps/event_file.h"

#include <doctest/doctest.h>

#include <fstream>

#include "apps/atomic_file.h"
#include "tests/temporary_folder.h"

namespace fovea::apps {
using test::TemporaryFolder;
namespace fs = std::filesystem;

TEST_CASE("CRC-32C has its published values") {
  CHECK(crc32c("") == 0);
  CHECK(crc32c("123456789") == 0xe3069283u);
  CHECK(crc32c(std::string(32, '\0')) == 0x8a9136aau);  // RFC 3720, B.4
  CHECK(crc32c(std::string(32, '\xff')) == 0x62a8ab43u);
}

TEST_CASE("an event has the bytes that protobuf gives it") {
  // protoc --encode of: wall_time: 1.5 step: 300 summary { value { tag: "loss" simple_value: 0.25 } }
  const std::string expected(
      "\x09\x00\x00\x00\x00\x00\x00\xf8\x3f"  // 1: double 1.5
      "\x10\xac\x02"                          // 2: varint 300
      "\x2a\x0d"                              // 5: 13 bytes
      "\x0a\x0b"                              // 1: 11 bytes
      "\x0a\x04loss"                          // 1: "loss"
      "\x15\x00\x00\x80\x3e",                 // 2: float 0.25
      27);
  CHECK(scalar_event(1.5, 300, {{"loss", 0.25}}) == expected);
}

TEST_CASE("a resumed event file is cut where its checkpoint left it") {
  const TemporaryFolder folder;
  const fs::path path = folder.path() / "e";
  std::string kept;
  {
    EventFile events(path, {});
    events.append(1, {{"loss", 1}});
    events.sync();
    kept = read_file(path);
    CHECK(events.size() == kept.size());
    events.append(2, {{"loss", 1}});
  }
  std::ofstream(path, std::ios::app | std::ios::binary) << "torn";
  {
    const EventFile events(path, {1, kept.size()});
    CHECK_FALSE(events.changed());
  }
  CHECK(read_file(path) == kept);
  const std::size_t first_record = kept.size() - event_record(scalar_event(0, 1, {{"loss", 1}})).size();
  SUBCASE("it is too short") { fs::resize_file(path, kept.size() - 1); }
  SUBCASE("it is gone") { fs::remove(path); }
  SUBCASE("it is something else") { std::ofstream(path) << std::string(1000, 'x'); }
  {
    const EventFile events(path, {1, kept.size()});
    CHECK(events.changed());
    CHECK(events.size() == first_record);
  }
  CHECK(fs::file_size(path) == first_record);
  fs::resize_file(path, 5);
  CHECK(EventFile(path, {1, 5}).changed());
}

}  // namespace fovea::apps

// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <fstream>

#include "tensor/io.h"
#include "tests/host.h"
#include "tests/hostile/bad_file.h"
#include "tests/temporary_folder.h"

using namespace fovea;
using namespace fovea::test;

namespace {

void load(const std::filesystem::path& path) { (void)load_npy(path, host()); }
void load_archive(const std::filesystem::path& path) { (void)load_npz(path, host()); }

BadFile dict(std::string name, const std::string& header, std::size_t data = 8) {
  return {std::move(name), npy_bytes(header, std::string(data, 'x'))};
}
BadFile typed(std::string name, const std::string& descr) {
  return dict(std::move(name), npy_dict(descr, "(2,)"));
}
BadFile shaped(std::string name, const std::string& shape, std::size_t data = 8) {
  return dict(std::move(name), npy_dict("<f4", shape), data);
}

std::vector<BadFile> bad_npy() {
  const std::string good = npy_dict("<f4", "(2,)");
  return {
      {"empty", ""},
      {"eleven bytes", std::string("\x93NUMPY\x01\0\x02\0{}", 12).substr(0, 11)},
      {"a text file", "these are numbers: 1 2 3 4\n"},
      {"magic with another first byte", std::string("NNUMPY") + npy_bytes(good, "12345678").substr(6)},
      {"version 0", npy_bytes(good, "12345678", 0)},
      {"version 3", npy_bytes(good, "12345678", 3)},
      {"version 255", npy_bytes(good, "12345678", 255)},
      {"header longer than the file", npy_bytes(good, "12345678", 1, 65535)},
      {"header of 2^32-1 bytes", npy_bytes(good, "12345678", 2, 0xffffffff)},
      {"header that takes the data",
       npy_bytes(good, "12345678", 1, static_cast<std::int64_t>(good.size()) + 8)},
      {"header of 100000 spaces", npy_bytes(good + std::string(100'000, ' '), "12345678", 2)},
      {"header of no bytes", npy_bytes("", "12345678")},
      {"header of binary zeros", npy_bytes(std::string(64, '\0'), "12345678")},
      dict("header without a brace", "'descr': '<f4', 'fortran_order': False, 'shape': (2,)"),
      dict("header that never closes", "{'descr': '<f4', 'fortran_order': False, 'shape': (2,), "),
      dict("header with something after it", good + "; import os"),
      dict("key without quotes", "{descr: '<f4', 'fortran_order': False, 'shape': (2,)}"),
      dict("key without a closing quote", "{'descr"),
      dict("key without a value", "{'descr' '<f4', 'fortran_order': False, 'shape': (2,)}"),
      dict("key that ends the header", "{'descr':"),
      dict("unknown key", "{'descr': '<f4', 'fortran_order': False, 'shape': (2,), 'evil': 1}"),
      dict("descr twice", "{'descr': '<f4', 'descr': '<f8', 'fortran_order': False, 'shape': (2,)}"),
      dict("fortran_order twice",
           "{'descr': '<f4', 'fortran_order': False, 'fortran_order': True, 'shape': (2,)}"),
      dict("shape twice", "{'descr': '<f4', 'fortran_order': False, 'shape': (2,), 'shape': (1,)}"),
      dict("no descr", "{'fortran_order': False, 'shape': (2,)}"),
      dict("no fortran_order", "{'descr': '<f4', 'shape': (2,)}"),
      dict("no shape", "{'descr': '<f4', 'fortran_order': False}"),
      dict("fortran_order that is a number", "{'descr': '<f4', 'fortran_order': 0, 'shape': (2,)}"),
      typed("big-endian floats", ">f4"),
      typed("half floats", "<f2"),
      typed("16-bit integers", "<i2"),
      typed("text", "<U8"),
      typed("pickled objects", "|O"),
      typed("complex numbers", "<c8"),
      typed("type with a terminal escape", "\x1b[31m"),
      dict("structured type",
           "{'descr': [('x', '<f4'), ('y', '<f4')], 'fortran_order': False, 'shape': (1,)}"),
      dict("type without quotes", "{'descr': <f4, 'fortran_order': False, 'shape': (2,)}"),
      shaped("shape that is a number", "2"),
      shaped("shape that is a list", "[2]"),
      shaped("shape that never closes", "(2,"),
      shaped("negative extent", "(-2,)"),
      shaped("extent with a fraction", "(2.0,)"),
      shaped("extent in words", "(two,)"),
      shaped("extent of 2^64", "(18446744073709551616,)"),
      shaped("two extents without a comma", "(2 x 4)"),
      shaped("rank 7", "(1, 1, 1, 1, 1, 1, 2)"),
      shaped("product that wraps to 2", "(4611686018427387905, 4, 2)"),
      shaped("one huge extent", "(4611686018427387904,)"),
      shaped("huge extents beside a 0", "(0, 4611686018427387904, 4611686018427387904)", 0),
      shaped("a terabyte", "(274877906944,)"),
      shaped("one element too many", "(3,)"),
      shaped("one element too few", "(1,)"),
      shaped("trailing byte", "(2,)", 9),
      shaped("missing byte", "(2,)", 7),
  };
}

/// A member that holds two floats, as it should be.
Member good_member(const std::string& name = "x.npy") {
  return {.name = name, .data = npy_bytes(npy_dict("<f4", "(2,)"), "12345678")};
}

/// An archive of one good member, changed.
BadFile changed(std::string name, const std::function<void(Member&)>& change) {
  Member member = good_member();
  change(member);
  return {std::move(name), zip_bytes({.members = {member}})};
}
BadFile packed(std::string name, const std::function<void(Member&)>& change) {
  Member member = packed_member("x.npy", good_member().data);
  change(member);
  return {std::move(name), zip_bytes({.members = {member}})};
}

std::string extra64(std::initializer_list<std::uint64_t> numbers) {
  std::string text = little<std::uint16_t>(1) + little(static_cast<std::uint16_t>(8 * numbers.size()));
  for (const std::uint64_t number : numbers) text += little(number);
  return text;
}

/// 64-bit end record and its locator as they would stand at byte `at`.
std::string end64(std::uint64_t at, std::uint64_t count, std::uint64_t bytes, std::uint64_t begin) {
  return "PK\x06\x06" + little<std::uint64_t>(44) + std::string(12, '\0') + little(count) + little(count) +
         little(bytes) + little(begin) + "PK\x06\x07" + little<std::uint32_t>(0) + little(at) +
         little<std::uint32_t>(1);
}

std::vector<BadFile> bad_npz() {
  const std::string good = zip_bytes({.members = {good_member()}});
  const std::size_t data = 30 + 5 + good_member().data.size(), directory = 46 + 5;
  const std::string zeros(1 << 20, '\0');
  const std::uint32_t in64 = 0xffffffff;
  return {
      {"empty", ""},
      {"21 bytes", good.substr(good.size() - 21)},
      {"a text file", "not an archive, although it is long enough to be one\n"},
      {"without its end", good.substr(0, good.size() - 22)},
      {"a comment after the end", zip_bytes({.members = {good_member()}, .after_end = "hello"})},
      {"bytes after the end", good + "!"},
      {"bytes before the archive", std::string("junk") + good},
      {"directory past the file", zip_bytes({.members = {good_member()}, .directory_begin = 0x7fffffff})},
      {"directory longer than the file",
       zip_bytes({.members = {good_member()}, .directory_bytes = 0x7fffffff})},
      {"directory that begins too early", zip_bytes({.members = {good_member()}, .directory_begin = 0})},
      {"directory of 16 MiB and more",
       zip_bytes({.members = {good_member()}, .directory_bytes = (16 << 20) + 1})},
      {"more entries than the directory can hold", zip_bytes({.members = {good_member()}, .count = 65535})},
      {"one entry too many",
       zip_bytes({.members = {good_member("x" + std::string(60, 'x') + ".npy")}, .count = 2})},
      {"one entry too few", zip_bytes({.members = {good_member(), good_member("y.npy")}, .count = 1})},
      {"64-bit record at another place",
       zip_bytes({.members = {good_member()}, .before_end = end64(0, 1, directory, data)})},
      {"64-bit record that is none",
       zip_bytes({.members = {good_member()},
                  .before_end = std::string(56, '\0') + "PK\x06\x07" + little<std::uint32_t>(0) +
                                little<std::uint64_t>(data + directory) + little<std::uint32_t>(1)})},
      {"64-bit directory of 2^63 bytes",
       zip_bytes({.members = {good_member()},
                  .before_end = end64(data + directory, 1, std::uint64_t{1} << 63, data)})},
      {"64-bit count of 2^60",
       zip_bytes({.members = {good_member()},
                  .before_end = end64(data + directory, std::uint64_t{1} << 60, directory, data)})},
      changed("wrong mark in the directory", [](Member& m) { m.central_mark = 0; }),
      changed("wrong mark of the member", [](Member& m) { m.local_mark = 0; }),
      changed("encrypted", [](Member& m) { m.flags = 1; }),
      changed("packed by an unknown method", [](Member& m) { m.method = 12; }),
      changed("stored with two sizes", [](Member& m) { m.bytes += 1; }),
      changed("member past the directory", [](Member& m) { m.local = 0x7fffffff; }),
      changed("member at the directory", [=](Member& m) { m.local = static_cast<std::int64_t>(data); }),
      changed("member too close to the directory",
              [=](Member& m) { m.local = static_cast<std::int64_t>(data) - 29; }),
      changed("member longer than the archive", [](Member& m) { m.packed = m.bytes = 0x7fffffff; }),
      changed("64-bit sizes that are not there", [=](Member& m) { m.packed = m.bytes = in64; }),
      changed("64-bit sizes in half a field",
              [=](Member& m) {
                m.packed = m.bytes = in64;
                m.extra = extra64({8});
              }),
      changed("64-bit field that is longer than its record",
              [=](Member& m) {
                m.bytes = in64;
                m.extra = extra64({8, 8}).substr(0, 12);
              }),
      changed("64-bit field behind one that is cut off",
              [=](Member& m) {
                m.bytes = in64;
                m.extra = little<std::uint16_t>(7) + little<std::uint16_t>(99);
              }),
      changed("64-bit place that is not there",
              [=](Member& m) {
                m.local = in64;
                m.packed = m.bytes = in64;
                m.extra = extra64({8, 8});
              }),
      changed("stored 2^63 bytes",
              [=](Member& m) {
                m.packed = m.bytes = in64;
                m.extra = extra64({std::uint64_t{1} << 63, std::uint64_t{1} << 63});
              }),
      changed("place of 2^64-1",
              [=](Member& m) {
                m.local = in64;
                m.extra = extra64({~std::uint64_t{0}});
              }),
      changed("place of 2^64-16, which wraps",
              [=](Member& m) {
                m.local = in64;
                m.extra = extra64({~std::uint64_t{15}});
              }),
      changed("wrong checksum", [](Member& m) { m.crc = 1; }),
      changed("name without .npy", [](Member& m) { m.name = "x.txt"; }),
      changed("name that is .npy and nothing else", [](Member& m) { m.name = ".npy"; }),
      changed("no name", [](Member& m) { m.name = ""; }),
      changed("name that is no file name, with escapes",
              [](Member& m) { m.name = "../\x1b[2J\xff/etc/passwd"; }),
      changed("member that is no npy file", [](Member& m) { m.data = std::string(m.data.size(), 'x'); }),
      changed("member shorter than an npy file",
              [](Member& m) {
                m.data = "1234";
                m.packed = m.bytes = 4;
              }),
      changed("npy shape larger than the member",
              [](Member& m) { m.data = npy_bytes(npy_dict("<f4", "(9,)"), "12345678"); }),
      {"two members of one name", zip_bytes({.members = {good_member(), good_member()}})},
      {"members that share their data",
       [] {
         Member second = good_member("y.npy");
         second.data = "";
         second.local = 0;
         second.name = "x.npy";
         Member first = good_member();
         Zip zip{.members = {first, first}};
         zip.members[1].name = "y.npy";
         zip.members[1].local = 0;
         return zip_bytes(zip);
       }()},
      {"member inside of another",
       [] {
         Member outer{.name = "a.npy", .data = zip_bytes({.members = {good_member()}})};
         Member inner = good_member();
         inner.local = 30 + 5;
         return zip_bytes({.members = {outer, inner}});
       }()},
      packed("deflated data cut off", [](Member& m) { m.packed -= 3; }),
      packed("deflated data with something after them",
             [](Member& m) {
               m.data += "more";
               m.packed += 4;
             }),
      packed("deflated data that end with what is read at a time, and something after them",
             [](Member& m) {
               const std::string stored(65536 - 5, 'x');  // one block of deflate without compression
               m.data = "\x01" + little(static_cast<std::uint16_t>(stored.size())) +
                        little(static_cast<std::uint16_t>(~stored.size())) + stored + "!";
               m.packed = m.data.size();
               m.bytes = stored.size();
             }),
      packed("deflated data of nothing",
             [](Member& m) {
               m.data = "";
               m.packed = 0;
             }),
      packed("deflated data that are noise", [](Member& m) { m.data = std::string(m.data.size(), '\xff'); }),
      packed("deflated data with a checksum of others", [](Member& m) { m.crc = 1; }),
      packed("deflated to more than declared", [](Member& m) { m.bytes -= 1; }),
      packed("deflated to less than declared", [](Member& m) { m.bytes += 1; }),
      packed("bomb: a MiB of zeros declared as 100 bytes",
             [&](Member& m) {
               m.data = deflated(zeros);
               m.packed = m.data.size();
               m.bytes = 100;
             }),
      packed("bomb: a MiB of zeros declared as 4 GiB",
             [&](Member& m) {
               m.data = deflated(zeros);
               m.packed = m.data.size();
               m.bytes = 0xfffffffe;
             }),
      packed("bomb: declared as 2^63 bytes",
             [&](Member& m) {
               m.bytes = in64;
               m.extra = extra64({std::uint64_t{1} << 63});
             }),
  };
}

}  // namespace

TEST_CASE("hostile npy files are refused before memory is taken") {
  check_refused("npy", bad_npy(), load);
  check_damaged("npy", npy_bytes(npy_dict("<f4", "(2, 1)") + "  \n", "12345678"), load);
}

TEST_CASE("hostile npz files are refused before memory is taken") {
  check_refused("npz", bad_npz(), load_archive);
  check_damaged("npz", zip_bytes({.members = {good_member(), packed_member("y.npy", good_member().data)}}),
                load_archive);
}

TEST_CASE("an npz member whose sizes stand in a 64-bit field, between fields of other programs") {
  Member member = good_member();
  member.extra = little<std::uint16_t>(7) + little<std::uint16_t>(2) + "ab" +
                 extra64({member.bytes, member.packed}) + little<std::uint16_t>(9) + little<std::uint16_t>(0);
  member.packed = member.bytes = 0xffffffff;
  const TemporaryFolder folder;
  std::ofstream(folder.path() / "a.npz", std::ios::binary) << zip_bytes({.members = {member}});
  CHECK(load_npz(folder.path() / "a.npz", host()).at("x").shape() == Shape{2});
}

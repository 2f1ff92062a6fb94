// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include "tensor/io.h"
#include "tests/host.h"
#include "tests/hostile/bad_file.h"

using namespace fovea;
using namespace fovea::test;

namespace {

void load(const std::filesystem::path& path) { (void)load_safetensors(path, host()); }

/// One tensor 'a' with these fields and as many data bytes.
BadFile entry(std::string name, const std::string& dtype, const std::string& shape,
              const std::string& offsets, std::size_t data = 8) {
  return {std::move(name), safetensors_bytes(R"({"a":{"dtype":")" + dtype + R"(","shape":)" + shape +
                                                 R"(,"data_offsets":)" + offsets + "}}",
                                             std::string(data, 'x'))};
}
BadFile header(std::string name, const std::string& text, std::size_t data = 8) {
  return {std::move(name), safetensors_bytes(text, std::string(data, 'x'))};
}

const std::string kGood = R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})";

std::vector<BadFile> bad_files() {
  const std::string a = R"("a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]})";
  const std::string b = R"("b":{"dtype":"F32","shape":[1],"data_offsets":[4,8]})";
  const std::string deep(100'000, '[');
  std::string objects;
  for (int i = 0; i < 50'000; ++i) objects += "{\"" + std::to_string(i) + "\":";
  return {
      {"empty", ""},
      {"seven bytes", "1234567"},
      {"header of 2^63 bytes", little<std::uint64_t>(std::uint64_t{1} << 63) + "{}"},
      {"header of 2^64-1 bytes", little<std::uint64_t>(~std::uint64_t{0}) + "{}"},
      {"header of 2^64-8 bytes, which wraps to 0", little<std::uint64_t>(~std::uint64_t{7}) + "{}"},
      {"header of 100000001 bytes", little<std::uint64_t>(100'000'001) + "{}"},
      {"header of 99 MB in a small file", little<std::uint64_t>(99'000'000) + "{}"},
      {"header one byte longer than the file", little<std::uint64_t>(3) + "{}"},
      {"header of no bytes", little<std::uint64_t>(0)},
      {"header of no bytes and data", little<std::uint64_t>(0) + "12345678"},
      {"random bytes", "\x9c\x12\xf0\x01\x88\xe3\x5d\xaa\x10\x7e\x31\xc4"},
      {"a text file", "these are not the weights you are looking for\n"},
      {"a zip file", "PK\x03\x04 and what follows"},
      header("header of zeros", std::string(16, '\0'), 0),
      header("header that is a list", "[1,2]", 0),
      header("header that is a number", "17", 0),
      header("header that is null", "null", 0),
      header("header cut off", R"({"a":{"dtype":"F32")", 0),
      header("header with something after it", "{} {}", 0),
      header("header with a comment", "{/* weights */}", 0),
      header("header with a trailing comma", "{" + a + ",}", 4),
      header("header with NaN", R"({"a":{"dtype":"F32","shape":[NaN],"data_offsets":[0,8]}})"),
      header("name that is not UTF-8", "{\"\xff\xfe\":{}}", 0),
      header("name cut in the middle of a character", "{\"\xe2\x82\":{}}", 0),
      header("name of an overlong NUL", "{\"\xc0\x80\":{}}", 0),
      header("name with half a surrogate pair", R"({"\ud800":{}})", 0),
      header("name with a raw newline", "{\"a\nb\":{}}", 0),
      header("100000 lists deep", deep, 0),
      header("50000 objects deep", objects, 0),
      header("shape nested too deep", R"({"a":{"dtype":"F32","shape":[[[2]]],"data_offsets":[0,8]}})"),
      header("metadata nested too deep", R"({"__metadata__":{"a":{"b":{"c":{"d":1}}}}})", 0),
      header("two tensors of one name", "{" + a + "," + a + "}", 4),
      header("two tensors of one name and other data",
             "{" + a + R"(,"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}})"),
      header("dtype twice", R"({"a":{"dtype":"F32","dtype":"F64","shape":[1],"data_offsets":[0,8]}})"),
      header("metadata twice", R"({"__metadata__":{},"__metadata__":{}})", 0),
      header("metadata key twice", R"({"__metadata__":{"k":"1","k":"2"}})", 0),
      header("metadata that is a list", R"({"__metadata__":["x"]})", 0),
      header("metadata with a number", R"({"__metadata__":{"steps":3}})", 0),
      header("metadata with an escape sequence in its name", R"({"__metadata__":{"\u001b[2J":3}})", 0),
      header("entry that is a number", R"({"a":3})"),
      header("entry without dtype", R"({"a":{"shape":[2],"data_offsets":[0,8]}})"),
      header("entry without shape", R"({"a":{"dtype":"F32","data_offsets":[0,8]}})"),
      header("entry without data_offsets", R"({"a":{"dtype":"F32","shape":[2]}})"),
      header("dtype that is a number", R"({"a":{"dtype":32,"shape":[2],"data_offsets":[0,8]}})"),
      header("shape that is text", R"({"a":{"dtype":"F32","shape":"2","data_offsets":[0,8]}})"),
      header("data_offsets that are an object",
             R"({"a":{"dtype":"F32","shape":[2],"data_offsets":{"begin":0}}})"),
      header("data_offsets that end in text", R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,"8"]}})"),
      header("escape sequence in a name", R"({"\u001b[31mred":3})"),
      header("name of 100000 letters", std::string("{\"") + std::string(100'000, 'n') + "\":3}"),
      entry("unknown dtype", "F8_E4M3", "[8]", "[0,8]"),
      entry("dtype in small letters", "f32", "[2]", "[0,8]"),
      entry("dtype of 5000 letters", std::string(5000, 'F'), "[2]", "[0,8]"),
      entry("rank 7", "U8", "[1,1,1,1,1,1,8]", "[0,8]"),
      entry(
          "rank 20000", "U8",
          "[1" +
              [] {
                std::string s;
                for (int i = 1; i < 20000; ++i) s += ",1";
                return s;
              }() +
              "]",
          "[0,8]"),
      entry("negative extent", "F32", "[-2]", "[0,8]"),
      entry("fractional extent", "F32", "[2.0]", "[0,8]"),
      entry("extent of text", "F32", R"(["2"])", "[0,8]"),
      entry("extent of 2^63", "U8", "[9223372036854775808]", "[0,8]"),
      entry("extent of 2^64+2", "F32", "[18446744073709551618]", "[0,8]"),
      entry("extent of 1e300", "F32", "[1e300]", "[0,8]"),
      entry("one huge extent", "F32", "[4611686018427387904]", "[0,8]"),
      entry("extents whose product wraps to 2", "F32", "[4611686018427387905,4,2]", "[0,8]"),
      entry("extents whose bytes wrap to 8", "F64", "[2305843009213693953]", "[0,8]"),
      entry("huge extents beside a 0", "F32", "[0,4611686018427387904,4611686018427387904]", "[0,0]", 0),
      entry("more data than the file has", "F32", "[1000]", "[0,4000]"),
      entry("one offset", "F32", "[2]", "[0]"),
      entry("three offsets", "F32", "[2]", "[0,8,16]"),
      entry("negative offset", "F32", "[2]", "[-8,0]"),
      entry("fractional offset", "F32", "[2]", "[0.0,8]"),
      entry("end before begin", "F32", "[2]", "[8,0]"),
      entry("end past the file", "F32", "[2]", "[0,16]"),
      entry("offsets of 2^64-1", "F32", "[2]", "[18446744073709551607,18446744073709551615]"),
      entry("fewer bytes than the shape needs", "F32", "[2]", "[0,4]"),
      entry("more bytes than the shape needs", "F32", "[1]", "[0,8]"),
      entry("data that begin after a gap", "F32", "[1]", "[4,8]"),
      header("gap between two tensors",
             "{" + a + R"(,"b":{"dtype":"F32","shape":[1],"data_offsets":[8,12]}})", 12),
      header("overlapping tensors", "{" + a + R"(,"b":{"dtype":"F32","shape":[1],"data_offsets":[2,6]}})", 6),
      header("two tensors in one place",
             "{" + a + R"(,"b":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})", 4),
      header("trailing bytes", "{" + a + "," + b + "}", 11),
      header("data and no tensor", "{}", 1),
  };
}

}  // namespace

TEST_CASE("hostile safetensors files are refused before memory is taken") {
  check_refused("safetensors", bad_files(), load);
  check_damaged("safetensors", safetensors_bytes(kGood, "12345678"), load);
}

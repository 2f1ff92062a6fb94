// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace fovea::test {

/// A file made to be refused.
struct BadFile {
  std::string name;  ///< says what is wrong with it
  std::string bytes;
};

using Load = std::function<void(const std::filesystem::path&)>;

/// Each file must be refused: by an exception of one line that begins with the path, without taking memory
/// beyond a small multiple of the file, the same text as in hostile_KIND.txt of tests/golden ("name:
/// text", the path as FILE).
void check_refused(const std::string& kind, const std::vector<BadFile>& files, const Load& load);

/// A good file loads, and every beginning of it is refused (but those whose length is in `whole`).
/// step: tries each step-th length only
void check_cut(const std::string& kind, const std::string& good, const Load& load,
               const std::vector<std::size_t>& whole = {}, std::size_t step = 1);

/// That, and with any one byte changed it loads or is refused in one line.
void check_damaged(const std::string& kind, const std::string& good, const Load& load,
                   const std::vector<std::size_t>& whole = {});

/// The bytes of a number, little-endian; and of a 32-bit one, big-endian.
template <class T>
std::string little(T value) {
  return {reinterpret_cast<const char*>(&value), sizeof value};
}
std::string big32(std::uint32_t value);

std::string safetensors_bytes(const std::string& header, const std::string& data);
/// header: the dict; the length in front of it is right unless given.
std::string npy_bytes(const std::string& header, const std::string& data, int version = 1,
                      std::int64_t length = -1);
/// "{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }"
std::string npy_dict(const std::string& descr, const std::string& shape,
                     const std::string& fortran = "False");
/// The whole of `bytes` as a bare deflate stream, or with gzip's header and checksum.
std::string deflated(std::string_view bytes, bool gzip = false);

/// One member of a zip file, every field free.
struct Member {
  std::string name, data;             ///< data as they lie in the file
  std::uint64_t bytes = data.size();  ///< declared, unpacked
  std::uint64_t packed = data.size();
  int method = 0, flags = 0;
  std::int64_t crc = -1;    ///< -1: of `data`
  std::int64_t local = -1;  ///< declared place; -1: the true one
  std::string extra = {};   ///< extra field of the directory
  std::uint32_t local_mark = 0x04034b50, central_mark = 0x02014b50;
};
struct Zip {
  std::vector<Member> members;
  std::int64_t count = -1, directory_bytes = -1, directory_begin = -1;  ///< declared; -1: the true ones
  std::string before_end = {}, after_end = {};
};
std::string zip_bytes(const Zip& zip);
/// The same content as a member that is deflated.
Member packed_member(const std::string& name, const std::string& data);

}  // namespace fovea::test

// SPDX-License-Identifier: Apache-2.0
#include "tests/hostile/bad_file.h"

#include <doctest/doctest.h>
#include <fmt/format.h>
#include <zlib.h>

#include <algorithm>
#include <fstream>
#include <set>

#include "tests/golden.h"
#include "tests/hostile/allocation.h"
#include "tests/temporary_folder.h"

namespace fovea::test {
namespace {

void write(const std::filesystem::path& path, std::string_view bytes) {
  std::ofstream(path, std::ios::binary | std::ios::trunc)
      .write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
}

/// What `load` says of a file, "loads" if nothing.
std::string said(const std::filesystem::path& path, const Load& load) {
  try {
    load(path);
  } catch (const std::exception& error) {
    return replaced(error.what(), path.string(), "FILE");
  }
  return "loads";
}

bool is_one_clear_line(const std::string& text) {
  return text.starts_with("FILE:") && text.size() < 400 &&
         std::none_of(text.begin(), text.end(), [](char c) { return (c >= 0 && c < 0x20) || c == 0x7f; });
}

}  // namespace

void check_refused(const std::string& kind, const std::vector<BadFile>& files, const Load& load) {
  const TemporaryFolder folder;
  const auto path = folder.path() / "file";
  std::string golden;
  std::set<std::string> names;
  for (const BadFile& file : files) {
    CAPTURE(file.name);
    CHECK(names.insert(file.name).second);
    write(path, file.bytes);
    start_peak();
    const std::string text = said(path, load);
    CHECK(peak_bytes() < (std::size_t{1} << 20) + 64 * file.bytes.size());
    CHECK_MESSAGE(is_one_clear_line(text), text);
    golden += fmt::format("{}: {}\n", file.name, text);
  }
  check_golden("hostile_" + kind, golden);
}

void check_cut(const std::string& kind, const std::string& good, const Load& load,
               const std::vector<std::size_t>& whole, std::size_t step) {
  CAPTURE(kind);
  const TemporaryFolder folder;
  const auto path = folder.path() / "file";
  write(path, good);
  CHECK(said(path, load) == "loads");
  for (std::size_t length = 0; length < good.size(); length += step) {
    CAPTURE(length);
    write(path, std::string_view(good).substr(0, length));
    const std::string text = said(path, load);
    if (std::find(whole.begin(), whole.end(), length) != whole.end())
      CHECK(text == "loads");
    else
      CHECK_MESSAGE(is_one_clear_line(text), text);
  }
}

void check_damaged(const std::string& kind, const std::string& good, const Load& load,
                   const std::vector<std::size_t>& whole) {
  check_cut(kind, good, load, whole);
  CAPTURE(kind);
  const TemporaryFolder folder;
  const auto path = folder.path() / "file";
  for (std::size_t at = 0; at < good.size(); ++at)
    for (const int change : {0x01, 0x80, 0xff}) {
      CAPTURE(at);
      std::string bytes = good;
      bytes[at] = static_cast<char>(bytes[at] ^ change);
      write(path, bytes);
      start_peak();
      const std::string text = said(path, load);
      CHECK(peak_bytes() < (std::size_t{1} << 20) + 64 * good.size());
      CHECK_MESSAGE((text == "loads" || is_one_clear_line(text)), text);
    }
}

std::string big32(std::uint32_t value) {
  return {static_cast<char>(value >> 24), static_cast<char>(value >> 16), static_cast<char>(value >> 8),
          static_cast<char>(value)};
}

std::string safetensors_bytes(const std::string& header, const std::string& data) {
  return little<std::uint64_t>(header.size()) + header + data;
}

std::string npy_bytes(const std::string& header, const std::string& data, int version, std::int64_t length) {
  const auto size = length >= 0 ? length : static_cast<std::int64_t>(header.size());
  const std::string field =
      version == 1 ? little(static_cast<std::uint16_t>(size)) : little(static_cast<std::uint32_t>(size));
  return std::string("\x93NUMPY", 6) + static_cast<char>(version) + '\0' + field + header + data;
}

std::string npy_dict(const std::string& descr, const std::string& shape, const std::string& fortran) {
  return fmt::format("{{'descr': '{}', 'fortran_order': {}, 'shape': {}, }}", descr, fortran, shape);
}

std::string deflated(std::string_view bytes, bool gzip) {
  z_stream stream{};
  deflateInit2(&stream, 9, Z_DEFLATED, gzip ? 31 : -15, 8, Z_DEFAULT_STRATEGY);
  std::string out(deflateBound(&stream, bytes.size()) + 64, '\0');
  std::string in(bytes);
  stream.next_in = reinterpret_cast<Bytef*>(in.data());
  stream.avail_in = static_cast<uInt>(in.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  REQUIRE(deflate(&stream, Z_FINISH) == Z_STREAM_END);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

std::string zip_bytes(const Zip& zip) {
  std::string out, directory;
  const auto field16 = [](auto value) { return little(static_cast<std::uint16_t>(value)); };
  const auto field32 = [](auto value) { return little(static_cast<std::uint32_t>(value)); };
  for (const Member& m : zip.members) {
    const auto crc = m.crc >= 0 ? static_cast<std::uint32_t>(m.crc)
                                : static_cast<std::uint32_t>(crc32_z(
                                      0, reinterpret_cast<const Bytef*>(m.data.data()), m.data.size()));
    const std::string common = field16(20) + field16(m.flags) + field16(m.method) + field32(0) +
                               field32(crc) + field32(m.packed) + field32(m.bytes) + field16(m.name.size());
    const std::int64_t place = m.local >= 0 ? m.local : static_cast<std::int64_t>(out.size());
    out += little(m.local_mark) + common + field16(0) + m.name + m.data;
    directory += little(m.central_mark) + field16(20) + common + field16(m.extra.size()) +
                 std::string(10, '\0') + field32(place) + m.name + m.extra;
  }
  const auto declared = [](std::int64_t value, std::size_t truth) {
    return value >= 0 ? value : static_cast<std::int64_t>(truth);
  };
  const std::int64_t begin = declared(zip.directory_begin, out.size()),
                     bytes = declared(zip.directory_bytes, directory.size()),
                     count = declared(zip.count, zip.members.size());
  return out + directory + zip.before_end + "PK\x05\x06" + field32(0) + field16(count) + field16(count) +
         field32(bytes) + field32(begin) + field16(zip.after_end.size()) + zip.after_end;
}

Member packed_member(const std::string& name, const std::string& data) {
  Member member{.name = name, .data = deflated(data)};
  member.bytes = data.size();
  member.packed = member.data.size();
  member.method = 8;
  member.crc =
      static_cast<std::int64_t>(crc32_z(0, reinterpret_cast<const Bytef*>(data.data()), data.size()));
  return member;
}

}  // namespace fovea::test

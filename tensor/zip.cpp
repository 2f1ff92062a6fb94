// SPDX-License-Identifier: Apache-2.0
#include "tensor/zip.h"

#include <fmt/format.h>
#include <zlib.h>

#include <algorithm>
#include <cassert>
#include <cstring>
#include <set>

#include "tensor/names.h"

namespace fovea {
namespace {

// Sizes of the format's records without their variable parts, and what they begin with.
constexpr std::uint64_t kLocal = 30, kCentral = 46, kEnd = 22, kEnd64 = 56, kLocator = 20;
constexpr std::uint32_t kLocalMark = 0x04034b50, kCentralMark = 0x02014b50, kEndMark = 0x06054b50,
                        kEnd64Mark = 0x06064b50, kLocatorMark = 0x07064b50;
constexpr std::uint32_t kIn64 = 0xffffffff;  // the true number is in a 64-bit field elsewhere
constexpr std::uint64_t kMostDirectory = std::uint64_t{16} << 20;

template <class T>
T number(std::string_view bytes, std::uint64_t at) {
  T value;
  std::memcpy(&value, bytes.data() + at, sizeof value);
  return value;
}

std::string read_part(File& file, std::uint64_t begin, std::uint64_t bytes) {
  std::string part(bytes, '\0');
  file.seek(begin);
  file.read(part.data(), bytes);
  return part;
}

struct Directory {
  std::uint64_t begin, bytes, count;
};

/// Found by the record at the file's end; archives with a comment after it are not for us.
Directory find_directory(File& file) {
  if (file.size() < kEnd) file.bad(fmt::format("is not an npz file: it has only {} bytes", file.size()));
  const std::string end = read_part(file, file.size() - kEnd, kEnd);
  if (number<std::uint32_t>(end, 0) != kEndMark)
    file.bad("is not an npz file, or is cut off: its directory is not at its end");
  Directory directory{number<std::uint32_t>(end, 16), number<std::uint32_t>(end, 12),
                      number<std::uint16_t>(end, 10)};
  std::uint64_t after = file.size() - kEnd;
  if (after >= kLocator + kEnd64) {
    const std::string locator = read_part(file, after - kLocator, kLocator);
    if (number<std::uint32_t>(locator, 0) == kLocatorMark) {
      after -= kLocator + kEnd64;
      const std::string end64 = read_part(file, after, kEnd64);
      if (number<std::uint64_t>(locator, 8) != after || number<std::uint32_t>(end64, 0) != kEnd64Mark)
        file.bad("the npz directory is damaged: its 64-bit record is not where it should be");
      directory = {number<std::uint64_t>(end64, 48), number<std::uint64_t>(end64, 40),
                   number<std::uint64_t>(end64, 32)};
    }
  }
  if (directory.bytes > kMostDirectory || directory.bytes > after ||
      directory.begin != after - directory.bytes)
    file.bad(fmt::format("the npz directory of {} bytes at byte {} does not end at byte {}", directory.bytes,
                         directory.begin, after));
  if (directory.count > directory.bytes / kCentral)
    file.bad(fmt::format("the npz directory of {} bytes cannot hold {} entries", directory.bytes,
                         directory.count));
  return directory;
}

/// Numbers too large for their own field, in their order, out of the extra field.
struct Extra64 {
  std::string_view rest;  // of the 64-bit extra field; empty if there is none

  explicit Extra64(std::string_view extra) {
    while (extra.size() >= 4 && rest.empty()) {
      const std::size_t bytes = number<std::uint16_t>(extra, 2);
      if (bytes > extra.size() - 4) return;
      if (number<std::uint16_t>(extra, 0) == 1) rest = extra.substr(4, bytes);
      extra.remove_prefix(4 + bytes);
    }
  }
  /// False if the number should be here and is not.
  bool take(std::uint64_t& value) {
    if (value != kIn64) return true;
    if (rest.size() < 8) return false;
    value = number<std::uint64_t>(rest, 0);
    rest.remove_prefix(8);
    return true;
  }
};

}  // namespace

std::uint32_t crc_after(std::uint32_t crc, const void* bytes, std::uint64_t count) {
  if (count == 0) return crc;  // zlib takes the null pointer of an empty vector for a new beginning
  return static_cast<std::uint32_t>(crc32_z(crc, static_cast<const Bytef*>(bytes), count));
}

std::vector<ZipEntry> read_zip_directory(File& file) {
  const Directory directory = find_directory(file);
  const std::string all = read_part(file, directory.begin, directory.bytes);
  std::string_view rest = all;
  std::vector<ZipEntry> entries;
  std::set<std::string, std::less<>> names;
  for (std::uint64_t i = 0; i < directory.count; ++i) {
    const auto damaged = [&](std::string_view why) {
      file.bad(fmt::format("entry {} of the npz directory {}", i, why));
    };
    if (rest.size() < kCentral || number<std::uint32_t>(rest, 0) != kCentralMark)
      damaged("is damaged or cut off");
    const std::uint64_t name_bytes = number<std::uint16_t>(rest, 28),
                        extra_bytes = number<std::uint16_t>(rest, 30),
                        size = kCentral + name_bytes + extra_bytes + number<std::uint16_t>(rest, 32);
    if (rest.size() < size) damaged("is damaged or cut off");
    const std::string name(rest.substr(kCentral, name_bytes));
    const std::string shown = printable(name);
    const std::uint32_t flags = number<std::uint16_t>(rest, 8), method = number<std::uint16_t>(rest, 10);
    std::uint64_t packed = number<std::uint32_t>(rest, 20), bytes = number<std::uint32_t>(rest, 24),
                  local = number<std::uint32_t>(rest, 42);
    Extra64 extra(rest.substr(kCentral + name_bytes, extra_bytes));
    if (!extra.take(bytes) || !extra.take(packed) || !extra.take(local)) damaged("lacks its 64-bit sizes");
    if ((flags & 1) != 0) damaged(fmt::format("('{}') is encrypted, which is not supported", shown));
    if (method != 0 && method != 8)
      damaged(
          fmt::format("('{}') is packed by method {}, expected 0 (stored) or 8 (deflated)", shown, method));
    if (method == 0 && packed != bytes)
      damaged(fmt::format("('{}') is stored, but as {} bytes of {}", shown, packed, bytes));
    if (!names.insert(name).second) damaged(fmt::format("('{}') has a name that is taken", shown));

    if (local > directory.begin || directory.begin - local < kLocal)
      damaged(fmt::format("('{}') begins at byte {}, which is not among the data", shown, local));
    const std::string header = read_part(file, local, kLocal);
    const std::uint64_t begin =
        local + kLocal + number<std::uint16_t>(header, 26) + number<std::uint16_t>(header, 28);
    if (number<std::uint32_t>(header, 0) != kLocalMark || begin > directory.begin ||
        directory.begin - begin < packed)
      damaged(fmt::format("('{}') has its {} bytes at byte {}, where they are not", shown, packed, local));
    entries.push_back({name, begin, packed, bytes, number<std::uint32_t>(rest, 16), method == 8});
    rest.remove_prefix(size);
  }
  if (!rest.empty()) file.bad(fmt::format("{} bytes of the npz directory belong to no entry", rest.size()));
  std::sort(entries.begin(), entries.end(), [](const auto& a, const auto& b) { return a.begin < b.begin; });
  // Entries that share data are how a small archive unpacks to petabytes. The next header lies between.
  for (std::size_t i = 1; i < entries.size(); ++i)
    if (entries[i].begin - entries[i - 1].begin < entries[i - 1].packed_bytes + kLocal)
      file.bad(fmt::format("the npz entries '{}' and '{}' overlap", printable(entries[i - 1].name),
                           printable(entries[i].name)));
  return entries;
}

namespace {

template <class T>
void put(std::string& out, T value) {
  out.append(reinterpret_cast<const char*>(&value), sizeof value);
}

}  // namespace

void ZipWriter::begin(const std::string& name, std::uint64_t bytes) {
  name_ = name;
  bytes_ = bytes;
  begin_ = position_;
  crc_ = 0;
  const std::string header = local_header();
  file_.write(header);
  position_ += header.size();
}

void ZipWriter::write(std::string_view part) {
  crc_ = crc_after(crc_, part.data(), part.size());
  file_.write(part);
  position_ += part.size();
}

void ZipWriter::end() {
  const std::string header = local_header();
  assert(position_ == begin_ + header.size() + bytes_ && "an entry of another size than was said");
  file_.seek(begin_);  // the checksum stands before what it is of
  file_.write(header);
  file_.seek(position_);

  put<std::uint32_t>(directory_, kCentralMark);
  put<std::uint16_t>(directory_, 45);
  directory_ += common_header();
  put<std::uint16_t>(directory_, 28);
  directory_.append(10, '\0');  // no comment, first disk, no attributes
  put<std::uint32_t>(directory_, kIn64);
  directory_ += name_;
  put<std::uint16_t>(directory_, 1);
  put<std::uint16_t>(directory_, 24);
  put<std::uint64_t>(directory_, bytes_);
  put<std::uint64_t>(directory_, bytes_);
  put<std::uint64_t>(directory_, begin_);
  ++count_;
}

/// What both headers of an entry hold. Every size and place goes into 64-bit fields, so that a large archive is no
/// special case.
std::string ZipWriter::common_header() const {
  std::string common;
  put<std::uint16_t>(common, 45);      // version needed: 64-bit fields
  put<std::uint16_t>(common, 0x0800);  // names are UTF-8
  put<std::uint16_t>(common, 0);       // stored
  put<std::uint16_t>(common, 0);       // time 0:00
  put<std::uint16_t>(common, 0x21);    // of 1980-01-01, the format's first day
  put<std::uint32_t>(common, crc_);
  put<std::uint32_t>(common, kIn64);
  put<std::uint32_t>(common, kIn64);
  put<std::uint16_t>(common, static_cast<std::uint16_t>(name_.size()));
  return common;
}

std::string ZipWriter::local_header() const {
  std::string local;
  put<std::uint32_t>(local, kLocalMark);
  local += common_header();
  put<std::uint16_t>(local, 20);  // extra field: id, length, two numbers
  local += name_;
  put<std::uint16_t>(local, 1);
  put<std::uint16_t>(local, 16);
  put<std::uint64_t>(local, bytes_);
  put<std::uint64_t>(local, bytes_);
  return local;
}

void ZipWriter::finish() {
  std::string end;
  put<std::uint32_t>(end, kEnd64Mark);
  put<std::uint64_t>(end, kEnd64 - 12);  // what follows this field
  put<std::uint16_t>(end, 45);
  put<std::uint16_t>(end, 45);
  put<std::uint64_t>(end, 0);  // disks
  put<std::uint64_t>(end, count_);
  put<std::uint64_t>(end, count_);
  put<std::uint64_t>(end, directory_.size());
  put<std::uint64_t>(end, position_);
  put<std::uint32_t>(end, kLocatorMark);
  put<std::uint32_t>(end, 0);
  put<std::uint64_t>(end, position_ + directory_.size());
  put<std::uint32_t>(end, 1);  // disks
  put<std::uint32_t>(end, kEndMark);
  put<std::uint32_t>(end, 0);
  put<std::uint32_t>(end, 0xffffffff);  // both counts
  put<std::uint32_t>(end, kIn64);
  put<std::uint32_t>(end, kIn64);
  put<std::uint16_t>(end, 0);  // no comment
  file_.write(directory_);
  file_.write(end);
}

}  // namespace fovea

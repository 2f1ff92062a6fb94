// SPDX-License-Identifier: Apache-2.0
#include "apps/event_file.h"

#include <array>
#include <bit>
#include <chrono>
#include <fstream>

namespace fovea::apps {
namespace {

constexpr std::array<std::uint32_t, 256> make_crc_table() {
  std::array<std::uint32_t, 256> table{};
  for (std::uint32_t byte = 0; byte < 256; ++byte) {
    std::uint32_t crc = byte;
    for (int bit = 0; bit < 8; ++bit) crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78u : 0u);
    table[byte] = crc;
  }
  return table;
}
constexpr auto kCrcTable = make_crc_table();

/// Little-endian, as the formats want it.
template <class T>
std::string bytes_of(T value) {
  static_assert(std::endian::native == std::endian::little);
  return std::string(reinterpret_cast<const char*>(&value), sizeof value);
}

/// Seven bits a byte, lowest first; all but the last byte have the top bit set.
std::string varint(std::uint64_t value) {
  std::string out;
  for (; value >= 0x80; value >>= 7) out += static_cast<char>(value | 0x80);
  return out + static_cast<char>(value);
}

enum class Wire : std::uint64_t { varint = 0, eight_bytes = 1, length = 2, four_bytes = 5 };

std::string field(std::uint64_t number, Wire wire, std::string_view content) {
  std::string out = varint(number << 3 | static_cast<std::uint64_t>(wire));
  if (wire == Wire::length) out += varint(content.size());
  return out.append(content);
}

std::uint32_t masked_crc(std::string_view bytes) { return std::rotr(crc32c(bytes), 15) + 0xa282ead8u; }

double now_s() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

/// The first record of every event file.
std::string first_record(double wall_time_s) {
  return event_record(field(1, Wire::eight_bytes, bytes_of(wall_time_s)) +
                      field(3, Wire::length, "brain.Event:2"));
}

/// Whether the file has an event file's first record and at least so many bytes.
bool is_event_file(const std::filesystem::path& path, std::uint64_t bytes) {
  std::string head(first_record(0).size(), '\0');
  std::ifstream in(path, std::ios::binary | std::ios::ate);
  if (!in || static_cast<std::uint64_t>(in.tellg()) < bytes) return false;
  in.seekg(0);
  in.read(head.data(), static_cast<std::streamsize>(head.size()));
  return in && head == event_record(head.substr(12, head.size() - 16));
}

}  // namespace

std::uint32_t crc32c(std::string_view bytes) {
  std::uint32_t crc = ~0u;
  for (const char c : bytes) crc = crc >> 8 ^ kCrcTable[(crc ^ static_cast<unsigned char>(c)) & 0xff];
  return ~crc;
}

std::string event_record(std::string_view data) {
  const std::string length = bytes_of(static_cast<std::uint64_t>(data.size()));
  return length + bytes_of(masked_crc(length)) + std::string(data) + bytes_of(masked_crc(data));
}

std::string scalar_event(double wall_time_s, std::int64_t step, const Figures& figures) {
  std::string summary;
  for (const auto& [name, figure] : figures)
    summary += field(
        1, Wire::length,
        field(1, Wire::length, name) + field(2, Wire::four_bytes, bytes_of(static_cast<float>(figure))));
  return field(1, Wire::eight_bytes, bytes_of(wall_time_s)) +
         field(2, Wire::varint, varint(static_cast<std::uint64_t>(step))) + field(5, Wire::length, summary);
}

EventFile::EventFile(const std::filesystem::path& path, const LogEnd& end)
    : changed_(end.bytes > 0 && !is_event_file(path, end.bytes)) {
  file_.emplace(path, changed_ ? 0 : end.bytes);
  if (file_->size() == 0) file_->append(first_record(now_s()));
}

void EventFile::append(std::int64_t step, const Figures& figures) {
  file_->append(event_record(scalar_event(now_s(), step, figures)));
}

}  // namespace fovea::apps

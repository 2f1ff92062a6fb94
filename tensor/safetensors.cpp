// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>
#include <bit>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>

#include "tensor/checked_bytes.h"
#include "tensor/file.h"
#include "tensor/io.h"
#include "tensor/names.h"

static_assert(std::endian::native == std::endian::little, "the file formats are little-endian");

namespace fovea {
namespace {

using Json = nlohmann::json;

constexpr std::pair<DType, const char*> kNames[] = {{DType::f32, "F32"},   {DType::f64, "F64"},
                                                    {DType::bf16, "BF16"}, {DType::i64, "I64"},
                                                    {DType::i32, "I32"},   {DType::u8, "U8"}};
constexpr std::uint64_t kLargestExtent = std::numeric_limits<std::int64_t>::max();
constexpr std::uint64_t kLongestHeader = 100'000'000;  // the limit of the format's own readers

const char* file_name_of(DType dtype) {
  return std::find_if(std::begin(kNames), std::end(kNames), [&](auto& entry) { return entry.first == dtype; })
      ->second;
}

struct Entry {
  std::string name;
  DType dtype;
  Shape shape;
  std::uint64_t begin, end;
};

Entry parse_entry(const File& file, const std::string& name, const Json& json, std::uint64_t data_bytes) {
  const auto bad = [&](const std::string& why) {
    file.bad(fmt::format("tensor '{}': {}", printable(name), why));
  };
  if (!json.is_object() || !json.contains("dtype") || !json.contains("shape") ||
      !json.contains("data_offsets") || !json["dtype"].is_string() || !json["shape"].is_array() ||
      !json["data_offsets"].is_array())
    bad("expected dtype (text), shape and data_offsets (lists of numbers)");
  const std::string dtype = json["dtype"];
  const auto known =
      std::find_if(std::begin(kNames), std::end(kNames), [&](auto& entry) { return entry.second == dtype; });
  if (known == std::end(kNames))
    bad(fmt::format("dtype {} is not supported, expected F32, F64, BF16, I64, I32 or U8", printable(dtype)));
  if (json["shape"].size() > kMaxRank)
    bad(fmt::format("rank {} is not supported, expected at most {}", json["shape"].size(), kMaxRank));
  Entry entry{name, known->first, {}, 0, 0};
  for (const Json& extent : json["shape"]) {
    if (!extent.is_number_unsigned() || extent.get<std::uint64_t>() > kLargestExtent)
      bad("extents must be whole numbers from 0 to 2^63-1");
    entry.shape.push_back(extent);
  }
  const Json& offsets = json["data_offsets"];
  if (offsets.size() != 2 || !offsets[0].is_number_unsigned() || !offsets[1].is_number_unsigned())
    bad("data_offsets must be two whole numbers, begin and end");
  entry.begin = offsets[0];
  entry.end = offsets[1];
  const std::optional<std::uint64_t> bytes = checked_bytes(entry.shape, entry.dtype);
  if (!bytes || *bytes > data_bytes)
    bad(fmt::format("{} {} needs more than the {} data bytes of the file", dtype, entry.shape, data_bytes));
  if (entry.begin > entry.end || entry.end > data_bytes || entry.end - entry.begin != *bytes)
    bad(fmt::format("data_offsets [{}, {}] do not hold {} bytes of {} data bytes", entry.begin, entry.end,
                    *bytes, data_bytes));
  return entry;
}

/// The header as JSON. Two entries of one name, or one key twice in an entry, would hide one of them; depth
/// costs memory far beyond the file's size.
Json parse_header(const File& file, const std::string& text) {
  constexpr int kDeepest = 3;  // header, entry, shape
  std::set<std::string> names, keys;
  const auto check = [&](int depth, Json::parse_event_t event, const Json& value) {
    if (depth > kDeepest)
      file.bad(
          fmt::format("the safetensors header is nested more than {} deep; the file is damaged", kDeepest));
    if (event == Json::parse_event_t::key) {
      if (depth == 1) keys.clear();
      const std::string name = value;
      if (!(depth == 1 ? names : keys).insert(name).second)
        file.bad(
            fmt::format("the safetensors header has '{}' twice, expected each name once", printable(name)));
    }
    return true;
  };
  Json header = Json::parse(text, check, false);
  if (header.is_discarded()) file.bad("the safetensors header is not JSON in UTF-8; the file is damaged");
  if (!header.is_object())
    file.bad("the safetensors header is not a JSON object, expected one of names and tensors");
  return header;
}

}  // namespace

void save_safetensors(const std::filesystem::path& path, const TensorMap& tensors,
                      const std::map<std::string, std::string>& metadata) {
  Json header = Json::object();
  if (!metadata.empty()) header["__metadata__"] = metadata;
  std::uint64_t position = 0;
  for (const auto& [name, tensor] : tensors) {
    const std::uint64_t bytes = static_cast<std::uint64_t>(tensor.bytes());
    // One by one, and an object from the start: without memory a list of all three leaks, and null cannot become one.
    Json& entry = header[name] = Json::object();
    entry["dtype"] = file_name_of(tensor.dtype());
    entry["shape"] = std::vector<std::int64_t>(tensor.shape().begin(), tensor.shape().end());
    entry["data_offsets"] = std::array{position, position + bytes};
    position += bytes;
  }
  std::string text = header.dump();
  text.append((8 - text.size() % 8) % 8, ' ');  // data starts aligned
  File file = File::create(path);
  const std::uint64_t length = text.size();
  file.write(&length, sizeof length);
  file.write(text);
  std::vector<std::byte> host;
  for (const auto& [name, tensor] : tensors) {
    const Tensor source = tensor.contiguous();
    host.resize(static_cast<std::size_t>(source.bytes()));
    source.device().copy_to_host(host.data(), source.raw(), host.size());
    file.write(host.data(), host.size());
  }
  file.close();
}

Safetensors load_safetensors(const std::filesystem::path& path, const Device& device) {
  File file = File::open(path);
  std::uint64_t length = 0;
  if (file.size() < sizeof length)
    file.bad(fmt::format("is not a safetensors file: it has only {} bytes", file.size()));
  file.read(&length, sizeof length);
  if (length > kLongestHeader || length > file.size() - sizeof length)
    file.bad(
        fmt::format("is not a safetensors file: a header of {} bytes does not fit the {} bytes of the file",
                    length, file.size()));
  std::string text(length, '\0');
  file.read(text.data(), length);
  const Json header = parse_header(file, text);

  const std::uint64_t data_begin = sizeof length + length, data_bytes = file.size() - data_begin;
  Safetensors result;
  std::vector<Entry> entries;
  for (const auto& [name, json] : header.items()) {
    if (name == "__metadata__") {
      if (!json.is_object()) file.bad("__metadata__ must be an object of strings");
      for (const auto& [key, value] : json.items()) {
        if (!value.is_string()) file.bad(fmt::format("__metadata__ '{}' must be a string", printable(key)));
        result.metadata[key] = value;
      }
    } else {
      entries.push_back(parse_entry(file, name, json, data_bytes));
    }
  }
  std::sort(entries.begin(), entries.end(), [](const Entry& a, const Entry& b) {
    return std::pair(a.begin, a.end) < std::pair(b.begin, b.end);  // of two that begin together, one is empty
  });
  std::uint64_t expected = 0;
  for (const Entry& entry : entries) {
    if (entry.begin != expected)
      file.bad(
          fmt::format("tensor '{}': its data overlap others or leave a gap at byte {}; the file is damaged",
                      printable(entry.name), expected));
    expected = entry.end;
  }
  if (expected != data_bytes)
    file.bad(fmt::format("{} data bytes belong to no tensor; the file is damaged", data_bytes - expected));
  std::vector<std::byte> host;
  for (const Entry& entry : entries) {
    host.resize(entry.end - entry.begin);
    file.seek(data_begin + entry.begin);
    file.read(host.data(), host.size());
    Tensor tensor = Tensor::empty(entry.shape, entry.dtype, device, "file");
    device.copy_from_host(tensor.raw(), host.data(), host.size());
    result.tensors.emplace(entry.name, std::move(tensor));
  }
  return result;
}

}  // namespace fovea

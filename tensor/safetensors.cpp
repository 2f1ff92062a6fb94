// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <bit>
#include <limits>
#include <nlohmann/json.hpp>

#include "tensor/file.h"
#include "tensor/io.h"

static_assert(std::endian::native == std::endian::little, "the file formats are little-endian");

namespace fovea {
namespace {

using Json = nlohmann::json;

constexpr std::pair<DType, const char*> kNames[] = {{DType::f32, "F32"},   {DType::f64, "F64"},
                                                    {DType::bf16, "BF16"}, {DType::i64, "I64"},
                                                    {DType::i32, "I32"},   {DType::u8, "U8"}};
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
  const auto bad = [&](const std::string& why) { file.bad(fmt::format("tensor '{}': {}", name, why)); };
  if (!json.is_object() || !json.contains("dtype") || !json.contains("shape") ||
      !json.contains("data_offsets") || !json["dtype"].is_string() || !json["shape"].is_array() ||
      !json["data_offsets"].is_array())
    bad("needs dtype, shape and data_offsets");
  const std::string dtype = json["dtype"];
  const auto known =
      std::find_if(std::begin(kNames), std::end(kNames), [&](auto& entry) { return entry.second == dtype; });
  if (known == std::end(kNames)) bad(fmt::format("dtype {} is not supported", dtype));
  if (json["shape"].size() > kMaxRank)
    bad(fmt::format("rank {} is above {}", json["shape"].size(), kMaxRank));
  Entry entry{name, known->first, {}, 0, 0};
  std::uint64_t bytes = static_cast<std::uint64_t>(dtype_bytes(entry.dtype));
  for (const Json& extent : json["shape"]) {
    if (!extent.is_number_unsigned()) bad("extents must be whole numbers of at least 0");
    const std::uint64_t n = extent;
    if (n > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max()) ||
        (n != 0 && bytes > data_bytes / n && bytes != 0))
      bad("the shape needs more bytes than the file has");
    bytes *= n;
    entry.shape.push_back(static_cast<std::int64_t>(n));
  }
  const Json& offsets = json["data_offsets"];
  if (offsets.size() != 2 || !offsets[0].is_number_unsigned() || !offsets[1].is_number_unsigned())
    bad("data_offsets must be two whole numbers");
  entry.begin = offsets[0];
  entry.end = offsets[1];
  if (entry.begin > entry.end || entry.end > data_bytes || entry.end - entry.begin != bytes)
    bad(fmt::format("data_offsets [{}, {}] do not hold {} bytes of {} data bytes", entry.begin, entry.end,
                    bytes, data_bytes));
  return entry;
}

}  // namespace

void save_safetensors(const std::filesystem::path& path, const TensorMap& tensors,
                      const std::map<std::string, std::string>& metadata) {
  Json header = Json::object();
  if (!metadata.empty()) header["__metadata__"] = metadata;
  std::uint64_t position = 0;
  for (const auto& [name, tensor] : tensors) {
    const std::uint64_t bytes = static_cast<std::uint64_t>(tensor.bytes());
    header[name] = {{"dtype", file_name_of(tensor.dtype())},
                    {"shape", std::vector<std::int64_t>(tensor.shape().begin(), tensor.shape().end())},
                    {"data_offsets", {position, position + bytes}}};
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
  if (file.size() < sizeof length) file.bad("is not a safetensors file: shorter than its first 8 bytes");
  file.read(&length, sizeof length);
  if (length > kLongestHeader || length > file.size() - sizeof length)
    file.bad(fmt::format("is not a safetensors file: a header of {} bytes does not fit", length));
  std::string text(length, '\0');
  file.read(text.data(), length);
  const Json header = Json::parse(text, nullptr, false);
  if (!header.is_object()) file.bad("the header is not a JSON object");

  const std::uint64_t data_begin = sizeof length + length, data_bytes = file.size() - data_begin;
  Safetensors result;
  std::vector<Entry> entries;
  for (const auto& [name, json] : header.items()) {
    if (name == "__metadata__") {
      if (!json.is_object()) file.bad("__metadata__ must be an object of strings");
      for (const auto& [key, value] : json.items()) {
        if (!value.is_string()) file.bad(fmt::format("__metadata__ '{}' must be a string", key));
        result.metadata[key] = value;
      }
    } else {
      entries.push_back(parse_entry(file, name, json, data_bytes));
    }
  }
  std::sort(entries.begin(), entries.end(), [](const Entry& a, const Entry& b) { return a.begin < b.begin; });
  std::uint64_t expected = 0;
  for (const Entry& entry : entries) {
    if (entry.begin != expected)
      file.bad(fmt::format("tensor '{}': data overlaps or leaves a gap at byte {}", entry.name, expected));
    expected = entry.end;
  }
  if (expected != data_bytes)
    file.bad(fmt::format("{} data bytes belong to no tensor", data_bytes - expected));
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

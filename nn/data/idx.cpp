// SPDX-License-Identifier: Apache-2.0
#include "nn/data/idx.h"

#include <algorithm>
#include <bit>
#include <optional>
#include <vector>

#include "tensor/checked_bytes.h"
#include "tensor/inflate.h"
#include "tensor/io.h"

namespace fovea::nn {
namespace {

constexpr std::pair<DType, int> kCodes[] = {
    {DType::u8, 0x08}, {DType::i32, 0x0C}, {DType::f32, 0x0D}, {DType::f64, 0x0E}};

struct Header {
  DType dtype;
  Shape shape;
  std::uint64_t header_bytes, data_bytes;
};

/// From a stream at its start: `read` gives the next bytes.
Header read_header(const File& file, const auto& read) {
  unsigned char start[4] = {};
  read(start, sizeof start);
  if (start[0] != 0 || start[1] != 0) file.bad("is not an IDX file: it does not begin with two zero bytes");
  const auto known =
      std::find_if(std::begin(kCodes), std::end(kCodes), [&](auto& c) { return c.second == start[2]; });
  if (known == std::end(kCodes))
    file.bad(
        fmt::format("IDX type {:#04x} is not supported, expected 0x08 (u8), 0x0c (i32), 0x0d (f32) or 0x0e "
                    "(f64)",
                    start[2]));
  if (start[3] > kMaxRank)
    file.bad(fmt::format("IDX rank {} is not supported, expected at most {}", start[3], kMaxRank));
  Header header{known->first, {}, sizeof start + std::uint64_t{4} * start[3], 0};
  for (int d = 0; d < start[3]; ++d) {
    unsigned char extent[4] = {};
    read(extent, sizeof extent);
    header.shape.push_back(std::int64_t{extent[0]} << 24 | extent[1] << 16 | extent[2] << 8 | extent[3]);
  }
  const std::optional<std::uint64_t> bytes = checked_bytes(header.shape, header.dtype);
  if (!bytes || *bytes > kMostUnpacked)
    file.bad(fmt::format("IDX shape {} of {} has more than the {} bytes that a file may declare",
                         header.shape, dtype_name(header.dtype), kMostUnpacked));
  header.data_bytes = *bytes;
  return header;
}

/// Big-endian to the host's order, or back.
void reverse_elements(std::vector<std::byte>& bytes, DType dtype) {
  static_assert(std::endian::native == std::endian::little);
  const auto size = static_cast<std::ptrdiff_t>(dtype_bytes(dtype));
  for (auto at = bytes.begin(); at != bytes.end(); at += size) std::reverse(at, at + size);
}

Tensor read_values(const Header& header, const Device& device, const auto& read) {
  std::vector<std::byte> host(header.data_bytes);
  read(host.data(), host.size());
  reverse_elements(host, header.dtype);
  const Tensor tensor = Tensor::empty(header.shape, header.dtype, device, "file");
  device.copy_from_host(tensor.raw(), host.data(), host.size());
  return tensor;
}

void check_size(const File& file, const Header& header, std::uint64_t there) {
  if (there != header.data_bytes)
    file.bad(fmt::format("IDX shape {} of {} needs {} bytes of data, there are {}; the file is damaged",
                         header.shape, dtype_name(header.dtype), header.data_bytes, there));
}

}  // namespace

Tensor load_idx(const std::filesystem::path& path, const Device& device) {
  File file = File::open(path);
  unsigned char magic[2] = {};
  if (file.size() < 4) file.bad(fmt::format("is not an IDX file: it has only {} bytes", file.size()));
  file.read(magic, sizeof magic);
  file.seek(0);
  if (magic[0] != 0x1f || magic[1] != 0x8b) {
    const auto read = [&](void* to, std::uint64_t bytes) { file.read(to, bytes); };
    const Header header = read_header(file, read);
    check_size(file, header, file.size() - header.header_bytes);
    return read_values(header, device, read);
  }
  Inflater first(file, 0, file.size(), Inflater::Format::gzip, "");
  const Header measured = read_header(file, [&](void* to, std::uint64_t bytes) { first.read(to, bytes); });
  check_size(file, measured, first.measure(measured.data_bytes).bytes);
  Inflater second(file, 0, file.size(), Inflater::Format::gzip, "");
  const auto read = [&](void* to, std::uint64_t bytes) { second.read(to, bytes); };
  const Header header = read_header(file, read);
  return read_values(header, device, read);
}

void save_idx(const std::filesystem::path& path, const Tensor& tensor) {
  const auto known =
      std::find_if(std::begin(kCodes), std::end(kCodes), [&](auto& c) { return c.first == tensor.dtype(); });
  const bool fits = std::all_of(tensor.shape().begin(), tensor.shape().end(),
                                [](std::int64_t extent) { return extent <= 0xffffffff; });
  if (known == std::end(kCodes) || !fits)
    throw IoError(
        fmt::format("{}: IDX cannot hold {} {}, only u8, i32, f32 and f64 with extents below 2^32; convert "
                    "it with to()",
                    path.string(), dtype_name(tensor.dtype()), tensor.shape()));
  std::string start{'\0', '\0', static_cast<char>(known->second), static_cast<char>(tensor.rank())};
  for (const std::int64_t extent : tensor.shape())
    for (int shift = 24; shift >= 0; shift -= 8) start += static_cast<char>(extent >> shift & 0xff);
  const Tensor source = tensor.contiguous();
  std::vector<std::byte> host(static_cast<std::size_t>(source.bytes()));
  source.device().copy_to_host(host.data(), source.raw(), host.size());
  reverse_elements(host, tensor.dtype());
  File file = File::create(path);
  file.write(start);
  file.write(host.data(), host.size());
  file.close();
}

}  // namespace fovea::nn

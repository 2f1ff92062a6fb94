// SPDX-License-Identifier: Apache-2.0
#include "tensor/npy.h"

#include <algorithm>
#include <charconv>
#include <optional>

#include "tensor/checked_bytes.h"
#include "tensor/io.h"
#include "tensor/names.h"
#include "tensor/views.h"

namespace fovea {
namespace {

constexpr std::string_view kMagic("\x93NUMPY", 6);
constexpr std::uint32_t kLongestHeader = 1 << 16;  // more than six extents ever need
constexpr std::pair<DType, std::string_view> kDescr[] = {
    {DType::f32, "<f4"}, {DType::f64, "<f8"}, {DType::i32, "<i4"}, {DType::i64, "<i8"}, {DType::u8, "|u1"}};

/// Reads the header's text, a Python literal of known form, from left to right. Each function takes away what it
/// finds, and spaces before it.
struct Cursor {
  std::string_view rest;

  bool take(char wanted) {
    rest.remove_prefix(std::min(rest.find_first_not_of(' '), rest.size()));
    const bool found = rest.starts_with(wanted);
    if (found) rest.remove_prefix(1);
    return found;
  }
  std::optional<std::string_view> word() {
    const char quote = take('\'') ? '\'' : take('"') ? '"' : '\0';
    const auto end = rest.find(quote);
    if (quote == '\0' || end == std::string_view::npos) return std::nullopt;
    const std::string_view found = rest.substr(0, end);
    rest.remove_prefix(end + 1);
    return found;
  }
  std::optional<bool> truth() {
    const bool yes = rest.starts_with("True");
    if (!yes && !rest.starts_with("False")) return std::nullopt;
    rest.remove_prefix(yes ? 4 : 5);
    return yes;
  }
};

DType parse_type(const NpySource& source, Cursor& cursor) {
  const std::string_view all = cursor.rest;
  const std::optional<std::string_view> descr = cursor.word();
  for (const auto& [dtype, name] : kDescr)
    if (descr == name) return dtype;
  source.bad(
      fmt::format("npy type '{}' is not supported, expected <f4, <f8, <i4, <i8 or |u1 (convert with "
                  "numpy's astype)",
                  descr ? printable(*descr, 20) : printable(all.substr(0, all.find(',')), 20)));
}

Shape parse_shape(const NpySource& source, Cursor& cursor) {
  if (!cursor.take('(')) source.bad("the npy shape is not a tuple, expected one like (3, 4)");
  Shape shape;
  while (!cursor.take(')')) {
    std::int64_t extent = 0;
    const char* const first = cursor.rest.data();
    const auto [next, error] = std::from_chars(first, first + cursor.rest.size(), extent);
    if (error != std::errc{} || extent < 0)
      source.bad("the npy shape holds something else than whole numbers from 0 to 2^63-1");
    if (shape.rank() == kMaxRank)
      source.bad(fmt::format("the npy shape has a rank above {}, which is not supported", kMaxRank));
    shape.push_back(extent);
    cursor.rest.remove_prefix(static_cast<std::size_t>(next - first));
    (void)cursor.take(',');
  }
  return shape;
}

struct Header {
  std::optional<DType> dtype;
  std::optional<bool> fortran;
  std::optional<Shape> shape;
};

Header parse_header(const NpySource& source, std::string_view text) {
  Cursor cursor{text};
  Header header;
  const auto need = [&](bool ok) {
    if (!ok)
      source.bad(
          "the npy header is damaged, expected {'descr': …, 'fortran_order': …, 'shape': …}, each once");
  };
  need(cursor.take('{'));
  while (!cursor.take('}')) {
    const std::optional<std::string_view> key = cursor.word();
    need(key && cursor.take(':'));
    (void)cursor.take(' ');  // spaces before the value
    if (*key == "descr" && !header.dtype) {
      header.dtype = parse_type(source, cursor);
    } else if (*key == "shape" && !header.shape) {
      header.shape = parse_shape(source, cursor);
    } else {
      need(*key == "fortran_order" && !header.fortran);
      header.fortran = cursor.truth();
      need(header.fortran.has_value());
    }
    (void)cursor.take(',');
  }
  need(header.dtype && header.fortran && header.shape);
  need(cursor.rest.find_first_not_of(" \n") == std::string_view::npos);
  return header;
}

}  // namespace

std::string npy_header(const std::filesystem::path& path, DType dtype, const Shape& shape) {
  const auto known =
      std::find_if(std::begin(kDescr), std::end(kDescr), [&](auto& d) { return d.first == dtype; });
  if (known == std::end(kDescr))
    throw IoError(fmt::format("{}: npy cannot hold {}; convert it with to(DType::f32)", path.string(),
                              dtype_name(dtype)));
  std::string extents;
  for (const std::int64_t extent : shape) extents += fmt::format("{}, ", extent);
  std::string header =
      fmt::format("{{'descr': '{}', 'fortran_order': False, 'shape': ({}), }}", known->second, extents);
  header.append(63 - (10 + header.size()) % 64, ' ');  // the data begin at a multiple of 64
  header += '\n';
  const auto length = static_cast<std::uint16_t>(header.size());
  std::string start(kMagic);
  start += {'\x01', '\x00', static_cast<char>(length & 0xff), static_cast<char>(length >> 8)};
  return start + header;
}

Tensor read_npy(const NpySource& source, const Device& device) {
  char start[8] = {};
  if (source.size < 12) source.bad(fmt::format("is not an npy file: it has only {} bytes", source.size));
  source.read(start, sizeof start);
  if (std::string_view(start, 6) != kMagic) source.bad("is not an npy file: the first bytes differ");
  const int version = static_cast<unsigned char>(start[6]);
  if (version != 1 && version != 2)
    source.bad(fmt::format("npy version {} is not supported, expected 1 or 2", version));
  std::uint32_t length = 0;
  const std::uint64_t length_bytes = version == 1 ? 2 : 4;
  source.read(&length, length_bytes);
  if (length > kLongestHeader || length > source.size - sizeof start - length_bytes)
    source.bad(fmt::format("an npy header of {} bytes does not fit; the file is damaged", length));
  std::string text(length, '\0');
  source.read(text.data(), length);
  const Header header = parse_header(source, text);

  const Shape& shape = *header.shape;
  const std::uint64_t there = source.size - sizeof start - length_bytes - length;
  const std::optional<std::uint64_t> bytes = checked_bytes(shape, *header.dtype);
  if (!bytes || *bytes != there)
    source.bad(fmt::format("the npy shape {} of {} does not fit the {} bytes of data; the file is damaged",
                           shape, dtype_name(*header.dtype), there));
  std::vector<std::byte> host(there);
  source.read(host.data(), there);
  Shape stored = shape;
  if (*header.fortran)
    for (int d = 0; d < shape.rank(); ++d) stored[d] = shape[shape.rank() - 1 - d];
  Tensor tensor = Tensor::empty(stored, *header.dtype, device, "file");
  device.copy_from_host(tensor.raw(), host.data(), there);
  if (*header.fortran)
    for (int d = 0; d < shape.rank() / 2; ++d) tensor = transpose(tensor, d, shape.rank() - 1 - d);
  return tensor.contiguous("file");
}

void save_npy(const std::filesystem::path& path, const Tensor& tensor) {
  const std::string header = npy_header(path, tensor.dtype(), tensor.shape());
  const Tensor source = tensor.contiguous();
  std::vector<std::byte> host(static_cast<std::size_t>(source.bytes()));
  source.device().copy_to_host(host.data(), source.raw(), host.size());
  File file = File::create(path);
  file.write(header);
  file.write(host.data(), host.size());
  file.close();
}

Tensor load_npy(const std::filesystem::path& path, const Device& device) {
  File file = File::open(path);
  return read_npy({file, "", file.size(), [&](void* to, std::uint64_t bytes) { file.read(to, bytes); }},
                  device);
}

}  // namespace fovea

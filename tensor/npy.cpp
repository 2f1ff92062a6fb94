// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <charconv>
#include <numeric>

#include "tensor/file.h"
#include "tensor/io.h"
#include "tensor/views.h"

namespace fovea {
namespace {

constexpr std::string_view kMagic("\x93NUMPY", 6);
constexpr std::pair<DType, std::string_view> kDescr[] = {
    {DType::f32, "<f4"}, {DType::f64, "<f8"}, {DType::i32, "<i4"}, {DType::i64, "<i8"}, {DType::u8, "|u1"}};

/// The text after `'key':` in the header, which is a Python dict literal of known form.
std::string_view after_key(const File& file, std::string_view header, std::string_view key) {
  const auto at = header.find(fmt::format("'{}'", key));
  const auto colon = at == std::string_view::npos ? at : header.find(':', at);
  if (colon == std::string_view::npos) file.bad(fmt::format("the npy header has no '{}'", key));
  const auto start = header.find_first_not_of(" ", colon + 1);
  if (start == std::string_view::npos) file.bad(fmt::format("the npy header ends after '{}'", key));
  return header.substr(start);
}

Shape parse_shape(const File& file, std::string_view text) {
  const auto close = text.find(')');
  if (text.empty() || text[0] != '(' || close == std::string_view::npos)
    file.bad("the npy shape is not a tuple");
  Shape shape;
  const char* at = text.data() + 1;
  const char* const end = text.data() + close;
  while (at != end) {
    if (*at == ' ' || *at == ',') {
      ++at;
      continue;
    }
    std::int64_t extent = 0;
    const auto [next, error] = std::from_chars(at, end, extent);
    if (error != std::errc{} || extent < 0)
      file.bad("the npy shape holds something that is not a whole number");
    if (shape.rank() == kMaxRank) file.bad(fmt::format("the npy shape has a rank above {}", kMaxRank));
    shape.push_back(extent);
    at = next;
  }
  return shape;
}

}  // namespace

void save_npy(const std::filesystem::path& path, const Tensor& tensor) {
  const auto known =
      std::find_if(std::begin(kDescr), std::end(kDescr), [&](auto& d) { return d.first == tensor.dtype(); });
  if (known == std::end(kDescr))
    throw IoError(fmt::format("{}: npy cannot hold {}; convert it with to(DType::f32)", path.string(),
                              dtype_name(tensor.dtype())));
  std::string shape;
  for (const std::int64_t extent : tensor.shape()) shape += fmt::format("{}, ", extent);
  std::string header =
      fmt::format("{{'descr': '{}', 'fortran_order': False, 'shape': ({}), }}", known->second, shape);
  header.append(63 - (10 + header.size()) % 64, ' ');  // the data begin at a multiple of 64
  header += '\n';
  File file = File::create(path);
  file.write(kMagic);
  const auto length = static_cast<std::uint16_t>(header.size());
  file.write(std::string_view("\x01\x00", 2));
  file.write(&length, sizeof length);
  file.write(header);
  const Tensor source = tensor.contiguous();
  std::vector<std::byte> host(static_cast<std::size_t>(source.bytes()));
  source.device().copy_to_host(host.data(), source.raw(), host.size());
  file.write(host.data(), host.size());
  file.close();
}

Tensor load_npy(const std::filesystem::path& path, const Device& device) {
  File file = File::open(path);
  char start[8] = {};
  if (file.size() < 12) file.bad("is not an npy file: too short");
  file.read(start, sizeof start);
  if (std::string_view(start, 6) != kMagic) file.bad("is not an npy file: the first bytes differ");
  const int version = start[6];
  if (version != 1 && version != 2) file.bad(fmt::format("npy version {} is not supported", version));
  std::uint32_t length = 0;
  const std::uint64_t length_bytes = version == 1 ? 2 : 4;
  file.read(&length, length_bytes);
  if (length > file.size() - sizeof start - length_bytes) file.bad("the npy header is longer than the file");
  std::string header(length, '\0');
  file.read(header.data(), length);

  const std::string_view descr = after_key(file, header, "descr");
  const auto known = std::find_if(std::begin(kDescr), std::end(kDescr), [&](auto& d) {
    return descr.size() > 4 && descr.substr(1, 3) == d.second && (descr[0] == '\'' || descr[0] == '"') &&
           descr[4] == descr[0];
  });
  if (known == std::end(kDescr))
    file.bad(
        fmt::format("npy type {} is not supported; expected <f4, <f8, <i4, <i8 or |u1", descr.substr(0, 5)));
  const bool fortran = after_key(file, header, "fortran_order").starts_with("True");
  const Shape shape = parse_shape(file, after_key(file, header, "shape"));

  const std::uint64_t data_bytes = file.size() - sizeof start - length_bytes - length;
  std::uint64_t bytes = static_cast<std::uint64_t>(dtype_bytes(known->first));
  for (const std::int64_t extent : shape) {
    const auto n = static_cast<std::uint64_t>(extent);
    if (n != 0 && bytes > data_bytes / n)
      file.bad(fmt::format("the npy shape {} needs more bytes than the file has", shape));
    bytes *= n;
  }
  if (bytes != data_bytes)
    file.bad(fmt::format("shape {} needs {} data bytes, the file has {}", shape, bytes, data_bytes));
  std::vector<std::byte> host(bytes);
  file.read(host.data(), bytes);
  Shape stored = shape;
  if (fortran)
    for (int d = 0; d < shape.rank(); ++d) stored[d] = shape[shape.rank() - 1 - d];
  Tensor tensor = Tensor::empty(stored, known->first, device, "file");
  device.copy_from_host(tensor.raw(), host.data(), bytes);
  if (fortran)
    for (int d = 0; d < shape.rank() / 2; ++d) tensor = transpose(tensor, d, shape.rank() - 1 - d);
  return tensor.contiguous("file");
}

}  // namespace fovea

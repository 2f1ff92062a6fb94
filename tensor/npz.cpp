// SPDX-License-Identifier: Apache-2.0
#include <functional>

#include "tensor/inflate.h"
#include "tensor/io.h"
#include "tensor/names.h"
#include "tensor/npy.h"
#include "tensor/zip.h"

namespace fovea {
namespace {

constexpr std::string_view kSuffix = ".npy";

Tensor read_entry(File& file, const ZipEntry& entry, const Device& device) {
  const std::string what = fmt::format("'{}': ", printable(entry.name));
  const auto check_crc = [&](std::uint32_t crc) {
    if (crc != entry.crc) file.bad(what + "the data are damaged: their checksum differs");
  };
  if (!entry.deflated) {
    std::uint32_t crc = 0;
    file.seek(entry.begin);
    const Tensor tensor = read_npy({file, what, entry.bytes,
                                    [&](void* to, std::uint64_t bytes) {
                                      file.read(to, bytes);
                                      crc = crc_after(crc, to, bytes);
                                    }},
                                   device);
    check_crc(crc);
    return tensor;
  }
  if (entry.bytes > kMostUnpacked)
    file.bad(what +
             fmt::format("unpacks to {} bytes, more than the {} that a compressed entry may have; store it "
                         "unpacked (numpy.savez)",
                         entry.bytes, kMostUnpacked));
  using Format = Inflater::Format;
  const std::uint64_t end = entry.begin + entry.packed_bytes;
  // Unpacked twice: what is said of the size is not believed before memory is asked for.
  const Inflater::Size size = Inflater(file, entry.begin, end, Format::deflate, what).measure(entry.bytes);
  if (size.bytes != entry.bytes)
    file.bad(what +
             fmt::format("unpacks to {} bytes, expected {}; the file is damaged", size.bytes, entry.bytes));
  check_crc(size.crc);
  Inflater stream(file, entry.begin, end, Format::deflate, what);
  return read_npy({file, what, entry.bytes, [&](void* to, std::uint64_t bytes) { stream.read(to, bytes); }},
                  device);
}

}  // namespace

void save_npz(const std::filesystem::path& path, const TensorMap& tensors) {
  for (const auto& [name, tensor] : tensors) {
    if (name.size() > 1024)
      throw IoError(fmt::format("{}: the name '{}' is too long for npz, 1024 bytes are allowed",
                                path.string(), printable(name)));
    (void)npy_header(path, tensor);  // a type that npy lacks is refused before there is a file
  }
  File file = File::create(path);
  ZipWriter writer(file);
  std::vector<std::byte> host;
  for (const auto& [name, tensor] : tensors) {
    const Tensor source = tensor.contiguous();
    host.resize(static_cast<std::size_t>(source.bytes()));
    source.device().copy_to_host(host.data(), source.raw(), host.size());
    writer.add(name + std::string(kSuffix),
               {npy_header(path, tensor), {reinterpret_cast<const char*>(host.data()), host.size()}});
  }
  writer.finish();
  file.close();
}

TensorMap load_npz(const std::filesystem::path& path, const Device& device) {
  File file = File::open(path);
  TensorMap tensors;
  for (const ZipEntry& entry : read_zip_directory(file)) {
    if (!entry.name.ends_with(kSuffix) || entry.name.size() == kSuffix.size())
      file.bad(fmt::format("'{}' is not the name of an npy file, expected NAME.npy; is this an npz file?",
                           printable(entry.name)));
    tensors.emplace(entry.name.substr(0, entry.name.size() - kSuffix.size()),
                    read_entry(file, entry, device));
  }
  return tensors;
}

}  // namespace fovea

// SPDX-License-Identifier: Apache-2.0
#include "tensor/npz.h"

#include <functional>

#include "tensor/inflate.h"
#include "tensor/io.h"
#include "tensor/names.h"
#include "tensor/npy.h"

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

void check(const std::filesystem::path& path, const std::string& name, DType dtype) {
  if (name.size() > 1024)
    throw IoError(fmt::format("{}: the name '{}' is too long for npz, 1024 bytes are allowed", path.string(),
                              printable(name)));
  (void)npy_header(path, dtype, {});
}

}  // namespace

NpzWriter::NpzWriter(const std::filesystem::path& path)
    : path_(path), file_(File::create(path)), zip_(file_) {}

void NpzWriter::begin(const std::string& name, DType dtype, const Shape& shape) {
  check(path_, name, dtype);
  const std::string header = npy_header(path_, dtype, shape);
  const auto bytes =
      static_cast<std::uint64_t>(shape.numel()) * static_cast<std::uint64_t>(dtype_bytes(dtype));
  zip_.begin(name + std::string(kSuffix), header.size() + bytes);
  zip_.write(header);
}

void NpzWriter::append(const Tensor& part) {
  const Tensor source = part.contiguous();
  host_.resize(static_cast<std::size_t>(source.bytes()));
  source.device().copy_to_host(host_.data(), source.raw(), host_.size());
  zip_.write({reinterpret_cast<const char*>(host_.data()), host_.size()});
}

void NpzWriter::end() { zip_.end(); }

void NpzWriter::add(const std::string& name, const Tensor& tensor) {
  begin(name, tensor.dtype(), tensor.shape());
  append(tensor);
  end();
}

void NpzWriter::finish() {
  zip_.finish();
  file_.close();
}

void save_npz(const std::filesystem::path& path, const TensorMap& tensors) {
  // What npy lacks is refused before there is a file.
  for (const auto& [name, tensor] : tensors) check(path, name, tensor.dtype());
  NpzWriter writer(path);
  for (const auto& [name, tensor] : tensors) writer.add(name, tensor);
  writer.finish();
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

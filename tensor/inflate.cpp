// SPDX-License-Identifier: Apache-2.0
#include "tensor/inflate.h"

#include <zlib.h>

#include <algorithm>

namespace fovea {
namespace {

constexpr std::uint64_t kBlock = 1 << 16;

}  // namespace

Inflater::Inflater(File& file, std::uint64_t begin, std::uint64_t end, Format format, std::string what)
    : file_(file),
      at_(begin),
      end_(end),
      what_(std::move(what)),
      block_(kBlock),
      stream_(std::make_unique<z_stream>()) {
  // If this finds no memory, inflate() says so: it checks the stream's state.
  (void)inflateInit2(stream_.get(), format == Format::gzip ? 15 + 16 : -15);
}

Inflater::~Inflater() { (void)inflateEnd(stream_.get()); }

void Inflater::bad(const char* why) const { file_.bad(what_ + why); }

std::uint64_t Inflater::read_some(void* to, std::uint64_t bytes) {
  auto* out = static_cast<unsigned char*>(to);
  std::uint64_t left = bytes;
  while (left > 0 && !ended_) {
    if (stream_->avail_in == 0) {
      const std::uint64_t count = std::min(kBlock, end_ - at_);
      if (count == 0) bad("the compressed data end too early; the file is cut off");
      file_.seek(at_);
      file_.read(block_.data(), count);
      at_ += count;
      stream_->next_in = block_.data();
      stream_->avail_in = static_cast<uInt>(count);
    }
    const std::uint64_t part = std::min<std::uint64_t>(left, 1 << 30);  // zlib counts in 32 bits
    stream_->next_out = out;
    stream_->avail_out = static_cast<uInt>(part);
    const int status = inflate(stream_.get(), Z_NO_FLUSH);
    const std::uint64_t made = part - stream_->avail_out;
    out += made;
    left -= made;
    if (status == Z_STREAM_END)
      ended_ = true;
    else if (status != Z_OK)
      bad("the compressed data are damaged");
  }
  return bytes - left;
}

void Inflater::read(void* to, std::uint64_t bytes) {
  if (read_some(to, bytes) != bytes) bad("the compressed data hold fewer bytes than they should");
}

Inflater::Size Inflater::measure(std::uint64_t most) {
  std::vector<unsigned char> block(kBlock);
  Size size{0, 0};
  while (!ended_) {
    const std::uint64_t count = read_some(block.data(), kBlock);
    size.bytes += count;
    size.crc = static_cast<std::uint32_t>(crc32(size.crc, block.data(), static_cast<uInt>(count)));
    if (size.bytes > most) bad("the compressed data hold more bytes than they should");
  }
  if (stream_->avail_in > 0 || at_ != end_) bad("something follows the compressed data");
  return size;
}

}  // namespace fovea

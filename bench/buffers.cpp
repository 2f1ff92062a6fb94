// SPDX-License-Identifier: Apache-2.0
#include "bench/buffers.h"

#include <algorithm>
#include <limits>
#include <random>

#include "kernels/philox.h"

namespace fovea::bench {
namespace {

constexpr std::int64_t kAlignment = 256;  // bytes, as an allocation of its own would have

std::int64_t padded_count(const Operand& o) {
  const std::int64_t bytes = o.shape.numel() * dtype_bytes(o.dtype);
  return (bytes + kAlignment - 1) / kAlignment * kAlignment / dtype_bytes(o.dtype);
}

Tensor filled(const Operand& o, std::int64_t count, philox::Key key, const Device& device) {
  // Outputs are written once, too: pages that are touched for the first time are dear.
  if (o.output) return Tensor::zeros({count}, o.dtype, device, "bench");
  if (o.dtype == DType::f32)
    return Tensor::uniform({count}, key, static_cast<float>(o.low), static_cast<float>(o.high), device);
  std::mt19937_64 random(key.seed);
  std::uniform_int_distribution<std::int64_t> integers(static_cast<std::int64_t>(o.low),
                                                       static_cast<std::int64_t>(o.high) - 1);
  std::vector<std::int64_t> values(static_cast<std::size_t>(count));
  for (std::int64_t& v : values) v = integers(random);
  return Tensor::from(values, {count}, device, "bench").to(o.dtype);
}

template <class Place>
std::vector<float> permuted(const Shape& shape, std::span<const float> values, Place place) {
  std::vector<float> out(values.begin(), values.end());
  if (shape.rank() != 4) return out;
  std::size_t i = 0;  // in [N, C, H, W]
  for (std::int64_t n = 0; n < shape[0]; ++n)
    for (std::int64_t c = 0; c < shape[1]; ++c)
      for (std::int64_t h = 0; h < shape[2]; ++h)
        for (std::int64_t w = 0; w < shape[3]; ++w, ++i)
          place(out, i, static_cast<std::size_t>(((n * shape[2] + h) * shape[3] + w) * shape[1] + c));
  return out;
}

}  // namespace

std::int64_t set_bytes(std::span<const Operand> operands) {
  std::int64_t bytes = 0;
  for (const Operand& o : operands) bytes += padded_count(o) * dtype_bytes(o.dtype);
  return bytes;
}

Buffers::Buffers(const Device& device, std::span<const Operand> operands, int sets, std::uint64_t seed)
    : device_(device),
      operands_(operands.begin(), operands.end()),
      pointers_(static_cast<std::size_t>(sets)) {
  for (std::size_t k = 0; k < operands_.size(); ++k) {
    const Operand& o = operands_[k];
    const std::int64_t count = padded_count(o);
    storage_.push_back(filled(o, sets * count, {seed + k, philox::stream_id("bench"), 0}, device));
    auto* const first = static_cast<std::byte*>(storage_.back().raw());
    for (int s = 0; s < sets; ++s)
      pointers_[static_cast<std::size_t>(s)].push_back(first + s * count * dtype_bytes(o.dtype));
  }
}

std::vector<float> Buffers::download(int operand) const {
  const auto k = static_cast<std::size_t>(operand);
  std::vector<float> values(static_cast<std::size_t>(operands_[k].shape.numel()));
  if (operands_[k].dtype == DType::f32) {
    device_.copy_to_host(values.data(), set(0)[k], values.size() * sizeof(float));
  } else {  // labels: exact as floats
    std::vector<std::int64_t> integers(values.size());
    device_.copy_to_host(integers.data(), set(0)[k], integers.size() * sizeof(std::int64_t));
    std::copy(integers.begin(), integers.end(), values.begin());
  }
  return values;
}

void Buffers::upload(int operand, std::span<const float> values) const {
  device_.copy_from_host(set(0)[static_cast<std::size_t>(operand)], values.data(), values.size_bytes());
}

void Buffers::poison() const {
  for (std::size_t k = 0; k < operands_.size(); ++k)
    if (operands_[k].output && operands_[k].dtype == DType::f32)
      upload(static_cast<int>(k), std::vector<float>(static_cast<std::size_t>(operands_[k].shape.numel()),
                                                     std::numeric_limits<float>::quiet_NaN()));
}

std::vector<float> to_channels_last(const Shape& shape, std::span<const float> values) {
  return permuted(shape, values,
                  [&](auto& out, std::size_t nchw, std::size_t nhwc) { out[nhwc] = values[nchw]; });
}

std::vector<float> from_channels_last(const Shape& shape, std::span<const float> values) {
  return permuted(shape, values,
                  [&](auto& out, std::size_t nchw, std::size_t nhwc) { out[nchw] = values[nhwc]; });
}

}  // namespace fovea::bench

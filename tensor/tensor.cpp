// SPDX-License-Identifier: Apache-2.0
#include "tensor/tensor.h"

#include "kernels/ops/copy.h"
#include "kernels/ops/fill.h"
#include "tensor/checked_bytes.h"

namespace fovea {

struct Tensor::Storage {
  Storage(const Device& where, std::size_t count, const char* owner)
      : device(where), bytes(count), memory(device.arena().allocate(count, owner)) {}
  ~Storage() { device.arena().release(memory); }
  Storage(const Storage&) = delete;
  Storage& operator=(const Storage&) = delete;

  Device device;
  std::size_t bytes;
  void* memory;
};

std::size_t Tensor::storage_bytes() const { return storage_->bytes; }

Tensor Tensor::empty(const Shape& shape, DType dtype, const Device& device, const char* owner) {
  for (const std::int64_t extent : shape)
    if (extent < 0) reject(owner, "extents must be at least 0, got {}", shape);
  const std::optional<std::uint64_t> bytes = checked_bytes(shape, dtype);
  if (!bytes)
    reject(owner, "{} {} has more than 2^62 bytes, which no device holds", dtype_name(dtype), shape);
  Tensor tensor;
  tensor.shape_ = shape;
  tensor.strides_ = contiguous_strides(shape);
  tensor.dtype_ = dtype;
  tensor.storage_ = std::make_shared<Storage>(device, *bytes, owner);
  return tensor;
}

Tensor Tensor::empty_like(const Tensor& like, const char* owner) {
  return empty(like.shape(), like.dtype(), like.device(), owner);
}

Tensor Tensor::zeros(const Shape& shape, DType dtype, const Device& device, const char* owner) {
  return full(shape, 0.0, dtype, device, owner);
}

Tensor Tensor::zeros_like(const Tensor& like, const char* owner) {
  return zeros(like.shape(), like.dtype(), like.device(), owner);
}

Tensor Tensor::full(const Shape& shape, double value, DType dtype, const Device& device, const char* owner) {
  Tensor tensor = empty(shape, dtype, device, owner);
  tensor.fill(value);
  return tensor;
}

template <class T>
Tensor Tensor::from(std::span<const T> values, const Shape& shape, const Device& device, const char* owner) {
  if (static_cast<std::int64_t>(values.size()) != shape.numel())
    reject("tensor", "{} values do not fill shape {}, which has {}", values.size(), shape, shape.numel());
  Tensor tensor = empty(shape, dtype_of<T>, device, owner);
  device.copy_from_host(tensor.raw(), values.data(), values.size_bytes());
  return tensor;
}

Tensor Tensor::uniform(const Shape& shape, philox::Key key, float low, float high, const Device& device) {
  Tensor tensor = empty(shape, DType::f32, device, "uniform");
  on(device.queue(),
     [&](auto& q) { kernels::fill_uniform(q, tensor.numel(), key, low, high, tensor.data()); });
  return tensor;
}

Tensor Tensor::normal(const Shape& shape, philox::Key key, float mean, float sd, const Device& device) {
  Tensor tensor = empty(shape, DType::f32, device, "normal");
  on(device.queue(), [&](auto& q) { kernels::fill_normal(q, tensor.numel(), key, mean, sd, tensor.data()); });
  return tensor;
}

const Device& Tensor::device() const {
  if (!storage_) reject<ValueError>("tensor", "an undefined tensor has no device");
  return storage_->device;
}

bool Tensor::is_contiguous() const {
  std::int64_t step = 1;
  for (int d = rank() - 1; d >= 0; --d) {
    if (shape_[d] != 1 && strides_[d] != step) return shape_.numel() == 0;
    step *= shape_[d];
  }
  return true;
}

void Tensor::wrong_dtype(DType wanted) const {
  reject<DTypeError>("tensor", "{} has dtype {}, the caller expects {}", shape_, dtype_name(dtype_),
                     dtype_name(wanted));
}

void* Tensor::raw() const {
  if (!storage_) reject<ValueError>("tensor", "an undefined tensor has no elements");
  return static_cast<std::byte*>(storage_->memory) + offset_ * dtype_bytes(dtype_);
}

Tensor Tensor::contiguous(const char* owner) const { return is_contiguous() ? *this : clone(owner); }

Tensor Tensor::clone(const char* owner) const {
  Tensor result = empty(shape_, dtype_, device(), owner);
  result.copy_from(*this);
  return result;
}

Tensor Tensor::to(DType dtype) const {
  if (dtype == dtype_) return *this;
  Tensor result = empty(shape_, dtype, device(), "cast");
  result.copy_from(*this);
  return result;
}

Tensor Tensor::to(const Device& target) const {
  if (target == device()) return *this;
  const Tensor source = contiguous();
  Tensor result = empty(shape_, dtype_, target, "transfer");
  const auto size = static_cast<std::size_t>(bytes());
  if (source.device().host_memory()) {
    target.copy_from_host(result.raw(), source.raw(), size);
    if (source.device().pinned()) target.synchronize();  // its memory may be gone on return
  } else if (target.host_memory()) {
    source.device().copy_to_host(result.raw(), source.raw(), size);
  } else {  // two GPUs: through the host, which needs no peer access
    std::vector<std::byte> host(size);
    source.device().copy_to_host(host.data(), source.raw(), size);
    target.copy_from_host(result.raw(), host.data(), size);
  }
  return result;
}

void Tensor::copy_from(const Tensor& source) const {
  if (source.shape() != shape_)
    reject("copy", "source {} does not have the shape of the target {}", source.shape(), shape_);
  const Tensor here = source.to(device());
  const Strides operands[] = {strides_, here.strides()};
  const Strided loops = strided(shape_, operands);
  on(queue(), [&](auto& q) { kernels::copy(q, loops, here.raw(), here.dtype(), raw(), dtype_); });
}

void Tensor::fill(double value) const {
  if (is_contiguous()) {
    on(queue(), [&](auto& q) { kernels::fill(q, numel(), value, raw(), dtype_); });
  } else {
    const Tensor one = full({}, value, dtype_, device(), "fill");
    copy_from(one.view(shape_, Strides(std::vector<std::int64_t>(static_cast<std::size_t>(rank()), 0)), 0));
  }
}

template <class T>
std::vector<T> Tensor::to_vector() const {
  const Tensor source = to(dtype_of<T>).contiguous();
  std::vector<T> values(static_cast<std::size_t>(numel()));
  source.device().copy_to_host(values.data(), source.raw(), values.size() * sizeof(T));
  return values;
}

double Tensor::item() const {
  if (numel() != 1) reject("item", "needs a tensor of one element, got shape {}", shape_);
  return to_vector<double>()[0];
}

Tensor Tensor::view(const Shape& shape, const Strides& strides, std::int64_t offset) const {
  Tensor result = *this;
  result.shape_ = shape;
  result.strides_ = strides;
  result.offset_ = offset;
  return result;
}

Strided strided(const Shape& shape, std::span<const Strides> operands) {
  Strided loops;
  for (int d = 0; d < shape.rank(); ++d) {
    if (shape[d] == 1) continue;
    const int previous = loops.rank - 1;
    bool merge = previous >= 0;
    for (std::size_t k = 0; k < operands.size() && merge; ++k)
      merge = loops.stride[k][previous] == operands[k][d] * shape[d];
    const int loop = merge ? previous : loops.rank++;
    loops.extent[loop] = merge ? loops.extent[loop] * shape[d] : shape[d];
    for (std::size_t k = 0; k < operands.size(); ++k) loops.stride[k][loop] = operands[k][d];
  }
  return loops;
}

template Tensor Tensor::from(std::span<const float>, const Shape&, const Device&, const char*);
template Tensor Tensor::from(std::span<const double>, const Shape&, const Device&, const char*);
template Tensor Tensor::from(std::span<const bf16>, const Shape&, const Device&, const char*);
template Tensor Tensor::from(std::span<const std::int64_t>, const Shape&, const Device&, const char*);
template Tensor Tensor::from(std::span<const std::int32_t>, const Shape&, const Device&, const char*);
template Tensor Tensor::from(std::span<const std::uint8_t>, const Shape&, const Device&, const char*);
template std::vector<float> Tensor::to_vector() const;
template std::vector<double> Tensor::to_vector() const;
template std::vector<bf16> Tensor::to_vector() const;
template std::vector<std::int64_t> Tensor::to_vector() const;
template std::vector<std::int32_t> Tensor::to_vector() const;
template std::vector<std::uint8_t> Tensor::to_vector() const;

}  // namespace fovea

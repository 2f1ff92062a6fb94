// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "kernels/dtype.h"
#include "kernels/philox.h"
#include "tensor/device.h"
#include "tensor/errors.h"
#include "tensor/shape.h"

namespace fovea {

/// A value with a shape on a device: a handle on shared memory. Copying the handle shares the elements, views
/// (tensor/views.h) share them with another shape, clone() copies them.
///
/// Images are always [N, C, H, W] in meaning; another order in memory is a matter of strides.
class Tensor {
 public:
  /// Undefined: no storage, defined() is false.
  Tensor() = default;

  /// Uninitialised elements. `owner` appears in memory reports: a string literal, usually the op's name.
  /// throws ShapeError on a negative extent, OutOfMemory
  static Tensor empty(const Shape& shape, DType dtype, const Device& device, const char* owner = "tensor");
  static Tensor empty_like(const Tensor& like, const char* owner = "tensor");
  static Tensor zeros(const Shape& shape, DType dtype, const Device& device, const char* owner = "tensor");
  static Tensor zeros_like(const Tensor& like, const char* owner = "tensor");
  static Tensor full(const Shape& shape, double value, DType dtype, const Device& device,
                     const char* owner = "tensor");
  /// Copies host values. throws ShapeError if the count is not the shape's
  template <class T>
  static Tensor from(std::span<const T> values, const Shape& shape, const Device& device,
                     const char* owner = "tensor");
  template <class T>
  static Tensor from(const std::vector<T>& values, const Shape& shape, const Device& device,
                     const char* owner = "tensor") {
    return from(std::span<const T>(values), shape, device, owner);
  }
  /// f32 in [low, high), and f32 normals; the same values on every device for the same key.
  static Tensor uniform(const Shape& shape, philox::Key key, float low, float high, const Device& device);
  static Tensor normal(const Shape& shape, philox::Key key, float mean, float sd, const Device& device);

  bool defined() const { return storage_ != nullptr; }
  const Shape& shape() const { return shape_; }
  int rank() const { return shape_.rank(); }
  /// Extent of a dimension; negative counts from the end.
  std::int64_t size(int dim) const { return shape_[normalize_dim("size", dim, shape_)]; }
  std::int64_t numel() const { return shape_.numel(); }
  const Strides& strides() const { return strides_; }
  DType dtype() const { return dtype_; }
  const Device& device() const;
  const Queue& queue() const { return device().queue(); }
  bool is_contiguous() const;
  /// Bytes of the elements, as if contiguous.
  std::int64_t bytes() const { return numel() * dtype_bytes(dtype_); }
  bool shares_memory_with(const Tensor& other) const { return storage_ == other.storage_; }
  /// Bytes of the memory that this tensor is a view of.
  std::size_t storage_bytes() const;
  const void* storage_id() const { return storage_.get(); }

  /// First element, in device memory. throws DTypeError if T is not the dtype
  template <class T = float>
  T* data() const {
    if (dtype_ != dtype_of<T>) wrong_dtype(dtype_of<T>);
    return static_cast<T*>(raw());
  }
  void* raw() const;

  /// This tensor if it is contiguous, else a contiguous copy.
  Tensor contiguous(const char* owner = "contiguous") const;
  Tensor clone(const char* owner = "clone") const;
  /// Converted or moved copy; this tensor if nothing has to change.
  Tensor to(DType dtype) const;
  Tensor to(const Device& device) const;
  /// Overwrites the elements of this view; converts. throws ShapeError unless the shapes are equal,
  /// DeviceError
  void copy_from(const Tensor& source) const;
  void fill(double value) const;

  /// Host copy of all elements in row-major order.
  template <class T>
  std::vector<T> to_vector() const;
  /// The only element, as a number; waits for the device. throws ShapeError unless numel() is 1
  double item() const;

  /// Shape, dtype and device, then the values with dots in the middle of long axes.
  std::string str() const;

  /// A view on the same storage; for tensor/views.cpp.
  Tensor view(const Shape& shape, const Strides& strides, std::int64_t offset) const;
  std::int64_t offset() const { return offset_; }

 private:
  struct Storage;
  [[noreturn]] void wrong_dtype(DType wanted) const;

  std::shared_ptr<Storage> storage_;
  Shape shape_;
  Strides strides_;
  std::int64_t offset_ = 0;  // elements
  DType dtype_ = DType::f32;
};

/// Loops of a copy or elementwise kernel over tensors of one shape, adjacent loops merged where all strides
/// allow and loops of extent 1 dropped. At most four operands.
Strided strided(const Shape& shape, std::span<const Strides> operands);

}  // namespace fovea

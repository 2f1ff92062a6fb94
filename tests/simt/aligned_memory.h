// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdlib>
#include <memory>
#include <new>

namespace fovea {

/// Global memory on a boundary of 256 bytes, as cudaMalloc gives it; zeros at first.
template <class T>
class AlignedMemory {
 public:
  explicit AlignedMemory(std::size_t count)
      : data_(static_cast<T*>(std::aligned_alloc(256, (count * sizeof(T) + 255) / 256 * 256)), std::free) {
    if (data_ == nullptr) throw std::bad_alloc();
    for (std::size_t i = 0; i < count; ++i) data_.get()[i] = T{};
  }
  T* get() const { return data_.get(); }

 private:
  std::unique_ptr<T, void (*)(void*)> data_;
};

}  // namespace fovea

// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "bench/cudnn/library.h"

namespace fovea::bench::cudnn {

/// The type tag that an attribute of C++ type T has, where T alone decides.
template <class T>
struct TagOf;
template <cudnnBackendAttributeType_t kTag>
struct Tag {
  static constexpr cudnnBackendAttributeType_t value = kTag;
};
// clang-format off
template <> struct TagOf<cudnnHandle_t> : Tag<CUDNN_TYPE_HANDLE> {};
template <> struct TagOf<cudnnDataType_t> : Tag<CUDNN_TYPE_DATA_TYPE> {};
template <> struct TagOf<bool> : Tag<CUDNN_TYPE_BOOLEAN> {};
template <> struct TagOf<std::int64_t> : Tag<CUDNN_TYPE_INT64> {};
template <> struct TagOf<std::int32_t> : Tag<CUDNN_TYPE_INT32> {};
template <> struct TagOf<float> : Tag<CUDNN_TYPE_FLOAT> {};
template <> struct TagOf<double> : Tag<CUDNN_TYPE_DOUBLE> {};
template <> struct TagOf<void*> : Tag<CUDNN_TYPE_VOID_PTR> {};
template <> struct TagOf<char> : Tag<CUDNN_TYPE_CHAR> {};
template <> struct TagOf<cudnnConvolutionMode_t> : Tag<CUDNN_TYPE_CONVOLUTION_MODE> {};
template <> struct TagOf<cudnnBackendHeurMode_t> : Tag<CUDNN_TYPE_HEUR_MODE> {};
template <> struct TagOf<cudnnBackendNumericalNote_t> : Tag<CUDNN_TYPE_NUMERICAL_NOTE> {};
template <> struct TagOf<cudnnBackendBehaviorNote_t> : Tag<CUDNN_TYPE_BEHAVIOR_NOTE> {};
template <> struct TagOf<cudnnResampleMode_t> : Tag<CUDNN_TYPE_RESAMPLE_MODE> {};
template <> struct TagOf<cudnnNanPropagation_t> : Tag<CUDNN_TYPE_NAN_PROPOGATION> {};
template <> struct TagOf<cudnnPaddingMode_t> : Tag<CUDNN_TYPE_PADDING_MODE> {};
template <> struct TagOf<cudnnFraction_t> : Tag<CUDNN_TYPE_FRACTION> {};
template <> struct TagOf<cudnnBackendNormMode_t> : Tag<CUDNN_TYPE_NORM_MODE> {};
template <> struct TagOf<cudnnBackendNormFwdPhase_t> : Tag<CUDNN_TYPE_NORM_FWD_PHASE> {};
// clang-format on

/// A descriptor of the backend API, owned. Attributes are set, then finalize() is called, then it may be read and
/// used by others. All functions throw CudnnError naming the descriptor's type and the attribute.
class Descriptor {
 public:
  explicit Descriptor(cudnnBackendDescriptorType_t type);
  ~Descriptor();
  Descriptor(Descriptor&& other) noexcept;
  Descriptor& operator=(Descriptor&& other) noexcept;

  cudnnBackendDescriptor_t get() const { return raw_; }

  template <class T>
  Descriptor& set(cudnnBackendAttributeName_t name, std::span<const T> values) {
    set(name, TagOf<T>::value, static_cast<std::int64_t>(values.size()), values.data());
    return *this;
  }
  template <class T>
  Descriptor& set(cudnnBackendAttributeName_t name, const std::vector<T>& values) {
    return set(name, std::span<const T>(values));
  }
  template <class T>
  Descriptor& set(cudnnBackendAttributeName_t name, T value) {
    return set(name, std::span<const T>(&value, 1));
  }
  Descriptor& set(cudnnBackendAttributeName_t name, const Descriptor& other);
  Descriptor& finalize();

  /// All values of an attribute that need not be set; empty if there are none.
  template <class T>
  std::vector<T> values(cudnnBackendAttributeName_t name, std::size_t most) const {
    std::vector<T> found(most);
    found.resize(read(name, TagOf<T>::value, most, found.data()));
    return found;
  }
  template <class T>
  T value(cudnnBackendAttributeName_t name) const {
    T found{};
    read(name, TagOf<T>::value, 1, &found);
    return found;
  }
  /// Fills a descriptor made for this, such as the engine of an engine configuration.
  void read(cudnnBackendAttributeName_t name, Descriptor& into) const;
  /// Fills as many of `into` as there are and returns how many.
  std::size_t read(cudnnBackendAttributeName_t name, std::vector<Descriptor>& into) const;
  /// How many values there are.
  std::size_t count(cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t tag) const;

 private:
  void set(cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t tag, std::int64_t count,
           const void* values);
  std::size_t read(cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t tag, std::size_t most,
                   void* into) const;

  cudnnBackendDescriptorType_t type_;
  cudnnBackendDescriptor_t raw_ = nullptr;
};

}  // namespace fovea::bench::cudnn

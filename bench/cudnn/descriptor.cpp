// SPDX-License-Identifier: Apache-2.0
#include "bench/cudnn/descriptor.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace fovea::bench::cudnn {
namespace {

// Numbers, as in cudnn_graph.h: cuDNN has no names for them at run time.
std::string call(const char* what, cudnnBackendDescriptorType_t type) {
  return fmt::format("{} of descriptor type {}", what, static_cast<int>(type));
}
std::string call(const char* what, cudnnBackendDescriptorType_t type, cudnnBackendAttributeName_t name) {
  return fmt::format("{} {} of descriptor type {}", what, static_cast<int>(name), static_cast<int>(type));
}

}  // namespace

Descriptor::Descriptor(cudnnBackendDescriptorType_t type) : type_(type) {
  check(library().cudnnBackendCreateDescriptor(type, &raw_), call("creation", type).c_str());
}

Descriptor::~Descriptor() {
  if (raw_ != nullptr) library().cudnnBackendDestroyDescriptor(raw_);
}

Descriptor::Descriptor(Descriptor&& other) noexcept
    : type_(other.type_), raw_(std::exchange(other.raw_, nullptr)) {}

Descriptor& Descriptor::operator=(Descriptor&& other) noexcept {
  std::swap(type_, other.type_);
  std::swap(raw_, other.raw_);
  return *this;
}

void Descriptor::set(cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t tag, std::int64_t count,
                     const void* values) {
  check(library().cudnnBackendSetAttribute(raw_, name, tag, count, values),
        call("setting attribute", type_, name).c_str());
}

Descriptor& Descriptor::set(cudnnBackendAttributeName_t name, const Descriptor& other) {
  set(name, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &other.raw_);
  return *this;
}

Descriptor& Descriptor::finalize() {
  check(library().cudnnBackendFinalize(raw_), call("finalization", type_).c_str());
  return *this;
}

std::size_t Descriptor::count(cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t tag) const {
  return read(name, tag, 0, nullptr);
}

std::size_t Descriptor::read(cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t tag,
                             std::size_t most, void* into) const {
  std::int64_t found = 0;
  check(library().cudnnBackendGetAttribute(raw_, name, tag, static_cast<std::int64_t>(most), &found, into),
        call("reading attribute", type_, name).c_str());
  return most == 0 ? static_cast<std::size_t>(found) : std::min(most, static_cast<std::size_t>(found));
}

void Descriptor::read(cudnnBackendAttributeName_t name, Descriptor& into) const {
  read(name, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &into.raw_);
}

std::size_t Descriptor::read(cudnnBackendAttributeName_t name, std::vector<Descriptor>& into) const {
  std::vector<cudnnBackendDescriptor_t> raw;
  for (const Descriptor& d : into) raw.push_back(d.raw_);
  return into.empty() ? 0 : read(name, CUDNN_TYPE_BACKEND_DESCRIPTOR, raw.size(), raw.data());
}

}  // namespace fovea::bench::cudnn

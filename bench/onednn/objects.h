// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>
#include <type_traits>
#include <vector>

#include "bench/onednn/library.h"
#include "tensor/shape.h"

/// oneDNN's objects with owners, and the few things that the peers do with them.
namespace fovea::bench::onednn {

template <class T>
using Owned = std::shared_ptr<std::remove_pointer_t<T>>;
using MemoryDesc = Owned<dnnl_memory_desc_t>;
using Memory = Owned<dnnl_memory_t>;
using PrimitiveDesc = Owned<dnnl_primitive_desc_t>;
using Primitive = Owned<dnnl_primitive_t>;

dnnl_engine_t engine();
dnnl_stream_t stream();
void wait();

/// f32, contiguous in the order of its extents.
MemoryDesc plain(const Shape& shape);
MemoryDesc strided(const Shape& shape, const std::vector<std::int64_t>& strides);
/// f32 in whatever order the primitive likes best.
MemoryDesc any(const Shape& shape);
MemoryDesc zero();
/// What the primitive chose for an argument; zero() if it has none.
MemoryDesc chosen(const PrimitiveDesc& desc, int argument);

/// Calls one of the *_primitive_desc_create functions, without attributes.
template <class F, class... Arguments>
PrimitiveDesc describe(F create, const char* what, Arguments... arguments) {
  dnnl_primitive_desc_t raw = nullptr;
  check(create(&raw, engine(), arguments..., nullptr), what);
  return {raw, library().dnnl_primitive_desc_destroy};
}
Primitive primitive(const PrimitiveDesc& desc);
/// "jit:avx512_core"
std::string implementation(const PrimitiveDesc& desc);

/// Memory of its own, or at `handle`.
Memory memory(const MemoryDesc& desc);
Memory memory(const MemoryDesc& desc, void* handle);
/// Copies between orders, and waits.
void reorder(const MemoryDesc& from_desc, const Memory& from, const MemoryDesc& to_desc, const Memory& to);

}  // namespace fovea::bench::onednn

// SPDX-License-Identifier: Apache-2.0
#include "bench/onednn/objects.h"

namespace fovea::bench::onednn {
namespace {

std::vector<std::int64_t> extents(const Shape& shape) {
  std::vector<std::int64_t> e;
  for (int d = 0; d < shape.rank(); ++d) e.push_back(shape[d]);
  return e;
}

MemoryDesc owned(dnnl_memory_desc_t raw) { return {raw, library().dnnl_memory_desc_destroy}; }

/// One engine and one stream for the whole run: both are only names on a CPU.
struct Place {
  dnnl_engine_t engine = nullptr;
  dnnl_stream_t stream = nullptr;
  Place() {
    check(library().dnnl_engine_create(&engine, dnnl_cpu, 0), "dnnl_engine_create");
    check(library().dnnl_stream_create(&stream, engine, dnnl_stream_default_flags), "dnnl_stream_create");
  }
  ~Place() {
    library().dnnl_stream_destroy(stream);
    library().dnnl_engine_destroy(engine);
  }
  Place(const Place&) = delete;
  Place& operator=(const Place&) = delete;
};
const Place& place() {
  static const Place made;
  return made;
}

}  // namespace

dnnl_engine_t engine() { return place().engine; }
dnnl_stream_t stream() { return place().stream; }
void wait() { check(library().dnnl_stream_wait(stream()), "dnnl_stream_wait"); }

MemoryDesc strided(const Shape& shape, const std::vector<std::int64_t>& strides) {
  dnnl_memory_desc_t raw = nullptr;
  check(library().dnnl_memory_desc_create_with_strides(&raw, shape.rank(), extents(shape).data(), dnnl_f32,
                                                       strides.data()),
        "dnnl_memory_desc_create_with_strides");
  return owned(raw);
}

MemoryDesc plain(const Shape& shape) {
  std::vector<std::int64_t> strides(static_cast<std::size_t>(shape.rank()), 1);
  for (int d = shape.rank() - 1; d > 0; --d)
    strides[static_cast<std::size_t>(d) - 1] = strides[static_cast<std::size_t>(d)] * shape[d];
  return strided(shape, strides);
}

MemoryDesc any(const Shape& shape) {
  dnnl_memory_desc_t raw = nullptr;
  check(library().dnnl_memory_desc_create_with_tag(&raw, shape.rank(), extents(shape).data(), dnnl_f32,
                                                   dnnl_format_tag_any),
        "dnnl_memory_desc_create_with_tag");
  return owned(raw);
}

MemoryDesc zero() {
  dnnl_memory_desc_t raw = nullptr;
  check(library().dnnl_memory_desc_create_with_tag(&raw, 0, nullptr, dnnl_f32, dnnl_format_tag_undef),
        "dnnl_memory_desc_create_with_tag");
  return owned(raw);
}

MemoryDesc chosen(const PrimitiveDesc& desc, int argument) {
  dnnl_memory_desc_t raw = nullptr;
  check(library().dnnl_memory_desc_clone(
            &raw, library().dnnl_primitive_desc_query_md(desc.get(), dnnl_query_exec_arg_md, argument)),
        "dnnl_memory_desc_clone");
  return owned(raw);
}

Primitive primitive(const PrimitiveDesc& desc) {
  dnnl_primitive_t raw = nullptr;
  check(library().dnnl_primitive_create(&raw, desc.get()), "dnnl_primitive_create");
  return {raw, library().dnnl_primitive_destroy};
}

std::string implementation(const PrimitiveDesc& desc) {
  const char* name = nullptr;
  check(library().dnnl_primitive_desc_query(desc.get(), dnnl_query_impl_info_str, 0, &name),
        "dnnl_primitive_desc_query");
  return name;
}

Memory memory(const MemoryDesc& desc, void* handle) {
  dnnl_memory_t raw = nullptr;
  check(library().dnnl_memory_create(&raw, desc.get(), engine(), handle), "dnnl_memory_create");
  return {raw, library().dnnl_memory_destroy};
}
Memory memory(const MemoryDesc& desc) { return memory(desc, DNNL_MEMORY_ALLOCATE); }

void reorder(const MemoryDesc& from_desc, const Memory& from, const MemoryDesc& to_desc, const Memory& to) {
  dnnl_primitive_desc_t raw = nullptr;
  check(library().dnnl_reorder_primitive_desc_create(&raw, from_desc.get(), engine(), to_desc.get(), engine(),
                                                     nullptr),
        "dnnl_reorder_primitive_desc_create");
  const PrimitiveDesc desc(raw, library().dnnl_primitive_desc_destroy);
  const Primitive copy = primitive(desc);
  const dnnl_exec_arg_t arguments[] = {{DNNL_ARG_FROM, from.get()}, {DNNL_ARG_TO, to.get()}};
  check(library().dnnl_primitive_execute(copy.get(), stream(), 2, arguments), "dnnl_primitive_execute");
  wait();
}

}  // namespace fovea::bench::onednn

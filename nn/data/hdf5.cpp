// SPDX-License-Identifier: Apache-2.0
#include "nn/data/hdf5.h"

#include <hdf5.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <mutex>
#include <utility>
#include <vector>

#include "tensor/checked_bytes.h"
#include "tensor/errors.h"
#include "tensor/names.h"

namespace fovea::nn {
namespace {

constexpr hsize_t kChunkBytes = hsize_t{1} << 20;
constexpr const char* kNumbers[] = {"u8",  "u16", "u32", "u64", "i8", "i16",
                                    "i32", "i64", "f16", "f32", "f64"};  // a damaged type may be wider
constexpr hsize_t kMostDeflated = 1100;  // deflate packs at most 1032 bytes into one

/// While it lives, this thread alone is in the library, and the library prints nothing.
class Library {
 public:
  Library() : lock_(mutex()) {
    static const herr_t once = H5dont_atexit();  // at exit it would complain of what damaged files left open
    (void)once;
    H5Eget_auto2(H5E_DEFAULT, &print_, &print_data_);
    H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr);
  }
  Library(const Library&) = delete;
  Library& operator=(const Library&) = delete;
  ~Library() { H5Eset_auto2(H5E_DEFAULT, print_, print_data_); }

 private:
  static std::mutex& mutex() {
    static std::mutex one;
    return one;
  }
  std::unique_lock<std::mutex> lock_;
  H5E_auto2_t print_ = nullptr;
  void* print_data_ = nullptr;
};

using Close = herr_t (*)(hid_t);
/// An identifier of the library that is given back.
template <Close close>
class Id {
 public:
  explicit Id(hid_t id) : id_(id) {}
  Id(Id&& other) noexcept : id_(std::exchange(other.id_, H5I_INVALID_HID)) {}
  Id& operator=(Id&& other) noexcept {
    std::swap(id_, other.id_);
    return *this;
  }
  ~Id() {
    if (id_ >= 0) close(id_);
  }
  operator hid_t() const { return id_; }  // NOLINT: it stands for the number
  bool valid() const { return id_ >= 0; }
  hid_t release() { return std::exchange(id_, H5I_INVALID_HID); }

 private:
  hid_t id_;
};
using FileId = Id<H5Fclose>;
using DatasetId = Id<H5Dclose>;
using SpaceId = Id<H5Sclose>;
using TypeId = Id<H5Tclose>;
using ListId = Id<H5Pclose>;
using AttributeId = Id<H5Aclose>;

/// The innermost of the library's own words about the last failure.
std::string reason() {
  std::string text;
  const auto first = [](unsigned n, const H5E_error2_t* error, void* out) -> herr_t {
    if (n == 0 && error->desc != nullptr) *static_cast<std::string*>(out) = error->desc;
    return 0;
  };
  H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, first, &text);
  return text.empty() ? "no reason" : printable(text, 160);
}

std::string type_name(hid_t type) {
  const auto bits = 8 * H5Tget_size(type);
  switch (H5Tget_class(type)) {
    case H5T_INTEGER:
      return fmt::format("{}{}", H5Tget_sign(type) == H5T_SGN_NONE ? 'u' : 'i', bits);
    case H5T_FLOAT:
      return fmt::format("f{}", bits);
    case H5T_STRING:
      return "text";
    case H5T_ENUM:
      return "enumeration";
    case H5T_COMPOUND:
      return "compound";
    default:
      return "no number";
  }
}

hid_t memory_type(DType dtype) {
  switch (dtype) {
    case DType::f32:
      return H5T_NATIVE_FLOAT;
    case DType::f64:
      return H5T_NATIVE_DOUBLE;
    case DType::i64:
      return H5T_NATIVE_INT64;
    case DType::i32:
      return H5T_NATIVE_INT32;
    default:
      return H5T_NATIVE_UINT8;
  }
}

/// The name of a filter that stands between a dataset and its numbers and is not there; empty: none.
std::string missing_filter(hid_t layout) {
  for (int k = 0; k < H5Pget_nfilters(layout); ++k) {
    unsigned flags = 0;
    std::size_t values = 0;
    char name[64] = "";
    const H5Z_filter_t filter = H5Pget_filter2(layout, static_cast<unsigned>(k), &flags, &values, nullptr,
                                               sizeof name, name, nullptr);
    if (filter >= 0 && H5Zfilter_avail(filter) <= 0)
      return name[0] != '\0' ? name : fmt::format("filter {}", filter);
  }
  return "";
}

class Hdf5File final : public ArrayFile {
 public:
  explicit Hdf5File(const std::filesystem::path& path) : ArrayFile(path), file_(H5I_INVALID_HID) {
    const Library library;
    bytes_ = std::filesystem::file_size(path);
    const ListId access(H5Pcreate(H5P_FILE_ACCESS));
#if H5_VERSION_GE(1, 10, 7)
    H5Pset_file_locking(access, false, true);  // or a folder that cannot be written to cannot be read from
#endif
    file_ = FileId(H5Fopen(path.c_str(), H5F_ACC_RDONLY, access));
    if (!file_.valid()) bad(fmt::format("is cut off or damaged; HDF5 says: {}", reason()));
    find_arrays();
    find_attributes();
  }
  ~Hdf5File() override {
    const Library library;
    file_ = FileId(H5I_INVALID_HID);
  }

  Tensor read_rows(const std::string& name, DType dtype, std::int64_t first, std::int64_t count,
                   const Device& host) const override {
    const Library library;
    const ArrayInfo& info = arrays_.at(name);
    if (!info.number)
      bad(fmt::format("'{}' is {}, expected numbers in this file", printable(name), info.type));
    const DatasetId dataset(H5Dopen2(file_, name.c_str(), H5P_DEFAULT));
    if (!dataset.valid()) damaged(name);
    check_storage(name, info, dataset);

    Shape shape = info.shape;
    const SpaceId stored(H5Dget_space(dataset));
    std::vector<hsize_t> start(static_cast<std::size_t>(shape.rank()), 0), extent;
    if (shape.rank() > 0) {
      shape[0] = count;
      start[0] = static_cast<hsize_t>(first);
      for (const std::int64_t e : shape) extent.push_back(static_cast<hsize_t>(e));
      H5Sselect_hyperslab(stored, H5S_SELECT_SET, start.data(), nullptr, extent.data(), nullptr);
    }
    const Tensor result = Tensor::empty(shape, dtype, host, "file");
    if (result.numel() == 0) return result;
    const SpaceId memory(H5Screate_simple(shape.rank(), extent.data(), nullptr));
    if (H5Dread(dataset, memory_type(dtype), shape.rank() > 0 ? hid_t{memory} : H5S_ALL, stored, H5P_DEFAULT,
                result.raw()) < 0)
      damaged(name);
    return result;
  }

 private:
  [[noreturn]] void bad(const std::string& why) const {
    throw IoError(fmt::format("{}: {}", path_.string(), why));
  }
  [[noreturn]] void damaged(const std::string& name) const {
    bad(fmt::format("'{}' is cut off or damaged; HDF5 says: {}", printable(name), reason()));
  }

  void find_arrays() {
    std::vector<std::string> names;
    const auto collect = [](hid_t, const char* name, const H5O_info_t* info, void* out) -> herr_t {
      try {
        if (info->type == H5O_TYPE_DATASET) static_cast<std::vector<std::string>*>(out)->emplace_back(name);
        return 0;
      } catch (...) {  // not through C
        return -1;
      }
    };
    if (H5Ovisit2(file_, H5_INDEX_NAME, H5_ITER_INC, collect, &names, H5O_INFO_BASIC) < 0)
      bad(fmt::format(  // untested: of damaged bytes, the library chooses where it notices
          "its list of datasets is cut off or damaged; HDF5 says: {}", reason()));
    for (const std::string& name : names) add_array(name);
  }

  void add_array(const std::string& name) {
    const DatasetId dataset(H5Dopen2(file_, name.c_str(), H5P_DEFAULT));
    if (!dataset.valid()) damaged(name);
    const SpaceId space(H5Dget_space(dataset));
    const TypeId type(H5Dget_type(dataset));
    const ListId layout(H5Dget_create_plist(dataset));
    const int rank = space.valid() ? H5Sget_simple_extent_ndims(space) : -1;
    if (rank < 0 || !type.valid() || !layout.valid()) damaged(name);
    if (rank > kMaxRank) return;
    std::vector<hsize_t> extents(static_cast<std::size_t>(rank) + 1);
    H5Sget_simple_extent_dims(space, extents.data(), nullptr);
    ArrayInfo info;
    for (int d = 0; d < rank; ++d)
      info.shape.push_back(static_cast<std::int64_t>(extents[static_cast<std::size_t>(d)]));
    info.type = type_name(type);
    info.number = std::find(std::begin(kNumbers), std::end(kNumbers), info.type) != std::end(kNumbers);
    if (H5Pget_external_count(layout) > 0 || H5Pget_layout(layout) == H5D_VIRTUAL) {
      info.type = "data of another file";
      info.number = false;
    }
    if (const std::string filter = missing_filter(layout); !filter.empty()) {
      info.type =
          fmt::format("packed by {}, which libhdf5 lacks here (store it with gzip),", printable(filter));
      info.number = false;
    }
    if (H5Pget_layout(layout) == H5D_CHUNKED && rank > 0 &&
        H5Pget_chunk(layout, rank, extents.data()) == rank)
      info.piece_rows = static_cast<std::int64_t>(std::max<hsize_t>(extents[0], 1));
    arrays_[name] = info;
  }

  /// No more memory than what lies in the file can fill.
  void check_storage(const std::string& name, const ArrayInfo& info, hid_t dataset) const {
    const auto elements = checked_bytes(info.shape, DType::u8);  // types are at most 8 bytes wide
    const TypeId type(H5Dget_type(dataset));
    const ListId layout(H5Dget_create_plist(dataset));
    const hsize_t stored = H5Dget_storage_size(dataset);
    const hsize_t most =
        stored / H5Tget_size(type) * (H5Pget_nfilters(layout) > 0 ? kMostDeflated : hsize_t{1});
    hsize_t piece = 0;  // elements of a chunk
    if (H5Pget_layout(layout) == H5D_CHUNKED) {
      piece = 1;
      std::vector<hsize_t> extents(static_cast<std::size_t>(info.shape.rank()) + 1);
      const int rank = H5Pget_chunk(layout, info.shape.rank(), extents.data());
      for (int d = 0; d < rank && piece <= most; ++d) piece *= extents[static_cast<std::size_t>(d)];
    }
    if (!elements || stored > bytes_ || *elements > most || piece > most)
      bad(fmt::format("'{}' {} of {} cannot be in the {} bytes that the file has for it", printable(name),
                      info.shape, info.type, std::min<hsize_t>(stored, bytes_)));
  }

  void find_attributes() {
    const auto read_one = [](hid_t root, const char* name, const H5A_info_t*, void* out) -> herr_t {
      try {
        const AttributeId attribute(H5Aopen(root, name, H5P_DEFAULT));
        if (const std::string text = attribute_text(attribute); !text.empty())
          static_cast<std::map<std::string, std::string>*>(out)->emplace(name, text);
        return 0;
      } catch (...) {  // not through C
        return -1;
      }
    };
    hsize_t from = 0;
    if (H5Aiterate2(file_, H5_INDEX_NAME, H5_ITER_INC, &from, read_one, &metadata_) < 0)
      bad(fmt::format(  // untested: of damaged bytes, the library chooses where it notices
          "its attributes are cut off or damaged; HDF5 says: {}", reason()));
  }

  /// A text or a number; empty for anything else.
  static std::string attribute_text(hid_t attribute) {
    constexpr std::size_t kLongest = std::size_t{1} << 16;
    if (attribute < 0) return {};
    const TypeId type(H5Aget_type(attribute));
    const SpaceId space(H5Aget_space(attribute));
    if (!type.valid() || !space.valid() || H5Sget_simple_extent_npoints(space) != 1) return {};
    const H5T_class_t kind = H5Tget_class(type);
    if (kind == H5T_INTEGER || kind == H5T_FLOAT) {
      double number = 0;
      return H5Aread(attribute, H5T_NATIVE_DOUBLE, &number) < 0 ? "" : fmt::format("{}", number);
    }
    if (kind != H5T_STRING) return {};
    if (H5Tis_variable_str(type) > 0) {
      char* text = nullptr;
      const TypeId memory(H5Tcopy(H5T_C_S1));
      H5Tset_size(memory, H5T_VARIABLE);
      H5Tset_cset(memory, H5Tget_cset(type));
      if (H5Aread(attribute, memory, &text) < 0 || text == nullptr) return {};
      const std::string result(text);
      H5free_memory(text);
      return result;
    }
    const std::size_t length = H5Tget_size(type);
    if (length > kLongest) return {};
    std::string text(length, '\0');
    if (H5Aread(attribute, type, text.data()) < 0) return {};
    return text.substr(0, text.find('\0'));
  }

  FileId file_;
  std::uint64_t bytes_ = 0;
};

/// Writes one file; every failure is an IoError.
class Writer {
 public:
  explicit Writer(const std::filesystem::path& path)
      : path_(path), file_(H5Fcreate(path.c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT)) {
    need(file_);
  }
  void attribute(const std::string& name, const std::string& text) {
    const TypeId type(H5Tcopy(H5T_C_S1));
    need(H5Tset_size(type, H5T_VARIABLE));
    need(H5Tset_cset(type, H5T_CSET_UTF8));
    const SpaceId scalar(H5Screate(H5S_SCALAR));
    const AttributeId id(H5Acreate2(file_, name.c_str(), type, scalar, H5P_DEFAULT, H5P_DEFAULT));
    need(id);
    const char* start = text.c_str();
    need(H5Awrite(id, type, &start));
  }
  void array(const std::string& name, Tensor tensor) {
    if (tensor.dtype() == DType::bf16) tensor = tensor.to(DType::f32);
    tensor = tensor.contiguous();
    std::vector<hsize_t> extent(tensor.shape().begin(), tensor.shape().end());
    const SpaceId space(extent.empty()
                            ? H5Screate(H5S_SCALAR)
                            : H5Screate_simple(static_cast<int>(extent.size()), extent.data(), nullptr));
    need(space);
    const ListId layout(H5Pcreate(H5P_DATASET_CREATE));
    need(H5Pset_obj_track_times(layout, false));  // equal contents give equal bytes
    if (const auto bytes = static_cast<hsize_t>(tensor.bytes()); bytes > kChunkBytes && !extent.empty()) {
      extent[0] = std::clamp<hsize_t>(kChunkBytes / (bytes / extent[0]), 1, extent[0]);
      need(H5Pset_chunk(layout, static_cast<int>(extent.size()), extent.data()));
      if (tensor.dtype() != DType::u8) need(H5Pset_shuffle(layout));
      need(H5Pset_deflate(layout, 1));
    }
    const ListId links(H5Pcreate(H5P_LINK_CREATE));
    need(H5Pset_create_intermediate_group(links, 1));
    const hid_t type = memory_type(tensor.dtype());
    const DatasetId dataset(H5Dcreate2(file_, name.c_str(), type, space, links, layout, H5P_DEFAULT));
    need(dataset);
    need(H5Dwrite(dataset, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, tensor.raw()));
  }
  void close() { need(H5Fclose(file_.release())); }

 private:
  void need(hid_t result) const {
    if (result < 0) {
      const int error = errno;  // the library's own words hold it, too, behind many others
      throw IoError(fmt::format("{}: cannot be written: {}", path_.string(),
                                error != 0 ? std::strerror(error) : reason()));
    }
  }
  std::filesystem::path path_;
  FileId file_;
};

}  // namespace

std::string hdf5_version() {
  const Library library;
  unsigned major = 0, minor = 0, release = 0;
  H5get_libversion(&major, &minor, &release);
  return fmt::format("{}.{}.{}", major, minor, release);
}

std::unique_ptr<ArrayFile> open_hdf5(const std::filesystem::path& path) {
  return std::make_unique<Hdf5File>(path);
}

void save_hdf5(const std::filesystem::path& path, const TensorMap& arrays,
               const std::map<std::string, std::string>& attributes) {
  const Library library;
  errno = 0;
  Writer writer(path);
  for (const auto& [name, text] : attributes) writer.attribute(name, text);
  for (const auto& [name, tensor] : arrays) writer.array(name, tensor);
  writer.close();
}

}  // namespace fovea::nn

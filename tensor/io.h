// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <map>
#include <string>

#include "tensor/tensor.h"

/// Tensors in files. All throw IoError with the path, what is wrong, and what was expected.
///
/// Readers trust nothing: each length, offset and product of extents is checked against the size of the file
/// before memory is asked for, and a compressed stream is measured first; names must differ, data must not
/// overlap, nothing may be left over. Writers leave an incomplete file behind if the disk fills up, so write
/// to a temporary name and rename.
namespace fovea {

using TensorMap = std::map<std::string, Tensor>;

struct Safetensors {
  TensorMap tensors;
  std::map<std::string, std::string> metadata;
};

/// The safetensors format: u64 length of the header; header, a JSON object from each name to dtype, shape and
/// data_offsets, with texts under __metadata__; then the data, little-endian, in C order, without gaps. Types
/// F32, F64, BF16, I64, I32, U8. Equal contents give equal bytes.
void save_safetensors(const std::filesystem::path& path, const TensorMap& tensors,
                      const std::map<std::string, std::string>& metadata = {});
Safetensors load_safetensors(const std::filesystem::path& path, const Device& device);

/// NumPy's .npy, version 1 and 2: magic, version, length of the header, header (a Python dict of descr,
/// fortran_order and shape), data. C and Fortran order; little-endian f4, f8, i4, i8, u1.
void save_npy(const std::filesystem::path& path, const Tensor& tensor);
Tensor load_npy(const std::filesystem::path& path, const Device& device);

/// NumPy's .npz: a zip archive of NAME.npy files, as numpy.savez (stored) and numpy.savez_compressed
/// (deflated) write it; one of ours is stored, and equal contents give equal bytes. A deflated entry may
/// unpack to at most 8 GiB. Names without the ".npy".
void save_npz(const std::filesystem::path& path, const TensorMap& tensors);
TensorMap load_npz(const std::filesystem::path& path, const Device& device);

}  // namespace fovea

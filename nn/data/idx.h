// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>

#include "tensor/tensor.h"

namespace fovea::nn {

/// IDX, the format in which MNIST and Fashion-MNIST come: two zero bytes, a byte for the type, a byte for the
/// rank, the extents as big-endian 32-bit numbers, then the values, big-endian, in C order. Pictures are u8
/// [images, height, width], labels u8 [images].
///
/// Read plain or compressed by gzip, told by the first bytes; types u8 (0x08), i32 (0x0C), f32 (0x0D) and f64
/// (0x0E). The declared size is checked against the file, a compressed one by unpacking it once into nothing,
/// before memory is asked for; it may be 8 GiB at most.
/// throws IoError naming the file, what is wrong and what was expected
Tensor load_idx(const std::filesystem::path& path, const Device& device);

/// Writes it plain. throws IoError, also for i64 and bf16, which IDX does not know
void save_idx(const std::filesystem::path& path, const Tensor& tensor);

}  // namespace fovea::nn

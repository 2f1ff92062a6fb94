// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

/// Arithmetic of extents. Internal linkage: each instruction set has its own copy.
namespace fovea::cpu {
namespace {

using Index = std::int64_t;

constexpr Index least(Index a, Index b) { return a < b ? a : b; }
constexpr Index most(Index a, Index b) { return a > b ? a : b; }
constexpr Index blocks_of(Index count, Index size) { return (count + size - 1) / size; }

/// Where piece i of `pieces` begins that are as equal as whole numbers can be.
constexpr Index cut(Index count, Index pieces, Index i) { return count * i / pieces; }

}  // namespace
}  // namespace fovea::cpu

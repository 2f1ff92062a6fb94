// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace fovea::simt {

/// Bytes that move as one, whatever their type: one access of a lane.
template <int kBytes>
struct [[gnu::may_alias]] alignas(kBytes) Chunk {
  unsigned char byte[kBytes];
};

}  // namespace fovea::simt

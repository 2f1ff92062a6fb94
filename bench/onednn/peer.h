// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "bench/onednn/objects.h"
#include "bench/side.h"

namespace fovea::bench::onednn {

/// preferred: what oneDNN likes best, blocks of channels or packed weights, brought there outside of the timing.
/// plain: activations as ours and PyTorch's are, [N, C, H, W]; convolution weights are packed all the same.
enum class Layout { preferred, plain };

/// Whether the two differ for a case.
bool has_layouts(const Case& c);

/// oneDNN's way of doing a case that has a geometry, on `threads` OpenMP threads, or on one where that is faster. Where it leaves the order to the caller
/// (pooling, batch norm), blocks of 16 channels and channels last are tried on set 0 and the faster one is taken.
/// throws OnednnError if there is no library, or if it refuses the case
std::unique_ptr<Peer> make_peer(const Case& c, int threads, const Buffers& buffers, Layout layout);

/// What an argument of a primitive is: an operand of the case, which the primitive may want in another order, or a
/// state between `prepare` and `run`.
struct Wire {
  int argument;
  enum { input, output, state } kind;
  std::size_t index;
  MemoryDesc order = {};  ///< of the operand, as ours lies; empty: contiguous
};
/// Host pointers of one set of states.
using States = std::vector<float*>;
/// How a case is put to oneDNN.
struct Recipe {
  std::string layout = {};
  PrimitiveDesc run = {}, prepare = {};  ///< prepare may be empty
  std::vector<Wire> run_wires = {}, prepare_wires = {};
  std::vector<MemoryDesc> states = {};
  std::vector<int> cleared = {};  ///< output arguments that are added to, so that each run clears them first
  /// On the host, around the primitives: before prepare, and after the results are delivered; may be empty.
  std::function<void(const Pointers&, const States&)> before = {}, after = {};
};

// Recipes by operation.
Recipe conv2d(const Conv2d& s, Pass pass, Layout layout);
Recipe matmul(const Matmul& s, Layout layout);
Recipe lstm(const LstmGeometry& g, Pass pass);
/// In any order of [N, C, H, W] that `order` makes.
using Order = std::function<MemoryDesc(const Shape&)>;
Recipe max_pool2d(const PoolGeometry& g, Pass pass, const Order& order);
Recipe batch_norm(const NormGeometry& g, Pass pass, const Order& order);

}  // namespace fovea::bench::onednn

// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <vector>

#include "nn/module.h"

namespace fovea::nn {

/// One module after the other.
///
///     Sequential net;
///     net.add<Linear>(10, 32, device);                 // "0"
///     net.add<ReLU>();                                 // "1"
///     net.add_named<Linear>("readout", 32, 2, device);
///
/// An unnamed child is called by its place, as in PyTorch, so names of a checkpoint agree: "0.weight". A
/// Sequential without children is the identity.
class Sequential final : public Module {
 public:
  Sequential() = default;

  /// Makes a module of type M in place, appends it, and returns it for later use.
  template <class M, class... A>
  M& add(A&&... arguments) {
    return add_named<M>(std::to_string(children_.size()), std::forward<A>(arguments)...);
  }
  template <class M, class... A>
  M& add_named(std::string name, A&&... arguments) {
    auto made = std::make_unique<M>(std::forward<A>(arguments)...);
    M& child = *made;
    add_child(std::move(name), child);
    children_.push_back(std::move(made));
    return child;
  }

  Var forward(const Var& x) override;

  /// With `on`, every child is a checkpoint (autograd/checkpoint.h): backward computes it a second time, and between
  /// forward and backward only the children's inputs are kept. No bit of a result or gradient changes.
  void set_checkpoints(bool on) { checkpoints_ = on; }

  std::size_t size() const { return children_.size(); }
  Module& operator[](std::size_t index) { return *children_.at(index); }

 private:
  std::vector<std::unique_ptr<Module>> children_;
  bool checkpoints_ = false;
};

}  // namespace fovea::nn

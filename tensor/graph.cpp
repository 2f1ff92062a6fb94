// SPDX-License-Identifier: Apache-2.0
#include "tensor/graph.h"

#include <utility>

#include "kernels/arena.h"
#include "kernels/captured.h"
#include "tensor/errors.h"

namespace fovea {
namespace {

/// Calls f(queue) if the queue can be captured; there is no such cpu queue.
template <class F>
void on_capturable(const Device& device, F&& f) {
  on(device.queue(), [&](auto& queue) {
    if constexpr (requires { queue.begin_capture(); }) f(queue);
  });
}

/// The memory that is taken while it lives is the graph's.
class Pool {
 public:
  explicit Pool(Arena& arena) : arena_(&arena), number_(arena.open_pool()) {}
  ~Pool() {
    close();
    arena_->drop_pool(number_);
  }
  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;
  void close() {
    if (std::exchange(open_, false)) arena_->close_pool();
  }

 private:
  Arena* arena_;
  int number_;
  bool open_ = true;
};

}  // namespace

struct Graph::State {
  explicit State(const Device& where) : device(where), pool(where.arena()) {}
  Device device;
  Pool pool;
  Captured captured;  // goes before the pool
};

Graph Graph::capture(const Device& device, const std::function<void()>& f) {
  if (!supported(device))
    reject<DeviceError>("graph", "{} has no graphs: run the work itself", device.name());
  // The graph's memory comes from the source: what is cached goes back to it first, when nobody works there any more.
  device.synchronize();
  device.arena().trim();
  auto state = std::make_shared<State>(device);
  on_capturable(device, [&](auto& queue) {
    queue.begin_capture();
    try {
      const Device::HostAccessRefused refused(device);
      f();
    } catch (...) {
      queue.abandon_capture();
      throw;
    }
    state->captured = queue.end_capture();
  });
  state->pool.close();
  return Graph(std::move(state));
}

void Graph::replay() const {
  on_capturable(state_->device, [&](auto& queue) { queue.replay(state_->captured); });
}

std::int64_t Graph::launches() const { return state_->captured.launches; }

}  // namespace fovea

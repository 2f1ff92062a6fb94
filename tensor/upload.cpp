// SPDX-License-Identifier: Apache-2.0
#include "tensor/upload.h"

#include <cassert>
#include <utility>

#if FOVEA_HAS_CUDA
#include "kernels/cuda/event.h"
#endif

namespace fovea {
namespace {

constexpr std::size_t kCopiesUnderWay = 2;

#if FOVEA_HAS_CUDA
class StreamLane final : public CopyLane {
 public:
  explicit StreamLane(cuda::Stream& kernels) : kernels_(kernels), copies_(kernels.device()) {}

  Mark mark_kernels() override { return mark(kernels_); }
  Mark mark_copies() override { return mark(copies_); }
  void copies_wait(const Mark& kernels) override { copies_.wait(event(kernels)); }
  void kernels_wait(const Mark& copies) override { kernels_.wait(event(copies)); }
  void host_waits(const Mark& copies) override { event(copies).synchronize(); }
  void copy_from_host(void* device, const void* host, std::size_t bytes) override {
    copies_.copy_from_host(device, host, bytes);
  }

 private:
  static Mark mark(const cuda::Stream& stream) {
    auto event = std::make_shared<cuda::Event>(stream);
    event->record(stream);
    return event;
  }
  static const cuda::Event& event(const Mark& mark) { return *static_cast<const cuda::Event*>(mark.get()); }

  cuda::Stream& kernels_;
  cuda::Stream copies_;
};
#endif

}  // namespace

std::unique_ptr<CopyLane> copy_lane(const Device& device) {
  return on(device.queue(), [](auto& queue) -> std::unique_ptr<CopyLane> {
#if FOVEA_HAS_CUDA
    if constexpr (std::is_same_v<std::remove_reference_t<decltype(queue)>, cuda::Stream>)
      return std::make_unique<StreamLane>(queue);
#endif
    (void)queue;
    return nullptr;
  });
}

Upload::Upload(const Device& device, std::unique_ptr<CopyLane> lane)
    : device_(device), lane_(std::move(lane)) {}

Upload::~Upload() {
  try {
    for (const Copied& copied : copies_) lane_->host_waits(copied.done);
  } catch (...) {  // coverage: a GPU that has failed copies nothing more
  }
}

void Upload::start(std::span<const Tensor> host) {
  assert(!started() && !host.empty());
  if (!lane_) {
    batch_.assign(host.begin(), host.end());
    return;
  }
  // The host is no further ahead than this, and so is its memory.
  while (copies_.size() >= kCopiesUnderWay) {
    lane_->host_waits(copies_.front().done);
    copies_.pop_front();
  }
  std::vector<Tensor> from, to;
  for (const Tensor& tensor : host) {
    from.push_back(tensor.defined() ? tensor.contiguous() : Tensor());
    to.push_back(tensor.defined() ? Tensor::empty(tensor.shape(), tensor.dtype(), device_, "batch")
                                  : Tensor());
  }
  // Kernels that used this memory before have all been issued, and none of the batch that was taken last has.
  lane_->copies_wait(lane_->mark_kernels());
  for (std::size_t i = 0; i < from.size(); ++i)
    if (from[i].defined())
      lane_->copy_from_host(to[i].raw(), from[i].raw(), static_cast<std::size_t>(from[i].bytes()));
  copies_.push_back({std::move(from), lane_->mark_copies()});
  batch_ = std::move(to);
}

std::vector<Tensor> Upload::take() {
  assert(started());
  std::vector<Tensor> batch = std::exchange(batch_, {});
  if (lane_) {
    lane_->kernels_wait(copies_.back().done);
  } else {
    for (Tensor& tensor : batch)
      if (tensor.defined()) tensor = tensor.to(device_);
  }
  return batch;
}

void Upload::drop() {
  if (started() && lane_) lane_->kernels_wait(copies_.back().done);  // before others get the memory
  batch_.clear();
}

}  // namespace fovea

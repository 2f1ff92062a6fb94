// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <deque>
#include <memory>
#include <span>
#include <vector>

#include "tensor/tensor.h"

namespace fovea {

/// The two queues of an Upload: the device's kernels, and copies to its memory. Only host_waits() waits.
class CopyLane {
 public:
  /// A point in one of the queues: behind the work issued to it so far.
  using Mark = std::shared_ptr<void>;

  virtual ~CopyLane() = default;
  virtual Mark mark_kernels() = 0;
  virtual Mark mark_copies() = 0;
  /// What is issued to one queue from now on begins after a mark of the other.
  virtual void copies_wait(const Mark& kernels) = 0;
  virtual void kernels_wait(const Mark& copies) = 0;
  virtual void host_waits(const Mark& copies) = 0;
  /// A copy: reads `host` at some time before a mark behind it is reached.
  virtual void copy_from_host(void* device, const void* host, std::size_t bytes) = 0;
};

/// The device's own stream and a second one; null for cpu and simt, where nothing can be beside anything.
std::unique_ptr<CopyLane> copy_lane(const Device& device);

/// Copies a batch to a device while its kernels work on the one before.
///
///     upload.start(tensors of the first batch);
///     for (;;) {
///       const std::vector<Tensor> batch = upload.take();
///       upload.start(tensors of the next one);  // copied while the kernels of this one run
///       …                                       // issue them; batch may be dropped at any time
///     }
///
/// What take() gives are tensors like any others: the arena reuses their memory when nobody holds them, and what is
/// copied there waits for the kernels that were issued before that start(). In a steady loop two batches are on the
/// device and two on the host, and nobody waits: the host does for the copy before the last, the copies for the kernels
/// of the last batch, the kernels for their own batch. Make the host's tensors on Device::staging(): copies from other
/// memory hold up the host.
///
/// On cpu and simt, take() gives what start() got, moved there by Tensor::to(). Used by one thread.
class Upload {
 public:
  explicit Upload(const Device& device) : Upload(device, copy_lane(device)) {}
  /// With queues of one's own, on a device whose memory they copy to.
  Upload(const Device& device, std::unique_ptr<CopyLane> lane);
  /// Waits for copies under way, whose host memory others will use.
  ~Upload();
  Upload(const Upload&) = delete;
  Upload& operator=(const Upload&) = delete;

  const Device& device() const { return device_; }
  /// Whether copies run beside kernels, so that it pays to start() early.
  bool beside() const { return lane_ != nullptr; }
  bool started() const { return !batch_.empty(); }

  /// Begins to copy tensors of host memory, at least one; an undefined one stays so. They may be dropped, but not
  /// changed. Needs !started(). throws OutOfMemory, with nothing started
  void start(std::span<const Tensor> host);
  /// The same tensors on the device: kernels issued from now on find them there. Needs started()
  std::vector<Tensor> take();
  /// Forgets what was started, if anything was.
  void drop();

 private:
  /// Host memory that copies read, until they are done.
  struct Copied {
    std::vector<Tensor> host;
    CopyLane::Mark done;
  };

  Device device_;
  std::unique_ptr<CopyLane> lane_;
  std::deque<Copied> copies_;  // under way, oldest first
  std::vector<Tensor> batch_;  // started; on the device, or without a lane still where it was
};

}  // namespace fovea

// SPDX-License-Identifier: Apache-2.0
#include "kernels/cuda/event.h"

#include "kernels/cuda/check.h"
#include "kernels/cuda/stream.h"

namespace fovea::cuda {

Event::Event(const Stream& stream, bool timed) {
  stream.make_current();
  CHECK_CUDA(cudaEventCreateWithFlags(&raw_, timed ? cudaEventDefault : cudaEventDisableTiming));
}

Event::~Event() { (void)cudaEventDestroy(raw_); }  // one that is not done yet goes when it is

void Event::record(const Stream& stream) { CHECK_CUDA(cudaEventRecord(raw_, stream.get())); }

bool Event::done() const {
  const cudaError_t error = cudaEventQuery(raw_);
  if (error == cudaErrorNotReady) {
    (void)cudaGetLastError();  // not an error that the next launch should report
    return false;
  }
  CHECK_CUDA(error);
  return true;
}

void Event::synchronize() const { CHECK_CUDA(cudaEventSynchronize(raw_)); }

double Event::elapsed_ms(const Event& since) const {
  float ms = 0;
  CHECK_CUDA(cudaEventElapsedTime(&ms, since.raw_, raw_));
  return static_cast<double>(ms);
}

}  // namespace fovea::cuda

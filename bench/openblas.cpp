// SPDX-License-Identifier: Apache-2.0
#include "bench/openblas.h"

#include <cblas.h>

#include <chrono>
#include <thread>

#include "bench/clock.h"

namespace fovea::bench {
namespace {

class OpenblasPeer final : public Peer {
 public:
  OpenblasPeer(const Matmul& shape, int threads, const Buffers& buffers)
      : shape_(shape), threads_(threads), buffers_(buffers) {}

  void run(int set) override { timed(set, set + 1, 1); }

  /// Our kernels call the same library and count on it to use no threads, so it has them only for a batch.
  std::optional<Elapsed> timed(int first_set, int sets, int runs) override {
    openblas_set_num_threads(threads_);
    const double wall = seconds_now(), cpu = thread_seconds();
    for (int i = 0; i < runs; ++i) multiply((first_set + i) % sets);
    const Elapsed spent{(seconds_now() - wall) * 1e3, (thread_seconds() - cpu) * 1e3};
    openblas_set_num_threads(1);
    // Its threads look for work for 2^26 cycles before they sleep, on cores that the next side needs.
    if (threads_ > 1) std::this_thread::sleep_for(std::chrono::milliseconds(30));
    return spent;
  }
  PeerInfo info() const override {
    return {.name = "openblas " + openblas_version(), .engine = "sgemm", .layout = ""};
  }

 private:
  void multiply(int set) {
    const Pointers& p = buffers_.set(set);
    const auto as_int = [](std::int64_t i) { return static_cast<int>(i); };
    cblas_sgemm(CblasRowMajor, shape_.transpose_a ? CblasTrans : CblasNoTrans,
                shape_.transpose_b ? CblasTrans : CblasNoTrans, as_int(shape_.m), as_int(shape_.n),
                as_int(shape_.k), 1.0f, static_cast<const float*>(p[0]),
                as_int(shape_.transpose_a ? shape_.m : shape_.k), static_cast<const float*>(p[1]),
                as_int(shape_.transpose_b ? shape_.k : shape_.n), 0.0f, static_cast<float*>(p[2]),
                as_int(shape_.n));
  }

  Matmul shape_;
  int threads_;
  const Buffers& buffers_;
};

}  // namespace

std::unique_ptr<Peer> make_openblas_peer(const Case& c, int threads, const Buffers& buffers) {
  return std::make_unique<OpenblasPeer>(std::get<Matmul>(c.geometry), threads, buffers);
}

std::string openblas_version() {
  const std::string config = openblas_get_config();  // "OpenBLAS 0.3.21 NO_LAPACKE DYNAMIC_ARCH …"
  const std::size_t first = config.find(' ') + 1;
  return config.substr(first, config.find(' ', first) - first);
}

}  // namespace fovea::bench

// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <exception>
#include <memory>
#include <mutex>
#include <thread>
#include <type_traits>
#include <vector>

#include "kernels/arena.h"
#include "kernels/queues.h"

namespace fovea::cpu {

/// Threads and memory of the host. Work is cut into parts by its shape, never by the number of threads, so
/// the result has the same bits for any thread count.
///
/// A pool is used by one caller at a time; `run` returns when all parts are done. A worker that has nothing left
/// to do looks for the next job for some tens of microseconds before it sleeps: the kernels of a step follow each
/// other sooner than that, and to be woken would take it longer than many of them do.
class Pool {
 public:
  /// threads ≥ 1, the caller included
  explicit Pool(int threads, MemorySource memory = host_memory("cpu"));
  ~Pool();
  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;

  int threads() const { return threads_; }
  Arena& arena() { return arena_; }

  /// Calls body(context, part) for every part in 0..parts-1, on any thread, in any order.
  /// throws what the lowest part that threw has thrown, once all parts are done: a failure spares no other
  ///        part, so what was written and what is reported are the same for any number of threads
  void run(std::int64_t parts, void (*body)(void*, std::int64_t), void* context);

 private:
  /// One call of run().
  struct Job {
    void (*body)(void*, std::int64_t);
    void* context;
    std::int64_t failed_part = 0;  // the lowest that threw
    std::exception_ptr failure = nullptr;
  };

  /// Parts of the job that one thread takes first: a neighbour in memory, and the same part of the kernel before, are
  /// likely to be in its caches. Who has none left goes on with those of others. A cache line each.
  struct alignas(64) Share {
    std::atomic<std::int64_t> next = 0;
    std::int64_t end = 0;
  };

  void stop();
  void work(int thread);
  void drain(Job& job, int thread);
  void attempt(Job& job, std::int64_t part);
  void await_job(std::unique_lock<std::mutex>& lock, std::uint64_t seen);

  Arena arena_;
  const int threads_;
  const std::unique_ptr<Share[]> shares_;  // of each thread; the caller is thread 0
  std::vector<std::jthread> workers_;
  std::mutex mutex_;
  std::condition_variable wake_, finished_;
  Job* job_ = nullptr;  // of the caller who waits in run()
  // Changed by those who hold the mutex; read without it to see whether it is worth taking.
  std::atomic<int> busy_ = 0;  // workers in drain()
  std::atomic<std::uint64_t> generation_ = 0;
  std::atomic<bool> stop_ = false;
  int asleep_ = 0;  // workers that have to be woken
};

class Scalar final : public Pool {
  using Pool::Pool;
};
class Avx2 final : public Pool {
  using Pool::Pool;
};
class Avx512 final : public Pool {
  using Pool::Pool;
};

/// Calls f(part) for each part; f is a lambda of the kernel file.
template <class F>
void for_parts(Pool& pool, std::int64_t parts, F&& f) {
  pool.run(
      parts,
      [](void* context, std::int64_t part) { (*static_cast<std::remove_reference_t<F>*>(context))(part); },
      &f);
}

}  // namespace fovea::cpu

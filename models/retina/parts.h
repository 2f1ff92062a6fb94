// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstddef>
#include <exception>
#include <thread>
#include <vector>

namespace fovea::retina {

/// Calls work(part) for part = 0 … parts−1 on up to `threads` threads (at least one) and waits for all.
/// The parts are given by the shape of the problem and write disjoint results, so no result depends on
/// `threads`. throws what the lowest part that threw has thrown, once all parts are done
template <class Work>
void for_parts(int threads, int parts, const Work& work) {
  const int used = std::max(1, std::min(threads, parts));
  std::vector<std::exception_ptr> failures(static_cast<std::size_t>(used));  // of each thread's lowest part
  auto share = [&](int thread) {
    // Neighbours in memory stay with one thread: interleaved parts would fight over cache lines at each seam.
    for (int part = parts * thread / used; part < parts * (thread + 1) / used; ++part) {
      try {
        work(part);
      } catch (...) {
        std::exception_ptr& failure = failures[static_cast<std::size_t>(thread)];
        if (failure == nullptr) failure = std::current_exception();
      }
    }
  };
  {
    std::vector<std::jthread> others;
    others.reserve(static_cast<std::size_t>(used - 1));
    for (int thread = 1; thread < used; ++thread) others.emplace_back(share, thread);
    share(0);
  }  // joined
  for (const std::exception_ptr& failure : failures)
    if (failure != nullptr) std::rethrow_exception(failure);
}

}  // namespace fovea::retina

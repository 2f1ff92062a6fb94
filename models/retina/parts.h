// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <thread>
#include <vector>

namespace fovea::retina {

/// Calls work(part) for part = 0 … parts−1 on up to `threads` threads (at least one) and waits for all.
/// The parts are given by the shape of the problem and write disjoint results, so no result depends on
/// `threads`. `work` must not throw: a thread has nobody to hand the exception to.
template <class Work>
void for_parts(int threads, int parts, const Work& work) {
  const int used = std::max(1, std::min(threads, parts));
  auto share = [&](int thread) {
    // Neighbours in memory stay with one thread: interleaved parts would fight over cache lines at each seam.
    for (int part = parts * thread / used; part < parts * (thread + 1) / used; ++part) work(part);
  };
  std::vector<std::jthread> others;
  others.reserve(static_cast<std::size_t>(used - 1));
  for (int thread = 1; thread < used; ++thread) others.emplace_back(share, thread);
  share(0);
}

}  // namespace fovea::retina

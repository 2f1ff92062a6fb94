// SPDX-License-Identifier: Apache-2.0
#include "nn/data/shuffle.h"

#include <numeric>
#include <utility>

namespace fovea::nn {

std::vector<std::int64_t> shuffled(std::int64_t count, const philox::Key& key) {
  std::vector<std::int64_t> order(static_cast<std::size_t>(count));
  std::iota(order.begin(), order.end(), std::int64_t{0});
  for (std::size_t last = order.size(); last-- > 1;) {
    const philox::Block block = philox::bits(key, last);
    // 64 bits over at most 2^40 places: the remainder favours none by more than 2^-24.
    const std::uint64_t draw = (std::uint64_t{block.word[0]} << 32 | block.word[1]) % (last + 1);
    std::swap(order[last], order[draw]);
  }
  return order;
}

}  // namespace fovea::nn

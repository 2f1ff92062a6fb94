// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "bench/side.h"

namespace fovea::bench {

/// Another library's way of doing a case, or why there is none.
struct PeerOffer {
  std::string name;  ///< "onednn": whose it is, without a version
  /// May be empty. throws std::exception if the peer should be there and fails
  std::function<std::unique_ptr<Peer>()> make = {};
  std::string absent = {};  ///< then: why there is none, in a few words
};

/// All peers for a case on a device of `threads` threads (of the host; of no meaning for a GPU). `buffers` hold random
/// operands, may be overwritten, and outlive the peers, as the case does.
using PeerFinder =
    std::function<std::vector<PeerOffer>(const Case&, const Device&, int threads, const Buffers&, Math)>;
std::vector<PeerOffer> find_peers(const Case& c, const Device& device, int threads, const Buffers& buffers,
                                  Math math);

/// Only those whose name contains one of `names`; with no names, none at all.
PeerFinder only_peers(std::vector<std::string> names, PeerFinder find = find_peers);

/// {"onednn", "3.2.0"}, … of the libraries that peers for this kind of device come from, or why one is not there.
std::vector<std::pair<std::string, std::string>> peer_versions(DeviceKind kind);

}  // namespace fovea::bench

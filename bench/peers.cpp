// SPDX-License-Identifier: Apache-2.0
#include "bench/peers.h"

#include <algorithm>
#include <exception>

#include "bench/openblas.h"
#include "bench/torch/peer.h"
#if FOVEA_HAS_CUDNN
#include "bench/cudnn/peer.h"
#endif
#if FOVEA_HAS_ONEDNN
#include "bench/onednn/peer.h"
#endif

namespace fovea::bench {
namespace {

PeerOffer cudnn_offer([[maybe_unused]] const Case& c, [[maybe_unused]] const Device& device,
                      [[maybe_unused]] const Buffers& buffers, [[maybe_unused]] Math math) {
  if (std::holds_alternative<std::monostate>(c.geometry) || std::holds_alternative<Matmul>(c.geometry))
    return {.name = "cudnn", .absent = "none for this operation"};
  if (math == Math::bf16)  // ours rounds f32 tensors on the way to the tensor cores, cuDNN has no such form
    return {.name = "cudnn", .absent = "wants bf16 tensors"};
#if FOVEA_HAS_CUDNN
  return {.name = "cudnn",
          .make = [&c, &device, &buffers, math] { return cudnn::make_peer(c, device, buffers, math); }};
#else
  return {.name = "cudnn", .absent = "not built in"};
#endif
}

void add_onednn(std::vector<PeerOffer>& offers, const Case& c, [[maybe_unused]] int threads,
                [[maybe_unused]] const Buffers& buffers) {
  if (std::holds_alternative<std::monostate>(c.geometry)) {
    offers.push_back({.name = "onednn", .absent = "none for this operation"});
    return;
  }
#if FOVEA_HAS_ONEDNN
  const auto make = [&c, threads, &buffers](onednn::Layout layout) {
    return [&c, threads, &buffers, layout] { return onednn::make_peer(c, threads, buffers, layout); };
  };
  offers.push_back({.name = "onednn", .make = make(onednn::Layout::preferred)});
  if (onednn::has_layouts(c)) offers.push_back({.name = "onednn plain", .make = make(onednn::Layout::plain)});
#else
  offers.push_back({.name = "onednn", .absent = "not built in (./run bench --peers brings it)"});
#endif
}

}  // namespace

std::vector<PeerOffer> find_peers(const Case& c, const Device& device, int threads, const Buffers& buffers,
                                  Math math) {
  std::vector<PeerOffer> offers;
  if (device.kind() == DeviceKind::simt) {
    offers.push_back({.name = "simt", .absent = "an emulation has no peers"});
    return offers;
  }
  if (!c.paired) {
    offers.push_back({.name = "peers", .absent = "too small for them"});
    return offers;
  }
  if (device.kind() == DeviceKind::cuda) {
    offers.push_back(cudnn_offer(c, device, buffers, math));
  } else {
    add_onednn(offers, c, threads, buffers);
    if (std::holds_alternative<Matmul>(c.geometry))
      offers.push_back({.name = "openblas",
                        .make = [&c, threads, &buffers] { return make_openblas_peer(c, threads, buffers); }});
  }
  if (c.torch.empty()) {
    offers.push_back({.name = "pytorch", .absent = "none for this case"});
    return offers;
  }
  for (const torch::Mode mode : torch::modes(device.kind())) {
    const std::string absent = torch::missing();
    if (!absent.empty())
      offers.push_back({.name = torch::mode_name(mode), .absent = absent});
    else
      offers.push_back({.name = torch::mode_name(mode), .make = [&c, &device, threads, &buffers, math, mode] {
                          return torch::make_peer(c, device, threads, buffers, math, mode);
                        }});
  }
  return offers;
}

PeerFinder only_peers(std::vector<std::string> names, PeerFinder find) {
  if (names.empty())
    return [](const Case&, const Device&, int, const Buffers&, Math) { return std::vector<PeerOffer>{}; };
  if (names == std::vector<std::string>{""}) return find;
  return [names = std::move(names), find = std::move(find)](const Case& c, const Device& device, int threads,
                                                            const Buffers& buffers, Math math) {
    std::vector<PeerOffer> offers = find(c, device, threads, buffers, math);
    std::erase_if(offers, [&](const PeerOffer& offer) {
      return std::none_of(names.begin(), names.end(), [&](const std::string& name) {
        return offer.name.find(name) != std::string::npos;
      });
    });
    return offers;
  };
}

std::vector<std::pair<std::string, std::string>> peer_versions(DeviceKind kind) {
  if (kind == DeviceKind::simt) return {};
  std::vector<std::pair<std::string, std::string>> versions;
  if (kind == DeviceKind::cpu) {
#if FOVEA_HAS_ONEDNN
    try {
      versions.emplace_back("onednn", onednn::version());
    } catch (const std::exception& error) {
      versions.emplace_back("onednn", error.what());
    }
#else
    versions.emplace_back("onednn", "not built in");
#endif
    versions.emplace_back("openblas", openblas_version());
  }
  versions.emplace_back("pytorch", torch::version());
  return versions;
}

}  // namespace fovea::bench

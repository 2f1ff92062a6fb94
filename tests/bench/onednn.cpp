// SPDX-License-Identifier: Apache-2.0
#if FOVEA_HAS_ONEDNN
#include <doctest/doctest.h>

#include "bench/onednn/peer.h"
#include "bench/program.h"

using namespace fovea;
using namespace fovea::bench;

TEST_CASE("oneDNN computes what the references say, in either layout") {
  const Device device = Device::cpu({.threads = 1, .isa = {}});
  for (const char* filter : {"tiny.conv*", "tiny.maxpool*", "tiny.batchnorm*", "tiny.lstm*", "matmul.256"})
    for (const Case& c : chosen_cases(DeviceKind::cpu, false, filter)) {
      CAPTURE(c.name);
      const Buffers buffers(device, c.operands, 1, 1);
      for (const auto layout : {onednn::Layout::preferred, onednn::Layout::plain}) {
        if (layout == onednn::Layout::plain && !onednn::has_layouts(c)) continue;
        for (const int threads : {1, 2}) {
          const std::unique_ptr<Peer> peer = onednn::make_peer(c, threads, buffers, layout);
          CHECK(relative_error(c, device, buffers, *peer) < 1e-5);
          CHECK(peer->info().engine != "");
        }
      }
    }
}

TEST_CASE("a oneDNN that is not there, or is another library, is an error that says which") {
  CHECK_THROWS_WITH(
      onednn::load({"/no/such/libdnnl.so"}),
      "oneDNN cannot be loaded: /no/such/libdnnl.so: cannot open shared object file: No such file or "
      "directory");
  CHECK_THROWS_WITH(onednn::load({"libm.so.6"}),
                    "libm.so.6 has no dnnl_version: oneDNN 3 with OpenMP is needed");
  CHECK_THROWS_WITH(onednn::check(dnnl_unimplemented, "lstm forward"), "lstm forward: unimplemented");
  CHECK_THROWS_WITH(onednn::check(dnnl_runtime_error, "lstm forward"), "lstm forward: status 5");
}
#endif

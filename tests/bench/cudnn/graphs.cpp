// SPDX-License-Identifier: Apache-2.0
#define DOCTEST_CONFIG_IMPLEMENT
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <cstdio>
#include <set>

#include "bench/case.h"
#include "bench/cudnn/operations.h"

using namespace fovea;
using namespace fovea::bench;
using namespace fovea::bench::cudnn;

namespace {

/// An H100 in the form in which cuDNN describes a GPU, so that plans can be made without one.
constexpr const char* kH100 =
    R"({"deviceName": "NVIDIA H100 80GB HBM3", "deviceVer": 900, "driverVer": 13000, "cudnnVersion": 90800,
        "multiProcessorCount": 132, "warpSize": 32, "regsPerBlock": 65536, "maxRegistersPerSM": 65536,
        "maxGridSize": [2147483647, 65535, 65535], "maxBlockSize": [1024, 1024, 64], "maxThreadsPerBlock": 1024,
        "maxThreadsPerSM": 2048, "maxCtasPerSM": 32, "maxSharedMemoryPerBlock": 49152,
        "maxSharedMemoryPerBlockOptin": 232448, "reservedSharedMemoryPerBlock": 1024, "l2CacheSize": 52428800,
        "totalGlobalMem": 85000000000, "smClockRateKHz": 1980000, "memClockRateKHz": 2619000, "pciDeviceId": 0,
        "cudaDeviceId": 0, "device": 0, "deviceId": 0, "isTccDriver": 0, "supportCoopLaunch": 1, "schemaVersion": 1})";

Graph graph_of(const Target& target, const Conv2d& s, Pass pass, Layout layout) {
  const auto build = pass == Pass::grad_input    ? conv2d_grad_input
                     : pass == Pass::grad_weight ? conv2d_grad_weight
                                                 : conv2d_forward;
  return build(target, s, layout, CUDNN_DATA_FLOAT);
}

bool notes(const Plan& plan, std::string_view part) {
  for (const std::string& note : plan.notes)
    if (note.find(part) != std::string::npos) return true;
  return false;
}

}  // namespace

TEST_CASE("each convolution has plans in both layouts, and fp32-strict ones use no tensor cores") {
  const Descriptor device = device_properties(kH100);
  const Target target{nullptr, &device};
  int graphs = 0;
  for (const Case& c : all_cases()) {
    const auto* const conv = std::get_if<Conv2d>(&c.geometry);
    if (conv == nullptr) continue;
    CAPTURE(c.name);
    ++graphs;
    for (const Layout layout : {Layout::nchw, Layout::channels_last}) {
      const Graph graph = graph_of(target, *conv, c.pass, layout);
      const std::vector<Plan> strict = plans(target, graph, {});
      CHECK(!strict.empty());
      for (const Plan& plan : strict) {
        CHECK_FALSE(notes(plan, "tensor_core"));
        CHECK_FALSE(notes(plan, "down_convert"));
        CHECK(plan.workspace_bytes >= 0);
        CHECK(plan.workspace_bytes <= PlanOptions{}.workspace_limit);
      }
    }
  }
  CHECK(graphs > 30);
}

TEST_CASE("tensor cores take part where they may, and a small workspace keeps plans out") {
  const Descriptor device = device_properties(kH100);
  const Target target{nullptr, &device};
  const Conv2d s{.batch = 32,
                 .in_channels = 128,
                 .in_height = 28,
                 .in_width = 28,
                 .out_channels = 128,
                 .kernel_height = 3,
                 .kernel_width = 3,
                 .padding = 1};
  const Graph graph = conv2d_forward(target, s, Layout::nchw, CUDNN_DATA_FLOAT);
  const std::vector<Plan> all = plans(target, graph, {.tensor_cores = true});
  bool any = false;
  for (const Plan& plan : all) any = any || notes(plan, "tensor_core");
  CHECK(any);
  CHECK(plans(target, graph, {.tensor_cores = true, .workspace_limit = 0}).size() < all.size());
}

// Their engines are compiled when a plan is made, which takes a driver; that the graphs are accepted is all that can be
// seen without one.
TEST_CASE("graphs of pooling and batch norm are accepted") {
  const Descriptor device = device_properties(kH100);
  const Target target{nullptr, &device};
  const SlidingWindows windows{.in = 56, .out = 28, .kernel = 2, .stride = 2};
  const Pool2d pool{32 * 64, windows, windows};
  const NormShape norm{32, 64, 56, 56};
  const auto engines = [](const Graph& graph) {
    return graph.graph.value<std::int64_t>(CUDNN_ATTR_OPERATIONGRAPH_ENGINE_GLOBAL_COUNT);
  };
  CHECK(engines(max_pool2d_forward(target, pool, 64, CUDNN_DATA_FLOAT)) > 0);
  CHECK(engines(max_pool2d_backward(target, pool, 64, CUDNN_DATA_FLOAT)) > 0);
  for (const Layout layout : {Layout::nchw, Layout::channels_last}) {
    CHECK(engines(batch_norm_forward(target, norm, layout, CUDNN_DATA_FLOAT)) > 0);
    CHECK(engines(batch_norm_backward(target, norm, layout, CUDNN_DATA_FLOAT)) > 0);
  }
}

TEST_CASE("what cuDNN refuses is told in its own words") {
  std::string text;
  try {
    device_properties("{}");
  } catch (const CudnnError& error) {
    text = error.what();
  }
  CHECK(text.find("finalization of descriptor type 38: CUDNN_STATUS_BAD_PARAM") == 0);
  CHECK(text.find("HasMember") != std::string::npos);
}

TEST_CASE("a library that is not there is told by its path") {
  for (const char* path : {"/nonexistent/libcudnn.so.9", "libm.so.6"}) {
    std::string text;
    try {
      load({path});
    } catch (const CudnnError& error) {
      text = error.what();
    }
    CAPTURE(path);
    CHECK(text.find(path) != std::string::npos);
    const bool missing = text.find("cuDNN cannot be loaded: ") == 0;
    const bool other = text == "libm.so.6 has no cudnnGetVersion: cuDNN 9 is needed";
    CHECK((missing || other));
  }
}

/// Exit code 77 means skipped: there is no cuDNN on this machine.
int main(int argc, char** argv) {
  try {
    library();
  } catch (const CudnnError& error) {
    std::printf("skipped: %s\n", error.what());
    return 77;
  }
  doctest::Context context;
  context.applyCommandLine(argc, argv);
  return context.run();
}

// SPDX-License-Identifier: Apache-2.0
#include "apps/device_code.h"

#include <doctest/doctest.h>

#include <nlohmann/json.hpp>
#include <sstream>

#include "apps/cli.h"
#include "apps/exit_code.h"

namespace fovea::apps {
namespace {

constexpr KernelCode kKernels[] = {
    {"where.cu", "_ZN5fovea12_GLOBAL__N_15pickyILb1EEEvlPKf", "80", 40, 2048, 0, 0, 0, 376},
    {"conv.cu", "_ZN5fovea12_GLOBAL__N_14fillIPFvvENS_3gpu4PackIfLi4EEEEEvT_", "90a", 128, 0, 16, 8, 12, 0},
    {"conv.cu", "_ZN5fovea12_GLOBAL__N_13addEPKfPf", "90a", 16, 0, 0, 0, 0, 0},
    {"conv.cu", "_ZN5fovea12_GLOBAL__N_13addEPKfPf", "80", 18, 0, 0, 0, 0, 376},
};

}  // namespace

TEST_CASE("a kernel's title is its name and its template arguments") {
  CHECK(kernel_title(kKernels[0].kernel) == "picky<true>");
  CHECK(kernel_title(kKernels[1].kernel) == "fill<void (*)(), gpu::Pack<float, 4> >");
  CHECK(kernel_title(kKernels[2].kernel) == "add");
  // As nvcc names what is in an anonymous namespace, an enumerator among the arguments.
  CHECK(kernel_title("_ZN5fovea51_GLOBAL__N__8fdcb021_18_bias_activation_cu_8c94d26a"
                     "22bias_activation_kernelILi4ELb0ELNS_8FunctionE11EEEvlllPKfS4_Pf") ==
        "bias_activation_kernel<4, false, (Function)11>");
  CHECK(kernel_title("no mangled name") == "no mangled name");
}

TEST_CASE("the table of device code is sorted by source and ends with totals") {
  CHECK(device_code_table(kKernels) ==
        "kernel                                                   sm  regs shared local     spilled const "
        "warps blocks\n"
        "conv.cu\n"
        "  add                                                   90a    16      0     0         0/0     0    "
        "64     32\n"
        "  add                                                    80    18      0     0         0/0   376    "
        "64     32\n"
        "  fill<void (*)(), gpu::Pack<float, 4> >                90a   128      0    16        8/12     0    "
        "16     32\n"
        "where.cu\n"
        "  picky<true>                                            80    40   2048     0         0/0   376    "
        "48     32\n"
        "\n3 kernels for sm 80, 90a: at most 128 registers; 1 with local memory, 1 with spills\n");
  const auto list = nlohmann::json::parse(device_code_json(kKernels)).at("kernels");
  REQUIRE(list.size() == 4);
  CHECK(list[2] == nlohmann::json{{"source", "conv.cu"},
                                  {"kernel", "fill<void (*)(), gpu::Pack<float, 4> >"},
                                  {"architecture", "90a"},
                                  {"registers", 128},
                                  {"shared_bytes", 0},
                                  {"local_bytes", 16},
                                  {"spill_store_bytes", 8},
                                  {"spill_load_bytes", 12},
                                  {"constant_bytes", 0},
                                  {"warps_by_registers", 16},
                                  {"blocks_by_shared_memory", 32},
                                  {"mangled", std::string(kKernels[1].kernel)}});
}

TEST_CASE("a build without CUDA has no device code to tell of") {
  if (FOVEA_HAS_CUDA) {
    CHECK_FALSE(device_code().empty());
    return;
  }
  std::ostringstream out, err;
  CHECK(run_program({"ops", "--device-code"}, out, err) == kFailed);
  CHECK(err.str() ==
        "fovea ops: this build has no device code: install the CUDA Toolkit and configure again\n");
}

}  // namespace fovea::apps

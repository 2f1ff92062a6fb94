// SPDX-License-Identifier: Apache-2.0
#include "apps/ops.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <type_traits>

#include "apps/cli.h"
#include "apps/device_code.h"
#include "apps/exit_code.h"
#include "autograd/cost.h"
#include "autograd/op_list.h"
#include "kernels/dtype.h"
#include "kernels/exec.h"

namespace fovea::apps {
namespace {

template <class Q>
constexpr const char* device_of() {
  if constexpr (std::is_same_v<Q, simt::Grid>) return "simt";
  if constexpr (std::is_same_v<Q, cuda::Stream>) return "cuda";
  return "cpu";  // one queue for each instruction set
}

template <class... Q>
std::vector<std::string> devices_of(std::type_identity<std::variant<std::reference_wrapper<Q>...>>) {
  std::vector<std::string> names{device_of<Q>()...};
  std::sort(names.begin(), names.end());
  names.erase(std::unique(names.begin(), names.end()), names.end());
  return names;
}

std::vector<OpEntry> sorted_ops() {
  std::vector<OpEntry> ops(op_list().begin(), op_list().end());
  std::sort(ops.begin(), ops.end(),
            [](const OpEntry& a, const OpEntry& b) { return std::string_view(a.info->name) < b.info->name; });
  return ops;
}

std::vector<std::string> dtypes_of(const OpInfo& info) {
  std::vector<std::string> names;
  if (info.dtypes == "all")
    for (const DType dtype : {DType::f32, DType::f64, DType::bf16, DType::i64, DType::i32, DType::u8})
      names.emplace_back(dtype_name(dtype));
  else
    for (const std::string_view name : words(info.dtypes)) names.emplace_back(name);
  return names;
}

}  // namespace

std::vector<std::string> compiled_devices() { return devices_of(std::type_identity<Queue>{}); }

std::string ops_json() {
  nlohmann::ordered_json list = nlohmann::ordered_json::array();
  for (const OpEntry& op : sorted_ops()) {
    const OpInfo& info = *op.info;
    std::vector<std::string> keeps;
    for (const std::string_view name : words(info.keeps)) keeps.emplace_back(name);
    nlohmann::ordered_json one{{"name", info.name},
                               {"devices", compiled_devices()},
                               {"dtypes", dtypes_of(info)},
                               {"gradient", info.gradient},
                               {"deterministic", info.deterministic},
                               {"signature", info.signature},
                               {"flops", info.flops},
                               {"bytes", info.bytes},
                               {"gradient_flops", info.gradient_flops},
                               {"keeps", keeps},
                               {"page", op.page}};
    if (!info.has_gradient()) one["gradient"] = nullptr;
    list.push_back(std::move(one));
  }
  return nlohmann::ordered_json{{"ops", list}}.dump(2) + "\n";
}

std::string ops_table() {
  const std::vector<OpEntry> ops = sorted_ops();
  std::string text =
      fmt::format("{} ops, each compiled for {}\n\n", ops.size(), fmt::join(compiled_devices(), ", "));
  for (const OpEntry& op : ops) {
    const OpInfo& info = *op.info;
    text += fmt::format("{}  {}\n", info.name, info.signature);
    text += fmt::format("    {}, {}; forward {} FLOPs, {} bytes\n", fmt::join(dtypes_of(info), " "),
                        info.deterministic ? "deterministic" : "not deterministic", info.flops, info.bytes);
    text += info.has_gradient()
                ? fmt::format("    {}; {} FLOPs; keeps {}\n", info.gradient, info.gradient_flops,
                              info.keeps.empty() ? "nothing" : info.keeps)
                : "    no gradient\n";
  }
  return text;
}

void register_ops(CLI::App& program, Action& action) {
  const auto json = std::make_shared<bool>(false), of_kernels = std::make_shared<bool>(false);
  CLI::App* command =
      program.add_subcommand("ops", "List the ops: devices, element types, gradient, determinism, cost");
  command->add_flag("--json", *json, "One JSON object on stdout");
  command->add_flag("--device-code", *of_kernels,
                    "List the CUDA kernels instead: registers, shared and local memory, spills");
  command->footer(
      "Costs are formulas in the extents of the signature. 'N, C, S...' takes what is left into S; E is the\n"
      "size of an element in bytes; dx is 1 where the gradient of x is asked for, else 0.\n"
      "--device-code, from the compiler's report: bytes of shared memory are static ones of a block; local "
      "memory\n"
      "(spills among it) is a thread's; 'warps' is how many the registers of a multiprocessor hold, 'blocks' "
      "how\n"
      "many its shared memory does.");
  command->callback([json, of_kernels, &action] {
    action = [json, of_kernels] {
      if (*of_kernels) {
        const auto kernels = device_code();
        if (kernels.empty())
          throw std::runtime_error(
              "this build has no device code: install the CUDA Toolkit and configure again");
        fmt::print("{}", *json ? device_code_json(kernels) : device_code_table(kernels));
        return static_cast<int>(kDone);
      }
      fmt::print("{}", *json ? ops_json() : ops_table());
      return static_cast<int>(kDone);
    };
  });
}

}  // namespace fovea::apps

// SPDX-License-Identifier: Apache-2.0
#include "apps/device_code.h"

#include <cxxabi.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <nlohmann/json.hpp>
#include <set>
#include <tuple>
#include <utility>
#include <vector>

namespace fovea::apps {
namespace {

struct Row {
  std::string title;
  const KernelCode* code;
};

std::vector<Row> sorted(std::span<const KernelCode> kernels) {
  std::vector<Row> rows;
  for (const KernelCode& code : kernels) rows.push_back({kernel_title(code.kernel), &code});
  std::stable_sort(rows.begin(), rows.end(), [](const Row& a, const Row& b) {
    return std::tie(a.code->source, a.title) < std::tie(b.code->source, b.title);
  });
  return rows;
}

void remove_all(std::string& text, std::string_view part) {
  for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at))
    text.erase(at, part.size());
}

}  // namespace

std::string kernel_title(std::string_view mangled) {
  int status = 0;
  const std::unique_ptr<char, void (*)(void*)> demangled(
      abi::__cxa_demangle(std::string(mangled).c_str(), nullptr, nullptr, &status), std::free);
  if (status != 0) return std::string(mangled);
  std::string title = demangled.get();
  for (const std::string_view everywhere : {"(anonymous namespace)::", "fovea::", "kernels::"})
    remove_all(title, everywhere);
  if (title.starts_with("void ")) title.erase(0, 5);  // templates tell what they return
  int depth = 0;
  for (std::size_t i = 0; i < title.size(); ++i) {
    if (title[i] == '<') ++depth;
    if (title[i] == '>') --depth;
    if (title[i] == '(' && depth == 0) title.resize(i);  // parameters
  }
  return title;
}

std::string device_code_table(std::span<const KernelCode> kernels) {
  std::string text = fmt::format("{:54} {:>4} {:>5} {:>6} {:>5} {:>11} {:>5} {:>5} {:>6}\n", "kernel", "sm",
                                 "regs", "shared", "local", "spilled", "const", "warps", "blocks");
  std::string_view source;
  std::set<std::pair<std::string_view, std::string_view>> distinct;
  std::set<std::string_view> architectures;
  std::size_t with_local = 0, with_spills = 0;
  int most_registers = 0;
  for (const Row& row : sorted(kernels)) {
    const KernelCode& code = *row.code;
    if (code.source != source) text += fmt::format("{}\n", code.source);
    source = code.source;
    const std::string spilled = fmt::format("{}/{}", code.spill_store_bytes, code.spill_load_bytes);
    text += fmt::format("  {:52} {:>4} {:>5} {:>6} {:>5} {:>11} {:>5} {:>5} {:>6}\n", row.title,
                        code.architecture, code.registers, code.shared_bytes, code.local_bytes, spilled,
                        code.constant_bytes, warps_by_registers(code), blocks_by_shared_memory(code));
    distinct.emplace(code.source, code.kernel);
    architectures.insert(code.architecture);
    with_local += code.local_bytes > 0;
    with_spills += code.spill_store_bytes + code.spill_load_bytes > 0;
    most_registers = std::max(most_registers, code.registers);
  }
  return text + fmt::format(
                    "\n{} kernels for sm {}: at most {} registers; {} with local memory, {} with "
                    "spills\n",
                    distinct.size(), fmt::join(architectures, ", "), most_registers, with_local, with_spills);
}

std::string device_code_json(std::span<const KernelCode> kernels) {
  nlohmann::ordered_json list = nlohmann::ordered_json::array();
  for (const Row& row : sorted(kernels)) {
    const KernelCode& code = *row.code;
    list.push_back({{"source", code.source},
                    {"kernel", row.title},
                    {"architecture", code.architecture},
                    {"registers", code.registers},
                    {"shared_bytes", code.shared_bytes},
                    {"local_bytes", code.local_bytes},
                    {"spill_store_bytes", code.spill_store_bytes},
                    {"spill_load_bytes", code.spill_load_bytes},
                    {"constant_bytes", code.constant_bytes},
                    {"warps_by_registers", warps_by_registers(code)},
                    {"blocks_by_shared_memory", blocks_by_shared_memory(code)},
                    {"mangled", code.kernel}});
  }
  return nlohmann::ordered_json{{"kernels", list}}.dump(2) + "\n";
}

}  // namespace fovea::apps

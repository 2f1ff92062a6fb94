// SPDX-License-Identifier: Apache-2.0
#include "autograd/explain.h"

#include <set>

namespace fovea {
namespace {

std::string name_of(const Tape& tape, int id) {
  if (!tape.is_leaf(id) || tape.leaf_name(id).empty()) return fmt::format("%{}", id);
  return tape.leaf_name(id);
}

}  // namespace

std::vector<ExplainedOp> explain(const Tape& tape) {
  std::vector<ExplainedOp> ops;
  std::set<const void*> counted;
  for (const Tape::Record& entry : tape.records()) {
    ExplainedOp& op = ops.emplace_back();
    op.op = entry.info->name;
    op.module = entry.module;
    op.id = entry.first_output;
    for (const Tape::Record::Input& input : entry.inputs)
      op.inputs.push_back({input.id,
                           !input.given    ? "none"
                           : input.id >= 0 ? name_of(tape, input.id)
                                           : "data",
                           input.shape});
    op.shapes = entry.shapes;
    op.dtype = entry.dtype;
    op.cost = cost_of(entry);
    op.gradient = entry.info->gradient;
    op.source = entry.where.str();
    const std::vector<std::string_view> names = words(entry.info->keeps);
    for (std::size_t k = 0; k < entry.kept.size(); ++k) {
      const Tensor& tensor = entry.kept[k];
      if (!tensor.defined()) continue;
      const int memory = entry.memory[k];
      KeptTensor kept{std::string(k < names.size() ? names[k] : "?"), "", tensor.shape(), tensor.bytes()};
      if (memory >= 0)
        kept.memory = name_of(tape, memory);
      else
        kept.memory = memory == Tape::kOwn ? "own" : "data";
      const bool alive_anyway = memory == Tape::kOutside || tape.is_leaf(memory);
      if (!alive_anyway && counted.insert(tensor.storage_id()).second)
        kept.adds = static_cast<std::int64_t>(tensor.storage_bytes());
      op.kept.push_back(std::move(kept));
    }
  }
  return ops;
}

}  // namespace fovea

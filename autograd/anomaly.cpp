// SPDX-License-Identifier: Apache-2.0
#include "autograd/anomaly.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>

namespace fovea {
namespace {

bool is_float(const Tensor& x) {
  return x.dtype() == DType::f32 || x.dtype() == DType::f64 || x.dtype() == DType::bf16;
}

/// f(index, value) for each element, in row-major order.
template <class F>
void for_elements(const Tensor& x, const F& f) {
  const auto visit = [&](const auto& values) {
    for (std::size_t i = 0; i < values.size(); ++i)
      f(static_cast<std::int64_t>(i), static_cast<double>(values[i]));
  };
  if (x.dtype() == DType::f64)
    visit(x.to_vector<double>());
  else
    visit(x.to_vector<float>());
}

Shape position(std::int64_t element, const Shape& shape) {
  Shape index = shape;
  for (int d = shape.rank() - 1; d >= 0; --d) {
    index[d] = element % shape[d];
    element /= shape[d];
  }
  return index;
}

/// Word `place` of an op's `keeps`, or operand `place` of one side of its signature; else "WHAT 2". Of
/// operands that may be many, "x[m...]...", the second is "x 1".
std::string name_in(std::string_view words, std::size_t place, const char* what) {
  std::size_t seen = 0;
  std::string_view last;
  bool repeated = false;
  for (std::size_t i = 0; i < words.size();) {
    if (words[i] == ' ' || words[i] == '?') {
      ++i;
      continue;
    }
    repeated = words[i] == '.';
    if (repeated) break;
    const std::size_t end = std::min(words.find_first_of(" [", i), words.size());
    last = words.substr(i, end - i);
    if (seen++ == place) return std::string(last);
    i = end;
    if (i < words.size() && words[i] == '[') i = std::min(words.find(']', i), words.size() - 1) + 1;
  }
  return fmt::format("{} {}", repeated ? last : what, place);
}

constexpr std::string_view kArrow = " -> ";

std::string result_name(const OpInfo& info, std::size_t place) {
  const std::size_t arrow = info.signature.find(kArrow);
  return name_in(arrow == std::string_view::npos ? "" : info.signature.substr(arrow + kArrow.size()), place,
                 "result");
}

}  // namespace

std::optional<BadElement> first_bad_element(const Tensor& x) {
  if (!x.defined() || !is_float(x)) return std::nullopt;
  std::optional<BadElement> first;
  for_elements(x, [&](std::int64_t i, double value) {
    if (!first && !std::isfinite(value)) first = BadElement{position(i, x.shape()), value};
  });
  return first;
}

ValueRange value_range(std::string name, const Tensor& x) {
  ValueRange range{std::move(name), x.shape()};
  bool seen = false;
  for_elements(x, [&](std::int64_t, double value) {
    if (!std::isfinite(value)) {
      ++range.bad;
      return;
    }
    range.least = seen ? std::min(range.least, value) : value;
    range.greatest = seen ? std::max(range.greatest, value) : value;
    seen = true;
  });
  return range;
}

std::string ValueRange::str() const {
  std::string text = fmt::format("{} {}", name, shape);
  if (bad < shape.numel()) text += fmt::format(" in {:.4g}..{:.4g}", least, greatest);
  if (bad > 0) text += fmt::format(", {} of {} not finite", bad, shape.numel());
  return text;
}

std::string NonFinite::str() const {
  std::string text = op;
  if (!module.empty()) text += fmt::format(" in '{}'", module);
  // A NaN has a sign, too, which says nothing.
  text += fmt::format(": {} {} is {} at {}", tensor, shape,
                      std::isnan(first.value) ? std::abs(first.value) : first.value, first.index);
  for (std::size_t i = 0; i < operands.size(); ++i) text += (i == 0 ? "; from " : ", ") + operands[i].str();
  return text;
}

std::string AnomalyCheck::input_name(const OpInfo& info, std::size_t place, int id) const {
  std::string name = name_in(info.signature.substr(0, info.signature.find(kArrow)), place, "input");
  if (const auto leaf = leaf_names_.find(id); leaf != leaf_names_.end() && !leaf->second.empty())
    name += fmt::format(" ({})", leaf->second);
  return name;
}

void AnomalyCheck::computed(const OpInfo& info, const std::string& module, std::span<const Var> inputs,
                            std::span<const Var> results) {
  const auto fail = [&](std::string tensor, const Tensor& value, const BadElement& bad) {
    NonFinite found{info.name, module, std::move(tensor), value.shape(), bad, {}};
    for (std::size_t i = 0; i < inputs.size(); ++i)
      if (inputs[i].value().defined())
        found.operands.push_back(value_range(input_name(info, i, inputs[i].id()), inputs[i].value()));
    throw NonFiniteError(std::move(found));
  };
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    const Var& input = inputs[i];
    const bool leaf = input.needs_grad() && input.tape()->is_leaf(input.id());
    if (leaf) leaf_names_[input.id()] = input.tape()->leaf_name(input.id());
    if (input.needs_grad() && !leaf) continue;  // a result, which was looked at when it was made
    if (const auto bad = first_bad_element(input.value()))
      fail(input_name(info, i, input.id()), input.value(), *bad);
  }
  for (std::size_t k = 0; k < results.size(); ++k)
    if (const auto bad = first_bad_element(results[k].value()))
      fail(result_name(info, k), results[k].value(), *bad);
}

/// Sums of gradients come into being between the records, so dy is looked at, too.
void AnomalyCheck::backward_begins(const Tape::Record& record, const Grads& dys) {
  slopes_.clear();
  for (std::size_t k = 0; k < dys.size(); ++k) {
    if (!dys[k].defined()) continue;
    const std::string name = "gradient of " + result_name(*record.info, k);
    slopes_.push_back(value_range(name, dys[k]));
    if (const auto bad = first_bad_element(dys[k]))
      throw NonFiniteError({record.info->name, record.module, name, dys[k].shape(), *bad, {}});
  }
}

void AnomalyCheck::backward_ends(const Tape::Record& record, const Grads& dxs) {
  for (std::size_t i = 0; i < dxs.size(); ++i) {
    const auto bad = first_bad_element(dxs[i]);
    if (!bad) continue;
    NonFinite found{
        record.info->name, record.module, "gradient of " + input_name(*record.info, i, record.inputs[i].id),
        dxs[i].shape(),    *bad,          slopes_};
    for (std::size_t k = 0; k < record.kept.size(); ++k)
      if (record.kept[k].defined())
        found.operands.push_back(value_range(name_in(record.info->keeps, k, "kept"), record.kept[k]));
    throw NonFiniteError(std::move(found));
  }
}

}  // namespace fovea

// SPDX-License-Identifier: Apache-2.0
#include "autograd/cost.h"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <optional>

namespace fovea {
namespace {

bool is_letter(char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_'; }

/// Reads a text from the left.
class Reader {
 public:
  explicit Reader(std::string_view text) : text_(text) {}

  /// Skips spaces and then `token`, if it is next.
  bool take(std::string_view token) {
    while (at_ < text_.size() && text_[at_] == ' ') ++at_;
    if (!text_.substr(at_).starts_with(token)) return false;
    at_ += token.size();
    return true;
  }
  /// Letters and digits; may be empty.
  std::string_view name() {
    (void)take("");
    const std::size_t begin = at_;
    while (at_ < text_.size() && is_letter(text_[at_])) ++at_;
    return text_.substr(begin, at_ - begin);
  }
  bool at_end() {
    (void)take("");
    return at_ == text_.size();
  }
  std::size_t place() const { return at_; }

 private:
  std::string_view text_;
  std::size_t at_ = 0;
};

/// Recursive descent over + - · * / and parentheses.
class Formula {
 public:
  Formula(std::string_view text, const Symbols& symbols) : text_(text), symbols_(symbols), reader_(text) {}

  double value() {
    const double result = sum();
    if (!reader_.at_end()) fail("an operator");
    return result;
  }

 private:
  double sum() {
    double result = product();
    while (true) {
      if (reader_.take("+"))
        result += product();
      else if (reader_.take("-"))
        result -= product();
      else
        return result;
    }
  }
  double product() {
    double result = operand();
    while (true) {
      if (reader_.take("·") || reader_.take("*"))
        result *= operand();
      else if (reader_.take("/"))
        result /= operand();
      else
        return result;
    }
  }
  double operand() {
    if (reader_.take("(")) {
      const double result = sum();
      if (!reader_.take(")")) fail("')'");
      return result;
    }
    const std::string_view name = reader_.name();
    double number = 0;
    const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), number);
    if (error == std::errc{} && end == name.data() + name.size()) return number;
    const auto known = symbols_.find(name);
    if (known == symbols_.end()) fail("a number or a symbol of the signature");
    return known->second;
  }
  [[noreturn]] void fail(const char* expected) const {
    reject<ValueError>("formula", "'{}' has no meaning at byte {}: expected {}", text_, reader_.place(),
                       expected);
  }

  std::string_view text_;
  const Symbols& symbols_;
  Reader reader_;
};

/// Goes along a signature and names what it meets.
class Binder {
 public:
  explicit Binder(const Tape::Record& entry) : entry_(entry), reader_(entry.info->signature) {}

  Symbols bind() {
    for (const RecordInput& input : entry_.inputs) {
      const std::string name = operand(input.given, input.shape);
      symbols_[name] = input.given ? 1 : 0;
      double& asked = symbols_["d" + name];
      asked = std::max(asked, input.id >= 0 ? 1.0 : 0.0);
    }
    if (!reader_.take("->")) fail();
    repeated_.reset();
    for (const Shape& shape : entry_.shapes) symbols_[operand(true, shape)] = 1;
    if (!reader_.at_end()) fail();
    symbols_["E"] = static_cast<double>(dtype_bytes(entry_.dtype));
    for (const std::string& symbol : absent_) symbols_.emplace(symbol, 0);  // unless another operand has it
    return std::move(symbols_);
  }

 private:
  /// "x[N, C, S...]" or "bias[C]?", or "x[n...]..." once more
  std::string operand(bool given, const Shape& shape) {
    const bool again = repeated_.has_value();
    if (again) reader_ = *repeated_;
    const Reader start = reader_;
    const std::string name(reader_.name());
    int d = 0;
    if (name.empty() || !reader_.take("[")) fail();
    while (!reader_.take("]")) {
      const std::string symbol(reader_.name());
      std::int64_t extent = 1;
      if (symbol.empty()) fail();
      if (reader_.take("...")) {
        while (d < shape.rank()) extent *= shape[d++];
      } else {
        if (given && d == shape.rank()) fail();
        extent = given ? shape[d++] : 0;
      }
      (void)reader_.take(",");
      if (!given) {
        absent_.push_back(symbol);
        continue;
      }
      const auto [known, is_new] = symbols_.emplace(symbol, extent);
      if (again)
        known->second += static_cast<double>(extent);
      else if (!is_new && known->second != static_cast<double>(extent))
        fail();
    }
    const bool optional = reader_.take("?");
    if (reader_.take("...")) repeated_ = start;
    if (given ? d != shape.rank() : !optional) fail();
    return name;
  }
  [[noreturn]] void fail() const {
    std::string shapes;
    for (const Tape::Record::Input& input : entry_.inputs)
      shapes += fmt::format("{} ", input.given ? input.shape.str() : "none");
    shapes += "->";
    for (const Shape& shape : entry_.shapes) shapes += fmt::format(" {}", shape);
    reject<ValueError>(entry_.info->name, "its signature '{}' does not fit {}", entry_.info->signature,
                       shapes);
  }

  const Tape::Record& entry_;
  Reader reader_;
  std::optional<Reader> repeated_;  // where an operand begins that may come again
  Symbols symbols_;
  std::vector<std::string> absent_;  // extents of operands that are left out
};

}  // namespace

Symbols symbols_of(const Tape::Record& entry) { return Binder(entry).bind(); }

double evaluate(std::string_view formula, const Symbols& symbols) {
  return Formula(formula, symbols).value();
}

Cost cost_of(const Tape::Record& entry) {
  const OpInfo& info = *entry.info;
  if (info.signature.empty()) return {};
  const Symbols symbols = symbols_of(entry);
  return {evaluate(info.flops, symbols), evaluate(info.bytes, symbols),
          // A sum of no terms takes no additions, where formulas count one less than its terms.
          std::max(0.0, evaluate(info.gradient_flops, symbols))};
}

std::vector<std::string_view> words(std::string_view list) {
  std::vector<std::string_view> all;
  while (!list.empty()) {
    const std::size_t end = std::min(list.find(' '), list.size());
    if (end > 0) all.push_back(list.substr(0, end));
    list.remove_prefix(std::min(end + 1, list.size()));
  }
  return all;
}

}  // namespace fovea

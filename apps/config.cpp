// SPDX-License-Identifier: Apache-2.0
#include "apps/config.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cassert>
#include <charconv>
#include <cmath>
#include <optional>

#include "apps/names.h"
#include "tensor/names.h"

namespace fovea::apps {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

std::string toml_string(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\')
      out += {'\\', c};
    else if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f)
      out += fmt::format("\\u{:04X}", static_cast<unsigned char>(c));
    else
      out += c;
  }
  return out + '"';
}

/// TOML tells numbers with a fraction from integers by a '.', an 'e', or the words inf and nan.
std::string real_text(double value) {
  std::string text = fmt::format("{}", value);
  if (text.find_first_of(".en") == std::string::npos) text += ".0";
  return text;
}

std::string_view trimmed(std::string_view text) {
  const auto first = text.find_first_not_of(" \t");
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t") - first + 1);
}

template <class T>
std::optional<T> parse_number(std::string_view text) {
  T value{};
  if (text.starts_with('+')) text.remove_prefix(1);
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size() || text.empty()) return std::nullopt;
  return value;
}

std::optional<Integers> parse_list(std::string_view text) {
  if (text.starts_with('[') && text.ends_with(']')) text = trimmed(text.substr(1, text.size() - 2));
  std::vector<std::int64_t> list;
  while (!text.empty()) {
    const auto comma = text.find(',');
    const auto number = parse_number<std::int64_t>(trimmed(text.substr(0, comma)));
    if (!number) return std::nullopt;
    list.push_back(*number);
    text = comma == std::string_view::npos ? std::string_view{} : trimmed(text.substr(comma + 1));
  }
  return list;
}

std::string range_text(const Key& key, bool integral) {
  const auto bound = [&](double b) { return integral ? fmt::format("{:.0f}", b) : fmt::format("{}", b); };
  if (key.least > -kInfinity && key.most < kInfinity)
    return fmt::format(" from {} to {}", bound(key.least), bound(key.most));
  if (key.least > -kInfinity) return fmt::format(", at least {}", bound(key.least));
  if (key.most < kInfinity) return fmt::format(", at most {}", bound(key.most));
  return {};
}

/// "an integer, at least 1"
std::string expected(const Key& key) {
  struct Describe {
    const Key& key;
    std::string operator()(bool) const { return "true or false"; }
    std::string operator()(std::int64_t) const { return "an integer" + range_text(key, true); }
    std::string operator()(double) const { return "a number" + range_text(key, false); }
    std::string operator()(const std::string&) const {
      return key.choices.empty() ? "text" : fmt::format("one of {}", fmt::join(key.choices, ", "));
    }
    std::string operator()(const std::vector<std::int64_t>&) const {
      return fmt::format("a list of integers{}, as [8, 8]", range_text(key, true));
    }
  };
  return std::visit(Describe{key}, key.default_value);
}

[[noreturn]] void refuse(const Key& key, std::string_view got, std::string_view origin,
                         std::string_view more = {}) {
  throw UsageError(
      fmt::format("{}: {} = {}: expected {}{}", origin, key.name, printable(got, 120), expected(key), more));
}

std::string shown(const Value& value) { return to_toml(value); }

/// The value as the key's type, checked; an integer where a number is expected is one.
Value checked(const Key& key, Value value, std::string_view origin) {
  if (std::holds_alternative<double>(key.default_value) && std::holds_alternative<std::int64_t>(value))
    value = static_cast<double>(std::get<std::int64_t>(value));
  if (value.index() != key.default_value.index()) refuse(key, shown(value), origin);
  const auto in_range = [&](double number) { return number >= key.least && number <= key.most; };
  if (const auto* integer = std::get_if<std::int64_t>(&value)) {
    if (!in_range(static_cast<double>(*integer))) refuse(key, shown(value), origin);
  } else if (const auto* real = std::get_if<double>(&value)) {
    if (!std::isfinite(*real) || !in_range(*real)) refuse(key, shown(value), origin);
  } else if (const auto* text = std::get_if<std::string>(&value)) {
    if (!key.choices.empty() && std::find(key.choices.begin(), key.choices.end(), *text) == key.choices.end())
      refuse(key, shown(value), origin, did_you_mean(*text, key.choices));
  } else if (const auto* list = std::get_if<Integers>(&value)) {
    for (const std::int64_t number : *list)
      if (!in_range(static_cast<double>(number))) refuse(key, shown(value), origin);
  }
  return value;
}

Value parsed(const Key& key, std::string_view text, std::string_view origin) {
  struct Parse {
    std::string_view text;
    std::optional<Value> operator()(bool) const {
      if (text == "true") return true;
      if (text == "false") return false;
      return std::nullopt;
    }
    std::optional<Value> operator()(std::int64_t) const {
      const auto number = parse_number<std::int64_t>(text);
      return number ? std::optional<Value>(*number) : std::nullopt;
    }
    std::optional<Value> operator()(double) const {
      const auto number = parse_number<double>(text);
      return number ? std::optional<Value>(*number) : std::nullopt;
    }
    std::optional<Value> operator()(const std::string&) const {
      if (text.size() >= 2 && text.front() == '"' && text.back() == '"')
        return std::string(text.substr(1, text.size() - 2));
      return std::string(text);
    }
    std::optional<Value> operator()(const std::vector<std::int64_t>&) const {
      auto list = parse_list(text);
      return list ? std::optional<Value>(std::move(*list)) : std::nullopt;
    }
  };
  std::optional<Value> value = std::visit(Parse{text}, key.default_value);
  if (!value) refuse(key, text.empty() ? "''" : text, origin);
  return checked(key, *std::move(value), origin);
}

}  // namespace

std::string to_toml(const Value& value) {
  struct Write {
    std::string operator()(bool b) const { return b ? "true" : "false"; }
    std::string operator()(std::int64_t i) const { return fmt::format("{}", i); }
    std::string operator()(double d) const { return real_text(d); }
    std::string operator()(const std::string& s) const { return toml_string(s); }
    std::string operator()(const std::vector<std::int64_t>& l) const {
      return fmt::format("[{}]", fmt::join(l, ", "));
    }
  };
  return std::visit(Write{}, value);
}

Config::Config(std::vector<Key> keys) : keys_(std::move(keys)) {
  for (const Key& key : keys_) settings_.push_back({checked(key, key.default_value, "default"), "default"});
}

std::size_t Config::index(std::string_view name, std::string_view origin) const {
  for (std::size_t i = 0; i < keys_.size(); ++i)
    if (keys_[i].name == name) return i;
  std::vector<std::string> names;
  for (const Key& key : keys_) names.push_back(key.name);
  throw UsageError(fmt::format("{}: unknown key '{}'{}", origin, printable(name), did_you_mean(name, names)));
}

void Config::set(std::string_view name, const Value& value, std::string_view origin) {
  const std::size_t i = index(name, origin);
  settings_[i] = {checked(keys_[i], value, origin), std::string(origin)};
}

void Config::set_text(std::string_view assignment, std::string_view origin) {
  const auto equals = assignment.find('=');
  if (equals == std::string_view::npos)
    throw UsageError(fmt::format("{}: '{}': expected key=value", origin, assignment));
  const std::size_t i = index(trimmed(assignment.substr(0, equals)), origin);
  settings_[i] = {parsed(keys_[i], trimmed(assignment.substr(equals + 1)), origin), std::string(origin)};
}

template <class T>
const T& Config::get(std::string_view name) const {
  const T* value = std::get_if<T>(&this->value(name));
  assert(value != nullptr && "a setting is read as another type than its key has");
  return *value;
}

const Value& Config::value(std::string_view name) const { return settings_[index(name, "program")].value; }
const std::string& Config::origin(std::string_view name) const {
  return settings_[index(name, "program")].origin;
}
bool Config::flag(std::string_view name) const { return get<bool>(name); }
std::int64_t Config::integer(std::string_view name) const { return get<std::int64_t>(name); }
double Config::real(std::string_view name) const { return get<double>(name); }
const std::string& Config::text(std::string_view name) const { return get<std::string>(name); }
const std::vector<std::int64_t>& Config::integers(std::string_view name) const { return get<Integers>(name); }

std::string Config::to_toml() const {
  // Tables in the order of their first key, so that keys of one table given apart still stand together.
  std::vector<std::string> tables;
  const auto table_of = [](const Key& key) {
    const auto dot = key.name.rfind('.');
    return dot == std::string::npos ? std::string{} : key.name.substr(0, dot);
  };
  for (const Key& key : keys_)
    if (std::find(tables.begin(), tables.end(), table_of(key)) == tables.end())
      tables.push_back(table_of(key));
  std::stable_partition(tables.begin(), tables.end(), [](const std::string& t) { return t.empty(); });

  std::string out;
  for (const std::string& table : tables) {
    if (!table.empty()) out += fmt::format("{}[{}]\n", out.empty() ? "" : "\n", table);
    for (std::size_t i = 0; i < keys_.size(); ++i) {
      if (table_of(keys_[i]) != table) continue;
      const std::string leaf = keys_[i].name.substr(table.empty() ? 0 : table.size() + 1);
      out += fmt::format("{} = {}\n", leaf, apps::to_toml(settings_[i].value));
    }
  }
  return out;
}

std::vector<std::pair<std::string, std::string>> Config::listing() const {
  std::vector<std::pair<std::string, std::string>> rows;
  for (std::size_t i = 0; i < keys_.size(); ++i)
    rows.emplace_back(keys_[i].name, apps::to_toml(settings_[i].value));
  return rows;
}

std::string describe_keys(const std::vector<Key>& keys) {
  std::size_t width = 0;
  for (const Key& key : keys)
    width = std::max(width, key.name.size() + to_toml(key.default_value).size() + 3);
  std::string out;
  for (const Key& key : keys) {
    const std::string setting = fmt::format("{} = {}", key.name, to_toml(key.default_value));
    out += fmt::format("  {:<{}}  {} ({})\n", setting, width, key.doc, expected(key));
  }
  return out;
}

}  // namespace fovea::apps

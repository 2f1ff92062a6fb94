// SPDX-License-Identifier: Apache-2.0
// Reading of TOML, apart from config.cpp because toml++ is by far the slowest header of this room.
#include <fmt/format.h>
#include <toml++/toml.h>

#include <fstream>
#include <sstream>

#include "apps/config.h"

namespace fovea::apps {
namespace {

/// empty if TOML has no such value here (dates, tables in lists, mixed lists)
std::optional<Value> to_value(const toml::node& node) {
  if (const auto* b = node.as_boolean()) return b->get();
  if (const auto* i = node.as_integer()) return i->get();
  if (const auto* f = node.as_floating_point()) return f->get();
  if (const auto* s = node.as_string()) return s->get();
  if (const auto* array = node.as_array()) {
    std::vector<std::int64_t> list;
    for (const toml::node& item : *array) {
      const auto* number = item.as_integer();
      if (number == nullptr) return std::nullopt;
      list.push_back(number->get());
    }
    return list;
  }
  return std::nullopt;
}

void apply(Config& config, const toml::table& table, const std::string& prefix, std::string_view source) {
  for (const auto& [key, node] : table) {
    const std::string name = prefix + std::string(key.str());
    if (const toml::table* inner = node.as_table()) {
      apply(config, *inner, name + ".", source);
      continue;
    }
    const std::string origin = fmt::format("{}:{}", source, node.source().begin.line);
    const std::optional<Value> value = to_value(node);
    if (!value)
      throw UsageError(
          fmt::format("{}: {}: expected true or false, a number, text or a list of integers", origin, name));
    config.set(name, *value, origin);
  }
}

}  // namespace

void Config::load_toml_text(std::string_view text, std::string_view source_name) {
  toml::table table;
  try {
    table = toml::parse(text, source_name);
  } catch (const toml::parse_error& error) {
    throw UsageError(fmt::format("{}:{}: {}", source_name, error.source().begin.line, error.description()));
  }
  Config changed = *this;
  apply(changed, table, "", source_name);
  *this = std::move(changed);
}

void Config::load_toml(const std::filesystem::path& path) {
  std::ifstream in(path);
  std::ostringstream text;
  if (!in || std::filesystem::is_directory(path) || !(text << in.rdbuf()))
    throw IoError(fmt::format("{}: cannot read the configuration file", path.string()));
  load_toml_text(text.str(), path.string());
}

}  // namespace fovea::apps

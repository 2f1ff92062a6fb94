// SPDX-License-Identifier: Apache-2.0
// Reading of TOML, apart from config.cpp because toml++ is by far the slowest header of this room.
#include <fmt/format.h>
#include <toml++/toml.h>

#include "apps/config.h"
#include "tensor/file.h"
#include "tensor/names.h"

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
      throw UsageError(fmt::format("{}: {}: expected true or false, a number, text or a list of integers",
                                   origin, printable(name)));
    config.set(name, *value, origin);
  }
}

constexpr std::uint64_t kLongest = 1 << 20;

std::string read_config(const std::filesystem::path& path) {
  File file = File::open(path);
  if (file.size() > kLongest)
    throw UsageError(fmt::format("{}: {} bytes are too many for a configuration, at most {} are read",
                                 path.string(), file.size(), kLongest));
  std::string text(file.size(), '\0');
  file.read(text.data(), text.size());
  return text;
}

/// toml++ descends by recursion into names as long as the file: a.a.a.a = 1. Ours have two parts.
void check_depth(std::string_view text, std::string_view source_name) {
  constexpr int kMostDots = 16;
  int line = 1, dots = 0;
  bool name = true;  // up to '=' or the end of the line; a text that holds dots comes after it
  for (const char c : text) {
    if (c == '=' || c == '#') name = false;
    if (c == '\n') {
      ++line;
      dots = 0;
      name = true;
    }
    if (name && c == '.' && ++dots > kMostDots)
      throw UsageError(fmt::format("{}:{}: a name of more than {} parts, expected one like train.batch",
                                   source_name, line, kMostDots));
  }
}

toml::table parse(std::string_view text, std::string_view source_name) {
  check_depth(text, source_name);
  try {
    return toml::parse(text, source_name);
  } catch (const toml::parse_error& error) {
    throw UsageError(fmt::format("{}:{}: {}", source_name, error.source().begin.line,
                                 printable(error.description(), 200)));
  }
}

}  // namespace

void Config::load_toml_text(std::string_view text, std::string_view source_name) {
  const toml::table table = parse(text, source_name);
  Config changed = *this;
  apply(changed, table, "", source_name);
  *this = std::move(changed);
}

void Config::load_toml(const std::filesystem::path& path) {
  load_toml_text(read_config(path), path.string());
}

std::string toml_text_at(const std::filesystem::path& path, std::string_view name) {
  return parse(read_config(path), path.string()).at_path(name).value_or(std::string());
}

}  // namespace fovea::apps

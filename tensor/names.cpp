// SPDX-License-Identifier: Apache-2.0
#include "tensor/names.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>

namespace fovea {
namespace {

/// Bytes of the UTF-8 character that `text` begins with; 0 if it begins with none that can be printed.
std::size_t character_at(std::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  if (byte(0) < 0x80) return byte(0) >= 0x20 && byte(0) != 0x7f ? 1 : 0;
  const std::size_t length = byte(0) >= 0xf0 ? 4 : byte(0) >= 0xe0 ? 3 : 2;
  if (byte(0) < 0xc2 || byte(0) > 0xf4 || text.size() < length) return 0;
  for (std::size_t i = 1; i < length; ++i)
    if ((byte(i) & 0xc0) != 0x80) return 0;
  const bool control = byte(0) == 0xc2 && byte(1) < 0xa0;  // terminals obey these, too
  return control ? 0 : length;
}

}  // namespace

int edit_distance(std::string_view a, std::string_view b) {
  std::vector<int> before(b.size() + 1), above(b.size() + 1), row(b.size() + 1);
  std::iota(above.begin(), above.end(), 0);
  for (std::size_t i = 1; i <= a.size(); ++i) {
    row[0] = static_cast<int>(i);
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const int replaced = above[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
      row[j] = std::min({above[j] + 1, row[j - 1] + 1, replaced});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
        row[j] = std::min(row[j], before[j - 2] + 1);
    }
    before.swap(above);
    above.swap(row);
  }
  return above[b.size()];
}

std::optional<std::string> nearest_name(std::string_view wrong, const std::vector<std::string>& names) {
  const std::string* best = nullptr;
  int best_distance = 0;
  for (const std::string& name : names) {
    const int distance = edit_distance(wrong, name);
    if (best == nullptr || distance < best_distance) {
      best = &name;
      best_distance = distance;
    }
  }
  if (best != nullptr && 3 * best_distance <= static_cast<int>(std::max(wrong.size(), best->size())))
    return *best;
  for (const std::string& name : names) {
    const std::string_view last = std::string_view(name).substr(name.rfind('.') + 1);
    if (edit_distance(wrong, last) <= (wrong.size() > 3 ? 1 : 0)) return name;
  }
  if (wrong.size() >= 3) {
    for (const std::string& name : names) {
      if (name.find(wrong) != std::string::npos) return name;
    }
  }
  return std::nullopt;
}

std::string did_you_mean(std::string_view wrong, const std::vector<std::string>& names) {
  const std::optional<std::string> name = nearest_name(wrong, names);
  return name ? fmt::format("; did you mean '{}'?", *name) : std::string{};
}

std::string printable(std::string_view text, std::size_t most) {
  std::vector<std::string> characters;
  std::size_t total = 0;
  const auto add = [&](std::string character) {
    total += character.size();
    characters.push_back(std::move(character));
  };
  // A text longer than this loses its middle in any case.
  const std::string_view end =
      text.size() > 8 * most ? text.substr(text.size() - 4 * most) : std::string_view{};
  std::string_view rest = end.empty() ? text : text.substr(0, 4 * most);
  for (int part = 0; part < 2; ++part, rest = end)
    while (!rest.empty()) {
      const std::size_t length = character_at(rest);
      add(length > 0 ? std::string(rest.substr(0, length))
                     : fmt::format("\\x{:02X}", static_cast<unsigned char>(rest[0])));
      rest.remove_prefix(std::max<std::size_t>(length, 1));
    }
  std::string out;
  if (total <= most) {
    for (const std::string& character : characters) out += character;
    return out;
  }
  std::string tail;
  for (auto c = characters.rbegin(); tail.size() + c->size() <= most / 3; ++c) tail.insert(0, *c);
  for (auto c = characters.begin(); out.size() + c->size() <= most - most / 3; ++c) out += *c;
  return out + "…" + tail;
}

}  // namespace fovea

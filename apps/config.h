// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <limits>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "apps/exit_code.h"

namespace fovea::apps {

/// A list of numbers. A type of its own: libstdc++ 12 takes a variant of strings and vectors for one whose copies cannot
/// fail, and destroys what is not there if memory runs out in the middle of one.
struct Integers : std::vector<std::int64_t> {
  using std::vector<std::int64_t>::vector;
  Integers(std::vector<std::int64_t> values)  // NOLINT: a list is meant to convert
      : std::vector<std::int64_t>(std::move(values)) {}
};

/// A setting's value; which alternative it is, is the key's type.
using Value = std::variant<bool, std::int64_t, double, std::string, Integers>;

/// As in TOML: true, 64, 0.001, "adam", [8, 8]. Reads back as the same value.
std::string to_toml(const Value& value);

/// One row of a table of settings. The default value fixes the type.
struct Key {
  std::string name;  ///< "train.batch"
  Value default_value;
  std::string doc;                                          ///< one line, with the unit
  double least = -std::numeric_limits<double>::infinity();  ///< for numbers, and for each number of a list
  double most = std::numeric_limits<double>::infinity();
  std::vector<std::string> choices = {};  ///< for text; empty: anything
};

/// The keys every trainer has: train.*, optim.*, data.*.
std::vector<Key> shared_keys();
/// Whether a resumed run may be given another value: when it stops, how often it saves and logs, where files lie;
/// and train.math, which is told as another device is. All other settings change what is computed and stay.
bool may_change_on_resume(std::string_view key);

/// Settings of one run, in layers: defaults ← preset ← configuration file ← --set ← options. Later calls win.
/// Every key is known, typed and in range at any time; what is refused changes nothing.
///
/// Errors are UsageError: one line that names key, value, what was expected, and where it came from
/// ("F.toml:12", "--set", …); an unknown key gives the nearest name.
class Config {
 public:
  /// keys: in the order in which they are written and listed; names are unique
  explicit Config(std::vector<Key> keys);

  /// origin: whom to blame in an error, and what origin() tells
  void set(std::string_view name, const Value& value, std::string_view origin);
  /// "optim.lr=1e-3": the text is read as the key's type; lists as [8, 8] or 8,8
  void set_text(std::string_view assignment, std::string_view origin);
  /// Tables nest into dotted names: [optim] lr = 1e-3. A file that is refused leaves all settings as they
  /// were. throws IoError if the file cannot be read, UsageError with file:line for everything else
  void load_toml(const std::filesystem::path& path);
  void load_toml_text(std::string_view text, std::string_view source_name);

  bool flag(std::string_view name) const;
  std::int64_t integer(std::string_view name) const;
  double real(std::string_view name) const;
  const std::string& text(std::string_view name) const;
  const std::vector<std::int64_t>& integers(std::string_view name) const;
  const Value& value(std::string_view name) const;
  /// "default", "preset demo", "F.toml:12", "--set", "--steps"
  const std::string& origin(std::string_view name) const;

  const std::vector<Key>& keys() const { return keys_; }
  /// All settings, tables in the order of the keys. load_toml_text() of it gives equal settings and equal
  /// text.
  std::string to_toml() const;
  /// Names and values as in to_toml(), in the order of the keys, for listings and reports.
  std::vector<std::pair<std::string, std::string>> listing() const;

 private:
  struct Setting {
    Value value;
    std::string origin;
  };
  std::size_t index(std::string_view name, std::string_view origin) const;
  template <class T>
  const T& get(std::string_view name) const;

  std::vector<Key> keys_;
  std::vector<Setting> settings_;
};

/// The text under a dotted name in a TOML file, whatever else the file holds; "" if there is none.
/// throws IoError, UsageError as load_toml does
std::string toml_text_at(const std::filesystem::path& path, std::string_view name);

/// One line a key: name, default, range or choices, doc. For --help and --keys.
std::string describe_keys(const std::vector<Key>& keys);

}  // namespace fovea::apps

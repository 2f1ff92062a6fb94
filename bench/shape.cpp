// SPDX-License-Identifier: Apache-2.0
#include "bench/shape.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <initializer_list>
#include <map>
#include <sstream>
#include <vector>

#include "apps/exit_code.h"
#include "bench/cases/builders.h"
#include "tensor/names.h"

namespace fovea::bench {
namespace {

constexpr std::int64_t kMostOfKey = 1'000'000;
constexpr double kMostElements = 1e10;  // of an operand, 40 GB

/// A key of an operation. An empty default: it has to be given; another key's name: as that one.
struct Key {
  const char *name, *fallback;
  std::int64_t least;
};

struct Operation {
  const char* name;
  std::vector<Key> keys;
  std::vector<Pass> passes;  // the first one is the default
};

const std::vector<Operation>& operations() {
  static const std::vector<Operation> all = {
      {"conv2d",
       {{"n", "1", 1},
        {"c", "", 1},
        {"h", "", 1},
        {"w", "h", 1},
        {"o", "c", 1},
        {"k", "3", 1},
        {"stride", "1", 1},
        {"pad", "0", 0}},
       {Pass::forward, Pass::grad_input, Pass::grad_weight}},
      {"matmul", {{"m", "", 1}, {"n", "", 1}, {"k", "", 1}, {"ta", "0", 0}, {"tb", "0", 0}}, {}},
      {"max_pool2d",
       {{"n", "1", 1}, {"c", "", 1}, {"h", "", 1}, {"w", "h", 1}, {"k", "2", 1}, {"stride", "k", 1}},
       {Pass::forward, Pass::backward}},
      {"batch_norm",
       {{"n", "", 1}, {"c", "", 1}, {"h", "1", 1}, {"w", "h", 1}},
       {Pass::forward, Pass::backward}},
      {"lstm", {{"t", "", 1}, {"b", "1", 1}, {"i", "", 1}, {"h", "", 1}}, {Pass::forward, Pass::backward}}};
  return all;
}

[[noreturn]] void refuse(const std::string& why) { throw apps::UsageError("--shape " + why); }

const Operation& operation(const std::string& name) {
  std::vector<std::string> names;
  for (const Operation& o : operations()) {
    if (name == o.name) return o;
    names.emplace_back(o.name);
  }
  refuse(fmt::format("{}: no such operation; there are {}{}", printable(name), fmt::join(names, ", "),
                     did_you_mean(name, names)));
}

std::int64_t whole_number(const Operation& o, const Key& key, const std::string& text) {
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size() || value < key.least || value > kMostOfKey)
    refuse(fmt::format("{}: {}={}: must be a whole number from {} to {}", o.name, key.name, printable(text),
                       key.least, kMostOfKey));
  return value;
}

Pass pass_of(const Operation& o, const std::string& text) {
  std::vector<std::string> names;
  for (const Pass pass : o.passes) {
    if (text == pass_name(pass)) return pass;
    names.emplace_back(pass_name(pass));
  }
  refuse(fmt::format("{}: pass={}: expected {}{}", o.name, printable(text), fmt::join(names, ", "),
                     did_you_mean(text, names)));
}

/// What was given, and the defaults of the rest.
struct Values {
  std::map<std::string, std::int64_t> numbers;
  Pass pass = Pass::forward;
  std::int64_t operator[](const char* key) const { return numbers.at(key); }
};

Values values_of(const Operation& o, const std::string& text) {
  std::vector<std::string> names;
  for (const Key& key : o.keys) names.emplace_back(key.name);
  if (!o.passes.empty()) names.emplace_back("pass");
  std::map<std::string, std::string> given;
  std::istringstream parts(text);
  for (std::string part; std::getline(parts, part, ',');) {
    const std::size_t equals = part.find('=');
    const std::string name = part.substr(0, equals);
    if (std::find(names.begin(), names.end(), name) == names.end())
      refuse(fmt::format("{}: no key '{}'; there are {}{}", o.name, printable(name), fmt::join(names, ", "),
                         did_you_mean(name, names)));
    if (equals == std::string::npos) refuse(fmt::format("{}: {} has no value", o.name, name));
    if (!given.emplace(name, part.substr(equals + 1)).second)
      refuse(fmt::format("{}: {} is given twice", o.name, name));
  }
  Values values;
  for (const Key& key : o.keys) {
    const std::string fallback = key.fallback;
    if (const auto found = given.find(key.name); found != given.end())
      values.numbers[key.name] = whole_number(o, key, found->second);
    else if (fallback.empty())
      refuse(fmt::format("{}: needs {}", o.name, key.name));
    else if (const auto other = values.numbers.find(fallback); other != values.numbers.end())
      values.numbers[key.name] = other->second;
    else
      values.numbers[key.name] = whole_number(o, key, fallback);
  }
  if (!o.passes.empty()) values.pass = given.contains("pass") ? pass_of(o, given["pass"]) : o.passes.front();
  return values;
}

/// throws UsageError if the product is more than fits anywhere
void check_size(const Operation& o, std::initializer_list<std::int64_t> extents) {
  double elements = 1;
  for (const std::int64_t extent : extents) elements *= static_cast<double>(extent);
  if (elements > kMostElements)
    refuse(fmt::format("{}: a tensor of {:.2g} elements is too large", o.name, elements));
}

void check_window(const Operation& o, std::int64_t kernel, std::int64_t height, std::int64_t width) {
  if (kernel > height || kernel > width)
    refuse(fmt::format("{}: a window of {} does not fit into {} x {}", o.name, kernel, height, width));
}

Case make(const Operation& o, const Values& v) {
  const std::string name = o.name;
  if (name == "conv2d") {
    const std::int64_t height = v["h"] + 2 * v["pad"], width = v["w"] + 2 * v["pad"];
    check_window(o, v["k"], height, width);
    check_size(o, {v["n"], v["c"], height, width});
    check_size(o, {v["n"], v["o"], height, width});
    check_size(o, {v["o"], v["c"], v["k"], v["k"]});
    return conv_case(name,
                     {.batch = v["n"],
                      .in_channels = v["c"],
                      .in_height = v["h"],
                      .in_width = v["w"],
                      .out_channels = v["o"],
                      .kernel_height = v["k"],
                      .kernel_width = v["k"],
                      .stride = v["stride"],
                      .padding = v["pad"]},
                     v.pass);
  }
  if (name == "matmul") {
    check_size(o, {v["m"], v["k"]});
    check_size(o, {v["k"], v["n"]});
    check_size(o, {v["m"], v["n"]});
    return matmul_case(name, {v["m"], v["n"], v["k"], v["ta"] != 0, v["tb"] != 0});
  }
  if (name == "max_pool2d") {
    check_window(o, v["k"], v["h"], v["w"]);
    check_size(o, {v["n"], v["c"], v["h"], v["w"]});
    return pool_case(name, v["n"], v["c"], v["h"], v["w"], v["k"], v["stride"], v.pass);
  }
  if (name == "batch_norm") {
    check_size(o, {v["n"], v["c"], v["h"], v["w"]});
    return norm_case(name, v["n"], v["c"], v["h"], v["w"], v.pass);
  }
  check_size(o, {v["t"], v["b"], v["i"]});
  check_size(o, {4, v["t"], v["b"], v["h"]});
  check_size(o, {4, v["h"], v["i"]});
  check_size(o, {4, v["h"], v["h"]});
  return lstm_case(name, {v["t"], v["b"], v["i"], v["h"]}, v.pass);
}

}  // namespace

Case case_of_shape(const std::string& text) {
  const std::size_t colon = text.find(':');
  const Operation& o = operation(text.substr(0, colon));
  const Values values = values_of(o, colon == std::string::npos ? "" : text.substr(colon + 1));
  Case made = make(o, values);
  made.name = o.name;
  char separator = ':';
  for (const Key& key : o.keys) {
    made.name += fmt::format("{}{}={}", separator, key.name, values[key.name]);
    separator = ',';
  }
  if (!o.passes.empty()) made.name += fmt::format(",pass={}", pass_name(values.pass));
  made.cpu = made.cuda = made.simt = true;
  return made;
}

std::string shape_help() {
  std::string help = "Operations of --shape, with the default of each key:";
  for (const Operation& o : operations()) {
    help += fmt::format("\n  {}", o.name);
    char separator = ':';
    for (const Key& key : o.keys) {
      help += fmt::format("{}{}={}", separator, key.name, *key.fallback == '\0' ? "…" : key.fallback);
      separator = ',';
    }
    for (std::size_t i = 0; i < o.passes.size(); ++i)
      help += fmt::format("{}{}", i == 0 ? ",pass=" : "|", pass_name(o.passes[i]));
  }
  return help +
         "\nPlanes are c channels of h x w, windows k x k; o are output channels, t steps, b sequences, i "
         "inputs; "
         "ta, tb: 1 for a transposed operand.";
}

}  // namespace fovea::bench

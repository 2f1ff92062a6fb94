// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <set>
#include <string>
#include <vector>

#include "autograd/tape.h"
#include "tensor/io.h"
#include "tests/host.h"
#include "tests/nn/expect.h"

/// What PyTorch says in double precision (tests/golden/pytorch.py), beside what we say in single.
namespace fovea::test {

/// One file of tests/golden; names are CASE/TENSOR.
class Golden {
 public:
  explicit Golden(const std::string& file)
      : tensors_(
            load_safetensors(FOVEA_SOURCE_DIR "/tests/golden/" + file + ".safetensors", host()).tensors) {}

  std::vector<std::string> cases() const {
    std::set<std::string> names;
    for (const auto& [key, tensor] : tensors_) names.insert(key.substr(0, key.find('/')));
    return {names.begin(), names.end()};
  }
  bool has(const std::string& name, const std::string& tensor) const {
    return tensors_.contains(name + "/" + tensor);
  }
  const Tensor& at(const std::string& name, const std::string& tensor) const {
    return tensors_.at(name + "/" + tensor);
  }
  std::vector<std::int64_t> options(const std::string& name) const {
    return at(name, "options").to_vector<std::int64_t>();
  }
  const TensorMap& tensors() const { return tensors_; }

 private:
  TensorMap tensors_;
};

/// max|Δ|/max|reference| ≤ bound.
inline void check_close(const std::string& what, const Tensor& ours, const Tensor& reference,
                        double bound = 1e-5) {
  CAPTURE(what);
  REQUIRE(ours.defined());
  REQUIRE(ours.shape() == reference.shape());
  const auto got = ours.to_vector<double>(), want = reference.to_vector<double>();
  double largest = 0, off = 0;
  for (std::size_t i = 0; i < want.size(); ++i) {
    largest = std::max(largest, std::abs(want[i]));
    off = std::isnan(got[i]) ? INFINITY : std::max(off, std::abs(got[i] - want[i]));
  }
  CAPTURE(largest);
  CHECK(off <= bound * largest);
}

/// The case's inputs as leaves of one tape.
class GoldenRun {
 public:
  GoldenRun(const Golden& golden, std::string name, const Device& device)
      : golden_(golden), name_(std::move(name)), device_(device) {}

  const Device& device() const { return device_; }
  Var leaf(const std::string& tensor) {
    leaves_.emplace_back(tensor, tape_.leaf(constant(tensor)));
    return leaves_.back().second;
  }
  Tensor constant(const std::string& tensor) const { return golden_.at(name_, tensor).to(device_); }

  /// Forward values, then the gradients of all leaves for the seeds d<result>.
  void check(const std::vector<std::pair<std::string, Var>>& results) {
    const std::string label = name_ + " on " + device_.description() + ", ";
    std::vector<Tape::Root> roots;
    for (const auto& [name, y] : results) {
      check_close(label + name, y.value(), golden_.at(name_, name));
      roots.push_back({y, constant("d" + name)});
    }
    tape_.backward(roots);
    for (const auto& [name, leaf] : leaves_)
      check_close(label + "gradient of " + name, tape_.grad(leaf), golden_.at(name_, "d_" + name));
  }

 private:
  const Golden& golden_;
  std::string name_;
  Device device_;
  Tape tape_;
  std::vector<std::pair<std::string, Var>> leaves_;
};

/// Calls f(run, name, options) for every case of a file on every device.
inline void for_golden_cases(const Golden& golden,
                             const std::function<void(GoldenRun&, const std::string&)>& f) {
  for (const Device& device : both_devices())
    for (const std::string& name : golden.cases()) {
      CAPTURE(name);
      GoldenRun run(golden, name, device);
      f(run, name);
    }
}

}  // namespace fovea::test

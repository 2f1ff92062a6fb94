// SPDX-License-Identifier: Apache-2.0
// Published checkpoints, converted: what our models answer beside what PyTorch answers (tests/golden/torch_checkpoints.py).
#include <doctest/doctest.h>

#include <map>
#include <string>

#include "models/retina/deep_retina.h"
#include "nn/state.h"
#include "tests/nn/golden.h"

using namespace fovea;
using namespace fovea::retina;
using namespace fovea::test;

namespace {

/// The options of each case; what is not given is as published.
std::map<std::string, DeepRetinaOptions> options_of_cases() {
  std::map<std::string, DeepRetinaOptions> all{{"bncnn", bn_cnn(2)},
                                               {"stacked", stacked_bn_cnn(2)},
                                               {"convgc", convgc({{10, 4}, {42, 37}})},
                                               {"one_hot", one_hot(2)},
                                               {"shared", one_hot(3)},
                                               {"one_to_one", stacked_bn_cnn(2)},
                                               {"cnn", simple_cnn(2)},
                                               {"sscnn", ss_cnn(2)}};
  const std::map<std::string, std::int64_t> sizes{{"bncnn", 6},    {"stacked", 8}, {"convgc", 50},
                                                  {"one_hot", 12}, {"shared", 12}, {"one_to_one", 10},
                                                  {"cnn", 6},      {"sscnn", 6}};
  for (auto& [name, options] : all) {
    options.history = 3;
    options.size = sizes.at(name);
    options.channels = {2, 2};
    options.kernels = {name == "bncnn" || name == "cnn" || name == "sscnn" ? 3 : 5,
                       name == "one_to_one" ? 5 : 3};
    options.readout_kernel = 3;
  }
  all.at("shared").filter_of_cell = {1, 0, 1};
  all.at("shared").conv_bias = false;
  all.at("one_to_one").stack_one_to_one = true;
  all.at("one_to_one").norm = Norm::per_channel;
  all.at("one_to_one").output = Output::exponential;
  all.at("cnn").conv_bias = true;  // its readout has one
  return all;
}

/// Windows of the movie whose pixel p of frame t is 37·(t·size² + p) mod 251.
Tensor windows(std::int64_t count, std::int64_t history, std::int64_t size, double mean, double sd) {
  std::vector<float> x;
  for (std::int64_t b = 0; b < count; ++b)
    for (std::int64_t k = b * size * size; k < (b + history) * size * size; ++k)
      x.push_back(static_cast<float>((static_cast<double>(37 * k % 251) - mean) / sd));
  return Tensor::from(x, {count, history, size, size}, host());
}

}  // namespace

TEST_CASE("converted checkpoints answer as PyTorch does") {
  const Golden golden("torch_checkpoints");
  const auto cases = options_of_cases();
  REQUIRE(golden.cases().size() == cases.size());
  for (const auto& one : cases) {
    const std::string& name = one.first;
    const DeepRetinaOptions& options = one.second;
    CAPTURE(name);
    DeepRetina model(options, host());
    nn::State state = nn::without_prefix(name + "/", golden.tensors());
    const Tensor y = state.at("y");
    const std::vector<double> norm = state.at("norm").to_vector<double>();
    state.erase("y");
    state.erase("norm");
    if (options.readout == Readout::fixed) state.emplace("places", model.state().at("places"));
    model.load_state(state);  // every name, and no other
    model.train(false);
    Tape tape;
    const Var x = tape.input(windows(y.size(0), options.history, options.size, norm[0], norm[1]));
    check_close(name, model(x).value(), y);
  }
}

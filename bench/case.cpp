// SPDX-License-Identifier: Apache-2.0
#include "bench/case.h"

#include <iterator>
#include <random>
#include <set>

namespace fovea::bench {

const char* pass_name(Pass pass) {
  switch (pass) {
    case Pass::forward:
      return "forward";
    case Pass::backward:
      return "backward";
    case Pass::grad_input:
      return "grad_input";
    case Pass::grad_weight:
      return "grad_weight";
  }
  return "?";
}

std::vector<Case> all_cases() {
  std::vector<Case> all;
  for (auto part : {conv_cases, model_cases, matmul_cases, lstm_cases, norm_cases, pool_cases, training_cases,
                    pointwise_cases, layer_cases}) {
    std::vector<Case> cases = part();
    for (Case& c : cases) c.paired = !c.name.starts_with("tiny.");
    std::move(cases.begin(), cases.end(), std::back_inserter(all));
  }
  return all;
}

std::vector<std::int64_t> sampled(std::int64_t count, std::size_t most) {
  std::set<std::int64_t> chosen{0, count - 1};
  std::mt19937_64 random(1);
  std::uniform_int_distribution<std::int64_t> any(0, count - 1);
  for (std::size_t i = 2; i < most; ++i) chosen.insert(any(random));
  return {chosen.begin(), chosen.end()};
}

}  // namespace fovea::bench

// SPDX-License-Identifier: Apache-2.0
#include "nn/init.h"

#include <cmath>

namespace fovea::nn {
namespace init {

Fans fans(const Shape& weight) {
  if (weight.rank() < 2)
    reject("init", "fan-in and fan-out need a weight [out, in, …], got shape {}", weight);
  std::int64_t kernel = 1;
  for (int d = 2; d < weight.rank(); ++d) kernel *= weight[d];
  return {weight[1] * kernel, weight[0] * kernel};
}

InitRule constant(float value) {
  return [value](const Tensor& x, philox::Key) { x.fill(static_cast<double>(value)); };
}

InitRule normal(float sd) {
  return [sd](const Tensor& x, philox::Key key) {
    x.copy_from(Tensor::normal(x.shape(), key, 0.0f, sd, x.device()));
  };
}

InitRule uniform(float bound) {
  return [bound](const Tensor& x, philox::Key key) {
    x.copy_from(Tensor::uniform(x.shape(), key, -bound, bound, x.device()));
  };
}

InitRule fan_in_uniform(std::int64_t fan_in) {
  return uniform(fan_in > 0 ? static_cast<float>(1.0 / std::sqrt(static_cast<double>(fan_in))) : 0.0f);
}

InitRule xavier_uniform(float gain) {
  return [gain](const Tensor& x, philox::Key key) {
    const auto [in, out] = fans(x.shape());
    uniform(gain * static_cast<float>(std::sqrt(6.0 / static_cast<double>(in + out))))(x, key);
  };
}

InitRule xavier_normal(float gain) {
  return [gain](const Tensor& x, philox::Key key) {
    const auto [in, out] = fans(x.shape());
    normal(gain * static_cast<float>(std::sqrt(2.0 / static_cast<double>(in + out))))(x, key);
  };
}

InitRule kaiming_uniform(float gain) {
  return [gain](const Tensor& x, philox::Key key) {
    uniform(gain * static_cast<float>(std::sqrt(3.0 / static_cast<double>(fans(x.shape()).in))))(x, key);
  };
}

InitRule kaiming_normal(float gain) {
  return [gain](const Tensor& x, philox::Key key) {
    normal(gain * static_cast<float>(std::sqrt(1.0 / static_cast<double>(fans(x.shape()).in))))(x, key);
  };
}

}  // namespace init

void initialize(Module& module, std::uint64_t seed, const InitOptions& options) {
  const std::string path = module.path();
  const std::string prefix = path.empty() ? "init/" : "init/" + path + ".";
  for (const NamedParameter& named : module.named_parameters()) {
    const Parameter& parameter = *named.parameter;
    const InitRule* rule = &parameter.init;
    if (parameter.role == Role::weight && options.weights) rule = &options.weights;
    if (parameter.role == Role::bias && options.biases) rule = &options.biases;
    const std::string stream = prefix + named.name;
    (*rule)(parameter.value, {seed, philox::stream_id(stream.c_str()), 0, nullptr});
  }
}

}  // namespace fovea::nn

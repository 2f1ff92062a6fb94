// SPDX-License-Identifier: Apache-2.0
#include "nn/init.h"

#include <cmath>
#include <vector>

namespace fovea::nn {
namespace init {

namespace {

/// N(0, sd²) within ±2·sd, equal on every device: each element takes normals of its own index, at the key's
/// step and the following ones, until one is within.
void fill_truncated(const Tensor& x, philox::Key key, float sd) {
  std::vector<float> values(static_cast<std::size_t>(x.numel()));
  for (std::size_t i = 0; i < values.size(); ++i) {
    philox::Key attempt = key;
    float value = philox::normal_at(attempt, i);
    while (!(std::abs(value) <= 2.0f)) {
      ++attempt.step;
      value = philox::normal_at(attempt, i);
    }
    values[i] = sd * value;
  }
  x.copy_from(Tensor::from(values, x.shape(), x.device(), "init"));
}

double extent_of(Fan fan, const Shape& weight, std::int64_t groups) {
  const auto [in, out] = fans(weight, groups);
  if (fan == Fan::average) return static_cast<double>(in + out) / 2.0;
  return static_cast<double>(fan == Fan::in ? in : out);
}

}  // namespace

Fans fans(const Shape& weight, std::int64_t groups) {
  if (weight.rank() < 2)
    reject("init", "fan-in and fan-out need a weight [out, in, …], got shape {}", weight);
  std::int64_t kernel = 1;
  for (int d = 2; d < weight.rank(); ++d) kernel *= weight[d];
  if (groups < 1 || weight[0] % groups != 0)
    reject<ValueError>("init", "{} outputs of weight {} cannot be divided into {} groups", weight[0], weight,
                       groups);
  return {weight[1] * kernel, weight[0] / groups * kernel};
}

InitRule constant(float value) {
  return [value](const Tensor& x, philox::Key) { x.fill(static_cast<double>(value)); };
}

InitRule normal(float sd) {
  return [sd](const Tensor& x, philox::Key key) {
    x.copy_from(Tensor::normal(x.shape(), key, 0.0f, sd, x.device()));
  };
}

InitRule uniform(float bound) { return uniform(-bound, bound); }

InitRule uniform(float low, float high) {
  return [low, high](const Tensor& x, philox::Key key) {
    x.copy_from(Tensor::uniform(x.shape(), key, low, high, x.device()));
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

InitRule kaiming_normal(float gain, Fan fan, std::int64_t groups) {
  return [gain, fan, groups](const Tensor& x, philox::Key key) {
    normal(gain * static_cast<float>(std::sqrt(1.0 / extent_of(fan, x.shape(), groups))))(x, key);
  };
}

InitRule truncated_normal(float sd) {
  return [sd](const Tensor& x, philox::Key key) { fill_truncated(x, key, sd); };
}

InitRule variance_scaling(float scale, Fan fan, Distribution distribution, std::int64_t groups) {
  if (!(scale > 0.0f)) reject<ValueError>("variance_scaling", "scale is {}, expected more than 0", scale);
  return [=](const Tensor& x, philox::Key key) {
    constexpr double kOfTruncated = 0.87962566103423978;  // standard deviation of N(0, 1) within ±2
    const double sd = std::sqrt(static_cast<double>(scale) / extent_of(fan, x.shape(), groups));
    if (distribution == Distribution::normal) return normal(static_cast<float>(sd))(x, key);
    if (distribution == Distribution::uniform)
      return uniform(static_cast<float>(std::sqrt(3.0) * sd))(x, key);
    fill_truncated(x, key, static_cast<float>(sd / kOfTruncated));
  };
}

InitRule gaussian_bump(float height, float sd_px, float noise_sd) {
  if (!(sd_px > 0.0f)) reject<ValueError>("gaussian_bump", "sd_px is {}, expected more than 0", sd_px);
  return [=](const Tensor& x, philox::Key key) {
    const Shape& shape = x.shape();
    if (shape.rank() != 4) reject("gaussian_bump", "needs a weight [out, in, R, S], got shape {}", shape);
    std::vector<float> values(static_cast<std::size_t>(x.numel()));
    const double inv_two_variances = 0.5 / (static_cast<double>(sd_px) * static_cast<double>(sd_px));
    for (std::size_t i = 0; i < values.size(); ++i) {
      const auto at = static_cast<std::int64_t>(i);
      const auto from_middle = [](std::int64_t k, std::int64_t extent) {
        return static_cast<double>(k) - static_cast<double>(extent - 1) / 2.0;
      };
      const double down = from_middle(at / shape[3] % shape[2], shape[2]),
                   across = from_middle(at % shape[3], shape[3]);
      values[i] =
          height * static_cast<float>(std::exp(-(down * down + across * across) * inv_two_variances)) +
          noise_sd * philox::normal_at(key, i);
    }
    x.copy_from(Tensor::from(values, shape, x.device(), "init"));
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

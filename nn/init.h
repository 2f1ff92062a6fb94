// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "nn/module.h"

namespace fovea::nn {

/// Starting values. A rule fills a tensor from a Philox key; the ones that look at fan-in and fan-out expect
/// a weight [out, in, …] and throw ShapeError for rank below 2.
namespace init {

/// Inputs that one output sees, and outputs that one input reaches: in·Π(kernel), out/groups·Π(kernel). The
/// weight of a convolution in groups is [out, in/groups, …], so that its `in` is right as it stands; what an
/// input reaches is not in the shape, hence `groups`. Depthwise [C, 1, R, S] in C groups: R·S and R·S
/// (PyTorch takes C·R·S for out).
struct Fans {
  std::int64_t in, out;
};
Fans fans(const Shape& weight, std::int64_t groups = 1);

/// Which of the two sets the size of the values.
enum class Fan { in, out, average };
enum class Distribution { normal, truncated_normal, uniform };

InitRule constant(float value);
/// N(0, sd²).
InitRule normal(float sd);
/// U(-bound, bound).
InitRule uniform(float bound);
/// U(low, high).
InitRule uniform(float low, float high);
/// U(±1/√fan_in): PyTorch's default for weights and biases of Linear and Conv2d.
InitRule fan_in_uniform(std::int64_t fan_in);
/// U(±gain·√(6/(in + out))); Keras' default.
/// source  Glorot and Bengio 2010
InitRule xavier_uniform(float gain = 1.0f);
/// N(0, gain²·2/(in + out)).
InitRule xavier_normal(float gain = 1.0f);
/// U(±gain·√(3/in)); gain √2 suits ReLU.
/// source  He, Zhang, Ren, Sun 2015
InitRule kaiming_uniform(float gain = 1.41421356f);
/// N(0, gain²/fan). With Fan::out and gain √2 as in CORnet: N(0, 2/(R·S·out)).
InitRule kaiming_normal(float gain = 1.41421356f, Fan fan = Fan::in, std::int64_t groups = 1);
/// N(0, sd²) of which nothing beyond ±2·sd is taken: such a value is drawn again, from the next step of the
/// key. The values that are left have the standard deviation 0.87962566·sd.
InitRule truncated_normal(float sd);
/// Variance scale/fan: N(0, scale/fan); U(±√(3·scale/fan)); or, as TensorFlow has it, truncated_normal of
/// √(scale/fan)/0.87962566, whose variance is again scale/fan.
/// throws ValueError if scale is not above 0
InitRule variance_scaling(float scale = 1.0f, Fan fan = Fan::in,
                          Distribution distribution = Distribution::truncated_normal,
                          std::int64_t groups = 1);
/// Kernels that begin as a bump around their centre (r₀, s₀):
/// w[o, i, r, s] = height·exp(−((r − r₀)² + (s − s₀)²)/(2·sd_px²)) + N(0, noise_sd²). Without noise all kernels
/// are alike, and would stay so.
/// throws ValueError if sd_px is not above 0, ShapeError unless the weight has rank 4
InitRule gaussian_bump(float height, float sd_px, float noise_sd);

}  // namespace init

/// Rules that take the place of the layers' own, by role; empty ones leave the layers' rules.
struct InitOptions {
  InitRule weights = {};
  InitRule biases = {};
};

/// Fills all parameters of the subtree; buffers are left alone. A parameter draws from the stream
/// "init/<path from the root>", so its values depend on the seed and its name, not on the order in which the
/// model was built nor on the device.
///
///     initialize(model, 7);                                                              // as PyTorch
///     initialize(model, 7, {.weights = init::xavier_uniform(), .biases = init::constant(0)});  // as Keras
void initialize(Module& module, std::uint64_t seed, const InitOptions& options = {});

}  // namespace fovea::nn

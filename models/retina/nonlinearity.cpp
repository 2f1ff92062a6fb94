// SPDX-License-Identifier: Apache-2.0
#include "models/retina/nonlinearity.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>

#include "autograd/ops/clamp.h"
#include "autograd/ops/elementwise.h"
#include "autograd/ops/reduce.h"
#include "autograd/ops/reshape.h"
#include "nn/init.h"

namespace fovea::retina {
namespace {

constexpr double kFloor_hz = 0.1;
constexpr double kLargestExponent = 20;
constexpr float kFirstMaximum_hz = 50;
constexpr int kBumps = 30;
constexpr double kBumpRange = 6;
constexpr double kBumpWidth = 2 * kBumpRange / (kBumps - 1);  // as far apart as they are wide

double bump_centre(int k) { return -kBumpRange + kBumpWidth * k; }

/// Σ_k h_k·bump_k(u)
Var bumps(const Var& u, const Var& heights) {
  std::vector<double> centres;
  for (int k = 0; k < kBumps; ++k) centres.push_back(bump_centre(k));
  const Tensor at = Tensor::from(centres, {kBumps}, u.device(), "rbf").to(u.value().dtype());
  Shape column = u.shape();
  column.push_back(1);
  const Var bump = exp(affine(square(subtract(reshape(u, column), at)), -0.5 / (kBumpWidth * kBumpWidth), 0));
  return sum(multiply(bump, heights), {-1});
}

}  // namespace

const std::vector<std::string>& nonlinearity_names() {
  static const std::vector<std::string> names{"softplus", "sigmoid", "relu", "exp", "rectified-quadratic",
                                              "rbf"};
  return names;
}

Nonlinearity nonlinearity_named(const std::string& name) {
  const auto& names = nonlinearity_names();
  const auto found = std::find(names.begin(), names.end(), name);
  if (found == names.end())
    reject<ValueError>("nonlinearity", "there is no '{}', expected one of {}", name, fmt::join(names, ", "));
  return static_cast<Nonlinearity>(found - names.begin());
}

Var apply_nonlinearity(Nonlinearity kind, const Var& drive, const Var& shape) {
  switch (kind) {
    case Nonlinearity::sigmoid:
      return multiply(sigmoid(drive), exp(shape));
    case Nonlinearity::relu:
      return relu(drive) + kFloor_hz;
    case Nonlinearity::exponential:
      return exp(clamp(drive, -kLargestExponent, kLargestExponent));
    case Nonlinearity::rectified_quadratic:
      return square(relu(drive)) + kFloor_hz;
    case Nonlinearity::rbf:
      return softplus(bumps(drive, shape));
    case Nonlinearity::softplus:
      break;
  }
  return softplus(drive);
}

RateNonlinearity::RateNonlinearity(Nonlinearity kind, std::int64_t cells, const Device& device)
    : kind_(kind) {
  if (kind == Nonlinearity::sigmoid)
    add_parameter("shape", shape, nn::Role::scale, {cells}, device,
                  nn::init::constant(std::log(kFirstMaximum_hz)));
  if (kind == Nonlinearity::rbf)
    // Heights in proportion to the centres: the sum of the bumps starts as the identity within their range.
    add_parameter("shape", shape, nn::Role::scale, {cells, kBumps}, device,
                  [cells](const Tensor& value, philox::Key) {
                    std::vector<float> heights;
                    for (std::int64_t cell = 0; cell < cells; ++cell)
                      for (int k = 0; k < kBumps; ++k)
                        heights.push_back(static_cast<float>(bump_centre(k) / std::sqrt(2 * M_PI)));
                    value.copy_from(Tensor::from(heights, value.shape(), value.device(), "rbf"));
                  });
}

Var RateNonlinearity::forward(const Var& drive) {
  return apply_nonlinearity(kind_, drive, shape.value.defined() ? on_tape(shape, drive) : Var());
}

float RateNonlinearity::first_drive() const {
  switch (kind_) {
    case Nonlinearity::relu:
    case Nonlinearity::rectified_quadratic:
      return 1.0f;
    case Nonlinearity::sigmoid:
      return -3.0f;  // a twentieth of the largest rate
    default:
      return 0.0f;
  }
}

}  // namespace fovea::retina

// SPDX-License-Identifier: Apache-2.0
#include "autograd/grad_check.h"

#include <cmath>

namespace fovea {

GradCheck grad_check(const std::function<Var(std::span<const Var>)>& f, std::span<const Tensor> inputs,
                     double step, int directions) {
  Tape tape;
  std::vector<Var> vars;
  for (const Tensor& x : inputs) vars.push_back(tape.leaf(x));
  const Var y = f(vars);
  if (y.value().numel() != 1) reject("grad_check", "f gave {}, expected a single element", y.shape());
  tape.backward(y);

  GradCheck result;
  for (std::size_t k = 0; k < inputs.size(); ++k) {
    const Tensor& x = inputs[k];
    const auto center = x.to_vector<double>();
    const auto slope = tape.grad(vars[k]).defined() ? tape.grad(vars[k]).to_vector<double>()
                                                    : std::vector<double>(center.size(), 0.0);
    for (int d = 0; d < directions; ++d) {
      const philox::Key key{1, static_cast<std::uint32_t>(k), static_cast<std::uint32_t>(d)};
      std::vector<double> direction(center.size());
      double norm = 0;
      for (std::size_t i = 0; i < direction.size(); ++i) {
        direction[i] = philox::normal_at(key, i);
        norm += direction[i] * direction[i];
      }
      double along = 0, ends[2] = {};
      for (std::size_t i = 0; i < direction.size(); ++i)
        along += slope[i] * (direction[i] /= std::sqrt(norm));
      for (int side = 0; side < 2; ++side) {
        auto moved = center;
        for (std::size_t i = 0; i < moved.size(); ++i) moved[i] += (side == 0 ? step : -step) * direction[i];
        std::vector<Var> constants;
        for (std::size_t j = 0; j < inputs.size(); ++j)
          constants.emplace_back(j == k ? Tensor::from(moved, x.shape(), x.device()).to(x.dtype())
                                        : inputs[j]);
        ends[side] = f(constants).value().item();
      }
      const double difference = (ends[0] - ends[1]) / (2 * step);
      const double error = std::abs(along - difference) / (std::abs(along) + std::abs(difference) + 1e-12);
      if (std::isnan(result.worst)) continue;  // nothing is worse
      if (!(error <= result.worst)) result = {error, fmt::format("input {}, direction {}", k, d)};
    }
  }
  return result;
}

}  // namespace fovea

// SPDX-License-Identifier: Apache-2.0
#include "models/retina/glm.h"

#include "autograd/ops/bias_activation.h"
#include "autograd/ops/elementwise.h"
#include "autograd/ops/matmul.h"
#include "autograd/ops/reduce.h"
#include "autograd/ops/reorder.h"
#include "autograd/ops/reshape.h"
#include "nn/init.h"
#include "tensor/views.h"

namespace fovea::retina {
namespace {

constexpr double kBin_s = 0.01;

}  // namespace

Glm::History::History(const GlmOptions& options, const Device& device)
    : history_(options.history), cells_(options.cells), coupling_(options.coupling) {
  const auto zero = nn::init::constant(0.0f);
  add_parameter("weight", weight, nn::Role::weight, {cells_, coupling_ ? history_ * cells_ : history_},
                device, zero);
  add_parameter("bias", bias, nn::Role::bias, {cells_}, device, zero);
}

Var Glm::History::forward(const Var& past) {
  const Shape& shape = past.shape();
  if (shape.rank() != 3 || shape.without(0) != Shape{history_, cells_})
    reject(label("spike history"), "past {} is not [B, {}, {}]", shape, history_, cells_);
  const Var w = on_tape(weight, past);
  if (coupling_) return matmul(flatten(past), w, false, true);
  return sum(multiply(past, transpose(w, 0, 1)), {1});
}

Glm::Glm(const GlmOptions& options, const Device& device)
    : options_(options),
      stimulus_({.cells = options.cells,
                 .history = options.history,
                 .size = options.size,
                 .cutout = options.cutout,
                 .centres = options.centres,
                 .bias = false},
                device),
      history_(options, device),
      nonlinearity_(options.nonlinearity, options.cells, device) {
  add_child("stimulus", stimulus_);
  add_child("history", history_);
  add_child("nonlinearity", nonlinearity_);
  history_.bias.init = nn::init::constant(nonlinearity_.first_drive());
}

Var Glm::drive(const Var& x) {
  return bias_activation(stimulus_(x), on_tape(history_.bias, x), Function::identity);
}

Var Glm::past_drive(const Var& past) { return history_(past); }

Var Glm::penalty(const Var& x) {
  Var total;
  // The trainer's loss is a mean over cells of the one in Hz: the same proportion for each cell.
  const auto add_l2 = [&](nn::Parameter& parameter, double l2) {
    if (l2 == 0) return;
    const Var cost =
        affine(sum(square(on_tape(parameter, x))), l2 / 2 / kBin_s / static_cast<double>(options_.cells), 0);
    total = total.value().defined() ? total + cost : cost;
  };
  add_l2(stimulus_.weight, options_.stimulus_l2);
  add_l2(history_.weight, options_.history_l2);
  add_l2(history_.bias, options_.history_l2);
  return total;
}

Tensor Glm::spike_filters(std::int64_t cell) const {
  const std::int64_t cells = options_.cells, history = options_.history;
  const std::vector<float> w = select(history_.weight.value, 0, cell).to_vector<float>();
  std::vector<float> filters(static_cast<std::size_t>(cells * history), 0.0f);
  for (std::int64_t from = 0; from < cells; ++from) {
    if (!options_.coupling && from != cell) continue;
    for (std::int64_t lag = 1; lag <= history; ++lag) {
      const std::int64_t bin = history - lag;
      filters[static_cast<std::size_t>(from * history + lag - 1)] =
          w[static_cast<std::size_t>(options_.coupling ? bin * cells + from : bin)];
    }
  }
  return Tensor::from(filters, {cells, history}, Device::cpu({.threads = 1}), "filter");
}

}  // namespace fovea::retina

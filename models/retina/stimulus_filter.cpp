// SPDX-License-Identifier: Apache-2.0
#include "models/retina/stimulus_filter.h"

#include <algorithm>

#include "autograd/ops/bias_activation.h"
#include "autograd/ops/join.h"
#include "autograd/ops/matmul.h"
#include "autograd/ops/reshape.h"
#include "nn/init.h"
#include "tensor/views.h"

namespace fovea::retina {
namespace {

constexpr const char* kName = "stimulus filter";

/// What lies around each cell's square.
std::vector<Padding2d> margins_of(const StimulusFilterOptions& o) {
  std::vector<Padding2d> margins;
  if (o.cutout == 0) return margins;
  const std::int64_t most = o.size - 2 * o.cutout;
  if (o.cutout < 0 || most < 0)
    reject<ValueError>(kName, "a cut-out of half-width {} does not fit into a stimulus of {} × {}", o.cutout,
                       o.size, o.size);
  if (static_cast<std::int64_t>(o.centres.size()) != o.cells)
    reject<ValueError>(kName, "cut-outs need one centre a cell, got {} for {} cells", o.centres.size(),
                       o.cells);
  for (const Position& centre : o.centres) {
    if (std::min(centre.row, centre.col) < 0 || std::max(centre.row, centre.col) >= o.size)
      reject<ValueError>(kName, "the centre ({}, {}) lies outside of a stimulus of {} × {}", centre.row,
                         centre.col, o.size, o.size);
    const std::int64_t top = std::clamp(centre.row - o.cutout, std::int64_t{0}, most);
    const std::int64_t left = std::clamp(centre.col - o.cutout, std::int64_t{0}, most);
    margins.emplace_back(top, most - top, left, most - left);
  }
  return margins;
}

}  // namespace

StimulusFilter::StimulusFilter(const StimulusFilterOptions& options, const Device& device)
    : options_(options), margins_(margins_of(options)) {
  const auto zero = nn::init::constant(0.0f);
  add_parameter("weight", weight, nn::Role::weight, {options.cells, options.history * side() * side()},
                device, zero);
  if (options.bias) add_parameter("bias", bias, nn::Role::bias, {options.cells}, device, zero);
}

Var StimulusFilter::placed(const Var& w) const {
  if (margins_.empty()) return w;
  // Small filters are set into frames, rather than frames cut up: there are fewer filters than frames.
  const auto filters = fovea::split(reshape(w, {options_.cells, options_.history, side(), side()}),
                                    static_cast<int>(options_.cells), 0);
  std::vector<Var> frames;
  for (std::size_t cell = 0; cell < filters.size(); ++cell)
    frames.push_back(pad(filters[cell], margins_[cell]));
  return flatten(concat(frames, 0));
}

Var StimulusFilter::forward(const Var& x) {
  const Shape& shape = x.shape();
  if (shape.rank() != 4 || shape.without(0) != Shape{options_.history, options_.size, options_.size})
    reject(label(kName), "x {} is not [B, {}, {}, {}]", shape, options_.history, options_.size,
           options_.size);
  const Var product = matmul(flatten(x), placed(on_tape(weight, x)), false, true);
  return bias.value.defined() ? bias_activation(product, on_tape(bias, x), Function::identity) : product;
}

Tensor StimulusFilter::in_frame() const {
  return reshape(placed(weight.value).value(),
                 {options_.cells, options_.history, options_.size, options_.size});
}

Tensor StimulusFilter::seen(const Tensor& images) const {
  const Shape expected{options_.cells, options_.history, options_.size, options_.size};
  if (images.shape() != expected) reject(label(kName), "images {} are not {}", images.shape(), expected);
  if (margins_.empty()) return reshape(images, weight.value.shape());
  const Tensor parts = Tensor::empty({options_.cells, options_.history, side(), side()}, DType::f32,
                                     images.device(), "filter");
  for (std::int64_t cell = 0; cell < options_.cells; ++cell) {
    const Padding2d& by = margins_[static_cast<std::size_t>(cell)];
    const Tensor rows = slice(select(images, 0, cell), 1, by.top, by.top + side());
    select(parts, 0, cell).copy_from(slice(rows, 2, by.left, by.left + side()));
  }
  return reshape(parts, weight.value.shape());
}

}  // namespace fovea::retina

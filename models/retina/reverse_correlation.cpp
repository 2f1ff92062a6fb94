// SPDX-License-Identifier: Apache-2.0
#include "models/retina/reverse_correlation.h"

#include <algorithm>

#include "autograd/ops/clamp.h"
#include "autograd/ops/elementwise.h"
#include "autograd/ops/join.h"
#include "autograd/ops/reduce.h"
#include "autograd/ops/reshape.h"
#include "models/retina/least_squares.h"
#include "models/retina/spike_triggered_average.h"
#include "nn/data/loader.h"
#include "nn/init.h"
#include "tensor/views.h"

namespace fovea::retina {
namespace {

constexpr std::int64_t kWindows = 256;  // at a time

void append(std::vector<std::vector<double>>& columns, const Tensor& table) {
  for (std::size_t c = 0; c < columns.size(); ++c) {
    const auto column = select(table, 1, static_cast<std::int64_t>(c)).to_vector<double>();
    columns[c].insert(columns[c].end(), column.begin(), column.end());
  }
}

void set_row(const nn::Parameter& parameter, std::size_t row, const std::vector<double>& values) {
  const Tensor into = select(parameter.value, 0, static_cast<std::int64_t>(row));
  into.copy_from(Tensor::from(std::vector<float>(values.begin(), values.end()), into.shape(), into.device()));
}

}  // namespace

ReverseCorrelation::ReverseCorrelation(const ReverseCorrelationOptions& options, const Device& device)
    : options_(options),
      filter_({.cells = options.cells,
               .history = options.history,
               .size = options.size,
               .cutout = options.cutout,
               .centres = options.centres},
              device) {
  if (options.degree < 0 || options.degree > 9 || options.bins < 2)
    reject<ValueError>("reverse correlation",
                       "expected a degree of 0 to 9 and at least 2 bins, got {} and {}", options.degree,
                       options.bins);
  const auto add = [&](const char* name, nn::Parameter& parameter, const Shape& shape) {
    add_parameter(name, parameter, nn::Role::shift, shape, device, nn::init::constant(0.0f));
  };
  if (options.degree > 0) {
    add("polynomial", polynomial_, {options.cells, options.degree + 1});
  } else {
    add("knots", knots_, {options.cells, options.bins});
    add("slopes", slopes_, {options.cells, options.bins});
    add("offset", offset_, {options.cells});
  }
  add_child("filter", filter_);
}

Var ReverseCorrelation::rate(const Var& drive) {
  if (options_.degree == 0) {
    const Var beyond =
        relu(subtract(reshape(drive, {drive.shape()[0], options_.cells, 1}), on_tape(knots_, drive)));
    return relu(add(sum(multiply(beyond, on_tape(slopes_, drive)), {2}), on_tape(offset_, drive)));
  }
  const Var u = clamp(drive, -1, 1), polynomial = on_tape(polynomial_, drive);
  const auto coefficient = [&](std::int64_t k) {
    return reshape(fovea::slice(polynomial, 1, k, k + 1), {options_.cells});
  };
  Var y = coefficient(options_.degree);
  for (std::int64_t k = options_.degree; k-- > 0;) y = add(multiply(y, u), coefficient(k));
  return relu(y);
}

bool ReverseCorrelation::fit(const nn::WindowDataset& data) {
  const Device device = filter_.weight.value.device();
  filter_.weight.value.copy_from(filter_.seen(spike_triggered_average(data)).to(device));
  filter_.bias.value.fill(0.0);
  if (options_.decorrelate > 0) decorrelate(data);
  std::vector<std::vector<double>> drives(static_cast<std::size_t>(options_.cells)), targets = drives;
  nn::Loader loader(data, {.batch = kWindows, .shuffle = false}, device);
  while (const auto part = loader.next()) {
    append(drives, drive(part->x).value());
    append(targets, part->target);
  }
  scale_drives(drives);
  if (options_.degree > 0)
    fit_polynomial(drives, targets);
  else
    fit_bins(drives, targets);
  return true;
}

/// Solves C·k = average − mean by conjugate gradients from k = 0, each cell for itself, with C and mean those of the
/// stimulus. C is never made: C·p is the slope of ½·the variance of p·x over the samples.
void ReverseCorrelation::decorrelate(const nn::WindowDataset& data) {
  const Tensor p = filter_.weight.value;  // the directions take the filter's place
  const auto slope_of_mean = [&](const auto& f) {
    filter_.zero_grad();
    nn::Loader loader(data, {.batch = kWindows, .shuffle = false}, p.device());
    while (const auto part = loader.next()) {
      Tape tape;
      tape.backward(affine(sum(f(drive(tape.input(part->x)))), 1 / static_cast<double>(data.size()), 0));
    }
    const Tensor slope = filter_.weight.grad;
    filter_.zero_grad();
    return slope;
  };
  const auto by_cell = [](const Tensor& a, const Tensor& b) { return sum(multiply(a, b), {1}, true); };
  // 0/0 where there is nothing left to do.
  const auto ratio = [](const Var& a, const Var& b) { return divide(a, b + 1e-30); };
  const Tensor mean = slope_of_mean([](const Var& u) { return u; });
  p.copy_from(subtract(p, mean).value());
  Tensor k = Tensor::zeros(p.shape(), DType::f32, p.device(), "filter"), residual = p.clone("filter");
  Var size = by_cell(residual, residual);
  for (std::int64_t step = 0; step < options_.decorrelate; ++step) {
    const Tensor moments = slope_of_mean([](const Var& u) { return affine(square(u), 0.5, 0); });
    const Tensor product = subtract(moments, multiply(by_cell(mean, p), mean)).value();
    const Var length = ratio(size, by_cell(p, product));
    k = add(k, multiply(length, p)).value();
    residual = subtract(residual, multiply(length, product)).value();
    const Var left = by_cell(residual, residual);
    p.copy_from(add(residual, multiply(ratio(left, size), p)).value());
    size = left;
  }
  p.copy_from(k);
}

/// From their least … greatest to −1 … 1, and the filters with them. A cell without spikes has drives of 0, and keeps.
void ReverseCorrelation::scale_drives(std::vector<std::vector<double>>& drives) {
  std::vector<float> bias;
  for (std::size_t cell = 0; cell < drives.size(); ++cell) {
    const auto [least, greatest] = std::minmax_element(drives[cell].begin(), drives[cell].end());
    const double middle = (*greatest + *least) / 2;
    const double half = *greatest > *least ? (*greatest - *least) / 2 : 1.0;
    for (double& u : drives[cell]) u = (u - middle) / half;
    const Tensor filter = select(filter_.weight.value, 0, static_cast<std::int64_t>(cell));
    filter.copy_from(affine(filter.contiguous(), 1 / half, 0).value());
    bias.push_back(static_cast<float>(-middle / half));
  }
  filter_.bias.value.copy_from(Tensor::from(bias, {options_.cells}, filter_.bias.value.device()));
}

void ReverseCorrelation::fit_polynomial(const std::vector<std::vector<double>>& drives,
                                        const std::vector<std::vector<double>>& targets) {
  for (std::size_t cell = 0; cell < drives.size(); ++cell)
    set_row(polynomial_, cell,
            retina::fit_polynomial(drives[cell], targets[cell], static_cast<int>(options_.degree)));
}

/// The broken line as a sum of ramps, each of which begins at a knot and changes the slope there.
void ReverseCorrelation::fit_bins(const std::vector<std::vector<double>>& drives,
                                  const std::vector<std::vector<double>>& targets) {
  std::vector<float> offset;
  for (std::size_t cell = 0; cell < drives.size(); ++cell) {
    const BrokenLine line = retina::fit_bins(drives[cell], targets[cell], static_cast<int>(options_.bins));
    std::vector<double> change;
    double before = 0, reached = line.y.front();
    for (std::size_t k = 0; k < line.x.size(); ++k) {
      const bool last = k + 1 == line.x.size();
      const double run = last ? 0 : line.x[k + 1] - line.x[k];
      const double slope = run > 0 ? (line.y[k + 1] - reached) / run : 0;  // drives that are alike: no step
      if (run > 0) reached = line.y[k + 1];
      change.push_back(slope - before);
      before = slope;
    }
    set_row(knots_, cell, line.x);
    set_row(slopes_, cell, change);
    offset.push_back(static_cast<float>(line.y.front()));
  }
  offset_.value.copy_from(Tensor::from(offset, {options_.cells}, offset_.value.device()));
}

}  // namespace fovea::retina

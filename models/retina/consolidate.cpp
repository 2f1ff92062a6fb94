// SPDX-License-Identifier: Apache-2.0
#include "models/retina/consolidate.h"

#include <algorithm>
#include <cmath>

#include "nn/init.h"
#include "tensor/views.h"

namespace fovea::retina {
namespace {

constexpr std::int64_t kShift = 2;

struct Filters {
  std::int64_t count, in, height, width;
  std::vector<double> value;
  double at(std::int64_t n, std::int64_t i, std::int64_t r, std::int64_t s) const {
    return value[static_cast<std::size_t>(((n * in + i) * height + r) * width + s)];
  }
};

/// Correlation of a with b shifted by (dr, dc), over the taps that both have.
double correlation_at(const Filters& f, std::int64_t a, std::int64_t b, std::int64_t dr, std::int64_t dc) {
  double n = 0, x = 0, y = 0, xx = 0, yy = 0, xy = 0;
  for (std::int64_t i = 0; i < f.in; ++i)
    for (std::int64_t r = std::max<std::int64_t>(0, -dr); r < std::min(f.height, f.height - dr); ++r)
      for (std::int64_t s = std::max<std::int64_t>(0, -dc); s < std::min(f.width, f.width - dc); ++s) {
        const double p = f.at(a, i, r, s), q = f.at(b, i, r + dr, s + dc);
        n += 1, x += p, y += q, xx += p * p, yy += q * q, xy += p * q;
      }
  const double spread = (xx - x * x / n) * (yy - y * y / n);
  return n > 1 && spread > 0 ? (xy - x * y / n) / std::sqrt(spread) : 0.0;
}

double likeness(const Filters& f, std::int64_t a, std::int64_t b) {
  const std::int64_t down = std::min(kShift, f.height / 4), along = std::min(kShift, f.width / 4);
  double best = -1;
  for (std::int64_t dr = -down; dr <= down; ++dr)
    for (std::int64_t dc = -along; dc <= along; ++dc) best = std::max(best, correlation_at(f, a, b, dr, dc));
  return best;
}

/// Rows of `value` at `rows`, in their order.
Tensor rows_of(const Tensor& value, const std::vector<std::int64_t>& rows) {
  Shape shape = value.shape();
  shape[0] = static_cast<std::int64_t>(rows.size());
  const Tensor picked = Tensor::empty(shape, value.dtype(), value.device(), "consolidated");
  for (std::size_t k = 0; k < rows.size(); ++k)
    select(picked, 0, static_cast<std::int64_t>(k)).copy_from(select(value, 0, rows[k]));
  return picked;
}

}  // namespace

std::vector<std::int64_t> alike_filters(const Tensor& filters, double at_least) {
  if (filters.rank() != 4) reject("alike_filters", "filters {} must be [n, in, R, S]", filters.shape());
  if (!(at_least >= -1 && at_least <= 1))
    reject<ValueError>("alike_filters", "a correlation of {} is not in -1 … 1", at_least);
  const Filters f{filters.size(0), filters.size(1), filters.size(2), filters.size(3),
                  filters.to_vector<double>()};
  const auto count = static_cast<std::size_t>(f.count);
  std::vector<std::vector<double>> alike(count, std::vector<double>(count, 1.0));
  for (std::size_t a = 0; a < count; ++a)
    for (std::size_t b = 0; b < a; ++b)
      alike[a][b] = alike[b][a] = likeness(f, static_cast<std::int64_t>(a), static_cast<std::int64_t>(b));

  std::vector<std::vector<std::size_t>> groups;
  for (std::size_t a = 0; a < count; ++a) groups.push_back({a});
  const auto least = [&](const auto& left, const auto& right) {
    double value = 1;
    for (const std::size_t a : left)
      for (const std::size_t b : right) value = std::min(value, alike[a][b]);
    return value;
  };
  while (groups.size() > 1) {
    double best = -2;
    std::size_t left = 0, right = 0;
    for (std::size_t a = 0; a < groups.size(); ++a)
      for (std::size_t b = a + 1; b < groups.size(); ++b)
        if (const double value = least(groups[a], groups[b]); value > best) {
          best = value;
          left = a;
          right = b;
        }
    if (best < at_least) break;
    groups[left].insert(groups[left].end(), groups[right].begin(), groups[right].end());
    groups.erase(groups.begin() + static_cast<std::ptrdiff_t>(right));
  }
  // Groups keep the order of their first filters: one is only ever joined to an earlier one.
  std::vector<std::int64_t> group_of(count);
  for (std::size_t g = 0; g < groups.size(); ++g)
    for (const std::size_t filter : groups[g]) group_of[filter] = static_cast<std::int64_t>(g);
  return group_of;
}

std::unique_ptr<DeepRetina> consolidated(const DeepRetina& trained, double at_least, std::uint64_t seed) {
  if (trained.options().readout != Readout::one_hot || !trained.options().filter_of_cell.empty())
    reject<ValueError>("consolidated", "expected a one-hot model with a filter for each cell");
  nn::State state = trained.state();
  DeepRetinaOptions options = trained.options();
  options.filter_of_cell = alike_filters(state.at("conv3.weight"), at_least);
  std::vector<std::int64_t> first;  // filter of each group
  for (std::size_t c = 0; c < options.filter_of_cell.size(); ++c)
    if (options.filter_of_cell[c] == static_cast<std::int64_t>(first.size()))
      first.push_back(static_cast<std::int64_t>(c));
  const Device device = state.at("conv3.weight").device();
  auto model = std::make_unique<DeepRetina>(options, device);
  nn::initialize(*model, seed);
  for (auto& [name, value] : state)
    if (name.starts_with("conv3.") || name.starts_with("bn3.")) value = rows_of(value, first);
  const nn::State fresh = model->state();
  for (const char* name : {"selection.weight", "filter_of_cell"})
    state.insert_or_assign(name, fresh.at(name));
  model->load_state(state);
  return model;
}

}  // namespace fovea::retina

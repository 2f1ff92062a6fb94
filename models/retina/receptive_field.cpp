// SPDX-License-Identifier: Apache-2.0
#include "models/retina/receptive_field.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>
#include <sstream>

#include "autograd/ops/elementwise.h"
#include "autograd/ops/matmul.h"
#include "autograd/ops/reduce.h"
#include "tensor/views.h"

namespace fovea::retina {
namespace {

constexpr std::int64_t kLags = 25;  // 250 ms
using Doubles = std::vector<double>;

/// Sums over all samples that covariances are made of; one set for changes, one for their absolute values.
struct Sums {
  Tensor with_rate;              // [lags, cells, pixels]
  Tensor change, change_square;  // [pixels], of the newest frames
};

void add_to(const Tensor& total, const Var& part) { total.copy_from(add(total, part).value()); }

/// A Gaussian of `sd` around each pixel of an axis. What lies beyond the screen counts as 0: shared out among the
/// pixels within, its weight would draw peaks towards the border.
Doubles blur_matrix(std::int64_t side, double sd) {
  Doubles weight(static_cast<std::size_t>(side * side));
  for (std::int64_t i = 0; i < side; ++i)
    for (std::int64_t k = 0; k < side; ++k)
      weight[static_cast<std::size_t>(i * side + k)] =
          std::exp(-0.5 * std::pow(static_cast<double>(i - k) / sd, 2)) /
          (sd * std::sqrt(2 * std::numbers::pi));
  return weight;
}

/// The map blurred along both axes.
Doubles blurred(const Doubles& map, std::int64_t height, std::int64_t width, const Doubles& down,
                const Doubles& along) {
  Doubles half(map.size()), whole(map.size());
  for (std::int64_t r = 0; r < height; ++r)
    for (std::int64_t c = 0; c < width; ++c)
      for (std::int64_t k = 0; k < width; ++k)
        half[static_cast<std::size_t>(r * width + c)] +=
            along[static_cast<std::size_t>(c * width + k)] * map[static_cast<std::size_t>(r * width + k)];
  for (std::int64_t r = 0; r < height; ++r)
    for (std::int64_t k = 0; k < height; ++k)
      for (std::int64_t c = 0; c < width; ++c)
        whole[static_cast<std::size_t>(r * width + c)] +=
            down[static_cast<std::size_t>(r * height + k)] * half[static_cast<std::size_t>(k * width + c)];
  return whole;
}

}  // namespace

std::vector<Position> receptive_field_centres(const nn::WindowDataset& data) {
  const Tensor& movie = data.movie();
  const std::int64_t height = movie.size(1), width = movie.size(2), pixels = height * width,
                     cells = data.cells();
  const std::int64_t history = data.history(), lags = std::min(kLags, history - 1);
  if (lags < 1)
    reject<ValueError>("receptive_field_centres", "a history of {} frames has no changes; use 2 or more",
                       history);
  const auto zeros = [&](const Shape& shape) {
    return Tensor::zeros(shape, DType::f32, movie.device(), "receptive field");
  };
  std::array<Sums, 2> sums;
  for (Sums& s : sums) s = {zeros({lags, cells, pixels}), zeros({pixels}), zeros({pixels})};
  const Tensor rates = zeros({cells});

  constexpr std::int64_t kPiece = 1000;
  for (const auto& run : data.runs()) {
    for (std::int64_t at = 0; at < run.count; at += kPiece) {
      const std::int64_t count = std::min(kPiece, run.count - at), first = run.first_frame + at,
                         frames = count + history - 1;
      const Tensor x = reshape(data.frames(first, frames), {frames, pixels});
      const Var change =
          subtract(slice(x, 0, 1, frames), slice(x, 0, 0, frames - 1));  // [frames - 1, pixels]
      const Var rate = data.targets(first, count).contiguous();          // [count, cells]
      add_to(rates, sum(rate, {0}));
      for (std::size_t k = 0; k < 2; ++k) {
        const Tensor d = (k == 0 ? change : abs(change)).value();
        const Var newest = slice(d, 0, frames - 1 - count, frames - 1).contiguous();
        add_to(sums[k].change, sum(newest, {0}));
        add_to(sums[k].change_square, sum(square(newest), {0}));
        for (std::int64_t lag = 0; lag < lags; ++lag) {
          const std::int64_t from = frames - 1 - count - lag;
          add_to(select(sums[k].with_rate, 0, lag),
                 matmul(rate, slice(d, 0, from, from + count), true, false));
        }
      }
    }
  }

  const auto samples = static_cast<double>(data.size());
  const auto mean_rate = rates.to_vector<double>();
  std::vector<Position> centres(static_cast<std::size_t>(cells), Position{height / 2, width / 2});
  Doubles strongest(static_cast<std::size_t>(cells), 0.0);
  for (std::size_t k = 0; k < 2; ++k) {
    const double sd_px = k == 0 ? 1.0 : 2.0;
    const Doubles down = blur_matrix(height, sd_px), along = blur_matrix(width, sd_px);
    const auto first = sums[k].change.to_vector<double>(), second = sums[k].change_square.to_vector<double>();
    const auto with_rate = sums[k].with_rate.to_vector<double>();
    Doubles covariance(static_cast<std::size_t>(pixels));
    for (std::int64_t lag = 0; lag < lags; ++lag)
      for (std::int64_t cell = 0; cell < cells; ++cell) {
        const double* const product = &with_rate[static_cast<std::size_t>((lag * cells + cell) * pixels)];
        const double rate = mean_rate[static_cast<std::size_t>(cell)] / samples;
        for (std::size_t p = 0; p < covariance.size(); ++p) {
          const double mean = first[p] / samples, variance = second[p] / samples - mean * mean;
          covariance[p] = variance > 1e-12 ? (product[p] / samples - rate * mean) / std::sqrt(variance) : 0.0;
        }
        const Doubles map = blurred(covariance, height, width, down, along);
        for (std::int64_t p = 0; p < pixels; ++p) {
          double& best = strongest[static_cast<std::size_t>(cell)];
          if (const double size = std::abs(map[static_cast<std::size_t>(p)]); size > best) {
            best = size;
            centres[static_cast<std::size_t>(cell)] = {p / width, p % width};
          }
        }
      }
  }
  return centres;
}

std::vector<Position> known_centres(const RecordingData& recording) {
  const auto text = recording.metadata.find("cell_centres");
  std::vector<Position> centres;
  if (text == recording.metadata.end()) return centres;
  std::istringstream list(text->second);
  Position centre;
  for (char comma = 0, semicolon = 0; list >> centre.row >> comma >> centre.col; list >> semicolon)
    centres.push_back(centre);
  return centres;
}

}  // namespace fovea::retina

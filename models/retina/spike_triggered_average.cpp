// SPDX-License-Identifier: Apache-2.0
#include "models/retina/spike_triggered_average.h"

#include <algorithm>

#include "autograd/ops/elementwise.h"
#include "autograd/ops/matmul.h"
#include "autograd/ops/reduce.h"
#include "tensor/views.h"

namespace fovea::retina {

Tensor spike_triggered_average(const nn::WindowDataset& data) {
  const Tensor& movie = data.movie();
  const std::int64_t pixels = movie.size(1) * movie.size(2), history = data.history(), cells = data.cells();
  const Tensor total = Tensor::zeros({history, cells, pixels}, DType::f32, movie.device(), "sta");
  Var weight = Tensor::zeros({cells}, DType::f32, movie.device(), "sta");
  // A piece of movie is converted once and serves all lags.
  constexpr std::int64_t kPiece = 1000;
  for (const auto& run : data.runs()) {
    for (std::int64_t at = 0; at < run.count; at += kPiece) {
      const std::int64_t count = std::min(kPiece, run.count - at), first = run.first_frame + at;
      const Tensor frames = reshape(data.frames(first, count + history - 1), {count + history - 1, pixels});
      const Var rate = data.targets(first, count).contiguous();  // [count, cells]
      weight = add(weight, sum(rate, {0}));
      for (std::int64_t lag = 0; lag < history; ++lag) {
        const Var part = matmul(rate, slice(frames, 0, lag, lag + count), true, false);
        const Tensor sum_here = select(total, 0, lag);
        sum_here.copy_from(add(sum_here, part).value());
      }
    }
  }
  const Tensor by_cell = permute(total, {1, 0, 2}).contiguous();
  auto weights = weight.value().to_vector<float>();
  std::replace(weights.begin(), weights.end(), 0.0f, 1.0f);  // a silent cell: zeros, not 0/0
  const Var mean = divide(by_cell, Tensor::from(weights, {cells, 1, 1}, movie.device(), "sta"));
  return reshape(mean.value(), {cells, history, movie.size(1), movie.size(2)});
}

}  // namespace fovea::retina

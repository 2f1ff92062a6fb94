// SPDX-License-Identifier: Apache-2.0
#include "models/retina/predict.h"

#include <vector>

#include "autograd/ops/elementwise.h"
#include "models/retina/free_run.h"
#include "models/retina/spikes.h"
#include "nn/data/loader.h"
#include "tensor/views.h"

namespace fovea::retina {
namespace {

/// In place of the drive of each sample, in host memory, its rate when the model hears itself.
void let_run(RateModel& model, const nn::WindowDataset& data, const Device& device, Predictions& result) {
  const FreeRunOptions options;
  result.free_trials = options.trials;
  for (std::size_t r = 0; r < data.runs().size(); ++r) {
    const Tensor rows = slice(result.rate, 0, data.first_sample(r), data.first_sample(r + 1));
    const FreeRun run = free_run(model, rows.contiguous().to(device), data.history(), options);
    for (std::int64_t cell = 0; cell < data.cells(); ++cell) {
      const std::vector<float> rate = smooth_rate(select(run.rate, 1, cell).to_vector<float>());
      select(rows, 1, cell)
          .copy_from(Tensor::from(rate, {static_cast<std::int64_t>(rate.size())}, rows.device()));
    }
    result.free_capped += run.capped * static_cast<double>(rows.size(0)) / static_cast<double>(data.size());
  }
}

}  // namespace

Predictions predict(RateModel& model, const nn::WindowDataset& data, const Device& device,
                    std::int64_t batch) {
  const Device& host = data.movie().device();
  const Shape shape{data.size(), data.cells()};
  Predictions result{Tensor::empty(shape, DType::f32, host, "prediction"),
                     Tensor::empty(shape, DType::f32, host, "prediction")};
  const bool training = model.training();
  model.eval();
  nn::Loader loader(data, {.batch = batch, .shuffle = false}, device);
  const bool free = model.sees_past() && !data.past().defined();
  std::int64_t first = 0;
  while (const auto part = loader.next()) {
    const std::int64_t count = part->x.size(0);
    const auto given = [&] {
      if (!model.sees_past()) return model(part->x);
      const Var drive = model.drive(part->x);
      return free ? drive : model.rate(add(drive, model.past_drive(part->past)));
    };
    slice(result.rate, 0, first, first + count).copy_from(given().value());
    slice(result.target, 0, first, first + count).copy_from(part->target);
    first += count;
  }
  if (free) let_run(model, data, device, result);
  model.train(training);
  return result;
}

}  // namespace fovea::retina

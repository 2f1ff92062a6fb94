// SPDX-License-Identifier: Apache-2.0
#include "models/retina/predict.h"

#include "nn/data/loader.h"
#include "tensor/views.h"

namespace fovea::retina {

Predictions predict(nn::Module& model, const nn::WindowDataset& data, const Device& device,
                    std::int64_t batch) {
  const Device& host = data.movie().device();
  const Shape shape{data.size(), data.cells()};
  Predictions result{Tensor::empty(shape, DType::f32, host, "prediction"),
                     Tensor::empty(shape, DType::f32, host, "prediction")};
  const bool training = model.training();
  model.eval();
  nn::Loader loader(data, {.batch = batch, .shuffle = false}, device);
  std::int64_t first = 0;
  while (const auto part = loader.next()) {
    const std::int64_t count = part->x.size(0);
    slice(result.rate, 0, first, first + count).copy_from(model(part->x).value());
    slice(result.target, 0, first, first + count).copy_from(part->target);
    first += count;
  }
  model.train(training);
  return result;
}

}  // namespace fovea::retina

// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "autograd/ops/elementwise.h"
#include "models/retina/deep_retina.h"
#include "nn/data/loader.h"
#include "nn/init.h"
#include "nn/loss.h"
#include "nn/optim/adam.h"
#include "nn/step_guard.h"
#include "tensor/views.h"

namespace fovea::test {

/// Bytes of named tensors.
using Bits = std::map<std::string, std::vector<float>>;

/// A tiny Deep Retina, its optimizer and a loader with its thread: everything a training step touches.
struct TrainingBench {
  explicit TrainingBench(const Device& where, bool prefetch = true)
      : device(where),
        model({.cells = 2, .history = 2, .size = 6, .channels = {2, 2}, .kernels = {3, 3}}, where),
        optimizer(nn::adam({nn::all_parameters(model)}, 1e-2)),
        loader(
            nn::WindowDataset(random({40, 6, 6}, "movie"), random({2, 40}, "rates"),
                              nn::ResponseLayout::cells_time, {.history = 2}),
            {.batch = 3, .shuffle = true, .last_batch = nn::LastBatch::drop, .prefetch = prefetch, .seed = 4},
            where) {
    nn::initialize(model, 3);
  }

  static Tensor random(const Shape& shape, const char* stream) {
    return Tensor::uniform(shape, {9, philox::stream_id(stream), 0, nullptr}, 0.0f, 2.0f,
                           Device::cpu({.threads = 1}));
  }

  /// One whole step on the next batch: all of it, or none.
  void step() {
    const nn::LoaderPosition before = loader.position();
    try {
      nn::StepGuard guard(model);
      std::optional<nn::Batch> batch = loader.next();
      if (!batch) batch = loader.next();
      Tape tape({.seed = 7, .step = static_cast<std::uint32_t>(optimizer.steps())});
      const Var rate = model(tape.input(batch->x));
      Var loss = nn::PoissonLoss{}(rate, batch->target);
      loss = loss + nn::activity_l1(rate, 1e-3f);
      tape.backward(loss);
      optimizer.step();
      optimizer.zero_grad();
      guard.keep();
    } catch (...) {
      loader.seek(before);
      throw;
    }
  }

  /// Ends the loader's thread, whose batches ahead come and go, and gives cached blocks back.
  void settle() {
    loader.seek(loader.position());
    device.arena().trim();
    loader.data().movie().device().arena().trim();
  }

  /// Everything that a step may change. `steps` stands for the optimizer's count.
  Bits bits() const {
    Bits all;
    for (const auto& [name, tensor] : model.state()) all["model." + name] = tensor.to_vector<float>();
    for (const auto& [name, tensor] : optimizer.state())
      if (name.starts_with("moment")) all["optim." + name] = tensor.to_vector<float>();
    all["steps"] = {static_cast<float>(optimizer.steps())};
    all["position"] = {static_cast<float>(loader.position().epoch),
                       static_cast<float>(loader.position().batch)};
    return all;
  }

  Device device;
  retina::DeepRetina model;
  nn::Optimizer optimizer;
  nn::Loader loader;
};

}  // namespace fovea::test

// SPDX-License-Identifier: Apache-2.0
#include "apps/config.h"

namespace fovea::apps {

std::vector<Key> shared_keys() {
  constexpr double kMany = 1e15;  // integers are exact in a double up to here
  return {
      {"train.batch", std::int64_t{64}, "samples a step", 1, 1e6},
      {"train.steps", std::int64_t{0}, "stop after this many steps; 0: as many as the epochs give", 0, kMany},
      {"train.epochs", std::int64_t{10}, "stop after this many passes over the data; 0: no such limit", 0,
       1e6},
      {"train.checkpoint_every", std::int64_t{500}, "steps between checkpoints; 0: only the last", 0, kMany},
      {"train.seed", std::int64_t{1}, "fixes every random number of the run", 0, kMany},
      {"train.log_every", std::int64_t{10}, "steps between lines of metrics.jsonl", 1, kMany},
      {"train.eval_every", std::int64_t{500}, "steps between evaluations on held-out data; 0: only the last",
       0, kMany},
      {.name = "optim.name", .default_value = "adam", .doc = "update rule", .choices = {"adam", "sgd"}},
      {"optim.lr", 1e-3, "step size", 0, 1e3},
      {"optim.weight_decay", 0.0, "L2 penalty on weights", 0, 1e3},
      {"data.path", "", "data set: a name ('fovea data' lists them) or a path; empty: the model's own"},
      {"data.minutes", 0.0, "use only the first minutes of the training data; 0: all", 0, 1e6},
  };
}

}  // namespace fovea::apps

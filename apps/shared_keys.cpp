// SPDX-License-Identifier: Apache-2.0
#include "apps/config.h"

namespace fovea::apps {

std::vector<Key> shared_keys() {
  constexpr double kMany = 1e15;  // integers are exact in a double up to here
  return {
      {"train.batch", std::int64_t{64}, "samples a step", 1, 1e6},
      {.name = "train.last_batch",
       .default_value = "drop",
       .doc =
           "what becomes of the samples that an epoch leaves over: they are dropped, or padded to a batch by "
           "others, which do not count in the loss",
       .choices = {"drop", "pad"}},
      {"train.steps", std::int64_t{0}, "stop after this many steps; 0: as many as the epochs give", 0, kMany},
      {"train.epochs", std::int64_t{10}, "stop after this many passes over the data; 0: no such limit", 0,
       1e6},
      {"train.checkpoint_every", std::int64_t{500}, "steps between checkpoints; 0: only the last", 0, kMany},
      {"train.seed", std::int64_t{1}, "fixes every random number of the run", 0, kMany},
      {"train.log_every", std::int64_t{10}, "steps between lines of metrics.jsonl", 1, kMany},
      {"train.eval_every", std::int64_t{500}, "steps between evaluations on held-out data; 0: only the last",
       0, kMany},
      {"train.patience", std::int64_t{0},
       "stop after this many evaluations in a row without a better held-out score; 0: never", 0, kMany},
      {"train.min_delta", 0.0,
       "a score counts as better for train.patience if it is higher by more than this", 0, 1e9},
      {"train.memory_mib", std::int64_t{0},
       "memory that a training step may take, MiB; 0: what is free on the device", 0, 1e9},
      {.name = "train.graph",
       .default_value = "auto",
       .doc = "whether a step is recorded once as a graph and then replayed, with the same bits; auto: on a "
              "GPU, but "
              "with --profile or --anomaly",
       .choices = {"auto", "on", "off"}},
      {.name = "train.math",
       .default_value = "fp32",
       .doc = "what products and convolutions round their operands to; tf32 and bf16: tensor cores, not on "
              "the cpu",
       .choices = {"fp32", "tf32", "bf16"}},
      {.name = "optim.name",
       .default_value = "adam",
       .doc = "update rule; nesterov is sgd with Nesterov's momentum",
       .choices = {"adam", "adamw", "sgd", "nesterov", "rmsprop"}},
      {"optim.lr", 1e-3, "step size", 0, 1e3},
      {"optim.weight_decay", 0.0,
       "times weight, added to its gradient: twice the coefficient of an L2 penalty; of adamw, taken off the "
       "weight",
       0, 1e3},
      {.name = "optim.decays",
       .default_value = "weights",
       .doc = "what weight_decay is for: weights of linear maps and convolutions, convolutions only, or all "
              "parameters",
       .choices = {"weights", "convolutions", "all"}},
      {"optim.momentum", 0.0, "of sgd, nesterov and rmsprop", 0, 1},
      {"optim.alpha", 0.99, "of rmsprop: share of the mean of squares that stays from step to step", 0, 1},
      {"optim.centered", false, "of rmsprop: whether to divide by the deviation from the mean gradient"},
      {"optim.clip_norm", 0.0,
       "gradients are scaled down together until their norm is at most this; 0: never", 0, 1e9},
      {"optim.clip_value", 0.0,
       "each number of a gradient is cut to plus or minus this, before clip_norm; 0: never", 0, 1e9},
      {.name = "optim.schedule",
       .default_value = "none",
       .doc =
           "when the step size falls: never, every so many steps, after so many epochs, or when the held-out "
           "score stops rising",
       .choices = {"none", "step", "milestones", "plateau"}},
      {"optim.schedule_factor", 0.5, "by which it falls", 1e-6, 0.999},
      {"optim.schedule_every", std::int64_t{1000}, "of schedule step: steps between two falls", 1, kMany},
      {"optim.schedule_milestones", Integers{},
       "of schedule milestones: the epochs after which it falls, ascending", 1, 1e6},
      {"optim.schedule_patience", std::int64_t{10},
       "of schedule plateau: evaluations without a better score that are let pass", 0, 1e6},
      {"data.path", "", "data set: a name ('fovea data' lists them) or a path; empty: the model's own"},
      {"eval.baseline", "", "finished run of another model on the same data to compare with, such as LN"},
  };
}

bool may_change_on_resume(std::string_view key) {
  for (const char* free :
       {"train.steps", "train.epochs", "train.checkpoint_every", "train.log_every", "train.patience",
        "train.min_delta", "train.memory_mib", "train.graph", "train.math", "data.path", "eval.baseline"})
    if (key == free) return true;
  return false;
}

}  // namespace fovea::apps

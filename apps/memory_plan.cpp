// SPDX-License-Identifier: Apache-2.0
#include "apps/memory_plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "apps/doctor/machine.h"
#include "apps/run_state.h"
#include "autograd/explain.h"

namespace fovea::apps {
namespace {

/// The peak between one event of a step and the next.
class PeakWatch final : public TapeObserver {
 public:
  explicit PeakWatch(Arena& arena) : arena_(arena) { arena_.reset_peak(); }

  void mark() {
    peaks.push_back(static_cast<std::int64_t>(arena_.stats().peak_bytes));
    arena_.reset_peak();
  }
  void computed(const OpInfo&, const std::string&, std::span<const Var>, std::span<const Var>) override {
    mark();
  }
  void backward_begins(const Tape::Record&, const Grads&) override { mark(); }
  void backward_ends(const Tape::Record&, const Grads&) override { mark(); }

  std::vector<std::int64_t> peaks;

 private:
  Arena& arena_;
};

/// One step that is thrown away.
struct Trial {
  std::int64_t batch = 0, data = 0, kept = 0;
  std::vector<std::int64_t> peaks;
};

Trial try_step(const Config& config, Trainable& trainable, nn::Optimizer& optimizer, const Probe& probe,
               std::int64_t samples, const Device& device, int batches) {
  Arena& arena = device.arena();
  const auto live = [&] { return static_cast<std::int64_t>(arena.stats().live_bytes); };
  Trial trial{samples, 0, 0, {}};
  PeakWatch watch(arena);
  const std::int64_t before = live();
  std::vector<nn::Batch> held;
  for (int i = 0; i < batches; ++i) held.push_back(probe.batch(samples, device));
  trial.data = live() - before;
  watch.mark();
  {
    Tape tape({static_cast<std::uint64_t>(config.integer("train.seed")), 0}, &watch);
    const StepLoss loss = trainable.loss(tape, held[0]);
    for (const ExplainedOp& op : explain(tape))
      for (const KeptTensor& tensor : op.kept) trial.kept += tensor.adds;
    tape.backward(loss.total);
    watch.mark();
    optimizer.step();
    watch.mark();
    optimizer.zero_grad();
  }
  trial.peaks = std::move(watch.peaks);
  return trial;
}

/// A number that grows with the batch along a straight line through two trials.
struct Straight {
  double fixed, each;
  Straight(const Trial& a, const Trial& b, std::int64_t at_a, std::int64_t at_b)
      : each(static_cast<double>(at_b - at_a) / static_cast<double>(b.batch - a.batch)) {
    fixed = static_cast<double>(at_a) - each * static_cast<double>(a.batch);
  }
  std::int64_t at(std::int64_t batch) const {
    return std::llround(fixed + each * static_cast<double>(batch));
  }
  /// The largest batch up to which it stays within the limit.
  double up_to(double limit) const {
    return each > 0 ? (limit - fixed) / each : (fixed <= limit ? HUGE_VAL : 0);
  }
};

/// Two trials, and what follows from them for other batches.
struct Trials {
  Trial one, two;

  std::int64_t peak(std::int64_t batch) const {
    std::int64_t peak = 0;
    for (const Straight& line : lines()) peak = std::max(peak, line.at(batch));
    return peak;
  }
  /// The largest batch that stays within the limit; HUGE_VAL if all do.
  double up_to(std::int64_t limit) const {
    double largest = HUGE_VAL;
    for (const Straight& line : lines()) largest = std::min(largest, line.up_to(static_cast<double>(limit)));
    return std::max(0.0, std::floor(largest));
  }

 private:
  std::vector<Straight> lines() const {  // of each moment of a step
    std::vector<Straight> lines;
    for (std::size_t i = 0; i < std::min(one.peaks.size(), two.peaks.size()); ++i)
      lines.emplace_back(one, two, one.peaks[i], two.peaks[i]);
    return lines;
  }
};

/// Two batches to try, the larger one no larger than `batch` unless that is 1. Convolutions by transforms take images in
/// groups of 32 and are left aside for a few: what smaller batches need says little about large ones.
std::pair<std::int64_t, std::int64_t> trial_batches(std::int64_t batch) {
  std::int64_t divisor = 1;
  while (batch / divisor >= 64) divisor *= 2;
  if (divisor == 1) return {(batch + 1) / 2, std::max<std::int64_t>(batch, 2)};
  const std::int64_t few = (batch + divisor - 1) / divisor;
  return {few, 2 * few};
}

std::int64_t total_bytes(const nn::Module& module, bool trained) {
  std::int64_t bytes = 0;
  for (const auto& [name, parameter] : module.named_parameters())
    if (!trained || parameter->trainable) bytes += parameter->value.bytes();
  if (!trained)
    for (const auto& [name, buffer] : module.named_buffers()) bytes += buffer->bytes();
  return bytes;
}

}  // namespace

std::string size_text(std::int64_t bytes) {
  const double count = static_cast<double>(bytes);
  if (count < 1024) return fmt::format("{} B", bytes);
  if (count < 1024 * 1024) return fmt::format("{:.0f} KiB", count / 1024);
  if (count < 1024.0 * 1024 * 1024) return fmt::format("{:.1f} MiB", count / (1 << 20));
  return fmt::format("{:.1f} GiB", count / (1 << 30));
}

std::string MemoryPlan::str() const {
  std::string text = fmt::format(
      "memory: weights {}, gradients {}, moments {}, batch {}, kept for backward {}, working {}; peak {}",
      size_text(weights), size_text(gradients), size_text(moments), size_text(data), size_text(kept),
      size_text(working), size_text(peak));
  if (limit) text += fmt::format(" of {}", size_text(*limit));
  if (largest_batch) text += fmt::format("; the largest batch that fits is {}", *largest_batch);
  if (stand_in) text += "; planned on the cpu, as the emulation would take minutes";
  return text;
}

Probe standard_probe(const Config& config) {
  return {[config](const Device& device) { return make_trainable(config, device); },
          [config](std::int64_t batch, const Device& device) {
            Config with_batch = config;
            with_batch.set("train.batch", batch, "probe");
            return blank_batch(with_batch, device);
          }};
}

namespace {

/// Below the batches of the trials the lines say nothing, as kernels may go other ways there: those are tried.
std::int64_t largest_batch(const Trials& trials, std::int64_t limit,
                           const std::function<Trials(std::int64_t)>& tried) {
  const double largest = trials.up_to(limit);
  if (largest >= static_cast<double>(trials.one.batch)) return std::llround(largest);
  for (std::int64_t batch = trials.one.batch / 2; batch > 0; batch /= 2) {
    const Trials smaller = tried(batch);
    if (smaller.peak(batch) > limit) continue;
    const auto more = static_cast<std::int64_t>(
        std::clamp(smaller.up_to(limit), static_cast<double>(batch), static_cast<double>(2 * batch - 1)));
    return tried(more).peak(more) <= limit ? more : batch;
  }
  return 0;
}

}  // namespace

MemoryPlan plan_memory(const Config& config, const Probe& probe, const Device& device, int batches) {
  const Device own =
      device.kind() == DeviceKind::cuda ? Device::parse(device.name(), device.math()) : Device::cpu();
  MemoryPlan plan;
  plan.batch = config.integer("train.batch");
  plan.limit = memory_limit(config, device);
  plan.device = own.description();
  plan.stand_in = device.kind() == DeviceKind::simt;
  Trainable trainable = probe.model(own);
  nn::Optimizer optimizer = make_optimizer(config, *trainable.module);
  plan.weights = total_bytes(*trainable.module, false);
  plan.gradients = total_bytes(*trainable.module, true);
  for (const auto& [name, tensor] : optimizer.state())
    if (name.starts_with("moment")) plan.moments += tensor.bytes();

  if (own.kind() == DeviceKind::cuda) ++batches;  // the next one is copied meanwhile (tensor/upload.h)
  const auto tried = [&](std::int64_t batch) -> Trials {
    const auto [few, more] = trial_batches(batch);
    return {try_step(config, trainable, optimizer, probe, few, own, batches),
            try_step(config, trainable, optimizer, probe, more, own, batches)};
  };
  const Trials trials = tried(plan.batch);
  const Trial &one = trials.one, &two = trials.two;
  plan.data = Straight(one, two, one.data, two.data).at(plan.batch);
  plan.kept = Straight(one, two, one.kept, two.kept).at(plan.batch);
  plan.peak = trials.peak(plan.batch);
  plan.working = std::max<std::int64_t>(
      0, plan.peak - plan.weights - plan.gradients - plan.moments - plan.data - plan.kept);
  if (plan.limit && std::isfinite(trials.up_to(*plan.limit)))
    plan.largest_batch = largest_batch(trials, *plan.limit, tried);
  return plan;
}

std::optional<std::int64_t> memory_limit(const Config& config, const Device& device) {
  if (const std::int64_t mib = config.integer("train.memory_mib"); mib > 0) return mib << 20;
  if (device.kind() == DeviceKind::cuda)
    return on(device.queue(), [](auto& queue) -> std::optional<std::int64_t> {
      if constexpr (requires { queue.free_memory(); })
        return static_cast<std::int64_t>(queue.free_memory());
      else
        return {};
    });
  const Machine machine = read_machine("/");
  std::optional<std::int64_t> limit = machine.free_memory_bytes;
  if (machine.memory_limit_bytes && (!limit || *machine.memory_limit_bytes < *limit))
    limit = machine.memory_limit_bytes;
  return limit;
}

void check_fits(const MemoryPlan& plan) {
  if (plan.fits()) return;
  const std::string hint =
      plan.largest_batch.value_or(0) > 0
          ? fmt::format("the largest that fits is --set train.batch={}", *plan.largest_batch)
          : "not even one sample fits";
  throw IoError(fmt::format("train.batch = {} needs {}, and {} are there for it; {}", plan.batch,
                            size_text(plan.peak), size_text(*plan.limit), hint));
}

}  // namespace fovea::apps

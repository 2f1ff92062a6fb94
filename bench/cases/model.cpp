// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <array>
#include <cmath>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>

#include "apps/model_list.h"
#include "apps/retina_training.h"
#include "apps/run_state.h"
#include "apps/train_step.h"
#include "bench/case.h"
#include "bench/side.h"
#include "nn/reciprocal_gated.h"

/// What is made of many operations: a step of a recurrent cell, and training steps as `fovea train` takes them.
namespace fovea::bench {
namespace {

constexpr std::int64_t kCells = 5, kHistory = 40, kSize = 50;

Tensor taken(const Device& device, const Buffers& buffers, int set, std::size_t operand) {
  Tensor t = Tensor::empty(buffers.operands()[operand].shape, DType::f32, device, "bench");
  std::vector<float> values(static_cast<std::size_t>(t.numel()));
  device.copy_to_host(values.data(), buffers.set(set)[operand], values.size() * sizeof(float));
  device.copy_from_host(t.raw(), values.data(), values.size() * sizeof(float));
  return t;
}
void give(const Device& device, const Tensor& t, const Buffers& buffers, std::size_t operand) {
  std::vector<float> values(static_cast<std::size_t>(t.numel()));
  device.copy_to_host(values.data(), t.raw(), values.size() * sizeof(float));
  device.copy_from_host(buffers.set(0)[operand], values.data(), values.size() * sizeof(float));
}

// ------------------------------------------------------------------------- reciprocal gated cell

/// Kernels and biases by the names of the cell; operands are x, c, h, these, c', h'.
constexpr std::array kLinks{"c_to_c_decay", "h_to_c_gate", "h_to_h_decay", "c_to_h_gate"};
constexpr std::array kBiases{"c_decay_bias", "c_gate_bias", "h_decay_bias", "h_gate_bias"};
constexpr std::size_t kFirstLink = 3, kFirstBias = 7, kNewC = 11, kNewH = 12;

class CellSide final : public Side {
 public:
  CellSide(std::int64_t channels, const Device& device, const Buffers& buffers)
      : device_(device), buffers_(buffers), cell_(nn::rgc_paper(channels), device) {}
  void prepare(int set) override {
    nn::State weights;
    for (std::size_t k = 0; k < kLinks.size(); ++k) {
      weights.emplace(kLinks[k], taken(device_, buffers_, set, kFirstLink + k));
      weights.emplace(kBiases[k], taken(device_, buffers_, set, kFirstBias + k));
    }
    cell_.load_state(weights);
    x_ = taken(device_, buffers_, set, 0);
    state_ = {{Var(taken(device_, buffers_, set, 1)), Var(taken(device_, buffers_, set, 2))}};
  }
  void run(int) override { result_ = cell_.step({Var(x_)}, state_); }
  void deliver() override {
    give(device_, result_.state.maps[0].value(), buffers_, kNewC);
    give(device_, result_.state.maps[1].value(), buffers_, kNewH);
  }

 private:
  Device device_;
  const Buffers& buffers_;
  nn::ReciprocalGatedCell cell_;
  Tensor x_;
  nn::CellState state_;
  nn::CellResult result_;
};

/// A kernel of 3×3 with a border of zeros, at one element of its result.
double convolved(const std::vector<float>& x, const std::vector<float>& w, const std::vector<float>& bias,
                 std::int64_t channels, std::int64_t side, std::int64_t element) {
  const std::int64_t column = element % side, row = element / side % side,
                     out = element / (side * side) % channels, n = element / (side * side * channels);
  double sum = bias[static_cast<std::size_t>(out)];
  for (std::int64_t c = 0; c < channels; ++c)
    for (std::int64_t r = 0; r < 3; ++r)
      for (std::int64_t q = 0; q < 3; ++q) {
        const std::int64_t i = row + r - 1, j = column + q - 1;
        if (i < 0 || j < 0 || i >= side || j >= side) continue;
        sum += static_cast<double>(x[static_cast<std::size_t>(((n * channels + c) * side + i) * side + j)]) *
               static_cast<double>(w[static_cast<std::size_t>(((out * channels + c) * 3 + r) * 3 + q)]);
      }
  return sum;
}

Case rgc_step(std::int64_t batch, std::int64_t channels, std::int64_t side, bool quick) {
  const Shape maps{batch, channels, side, side}, kernel{channels, channels, 3, 3};
  const double count = static_cast<double>(maps.numel()),
               span = 1 / std::sqrt(9.0 * static_cast<double>(channels));
  Case c{.name = fmt::format("rgc_step.{}@{}.n{}", channels, side, batch),
         .shape = fmt::format("[{}, {}, {}, {}], four 3x3", batch, channels, side, side),
         .op = "reciprocal_gated_step",
         .flops = 2.0 * 4 * 9 * static_cast<double>(channels) * count,
         .bytes = 4.0 * (5 * count + 4 * static_cast<double>(kernel.numel())),
         .operands = {{"x", maps}, {"c", maps}, {"h", maps}},
         .torch = "rgc_step",
         .one_set = true,
         .cuda = false,
         .quick = quick};
  for (const char* name : kLinks) c.operands.push_back({name, kernel, false, -span, span});
  for (const char* name : kBiases) c.operands.push_back({name, {channels}});
  c.operands.push_back({"c_new", maps, true});
  c.operands.push_back({"h_new", maps, true});
  c.ours = [channels](const Device& device, const Buffers& buffers) {
    return std::make_unique<CellSide>(channels, device, buffers);
  };
  c.reference = [maps, channels, side](const HostValues& host) {
    std::vector<Expected> expected;
    for (const std::int64_t i : sampled(maps.numel(), 128)) {
      const auto share = [&](std::size_t link, std::size_t source) {
        const double sum =
            convolved(host[source], host[kFirstLink + link], host[kFirstBias + link], channels, side, i);
        return 1 - 1 / (1 + std::exp(-sum));
      };
      const auto elu = [](double v) { return v > 0 ? v : std::expm1(v); };
      const auto k = static_cast<std::size_t>(i);
      const double x = host[0][k];
      expected.push_back({kNewC, i, elu(share(0, 1) * host[1][k] + share(1, 2) * x)});
      expected.push_back({kNewH, i, elu(share(2, 2) * host[2][k] + share(3, 1) * x)});
    }
    return expected;
  };
  return c;
}

// ------------------------------------------------------------------------- training steps

/// A task of one batch, which comes again and again.
class OneBatch final : public apps::Task {
 public:
  OneBatch(const apps::Config& config, const Device& device)
      : device_(device), trainable_(apps::make_retina_trainable(config, kCells, device)) {}
  const Device& device() const override { return device_; }
  apps::Trainable& trainable() override { return trainable_; }
  apps::Trainable twin(const Device&) const override { return {}; }
  nn::Batch blank(std::int64_t, const Device&) const override { return {}; }
  nn::Batch next_batch() override { return batch; }
  std::int64_t batches_per_epoch() const override { return 1; }
  nn::LoaderPosition position() const override { return {}; }
  void seek(nn::LoaderPosition) override {}
  apps::Evaluation evaluate() override { return {0.0, {}}; }
  const char* score_name() const override { return "score"; }
  std::string data_summary() const override { return "one batch"; }
  const std::string& data_checksum() const override { return checksum_; }
  std::string data_path() const override { return ""; }
  nn::State constants() const override { return {}; }
  nlohmann::ordered_json test(const nn::State&) override { return {}; }
  void report(const apps::RunFolder&) override {}

  nn::Batch batch;

 private:
  Device device_;
  apps::Trainable trainable_;
  std::string checksum_;
};

apps::Config demo_config(const std::string& model) {
  const apps::ModelEntry& entry = apps::find_model(model);
  apps::Config config = apps::default_config(entry);
  for (const auto& [key, value] : apps::find_preset(entry, "demo").settings)
    config.set(key, value, "preset demo");
  return config;
}

/// apps::train_step() with the settings of the demo. Operands are x, target, the parameters, loss; the loss of a step
/// is that of the weights before it.
class TrainingSide final : public Side {
 public:
  TrainingSide(const std::string& model, const Device& device, const Buffers& buffers)
      : device_(device), buffers_(buffers), config_(demo_config(model)) {}
  void prepare(int set) override {
    run_.reset();
    task_.emplace(config_, device_);
    task_->batch = {taken(device_, buffers_, set, 0), taken(device_, buffers_, set, 1), {}};
    std::size_t operand = 2;
    for (const nn::NamedParameter& p : task_->model().named_parameters())
      p.parameter->value.copy_from(taken(device_, buffers_, set, operand++));
    run_.emplace(config_, *task_);
  }
  void run(int) override { loss_ = apps::train_step(config_, *task_, *run_); }
  void deliver() override { give(device_, loss_, buffers_, buffers_.operands().size() - 1); }

 private:
  Device device_;
  const Buffers& buffers_;
  apps::Config config_;
  std::optional<OneBatch> task_;
  std::optional<apps::RunState> run_;
  Tensor loss_;
};

using Doubles = std::vector<double>;

/// "valid", stride 1; the inner loop is over a row of the result.
Doubles convolution(const Doubles& x, const std::vector<float>& w, const std::vector<float>& bias,
                    std::int64_t batch, std::int64_t channels, std::int64_t side, std::int64_t outputs,
                    std::int64_t kernel) {
  const std::int64_t to = side - kernel + 1;
  Doubles y(static_cast<std::size_t>(batch * outputs * to * to));
  for (std::int64_t n = 0; n < batch; ++n)
    for (std::int64_t o = 0; o < outputs; ++o)
      for (std::int64_t i = 0; i < to; ++i) {
        double* const row = y.data() + ((n * outputs + o) * to + i) * to;
        std::fill_n(row, to, static_cast<double>(bias[static_cast<std::size_t>(o)]));
        for (std::int64_t c = 0; c < channels; ++c)
          for (std::int64_t r = 0; r < kernel; ++r) {
            const double* const from = x.data() + ((n * channels + c) * side + i + r) * side;
            for (std::int64_t q = 0; q < kernel; ++q) {
              const double weight =
                  w[static_cast<std::size_t>(((o * channels + c) * kernel + r) * kernel + q)];
              for (std::int64_t j = 0; j < to; ++j) row[j] += weight * from[j + q];
            }
          }
      }
  return y;
}

/// Statistics of each unit over the batch; then ReLU, if asked for.
void normalize(Doubles& x, std::int64_t batch, const std::vector<float>& gamma,
               const std::vector<float>& beta, bool relu) {
  const std::size_t units = gamma.size(), count = static_cast<std::size_t>(batch);
  for (std::size_t u = 0; u < units; ++u) {
    double mean = 0, variance = 0;
    for (std::size_t n = 0; n < count; ++n) mean += x[n * units + u] / static_cast<double>(count);
    for (std::size_t n = 0; n < count; ++n)
      variance += (x[n * units + u] - mean) * (x[n * units + u] - mean) / static_cast<double>(count);
    for (std::size_t n = 0; n < count; ++n) {
      double& v = x[n * units + u];
      v = gamma[u] * (v - mean) / std::sqrt(variance + 1e-5) + beta[u];
      if (relu) v = std::max(v, 0.0);
    }
  }
}

Doubles dense(const Doubles& x, std::int64_t batch, const std::vector<float>& w) {
  const std::size_t inputs = x.size() / static_cast<std::size_t>(batch);
  Doubles y(static_cast<std::size_t>(batch * kCells));
  for (std::size_t i = 0; i < y.size(); ++i)
    for (std::size_t k = 0; k < inputs; ++k)
      y[i] += x[i / kCells * inputs + k] * static_cast<double>(w[i % kCells * inputs + k]);
  return y;
}

double poisson(const Doubles& drive, const std::vector<float>& target) {
  double loss = 0;
  for (std::size_t i = 0; i < drive.size(); ++i) {
    const double rate = std::max(drive[i], 0.0) + std::log1p(std::exp(-std::abs(drive[i])));
    loss +=
        (rate - static_cast<double>(target[i]) * std::log(rate + 1e-8)) / static_cast<double>(drive.size());
  }
  return loss;
}

Doubles widened(const std::vector<float>& values) { return {values.begin(), values.end()}; }

double deep_retina_loss(std::int64_t batch, const HostValues& host) {
  Doubles h = convolution(widened(host[0]), host[2], host[3], batch, kHistory, kSize, 8, 15);
  normalize(h, batch, host[4], host[5], true);
  h = convolution(h, host[6], host[7], batch, 8, 36, 8, 11);
  normalize(h, batch, host[8], host[9], true);
  h = dense(h, batch, host[10]);
  normalize(h, batch, host[11], host[12], false);
  return poisson(h, host[1]);
}

double ln_loss(std::int64_t batch, const HostValues& host) {
  Doubles drive = dense(widened(host[0]), batch, host[2]);
  for (std::size_t i = 0; i < drive.size(); ++i) drive[i] += static_cast<double>(host[3][i % kCells]);
  return poisson(drive, host[1]);
}

Case training_step(const std::string& model, const std::string& torch, std::int64_t batch, double flops,
                   std::vector<Operand> parameters, double (*loss)(std::int64_t, const HostValues&)) {
  const apps::Config config = demo_config(model);
  const Shape x{batch, kHistory, kSize, kSize};
  double weights = 0;
  for (const Operand& p : parameters) weights += static_cast<double>(p.shape.numel());
  Case c{.name = fmt::format("train.{}.n{}", torch, batch),
         .shape = fmt::format("{}, batch {}: forward, loss, backward, Adam", model, batch),
         .op = "training step",
         .pass = Pass::backward,
         .flops = flops,
         .bytes = 4.0 * (static_cast<double>(x.numel()) + 9 * weights),
         .operands = {{"x", x}, {"target", {batch, kCells}, false, 0.0, 3.0}},
         .torch = torch,
         .attributes = {{"lr", {config.real("optim.lr")}},
                        {"weight_decay", {config.real("optim.weight_decay")}},
                        {"noise", {model == "deep-retina" ? config.real("model.noise") : 0.0}},
                        {"eps", {1e-8}}},
         .one_set = true,
         .cuda = false,
         .quick = true};
  for (Operand& p : parameters) c.operands.push_back(std::move(p));
  c.operands.push_back({"loss", {1}, true});
  const int result = static_cast<int>(c.operands.size()) - 1;
  c.ours = [model](const Device& device, const Buffers& buffers) {
    return std::make_unique<TrainingSide>(model, device, buffers);
  };
  // Worth a second, so it is kept: the operands of a case are always the same.
  const auto kept = std::make_shared<std::optional<double>>();
  c.reference = [batch, loss, result, kept](const HostValues& host) {
    if (!*kept) *kept = loss(batch, host);
    return std::vector<Expected>{{result, 0, **kept}};
  };
  return c;
}

Case deep_retina_step(std::int64_t batch) {
  const auto weight = [](const char* name, Shape shape, double fan_in) {
    const double span = 1 / std::sqrt(fan_in);
    return Operand{name, shape, false, -span, span};
  };
  const auto scale = [](const char* name, std::int64_t units) {
    return Operand{name, {units}, false, 0.5, 1.5};
  };
  const auto shift = [](const char* name, std::int64_t units) {
    return Operand{name, {units}, false, -0.2, 0.2};
  };
  const double images = static_cast<double>(batch);
  const double conv1 = 2 * images * 8 * 36 * 36 * 40 * 225, conv2 = 2 * images * 8 * 26 * 26 * 8 * 121;
  // x has no gradient.
  Case c = training_step(
      "deep-retina", "deep_retina", batch, 2 * conv1 + 3 * conv2,
      {weight("conv1.weight", {8, 40, 15, 15}, 9000), shift("conv1.bias", 8), scale("bn1.weight", 10368),
       shift("bn1.bias", 10368), weight("conv2.weight", {8, 8, 11, 11}, 968), shift("conv2.bias", 8),
       scale("bn2.weight", 5408), shift("bn2.bias", 5408), weight("readout.weight", {5, 5408}, 5408),
       scale("bn3.weight", 5), shift("bn3.bias", 5)},
      deep_retina_loss);
  c.error_limit =
      0.02;  // the reference has no noise; of both sides each unit has 5 % of its standard deviation
  return c;
}

Case ln_step(std::int64_t batch) {
  const double inputs = static_cast<double>(kHistory * kSize * kSize), span = 1 / std::sqrt(inputs);
  return training_step("ln", "ln", batch, 4 * static_cast<double>(batch * kCells) * inputs,
                       {{"filter.weight", {kCells, kHistory * kSize * kSize}, false, -span, span},
                        {"filter.bias", {kCells}, false, -0.2, 0.2}},
                       ln_loss);
}

}  // namespace

std::vector<Case> model_cases() {
  return {deep_retina_step(32), ln_step(128), rgc_step(32, 32, 32, true), rgc_step(8, 128, 28, false)};
}

}  // namespace fovea::bench

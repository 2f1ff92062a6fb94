// SPDX-License-Identifier: Apache-2.0
#include "nn/conv_rnn.h"

#include <doctest/doctest.h>

#include <cmath>

#include "autograd/ops/loss.h"
#include "autograd/ops/reduce.h"
#include "nn/init.h"
#include "nn/optim/adam.h"
#include "nn/reciprocal_gated.h"
#include "tests/nn/expect.h"

using namespace fovea;
using namespace fovea::test;

namespace {

Tensor normals(const Shape& shape, const Device& device, std::uint32_t stream = 0, float sd = 1.0f) {
  return Tensor::normal(shape, {3, stream, 0, nullptr}, 0.0f, sd, device);
}
Tensor full(const Shape& shape, double value, const Device& device) {
  return Tensor::full(shape, value, DType::f32, device);
}
void set_weights(nn::Module& module, double value) {
  for (const auto& named : module.named_parameters())
    if (named.parameter->role == nn::Role::weight) named.parameter->value.fill(value);
}
double first(const Var& x) { return static_cast<double>(x.value().to_vector<float>()[0]); }
double sigmoid_of(double x) { return 1 / (1 + std::exp(-x)); }

/// The output of `steps` steps with this input, all of it.
Floats unrolled(nn::ConvCell& cell, const nn::CellInputs& inputs, int steps) {
  nn::CellState state = cell.initial_state(inputs.x.shape());
  Floats all;
  for (int t = 0; t < steps; ++t) {
    const nn::CellResult result = cell.step(inputs, state);
    for (const float v : result.output.value().to_vector<float>()) all.push_back(v);
    state = result.state;
  }
  return all;
}

void check_close(const Floats& a, const Floats& b) {
  REQUIRE(a.size() == b.size());
  for (std::size_t i = 0; i < a.size(); ++i)
    CHECK(a[i] == doctest::Approx(b[i]).epsilon(1e-4));  // two orders of summation, through four steps
}

}  // namespace

TEST_CASE("a cell's first step has the constants of its formula") {
  const Device device = Device::cpu();
  const Shape shape{1, 2, 3, 3};
  const Tensor x = full(shape, 0.8, device);

  SUBCASE("time decay is a leaky sum") {
    nn::TimeDecay decay(device, 0.25f);
    nn::initialize(decay, 1);
    CHECK(unrolled(decay, {x}, 3)[36] == doctest::Approx(0.8 * (1 + 0.25 + 0.0625)));
    nn::TimeDecay delay(device, 0.0f, false);
    CHECK_FALSE(delay.tau.trainable);
    nn::initialize(delay, 1);
    CHECK(unrolled(delay, {x}, 3)[36] == 0.8f);
  }
  SUBCASE("LSTM: σ(1) of the cell stays") {
    nn::ConvLSTM cell(2, 3, device);
    nn::initialize(cell, 1);
    set_weights(cell, 0);
    const auto result = cell.step({x}, {{full({1, 3, 3, 3}, 0, device), full({1, 3, 3, 3}, 1, device)}});
    CHECK(first(result.state.maps[1]) == doctest::Approx(sigmoid_of(1)));  // 0.731
    CHECK(first(result.output) == doctest::Approx(std::tanh(sigmoid_of(1)) / 2));
  }
  SUBCASE("GRU: σ(2) of the state is in the candidate") {
    nn::ConvGRU cell(2, 1, device, {.kernel = 1});
    nn::initialize(cell, 1);
    CHECK(cell.gates_bias.value.to_vector<float>() == Floats{1, 1});
    set_weights(cell, 0);
    cell.gates_bias.value.copy_from(floats({1, -100}, {2}, device));  // all candidate
    cell.candidate_weight.value.copy_from(floats({0, 0, 1}, {1, 3, 1, 1}, device));
    const auto result = cell.step({x}, {{full({1, 1, 3, 3}, 0.5, device)}});
    CHECK(std::atanh(first(result.output)) == doctest::Approx(0.5 * sigmoid_of(2)));  // 0.881
  }
  SUBCASE("UGRNN: σ(1) of the state stays") {
    nn::ConvUGRNN cell(2, 1, device);
    nn::initialize(cell, 1);
    set_weights(cell, 0);
    CHECK(first(cell.step({x}, {{full({1, 1, 3, 3}, 0.5, device)}}).output) ==
          doctest::Approx(0.5 * sigmoid_of(1)));
  }
  SUBCASE("IntersectionRNN: σ(1) of x passes, and of the state stays") {
    nn::IntersectionRNN cell(2, device);
    nn::initialize(cell, 1);
    set_weights(cell, 0);
    const auto result = cell.step({x}, {{full(shape, 0.5, device)}});
    CHECK(first(result.output) == doctest::Approx(0.8 * sigmoid_of(1)));  // 0.731
    CHECK(first(result.state.maps[0]) == doctest::Approx(0.5 * sigmoid_of(1)));
  }
  SUBCASE("the reciprocal gated cell lets half of x pass, or 0.88") {
    for (const auto& [bias, part] : {std::pair{0.0f, 0.5}, std::pair{-2.0f, 0.8808}}) {
      nn::ReciprocalGatedCell cell(nn::rgc_paper(2, bias), device);
      nn::initialize(cell, 1);
      set_weights(cell, 0);
      const auto result = cell.step({x}, cell.initial_state(shape));
      CHECK(first(result.output) == doctest::Approx(0.8 * part).epsilon(1e-4));
      CHECK(first(result.state.maps[0]) == doctest::Approx(0.8 * part).epsilon(1e-4));
    }
  }
  SUBCASE("tanh gates without bias let all of x pass, whatever the weights") {
    nn::ReciprocalConfig config;
    config.in = config.cell = config.out = 2;
    config.input_into_cell = true;
    nn::ReciprocalGatedCell cell(config, device);
    nn::initialize(cell, 1);
    const Tensor positive = Tensor::uniform(shape, {3, 9, 0, nullptr}, 0.1f, 2.0f, device);
    const auto result = cell.step({positive}, cell.initial_state(shape));
    CHECK(result.output.value().to_vector<float>() == positive.to_vector<float>());
    CHECK(result.state.maps[0].value().to_vector<float>() == positive.to_vector<float>());
  }
  SUBCASE("the median cell: 0.70 of what comes in, 0.46 of the state") {
    nn::ReciprocalGatedCell cell(nn::rgc_median(2, 2, 0, 3), device);
    nn::initialize(cell, 1);
    set_weights(cell, 0);
    const Tensor none = full(shape, 0, device), residual = full(shape, 0.6, device);
    CHECK(first(cell.step({x, residual}, cell.initial_state(shape)).output) ==
          doctest::Approx(0.70066 * 0.6));
    const auto result = cell.step({x, none}, {{full({1, 3, 3, 3}, 0.5, device), full(shape, 0.5, device)}});
    CHECK(first(result.output) == doctest::Approx(0.92193 / 2 * 0.5));
    CHECK(first(result.state.maps[0]) == doctest::Approx(0.92193 / 2 * 0.5));
  }
}

TEST_CASE("cells have the parameters that their papers count") {
  const Device device = Device::cpu();
  const std::int64_t c = 4, square = 9 * c * c;
  CHECK(nn::SimpleConvRNN(c, c, device).parameter_count() == 2 * square + c);
  CHECK(nn::ConvUGRNN(c, c, device).parameter_count() == 4 * square + 2 * c);
  CHECK(nn::ConvGRU(c, c, device).parameter_count() == 6 * square + 3 * c);
  CHECK(nn::ConvLSTM(c, c, device).parameter_count() == 8 * square + 4 * c);
  CHECK(nn::IntersectionRNN(c, device).parameter_count() == 8 * square + 4 * c);
  CHECK(nn::ReciprocalGatedCell(nn::rgc_paper(c), device).parameter_count() == 4 * square + 4 * c);
  CHECK(nn::ReciprocalGatedCell(nn::rgc_shallow(c, c), device).parameter_count() == 6 * square);
  CHECK(nn::TimeDecay(device).parameter_count() == 1);
}

TEST_CASE("fused or of plain ops, a cell computes the same") {
  const Shape shape{2, 4, 5, 3};
  for (const Device& device : both_devices()) {
    const nn::CellInputs inputs{normals(shape, device), normals({2, 3, 5, 3}, device, 1),
                                normals({2, 2, 5, 3}, device, 2)};
    const auto compare = [&](const auto& make) {
      Floats found[2];
      for (const bool fused : {false, true}) {
        const auto cell = make(fused);
        nn::initialize(*cell, 7);
        found[fused] = unrolled(*cell, inputs, 4);
      }
      check_close(found[1], found[0]);
    };
    const auto shaped = [](bool fused) { return nn::ConvCellShape{.kernel = {3, 2}, .fused = fused}; };
    compare([&](bool fused) { return std::make_unique<nn::TimeDecay>(device, 0.3f, true, fused); });
    for (const bool norm : {false, true})
      compare(
          [&](bool fused) { return std::make_unique<nn::SimpleConvRNN>(4, 3, device, shaped(fused), norm); });
    compare([&](bool fused) { return std::make_unique<nn::ConvLSTM>(4, 3, device, shaped(fused)); });
    compare([&](bool fused) { return std::make_unique<nn::ConvGRU>(4, 3, device, shaped(fused)); });
    compare([&](bool fused) { return std::make_unique<nn::ConvUGRNN>(4, 3, device, shaped(fused)); });
    compare([&](bool fused) { return std::make_unique<nn::IntersectionRNN>(4, device, shaped(fused)); });
    const auto compare_config = [&](nn::ReciprocalConfig config) {
      compare([&](bool fused) {
        config.fused = fused;
        return std::make_unique<nn::ReciprocalGatedCell>(config, device);
      });
    };
    compare_config(nn::rgc_paper(4, -2.0f));
    compare_config(nn::rgc_shallow(4, 3));
    compare_config(nn::rgc_median(4, 3, 2, 5));
    nn::ReciprocalConfig all = nn::rgc_median(4, 3, 2, 5);
    all.residual_to_cell = all.input_to_decay = all.residual_to_decay = all.input_to_gate =
        all.residual_to_gate = all.cell_to_output = all.residual_to_output_decay =
            all.residual_to_output_gate = true;
    all.feedback_activation = Function::elu;
    all.feedback_entry = nn::FeedbackEntry::cell;
    compare_config(all);
    all.feedback_entry = nn::FeedbackEntry::input;
    all.input_activation = Function::relu;
    compare_config(all);
    all.input_separable = all.output_separable = all.feedback_separable = true;
    all.feedback_kernel = {4, 3};
    all.cell_decay_kernel = {2, 5};
    compare_config(all);
    all.feedback_entry = nn::FeedbackEntry::output;
    compare_config(all);
    nn::ReciprocalConfig one_state = nn::rgc_paper(4);
    one_state.cell = 0;
    one_state.input_into_cell = false;
    compare_config(one_state);
    one_state.residual = 3;
    one_state.input_to_decay = one_state.input_to_gate = one_state.residual_to_output_decay =
        one_state.residual_to_output_gate = true;
    compare_config(one_state);
  }
}

TEST_CASE("what the fused steps do not have runs as plain ops") {
  const Device device = Device::cpu();
  const Shape shape{2, 3, 4, 5};
  const Tensor x = normals(shape, device);
  // Peepholes: the old c through w·c, also in the output gate.
  nn::ConvLSTM peeping(3, 2, device, {.map = {4, 5}}, {.peepholes = true});
  nn::initialize(peeping, 1);
  CHECK(peeping.parameter_count() == 8 * 5 * 9 + 8 + 3 * 2 * 20);
  set_weights(peeping, 0);
  peeping.peephole_i.value.fill(0.3);
  peeping.peephole_f.value.fill(-0.7);
  peeping.peephole_o.value.fill(1.1);
  const double c = 2 * sigmoid_of(1 - 1.4);
  const auto peeped = peeping.step({x}, {{full({2, 2, 4, 5}, 0, device), full({2, 2, 4, 5}, 2, device)}});
  CHECK(first(peeped.state.maps[1]) == doctest::Approx(c));
  CHECK(first(peeped.output) == doctest::Approx(std::tanh(c) * sigmoid_of(2.2)));
  CHECK(message([&] { nn::ConvLSTM(3, 2, device, {}, {.peepholes = true}); }) ==
        "conv_lstm: peepholes need the size of the map, got 0×0");

  // Layer norm: before the ELU every sample has mean 0 and variance 1, whatever the weights' size.
  nn::SimpleConvRNN simple(3, 2, device, {}, true);
  nn::initialize(simple, 1);
  simple.weight_x.value.copy_from(normals({2, 3, 3, 3}, device, 4, 50.0f));
  Floats y = simple(x).value().to_vector<float>();
  for (std::size_t n = 0; n < 2; ++n) {
    double sum = 0, squares = 0;
    for (std::size_t i = 0; i < 40; ++i) {
      const double v = static_cast<double>(y[n * 40 + i]), before = v > 0 ? v : std::log1p(v);
      sum += before;
      squares += before * before;
    }
    CHECK(std::abs(sum / 40) < 1e-5);
    CHECK(squares / 40 == doctest::Approx(1.0).epsilon(1e-4));
  }

  nn::ConvLSTM normed(3, 2, device, {}, {.layer_norm = true});
  nn::initialize(normed, 1);
  CHECK(normed.parameter_count() == 8 * 5 * 9 + 8 + 2 * 10);
  const auto state = normed.step({x}, normed.initial_state(shape)).state.maps[1];
  CHECK(std::abs(mean(state).value().item()) < 1e-6);  // c' is normalised before it is a state

  nn::ReciprocalConfig config = nn::rgc_paper(3);
  config.layer_norm = true;
  config.cell_activation = Function::identity;
  nn::ReciprocalGatedCell cell(config, device);
  nn::initialize(cell, 1);
  CHECK(cell.parameter_count() == 4 * (81 + 3) + 4 * 3);
  CHECK(std::abs(mean(cell.step({x}, cell.initial_state(shape)).state.maps[0]).value().item()) < 1e-6);
  config.cell = 0;
  config.input_into_cell = false;
  nn::ReciprocalGatedCell one(config, device);
  nn::initialize(one, 1);
  CHECK(one(x).shape() == shape);
}

TEST_CASE("a cell that is moved begins with a state on its new device") {
  nn::ConvGRU cell(2, 3, Device::cpu());
  nn::initialize(cell, 1);
  const Device device = Device::simt();
  cell.to(device);
  CHECK(cell(full({1, 2, 3, 3}, 1, device)).device() == device);
}

TEST_CASE("a cell's state is saved and loaded by name") {
  const Device device = Device::cpu();
  const Tensor x = normals({1, 4, 3, 3}, device);
  nn::ReciprocalGatedCell a(nn::rgc_median(4, 4, 0, 3), device), b(nn::rgc_median(4, 4, 0, 3), device);
  nn::initialize(a, 1);
  nn::initialize(b, 2);
  CHECK(unrolled(a, {x, x}, 2) != unrolled(b, {x, x}, 2));
  b.load_state(a.state());
  CHECK(unrolled(a, {x, x}, 2) == unrolled(b, {x, x}, 2));
  CHECK(a.state().contains("depthwise_c_to_h_gate"));
  CHECK(a.state().contains("h_gate_bias"));
}

TEST_CASE("cells name themselves when a step does not fit") {
  const Device device = Device::cpu();
  nn::ConvLSTM cell(3, 2, device);
  nn::initialize(cell, 1);
  const Tensor x = full({1, 3, 4, 4}, 0, device);
  CHECK(message([&] {
          cell.initial_state({3, 4});
        }) == "conv_lstm: a state for x [3, 4] needs [B, channels, H, W]");
  CHECK(message([&] { cell.step({x}, {{x}}); }) ==
        "conv_lstm: a state of 1 maps was given, expected 2; begin with initial_state()");
  const auto refused = [&](const auto& change) {
    nn::ReciprocalConfig config = nn::rgc_paper(4);
    change(config);
    return message([&] { nn::ReciprocalGatedCell(config, device); });
  };
  CHECK(refused([](auto& c) { c.in = 0; }) ==
        "reciprocal_gated: in 0, cell 4, out 4, residual 0 and feedback 0 channels make no cell");
  CHECK(refused([](auto& c) { c.residual_to_output = true; }) ==
        "reciprocal_gated: a convolution reads the residual, which has no channels");
  CHECK(refused([](auto& c) {
          c.cell = 0;
          c.input_into_cell = false;
          c.cell_to_output = true;
        }) == "reciprocal_gated: an input or a convolution belongs to c, which has no channels");
  CHECK(refused([](auto& c) { c.cell = 0; }) ==
        "reciprocal_gated: an input or a convolution belongs to c, which has no channels");
  CHECK(refused([](auto& c) { c.input_into_cell = false; }) ==
        "reciprocal_gated: nothing enters c of 4 channels; set input_to_cell, input_into_cell or "
        "residual_to_cell, or let feedback enter at the cell");
  CHECK(refused([](auto& c) {
          c.bias = false;
          c.gate_bias = -2;
        }) == "reciprocal_gated: decay_bias is 0 and gate_bias is -2, but there is no bias");
  CHECK(refused([](auto& c) { c.cell = 3; }) ==
        "reciprocal_gated: x of 4 channels cannot enter c of 3 as it is; set input_to_cell");
  CHECK(refused([](auto& c) { c.out = 3; }) ==
        "reciprocal_gated: x of 4 channels cannot enter h of 3 as it is; set input_to_output");
  nn::ReciprocalConfig fed = nn::rgc_median(4, 4, 2, 3);
  fed.feedback_entry = nn::FeedbackEntry::input;
  nn::ReciprocalGatedCell hungry(fed, device);
  nn::initialize(hungry, 1);
  const Tensor y = full({1, 4, 3, 3}, 0, device);
  CHECK(message([&] {
          hungry.step({y, y}, hungry.initial_state(y.shape()));
        }) == "reciprocal_gated: its feedback of 2 channels is missing");
}

// Whether the sum of what was shown is high is only known by remembering.
TEST_CASE("each cell learns to remember on a tiny set") {
  const Device device = Device::cpu();
  constexpr std::int64_t kBatch = 16;
  std::vector<Tensor> frames;
  Floats target(kBatch, 0.0f);
  for (std::uint32_t t = 0; t < 3; ++t) {
    frames.push_back(normals({kBatch, 3, 3, 3}, device, 20 + t));
    const Floats values = frames.back().to_vector<float>();
    for (std::size_t n = 0; n < kBatch; ++n)
      for (std::size_t i = 0; i < 27; ++i) target[n] += values[n * 27 + i] / 9;
  }
  const Tensor wanted = floats(target, {kBatch}, device);
  const auto learn = [&](nn::ConvCell& cell, const char* name) {
    INFO(name);
    nn::initialize(cell, 3);
    nn::Optimizer adam = nn::adam({{cell.named_parameters()}}, 0.02);
    double start = 0, end = 0;
    for (int step = 0; step < 60; ++step) {
      adam.zero_grad();
      Tape tape;
      nn::CellState state = cell.initial_state(frames[0].shape());
      Var output;
      for (const Tensor& frame : frames) {
        const auto result = cell.step({tape.input(frame), tape.input(frame)}, state);
        state = result.state;
        output = result.output;
      }
      const Var loss = mse_loss(sum(output, {1, 2, 3}), wanted);
      tape.backward(loss);
      adam.step();
      end = loss.value().item();
      if (step == 0) start = end;
    }
    CHECK(end < 0.5 * start);
  };
  nn::SimpleConvRNN simple(3, 4, device);
  learn(simple, "simple");
  nn::ConvLSTM lstm(3, 4, device);
  learn(lstm, "lstm");
  nn::ConvGRU gru(3, 4, device);
  learn(gru, "gru");
  nn::ConvUGRNN ugrnn(3, 4, device);
  learn(ugrnn, "ugrnn");
  nn::IntersectionRNN intersection(3, device);
  learn(intersection, "intersection");
  nn::ReciprocalGatedCell paper(nn::rgc_paper(3, -2.0f), device);
  learn(paper, "reciprocal, paper");
  nn::ReciprocalGatedCell shallow(nn::rgc_shallow(3, 3), device);
  learn(shallow, "reciprocal, shallow");
  nn::ReciprocalGatedCell median(nn::rgc_median(3, 3, 0, 4), device);
  learn(median, "reciprocal, median");
}

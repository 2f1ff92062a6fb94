// SPDX-License-Identifier: Apache-2.0
#include "nn/reciprocal_gated.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

#include "kernels/simt/grid.h"
#include "nn/init.h"

using namespace fovea;

namespace {

/// Of a cell's parameter; Shape{} if it has none of that name.
Shape shape_of(const nn::ReciprocalConfig& config, const std::string& name) {
  const nn::ReciprocalGatedCell cell(config, Device::cpu());
  for (const auto& named : cell.named_parameters())
    if (named.name == name) return named.parameter->value.shape();
  return {};
}

}  // namespace

TEST_CASE("the median cell has the parameters of the released network") {
  const Device device = Device::cpu();
  // Nodes of the released network without their own 3x3 convolution.
  const auto median = [&](std::int64_t channels, std::int64_t residual, std::int64_t feedback) {
    return nn::ReciprocalGatedCell(nn::rgc_median(channels, residual, feedback), device).parameter_count() +
           9 * residual * channels + channels;
  };
  CHECK(median(128, 128, 0) == 384064);
  CHECK(median(128, 128, 256) == 416960);
  CHECK(median(256, 128, 768) == 1314880);
  CHECK(median(256, 256, 512) == 1511488);
  CHECK(median(256, 256, 0) == 1380160);
  CHECK(median(512, 256, 512) == 4454208);
  CHECK(median(512, 512, 0) == 5240128);
  // A kernel that is larger than the map is cut to it.
  nn::ReciprocalConfig config = nn::rgc_median(2, 2, 0, 3);
  config.map = {5, 9};
  CHECK(shape_of(config, "depthwise_h_to_c_gate") == Shape{2, 1, 5, 7});
}

TEST_CASE("each field of the reciprocal gated cell brings the kernels of its name") {
  nn::ReciprocalConfig config;
  config.in = 2;
  config.cell = 3;
  config.out = 4;
  config.residual = 5;
  config.feedback = 6;
  config.decay_kernel = 5;
  config.cell_decay_kernel = {3, 1};
  config.gate_kernel = 2;
  config.input_kernel = 4;
  config.output_kernel = {1, 3};
  config.feedback_kernel = 7;
  config.input_to_cell = config.input_to_output = config.input_to_decay = config.input_to_gate = true;
  config.residual_to_output_decay = config.residual_to_output_gate = config.cell_to_output = true;
  CHECK(shape_of(config, "c_to_c_decay") == Shape{3, 3, 3, 1});
  CHECK(shape_of(config, "x_to_c_decay") == Shape{3, 2, 3, 1});
  CHECK(shape_of(config, "x_to_h_decay") == Shape{4, 2, 5, 5});
  CHECK(shape_of(config, "residual_to_h_decay") == Shape{4, 5, 5, 5});
  CHECK(shape_of(config, "x_to_c_gate") == Shape{3, 2, 2, 2});
  CHECK(shape_of(config, "x_to_h_gate") == Shape{4, 2, 2, 2});
  CHECK(shape_of(config, "residual_to_h_gate") == Shape{4, 5, 2, 2});
  CHECK(shape_of(config, "c_to_h") == Shape{4, 3, 2, 2});
  CHECK(shape_of(config, "c_to_h_gate") == Shape{});
  CHECK(shape_of(config, "residual_to_c_decay") == Shape{});
  config.decay_separable = config.gate_separable = config.input_separable = config.output_separable =
      config.feedback_separable = true;
  CHECK(shape_of(config, "c_to_h") == Shape{4, 3, 1, 1});
  CHECK(shape_of(config, "depthwise_c_to_h") == Shape{3, 1, 2, 2});
  CHECK(shape_of(config, "depthwise_residual_to_h_gate") == Shape{5, 1, 2, 2});
  CHECK(shape_of(config, "depthwise_x_to_h_decay") == Shape{2, 1, 5, 5});
  CHECK(shape_of(config, "depthwise_x_to_c") == Shape{2, 1, 4, 4});
  CHECK(shape_of(config, "depthwise_x_to_h") == Shape{2, 1, 1, 3});
  CHECK(shape_of(config, "depthwise_feedback") == Shape{6, 1, 7, 7});
}

TEST_CASE("the median cell begins with truncated normals, a depthwise kernel's fan-in counts all channels") {
  nn::ReciprocalGatedCell cell(nn::rgc_median(64, 64, 0, 32), Device::cpu());
  nn::initialize(cell, 1);
  for (const auto& named : cell.named_parameters()) {
    if (named.parameter->role != nn::Role::weight) continue;
    INFO(named.name);
    const Shape& shape = named.parameter->value.shape();
    const bool depthwise = named.name.starts_with("depthwise_");
    const std::int64_t fan_in = (depthwise ? shape[0] : shape[1]) * shape[2] * shape[3];
    const double sd = std::sqrt(0.639 / static_cast<double>(fan_in)), most = 2 * sd / 0.87962566;
    double largest = 0, squares = 0;
    for (const float w : named.parameter->value.to_vector<float>()) {
      largest = std::max(largest, std::abs(static_cast<double>(w)));
      squares += static_cast<double>(w) * static_cast<double>(w);
    }
    CHECK(largest <= most * (1 + 1e-6));
    CHECK(largest > 0.9 * most);
    // Of at least 1568 values; the deviation of their standard deviation is below 2 %.
    CHECK(std::sqrt(squares / static_cast<double>(shape.numel())) == doctest::Approx(sd).epsilon(0.06));
  }
}

TEST_CASE("a step of a cell is three launches at most") {
  const Device device = Device::simt();
  auto& grid = std::get<std::reference_wrapper<simt::Grid>>(device.queue()).get();
  const Tensor x = Tensor::full({2, 4, 5, 3}, 0.5, DType::f32, device);
  const auto launches = [&](nn::ConvCell& cell) {
    nn::initialize(cell, 1);
    const nn::CellState state = cell.initial_state(x.shape());
    grid.reset_launches();
    cell.step({x, x, x}, state);
    return grid.launches();
  };
  nn::TimeDecay decay(device);
  CHECK(launches(decay) == 1);
  nn::SimpleConvRNN simple(4, 3, device);
  CHECK(launches(simple) == 1);
  nn::ConvLSTM lstm(4, 3, device);
  CHECK(launches(lstm) == 2);
  nn::ConvGRU gru(4, 3, device);
  CHECK(launches(gru) == 3);
  nn::ConvUGRNN ugrnn(4, 3, device);
  CHECK(launches(ugrnn) == 2);
  nn::IntersectionRNN intersection(4, device);
  CHECK(launches(intersection) == 2);
  nn::ReciprocalGatedCell paper(nn::rgc_paper(4, -2.0f), device);
  CHECK(launches(paper) == 2);
  nn::ReciprocalGatedCell shallow(nn::rgc_shallow(4, 4), device);
  CHECK(launches(shallow) == 2);
  nn::ReciprocalConfig config = nn::rgc_median(4, 4, 4, 3);
  nn::ReciprocalGatedCell median(config, device);
  CHECK(launches(median) == 3);
  config.feedback_entry = nn::FeedbackEntry::input;  // ops of their own before the step
  nn::ReciprocalGatedCell fed_before(config, device);
  CHECK(launches(fed_before) > 3);
}

// SPDX-License-Identifier: Apache-2.0
#include "autograd/ops/batch_norm.h"
#include "autograd/ops/conv2d.h"
#include "autograd/ops/elementwise.h"
#include "autograd/ops/group_norm.h"
#include "autograd/ops/pool2d.h"
#include "autograd/ops/resize.h"
#include "nn/batch_norm.h"
#include "nn/calibration_pass.h"
#include "tensor/views.h"
#include "tests/nn/golden.h"

using namespace fovea;
using namespace fovea::test;

namespace {

bool starts_with(const std::string& text, const char* begin) { return text.rfind(begin, 0) == 0; }

}  // namespace

TEST_CASE("golden conv2d") {
  const Golden golden("conv2d");
  for_golden_cases(golden, [&](GoldenRun& run, const std::string& name) {
    const auto o = golden.options(name);
    const Var x = run.leaf("x"), w = run.leaf("w"), bias = run.leaf("bias");
    run.check({{"y", conv2d(x, w, bias,
                            {.stride = {o[0], o[1]},
                             .padding = {o[2], o[3], o[4], o[5]},
                             .dilation = {o[6], o[7]},
                             .groups = o[8]})}});
  });
}

TEST_CASE("golden pooling") {
  const Golden golden("pool2d");
  for_golden_cases(golden, [&](GoldenRun& run, const std::string& name) {
    const auto o = golden.options(name);
    const Var x = run.leaf("x");
    if (starts_with(name, "adaptive")) return run.check({{"y", adaptive_average_pool2d(x, {o[0], o[1]})}});
    const Pool2dOptions options{.stride = {o[2], o[3]},
                                .padding = {o[4], o[5], o[6], o[7]},
                                .ceil_mode = o[8] != 0,
                                .count_padding = o[9] != 0};
    run.check({{"y", starts_with(name, "max") ? max_pool2d(x, {o[0], o[1]}, options)
                                              : average_pool2d(x, {o[0], o[1]}, options)}});
  });
}

TEST_CASE("golden resize") {
  const Golden golden("resize");
  for_golden_cases(golden, [&](GoldenRun& run, const std::string& name) {
    const auto o = golden.options(name);
    const Var x = run.leaf("x");
    const Size2d out(o[0], o[1]);
    run.check({{"y", starts_with(name, "nearest") ? resize_nearest(x, out)
                                                  : resize_bilinear(x, out, starts_with(name, "corners"))}});
  });
}

TEST_CASE("golden normalisation") {
  const Golden golden("norm");
  for_golden_cases(golden, [&](GoldenRun& run, const std::string& name) {
    if (name == "calibration") return;  // below
    const Var x = run.leaf("x"), weight = run.leaf("weight"), bias = run.leaf("bias");
    if (starts_with(name, "batch")) {
      const Tensor mean = run.constant("running_mean").clone(), var = run.constant("running_var").clone();
      const Var scale = name.find("absolute") != std::string::npos ? abs(weight) : weight;
      if (starts_with(name, "batch_running"))
        return run.check({{"y", batch_norm_inference(x, scale, bias, mean, var, 1e-3f)}});
      run.check({{"y", batch_norm_train(x, scale, bias, mean, var, 1e-3f, 0.01f)}});
      check_close(name + " running mean", mean, golden.at(name, "after_mean"));
      check_close(name + " running variance", var, golden.at(name, "after_var"));
    } else if (starts_with(name, "group")) {
      const float eps = name == "group_tiny_eps" ? 1e-12f : 1e-5f;
      run.check({{"y", group_norm(x, weight, bias, golden.options(name)[0], eps)}});
    } else if (starts_with(name, "last")) {
      run.check({{"y", layer_norm(x, weight, bias, 1e-5f)}});
    } else {
      run.check({{"y", layer_norm_channels(x, weight, bias, 1e-5f)}});
    }
  });
}

/// What the ops say, the module says in each of its modes; and a pass over five batches gives plain averages.
TEST_CASE("golden BatchNorm in its modes") {
  const Golden golden("norm");
  for (const Device& device : both_devices()) {
    CAPTURE(device.description());
    const auto norm_of = [&](const std::string& name, nn::BatchNorm& norm) {
      for (const char* tensor : {"weight", "bias", "running_mean", "running_var"})
        norm.state().at(tensor).copy_from(golden.at(name, tensor).to(device));
      return golden.at(name, "x").to(device);
    };
    const auto value = [](nn::BatchNorm& norm, const Tensor& x) { return norm(x).value(); };
    for (const bool absolute : {false, true}) {
      const std::string suffix = absolute ? "_absolute_maps" : "_maps";
      nn::BatchNorm norm(3, device, {.absolute_scale = absolute});
      Tensor x = norm_of("batch_train" + suffix, norm);
      check_close("training", value(norm, x), golden.at("batch_train" + suffix, "y"));
      check_close("running mean", norm.running_mean, golden.at("batch_train" + suffix, "after_mean"));
      check_close("running variance", norm.running_var, golden.at("batch_train" + suffix, "after_var"));
      x = norm_of("batch_running" + suffix, norm);
      norm.set_mode(nn::BatchNormMode::frozen);
      check_close("frozen in training", value(norm, x), golden.at("batch_running" + suffix, "y"));
      norm.set_mode(nn::BatchNormMode::follow);
      norm.eval();
      check_close("evaluation", value(norm, x), golden.at("batch_running" + suffix, "y"));
      x = norm_of("batch_train" + suffix, norm);
      norm.set_mode(nn::BatchNormMode::batch);
      check_close("of the batch in evaluation", value(norm, x), golden.at("batch_train" + suffix, "y"));
    }
    nn::BatchNorm norm(3, device);
    nn::CalibrationPass pass(norm);
    const Tensor batches = golden.at("calibration", "batches").to(device);
    for (std::int64_t k = 0; k < batches.size(0); ++k) norm(select(batches, 0, k));
    pass.keep();
    check_close("calibrated mean", norm.running_mean, golden.at("calibration", "mean"));
    check_close("calibrated variance", norm.running_var, golden.at("calibration", "var"));
  }
}

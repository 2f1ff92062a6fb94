// SPDX-License-Identifier: Apache-2.0
#include "autograd/ops/cross_entropy.h"
#include "nn/activation.h"
#include "nn/batch_norm.h"
#include "nn/conv2d.h"
#include "nn/flatten.h"
#include "nn/linear.h"
#include "nn/optim/sgd.h"
#include "nn/pool2d.h"
#include "nn/recurrent.h"
#include "nn/sequential.h"
#include "tensor/views.h"
#include "tests/nn/golden.h"

using namespace fovea;
using namespace fovea::test;

namespace {

/// The last output of an LSTM, read out linearly.
class LstmClassifier final : public nn::Module {
 public:
  explicit LstmClassifier(const Device& device) : lstm_(5, 12, device), readout_(12, 3, device) {
    add_child("lstm", lstm_);
    add_child("readout", readout_);
  }
  Var forward(const Var& x) override { return readout_(lstm_.run(x).state.h[0]); }

 private:
  nn::LSTM lstm_;
  nn::Linear readout_;
};

void check_weights(const Golden& golden, const std::string& name, const std::string& when,
                   const nn::Module& model, double bound) {
  for (const auto& [key, value] : model.state())
    check_close(name + " " + when + " " + key, value, golden.at(name, when + "." + key), bound);
}

/// 20 steps of SGD, lr 0.05 and momentum 0.9, on a batch of its own each.
void train(const std::string& name, nn::Module& model, const Device& device) {
  const Golden golden("training");
  CAPTURE(name);
  CAPTURE(device.description());
  nn::State before;
  for (const auto& [key, value] : golden.tensors())
    if (key.rfind(name + "/before.", 0) == 0) before.emplace(key.substr(name.size() + 8), value);
  model.load_state(before);
  nn::Optimizer optimizer = nn::sgd({nn::all_parameters(model)}, 0.05, {.momentum = 0.9f});
  const Tensor x = golden.at(name, "x").to(device), labels = golden.at(name, "labels").to(device);
  std::vector<double> losses;
  for (std::int64_t step = 0; step < 20; ++step) {
    optimizer.zero_grad();
    Tape tape;
    const Var loss = cross_entropy(model(tape.input(select(x, 0, step))), select(labels, 0, step));
    tape.backward(loss);
    optimizer.step();
    losses.push_back(loss.value().item());
    // Rounding differs, and steps amplify the difference: hence two bounds.
    if (step + 1 == 5) check_weights(golden, name, "after5", model, 1e-5);
    if (step + 1 == 20) check_weights(golden, name, "after20", model, 1e-3);
  }
  const auto want = golden.at(name, "losses").to_vector<double>();
  for (std::size_t i = 0; i < want.size(); ++i)
    CHECK(losses[i] == doctest::Approx(want[i]).epsilon(i < 5 ? 1e-5 : 1e-3));
}

}  // namespace

TEST_CASE("golden training of an MLP") {
  for (const Device& device : both_devices()) {
    nn::Sequential model;
    model.add<nn::Linear>(10, 16, device);
    model.add<nn::Tanh>();
    model.add<nn::Linear>(16, 12, device);
    model.add<nn::Softplus>();
    model.add<nn::Linear>(12, 4, device);
    train("mlp", model, device);
  }
}

TEST_CASE("golden training of a CNN with BatchNorm") {
  for (const Device& device : both_devices()) {
    nn::Sequential model;
    model.add<nn::Conv2d>(2, 4, 3, device, nn::ConvOptions{.padding = 1});
    model.add<nn::BatchNorm>(4, device);
    model.add<nn::ELU>();
    model.add<nn::AveragePool2d>(2);
    model.add<nn::Conv2d>(4, 6, 3, device);
    model.add<nn::BatchNorm>(6, device);
    model.add<nn::ELU>();
    model.add<nn::Flatten>();
    model.add<nn::Linear>(24, 3, device);
    train("cnn", model, device);
  }
}

TEST_CASE("golden training of an LSTM classifier") {
  for (const Device& device : both_devices()) {
    LstmClassifier model(device);
    train("lstm", model, device);
  }
}

// SPDX-License-Identifier: Apache-2.0
// Learns y = 3a − 2b from 64 random points.
#include <cmath>
#include <cstdio>

#include "autograd/ops/matmul.h"
#include "nn/init.h"
#include "nn/linear.h"
#include "nn/loss.h"
#include "nn/optim/adam.h"

int main() {
  using namespace fovea;
  const Device device = Device::cpu();
  const Tensor x = Tensor::normal({64, 2}, {.seed = 1}, 0.0f, 1.0f, device);
  const Tensor truth = matmul(x, Tensor::from<float>({3.0f, -2.0f}, {2, 1}, device)).value();
  nn::Linear model(2, 1, device);
  nn::initialize(model, 1);
  nn::Optimizer optimizer = nn::adam({nn::all_parameters(model)}, 0.1);
  for (int step = 0; step < 200; ++step) {
    optimizer.zero_grad();
    Tape tape;
    const Var loss = nn::MseLoss{}(model(tape.input(x)), truth);
    tape.backward(loss);
    optimizer.step();
    if (step % 50 == 49) std::printf("step %d: loss %.6f\n", step + 1, loss.value().item());
  }
  const auto w = model.weight.value.to_vector<float>();
  std::printf("y = %.3f a + %.3f b\n", w[0], w[1]);
  return std::abs(w[0] - 3.0f) < 0.01f && std::abs(w[1] + 2.0f) < 0.01f ? 0 : 1;
}

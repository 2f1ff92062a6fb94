// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "nn/loss.h"
#include "nn/optim/optimizer.h"
#include "tests/nn/expect.h"

namespace fovea::test {

/// The losses of so many steps on one batch, by the squared error, with the random numbers of seed 42.
inline Floats fit(nn::Module& net, const Tensor& x, const Tensor& y, nn::Optimizer& optimizer, int steps) {
  Floats losses;
  for (int step = 0; step < steps; ++step) {
    optimizer.zero_grad();
    Tape tape({.seed = 42, .step = static_cast<std::uint32_t>(step)});
    const Var loss = nn::MseLoss{}(net(tape.input(x)), y);
    tape.backward(loss);
    optimizer.step();
    losses.push_back(static_cast<float>(loss.value().item()));
  }
  return losses;
}

}  // namespace fovea::test

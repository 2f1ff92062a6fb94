// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "kernels/geometry.h"
#include "kernels/ops/pool2d.h"
#include "tensor/device.h"
#include "tensor/shape.h"

namespace fovea::bench {

/// A tensor that takes part in a case, contiguous; images are [N, C, H, W].
struct Operand {
  std::string name;
  Shape shape;
  bool output = false;            ///< poisoned before the check; else filled at random
  double low = -1.0, high = 1.0;  ///< of the random values; integers are below `high`
  DType dtype = DType::f32;
};

/// Device memory of one set of operands, in their order.
using Pointers = std::vector<void*>;
/// Host copies of the operands before the run, integers as numbers too; empty for outputs.
using HostValues = std::vector<std::vector<float>>;

/// An element of the result in double precision.
struct Expected {
  int operand;
  std::int64_t index;
  double value;
};

enum class Pass { forward, backward, grad_input, grad_weight };
const char* pass_name(Pass pass);

/// What cuDNN and oneDNN have to know beyond the operands; an operation without a geometry has no such peer.
struct PoolGeometry {
  Pool2d pool;
  std::int64_t channels;
};
struct NormGeometry {
  std::int64_t batch, channels, height, width;
  float eps, momentum;
};
struct LstmGeometry {
  std::int64_t steps, batch, inputs, hidden;
};
using Geometry = std::variant<std::monostate, Conv2d, PoolGeometry, NormGeometry, LstmGeometry, Matmul>;
/// What PyTorch has to know beyond the operands, by the names in peers/torch_cases.py.
using Attributes = std::map<std::string, std::vector<double>>;

class Buffers;
class Side;

/// Something to measure: an operation on a shape, our way of running it, and what is known of it.
///
/// Operands by operation: conv2d forward x, w, y; grad_input w, dy, dx; grad_weight x, dy, dw. max_pool2d forward x, y;
/// backward x, dy, dx. batch_norm forward x, gamma, beta, running_mean, running_var, y, mean, inv_sd; backward x, gamma,
/// dy, dx, dgamma, dbeta. lstm forward x, w_input, w_hidden, bias_input, bias_hidden, y, h_last, c_last; backward x,
/// w_input, w_hidden, bias_input, bias_hidden, dy, dx, dw_input, dw_hidden, dbias. matmul a, b, c.
struct Case {
  std::string name;   ///< "conv1.forward.n512"
  std::string shape;  ///< for people
  std::string op;     ///< of autograd/ops, or several joined by +
  Pass pass = Pass::forward;
  double flops = 0;  ///< of the plain method: a multiplication and an addition are two
  double bytes = 0;  ///< each operand moved once
  std::vector<Operand> operands = {};
  std::vector<Operand> state = {};  ///< what our kernels keep between prepare and run; not initialised
  Geometry geometry = {};
  std::string torch =
      {};  ///< what PyTorch's peer calls it (peers/torch_cases.py); empty: it has no such case
  Attributes attributes = {};  ///< of that

  /// Enqueue, on operands and state: `prepare` what a run needs besides its inputs (the forward pass of a backward one;
  /// may be empty), `run` one run.
  std::function<void(const Device&, const Pointers&, const Pointers&)> prepare = {}, run = {};
  /// Or another way of running it, for what is more than kernels on operands; then prepare and run are empty.
  std::function<std::unique_ptr<Side>(const Device&, const Buffers&)> ours = {};
  /// Some elements of the outputs; empty where there is nothing to compare with, such as random numbers.
  std::function<std::vector<Expected>(const HostValues&)> reference = {};
  double error_limit =
      0;  ///< above which a side counts as wrong, where it is not that of the math mode (bench/math.h)
  bool one_set = false;  ///< what `ours` takes over from the operands, it keeps: no other set, so never cold

  bool cpu = true, cuda = true, simt = false;  ///< devices that it is meant for
  bool quick = false;                          ///< part of --quick
  bool paired = true;                          ///< beside peers; else too small for that to say anything
};

/// All cases, the most important ones first.
std::vector<Case> all_cases();

/// Up to `most` different indices below `count`, the first and the last among them; always the same ones.
std::vector<std::int64_t> sampled(std::int64_t count, std::size_t most = 256);

// Parts of all_cases().
std::vector<Case> conv_cases();
std::vector<Case> pool_cases();
std::vector<Case> norm_cases();
std::vector<Case> lstm_cases();
std::vector<Case> training_cases();
std::vector<Case> matmul_cases();
std::vector<Case> layer_cases();
std::vector<Case> pointwise_cases();
std::vector<Case> model_cases();

}  // namespace fovea::bench

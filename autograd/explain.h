// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "autograd/cost.h"
#include "autograd/tape.h"

namespace fovea {

/// A tensor that a record keeps until backward has passed it.
struct KeptTensor {
  std::string name;    ///< in the op's own words: "x"
  std::string memory;  ///< whose it is: "%3", the name of a leaf, "data" (a constant), or "own"
  Shape shape;
  std::int64_t bytes = 0;  ///< of its elements
  std::int64_t adds =
      0;  ///< bytes that stay alive for the tape's sake because of it: 0 for leaves and data, and
          ///< where an earlier record keeps the same memory
};

/// One record of a tape, in plain words and numbers.
struct ExplainedOp {
  struct Operand {
    int id = -1;       ///< -1: needs no gradient
    std::string name;  ///< "%3", the name of a leaf, "data", or "none" for an operand that is left out
    Shape shape;
  };
  std::string op, module;
  int id = 0;  ///< of the first result
  std::vector<Operand> inputs;
  std::vector<Shape> shapes;
  DType dtype = DType::f32;
  std::vector<KeptTensor> kept;
  Cost cost;
  std::string gradient;  ///< the rule
  std::string source;    ///< where it stands: "autograd/ops/conv2d.h:102"
};

/// The records of a tape in their order, before backward. A leaf without a name is called by its number.
std::vector<ExplainedOp> explain(const Tape& tape);

}  // namespace fovea

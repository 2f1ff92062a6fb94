// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <span>
#include <string>
#include <vector>

#include "autograd/op_info.h"
#include "autograd/tape.h"
#include "tests/device_under_test.h"

/// The op table. One row per op says how to call it, what it should give (plain loops in double), on which
/// shapes, and what it must reject; check() drives everything that is true of every op.
namespace fovea::test {

using Doubles = std::vector<double>;

struct Sample {
  std::vector<Shape> shapes;              ///< of the inputs; a row gives meaning to their order
  std::vector<std::int64_t> params = {};  ///< a row's own numbers: padding, which function, …
  DType dtype = DType::f32;
  bool fast_only = false;  ///< too large for the emulation
  std::string str() const;
};

struct Reject {
  std::string what;                         ///< for the report
  std::function<void(const Device&)> call;  ///< must throw
  std::string text;                         ///< the exact message
};

struct OpCase {
  OpInfo info;
  std::vector<Sample> samples;
  /// The op under test.
  std::function<Var(std::span<const Var>, const Sample&)> apply = {};
  /// Instead of apply, for an op of several results.
  std::function<std::vector<Var>(std::span<const Var>, const Sample&)> apply_many = {};
  /// The same in double, plain loops, row-major; several results one after the other.
  std::function<Doubles(std::span<const Doubles>, const Sample&)> reference;
  /// Σ|terms| that went into each result, so that the error bound scales with the data; default |y|.
  std::function<Doubles(std::span<const Doubles>, const Sample&)> magnitude = {};
  /// How many terms K were summed for one result (the largest, if they differ); default 1.
  std::function<double(const Sample&)> terms = {};
  /// Makes element `index` of input `input` from a standard normal; default: the normal itself. Keep away
  /// from kinks, where a slope from differences means nothing.
  std::function<double(int input, std::int64_t index, double normal)> value = {};
  std::vector<Reject> rejects = {};
  /// Inputs that are differentiated, by bit.
  std::uint32_t gradient_inputs = ~0u;
  /// |y - y64| ≤ ulps·u·√K·magnitude, u = 2^-24 (f32).
  double ulps = 4;
  /// The same for slopes, relative to Σ|dx·direction|.
  double gradient_ulps = 64;
  /// Inputs that are constants in the apply above may not be given as strided views.
  bool strided_inputs = true;
};

/// A deliberate mistake that check() must notice; the harness proves itself with them.
struct Mutation {
  int scaled_gradient = -1;  ///< this input's gradient is multiplied by 1.01
  bool shifted_edges =
      false;  ///< the result at every tile edge (16, 32, …) and at the end is its neighbour's
};

/// Everything wrong with the row on the devices; empty if all is well. Devices of one call must agree to the
/// bit.
std::vector<std::string> failures(const OpCase& op, std::span<const Device> devices,
                                  const Mutation& mutation = {});

/// Runs the row on the device under test (all instruction sets, thread counts or orders of it), as a doctest
/// assertion each, and proves on the cpu that mutations are noticed.
void check(const OpCase& op);

/// Runs every sample once in the emulation, forward and backward, those too large for checks as well, and
/// prints how well the kernels use memory: bank conflicts and sectors, with the lines that waste most.
void report_accesses(const OpCase& op);
/// From now on check() does that instead.
void report_accesses_only();

/// From now on check() runs each small sample once: result and slopes, no repetition, no Jacobian.
void run_samples_once();

/// Every form of the device under test that must agree to the bit is one group: per instruction set, 1, 2
/// and 3 threads; the three orders of the emulation.
std::vector<std::vector<Device>> device_groups();
/// One device per group.
std::vector<Device> devices();

/// Input values of a sample: fixed by the op's name, the input and the index.
std::vector<Doubles> sample_inputs(const OpCase& op, const Sample& sample);
/// What the op of a row takes beside its inputs, such as indices: made at the first call of a sample and kept for the
/// others, as the host must not write to a device while a graph is recorded.
template <class T>
Tensor constant(const std::vector<T>& values, const Shape& shape, const Device& device);

/// Host doubles as a tensor of a dtype.
Tensor to_tensor(const Doubles& values, const Shape& shape, DType dtype, const Device& device);

}  // namespace fovea::test

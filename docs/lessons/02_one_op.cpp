// SPDX-License-Identifier: Apache-2.0
//
// # Lesson 2: one op, from its formula to the tape
//
// [Lesson 1](01_scalar_tape.cpp) had operations of one line. In a framework an operation is an **op**: it
// works on whole tensors, on several devices, checks what it is given, and has a gradient of its own. This
// program takes one op through all the places it lives in, with the real library, and asserts every claim it
// makes. Read it with the named files open beside it.
//
// The op is `bias_activation`, here with softplus: the last step of the retina model, where a drive of any
// sign becomes a firing rate, which cannot be negative. Build and run, from the root of the repository:
//
// ```sh
// cmake --preset dev
// cmake --build build/dev --target lesson_02_one_op
// build/dev/lessons/02_one_op
// ```

#include <array>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <span>
#include <string>
#include <vector>

#include "autograd/grad_check.h"
#include "autograd/ops/bias_activation.h"
#include "autograd/ops/elementwise.h"
#include "tests/op_case.h"

using namespace fovea;
using test::Doubles;

// What a step claims is checked at once; a claim that does not hold ends the program.

void claim(bool holds, const char* what) {
  std::printf("%s %s\n", holds ? "  ok   " : "  WRONG", what);
  if (!holds) std::exit(1);
}

bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

// ## 1. The formula
//
// `y[n, c, i] = f(x[n, c, i] + bias[c])` with `f(v) = log(1 + eᵛ)`. The index n counts samples, c channels,
// and i the positions in a channel; [NOTATION.md](../NOTATION.md) has all such letters. Its slope is `f'(v) =
// 1/(1 + e⁻ᵛ)`.
//
// A formula becomes the **reference** by being written as plain loops in double, so plainly that it needs no
// test. The reference is what all that follows is measured by. Ours uses odd sizes on purpose: a version that
// handles 8 numbers at a time must show what it does with a remainder.

constexpr std::int64_t kBatch = 3, kChannels = 5, kInner = 7, kCount = kBatch * kChannels * kInner;

Doubles reference(const Doubles& x, const Doubles& bias) {
  Doubles y(x.size());
  for (std::int64_t n = 0; n < kBatch; ++n)
    for (std::int64_t c = 0; c < kChannels; ++c)
      for (std::int64_t i = 0; i < kInner; ++i) {
        const auto at = static_cast<std::size_t>((n * kChannels + c) * kInner + i);
        y[at] = std::log(1 + std::exp(x[at] + bias[static_cast<std::size_t>(c)]));
      }
  return y;
}

// A formula is not yet an algorithm. Typed in as it stands, in float, this one fails at both ends: e¹⁰⁰
// overflows, and 1 + e⁻²⁰ rounds to 1, whose logarithm is 0. `kernels/function.h` computes `max(v, 0) +
// log1p(e^−|v|)` instead, which is the same function and right to a few units in the last place everywhere.
// There each function stands once, with its slope; all devices call it.

void formula() {
  std::printf("1. the formula\n");
  const auto naive = [](float v) { return std::log(1.0f + std::exp(v)); };
  claim(std::isinf(naive(100.0f)), "as written, softplus(100) overflows");
  claim(naive(-20.0f) == 0.0f, "as written, softplus(-20) is 0");
  claim(value_of<Function::softplus>(100.0f) == 100.0f, "in kernels/function.h it is 100");
  const double truth = std::log1p(std::exp(-20.0));
  claim(std::fabs(value_of<Function::softplus>(-20.0f) / truth - 1) < 1e-6, "and 2.06e-9");
}

// ## 2. The contract
//
// `kernels/ops/bias_activation.h` says what a kernel computes, on raw pointers, and not how. Its line
// `FOVEA_KERNEL` declares one function for each type of queue, and **the type of the queue is the backend**:
// to pick the CPU or the GPU is to pick an overload. The compiler can be asked whether they are there.

template <class Queue>
concept HasBiasActivation = requires(Queue& q, const float* x, float* y) {
  kernels::bias_activation(q, Function::softplus, kBatch, kChannels, kInner, x, x, y);
};
static_assert(HasBiasActivation<cpu::Scalar> && HasBiasActivation<cpu::Avx2> &&
              HasBiasActivation<cpu::Avx512>);
static_assert(HasBiasActivation<simt::Grid> && HasBiasActivation<cuda::Stream>);
static_assert(!HasBiasActivation<int>);

// A kernel checks nothing and allocates nothing: whoever calls it has done both.

struct Example {
  std::vector<float> x, bias;
  Doubles wanted;
};

Example example() {
  Example e{std::vector<float>(kCount), std::vector<float>(kChannels), {}};
  for (std::size_t i = 0; i < e.x.size(); ++i)
    e.x[i] = 4.0f * static_cast<float>(std::sin(3.0 * static_cast<double>(i)));
  for (std::size_t c = 0; c < e.bias.size(); ++c) e.bias[c] = 0.25f * static_cast<float>(c) - 0.5f;
  e.wanted = reference(Doubles(e.x.begin(), e.x.end()), Doubles(e.bias.begin(), e.bias.end()));
  return e;
}

template <class Queue>
std::vector<float> forward_on(Queue& queue, const Example& e) {
  std::vector<float> y(kCount);
  kernels::bias_activation(queue, Function::softplus, kBatch, kChannels, kInner, e.x.data(), e.bias.data(),
                           y.data());
  return y;
}

// How near must a result be? A float has 24 binary digits, so one rounding is off by at most u = 2⁻²⁴ ≈
// 6·10⁻⁸ of the number. Here a sum is rounded, then a few operations follow: 12·u·|y| is a bound that they
// keep, and that a wrong formula does not. A bound that scales with the data is the rule in all our tests.

bool within_bound(const std::vector<float>& y, const Doubles& wanted) {
  for (std::size_t i = 0; i < y.size(); ++i)
    if (!(std::fabs(y[i] - wanted[i]) <= 12 * 0x1p-24 * std::fabs(wanted[i]))) return false;
  return true;
}

// ## 3. On the CPU
//
// `kernels/cpu/bias_activation.cpp` is one loop over runs of memory that share a bias. Two things to look
// for:
//
// - `cpu::for_ranges` cuts the work into parts **by the shape, never by the number of threads**, so that the
//   bits of the result cannot depend on how many threads there are.
// - The file is compiled three times, for three instruction sets. `cpu::Queue` is the pool type of *this*
//   compile.

void on_the_cpu() {
  std::printf("3. on the CPU\n");
  const Example e = example();
  cpu::Scalar one(1), three(3);
  const std::vector<float> y = forward_on(one, e);
  claim(within_bound(y, e.wanted), "the result is within 12 roundings of the reference");
  claim(same_bits(y, forward_on(three, e)), "three threads give the bits of one");
}

// ## 4. The CUDA source, without a GPU
//
// `kernels/cuda/bias_activation.cu` has the kernel for the GPU: many threads, each of which takes every k-th
// element (*grid stride*), four numbers at a time where the addresses allow. nvcc compiles it for a GPU; the
// host compiler compiles the same file for the **emulation**, where each thread is a fiber and takes its
// turn. A kernel in which threads disturb each other gives another result when they take turns in another
// order, so all tests use three.

void in_the_emulation() {
  std::printf("4. the CUDA source, emulated\n");
  const Example e = example();
  simt::Grid forward(simt::Order::forward), reversed(simt::Order::reversed), shuffled(simt::Order::shuffled);
  const std::vector<float> y = forward_on(forward, e);
  claim(within_bound(y, e.wanted), "the result is within 12 roundings of the reference");
  claim(forward.launches() == 1, "bias and softplus together were one launch, one pass over memory");
  claim(same_bits(y, forward_on(reversed, e)) && same_bits(y, forward_on(shuffled, e)),
        "the bits are the same in all three orders of turns");
}

// ## 5. The page: checks, forward, gradient
//
// Up to here there were only pointers. `autograd/ops/bias_activation.h` makes an op of the kernel. The page
//
// 1. checks shapes, types and devices, and says what is wrong in one line;
// 2. allocates y and calls `on(y.queue(), …)`, which visits the queue of y's device: overloading picks the
//    version;
// 3. calls `record` with the tensors to keep and a **closure that computes the gradient from dy and them**.
//
// In lesson 1 a record held the slope itself. For tensors that would be a matrix of all outputs by all inputs;
// the closure only ever multiplies by it. The record keeps as little as it can: softplus's slope follows from
// y, f' = 1 − e⁻ʸ, so it keeps y, which lives on anyway as the next op's input, and lets go of x. The closure
// itself may hold numbers only, or it does not compile: so the tape can say what it keeps, and for whom.

void on_the_tape(const Device& device) {
  std::printf("5. the page, on %s\n", device.name().c_str());
  const Example e = example();
  Tape tape;
  const Var x = tape.leaf(Tensor::from(e.x, {kBatch, kChannels, kInner}, device));
  const Var bias = tape.leaf(Tensor::from(e.bias, {kChannels}, device));
  const Var y = bias_activation(x, bias, Function::softplus);
  claim(within_bound(y.value().to_vector<float>(), e.wanted),
        "the result is within 12 roundings of the reference");
  claim(tape.size() == 1, "one record is on the tape");

  // A root that is not a single number needs a seed: which combination of its elements to differentiate. With all
  // ones it is their sum.
  const Tape::Root root{y, Tensor::full(y.shape(), 1.0, DType::f32, device)};
  tape.backward(std::span(&root, 1));
  const auto dx = tape.grad(x).to_vector<float>(), dbias = tape.grad(bias).to_vector<float>();
  bool right = true;
  for (std::size_t i = 0; i < dx.size(); ++i) {
    const double v = double{e.x[i]} + e.bias[i / kInner % kChannels];
    right = right && std::fabs(dx[i] - 1 / (1 + std::exp(-v))) < 1e-6;
  }
  claim(right, "dx is 1/(1 + e^-(x + bias))");

  // Each bias is used kBatch·kInner times. As in lesson 1, all uses add up.
  std::vector<double> sums(kChannels);
  for (std::size_t i = 0; i < dx.size(); ++i) sums[i / kInner % kChannels] += dx[i];
  for (std::size_t c = 0; c < sums.size(); ++c) right = right && std::fabs(dbias[c] - sums[c]) < 1e-5;
  claim(right, "dbias is dx summed over samples and positions");

  std::string error;
  try {
    bias_activation(x, detach(x), Function::softplus);
  } catch (const ShapeError& refused) {
    error = refused.what();
  }
  claim(error == "bias_activation: x [3, 5, 7] has 5 channels, bias is [3, 5, 7], expected [5]",
        "a wrong bias is refused, with both shapes and what was expected");
}

// ## 6. The row
//
// Last comes `tests/ops/bias_activation.cpp`, the op's row: its reference, samples, and inputs that it must
// refuse. From a row the harness derives what is true of *every* op: results and slopes against the
// reference, equal bits in a second run, for any number of threads, and for inputs with strides. One claim is
// left: **that the row would notice a mistake**. So the harness makes two on purpose, a gradient that is
// wrong by 1 % and results shifted by one at the edges of tiles; a row that accepts either is refused.

test::OpCase row() {
  return {
      .info = bias_activation_info,
      .samples = {{{{kBatch, kChannels, kInner}, {kChannels}}}},
      .apply = [](std::span<const Var> in,
                  const test::Sample&) { return bias_activation(in[0], in[1], Function::softplus); },
      .reference = [](std::span<const Doubles> in, const test::Sample&) { return reference(in[0], in[1]); },
      .ulps = 12};
}

void the_row() {
  std::printf("6. the row\n");
  const std::vector<Device> cpu = {Device::cpu({.threads = 1}), Device::cpu({.threads = 3})};
  const std::vector<Device> simt = {Device::simt(simt::Order::forward), Device::simt(simt::Order::shuffled)};
  claim(test::failures(row(), cpu).empty(), "it passes on the CPU");
  claim(test::failures(row(), simt).empty(), "it passes in the emulation");
  claim(!test::failures(row(), cpu, {.scaled_gradient = 0}).empty(), "it fails if dx is multiplied by 1.01");
  claim(!test::failures(row(), cpu, {.shifted_edges = true}).empty(),
        "it fails if tile edges are off by one");
}

// ## Exercises
//
// **1. A wrong index.** In `kernels/cpu/bias_activation.cpp` change `i / inner % channels` to `i % channels`. Run
// `./run test -R op.bias_activation.cpu`: it fails. But some samples of the row still pass, the first among
// them. Why? Which property must a sample have to notice this mistake? Put the line back.
//
// **2. Another function.** Use `Function::square` in the row of this lesson: the op refuses it. Why can it not
// work with what the record keeps? (See `slope_needs_input` in `kernels/function.h`.)
//
// **3. A page of your own.** `weighted_sum(x, w) = Σ x·w` is a new op made of two kernels that exist. The
// forward half is written. Write the gradient: `dx = dy·w` and `dw = dy·x`, where dy is a single number.
// Compute each only if it is needed. `build/dev/lessons/02_one_op --exercise 3` compares it with finite
// differences.

constexpr OpInfo weighted_sum_info{
    .name = "weighted_sum", .gradient = "dx = dy·w, dw = dy·x", .keeps = "x w"};

Var weighted_sum(const Var& x, const Var& w) {
  constexpr const char* kOp = weighted_sum_info.name;
  check_binary(kOp, x, w);
  const Tensor products = binary_value(kOp, Binary::multiply, x.value(), w.value());
  const Tensor y = reshape(sum_dims(kOp, products, (1u << products.rank()) - 1u), Shape{});
#ifdef FOVEA_ANSWERS
  // dy has rank 0, so broadcasting repeats it over all elements.
  return record(weighted_sum_info, y, {x, w}, {x.value(), w.value()},
                [](const Tensor& dy, Needs needs, Kept kept) -> Grads {
                  Grads d(2);
                  if (needs[0]) d[0] = binary_value(kOp, Binary::multiply, dy, kept[1]);
                  if (needs[1]) d[1] = binary_value(kOp, Binary::multiply, dy, kept[0]);
                  return d;
                });
#else
  return record(weighted_sum_info, y, {x, w}, {x.value(), w.value()},
                [](const Tensor&, Needs, Kept kept) -> Grads {
                  return {Tensor::zeros_like(kept[0]), Tensor::zeros_like(kept[1])};  // yours
                });
#endif
}

int exercise(int number) {
  if (number != 3) {
    std::fprintf(stderr, "error: there is no check of exercise %d\nhint: exercise 3 has one\n", number);
    return 2;
  }
  const Device device = Device::cpu();
  const std::array<Tensor, 2> inputs = {Tensor::from(Doubles{1, -2, 3, 0.5}, {2, 2}, device),
                                        Tensor::from(Doubles{0.3, 0.7, -1, 2}, {2, 2}, device)};
  const GradCheck check =
      grad_check([](std::span<const Var> in) { return weighted_sum(in[0], in[1]); }, inputs);
  std::printf("exercise 3: %s\n", check.ok(1e-6) ? "right" : "not yet");
  return check.ok(1e-6) ? 0 : 1;
}

// ## The program

int main(int argc, char** argv) {
  if (argc == 3 && std::strcmp(argv[1], "--exercise") == 0) return exercise(std::atoi(argv[2]));
  formula();
  std::printf("2. the contract\n");
  claim(true, "every queue has its overload: the compiler said so");
  on_the_cpu();
  in_the_emulation();
  on_the_tape(Device::cpu());
  on_the_tape(Device::simt());
  the_row();
  return 0;
}

// It prints
//
// ```output
// 1. the formula
//   ok    as written, softplus(100) overflows
//   ok    as written, softplus(-20) is 0
//   ok    in kernels/function.h it is 100
//   ok    and 2.06e-9
// 2. the contract
//   ok    every queue has its overload: the compiler said so
// 3. on the CPU
//   ok    the result is within 12 roundings of the reference
//   ok    three threads give the bits of one
// 4. the CUDA source, emulated
//   ok    the result is within 12 roundings of the reference
//   ok    bias and softplus together were one launch, one pass over memory
//   ok    the bits are the same in all three orders of turns
// 5. the page, on cpu
//   ok    the result is within 12 roundings of the reference
//   ok    one record is on the tape
//   ok    dx is 1/(1 + e^-(x + bias))
//   ok    dbias is dx summed over samples and positions
//   ok    a wrong bias is refused, with both shapes and what was expected
// 5. the page, on simt
//   ok    the result is within 12 roundings of the reference
//   ok    one record is on the tape
//   ok    dx is 1/(1 + e^-(x + bias))
//   ok    dbias is dx summed over samples and positions
//   ok    a wrong bias is refused, with both shapes and what was expected
// 6. the row
//   ok    it passes on the CPU
//   ok    it passes in the emulation
//   ok    it fails if dx is multiplied by 1.01
//   ok    it fails if tile edges are off by one
// ```

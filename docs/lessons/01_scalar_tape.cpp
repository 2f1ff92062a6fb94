// SPDX-License-Identifier: Apache-2.0
//
// # Lesson 1: a scalar tape
//
// A neural network is a formula with many adjustable numbers, its weights. Training asks one question again
// and again: *if I change this weight a little, how much does the loss change?* The answer is a slope, and
// there is one for every weight. This program finds all of them in one pass, trains a small network with
// them, and uses nothing but the standard library. Fovea's tape (`autograd/tape.h`) is the same idea with
// tensors in the place of numbers.
//
// From the root of the repository:
//
// ```sh
// g++ -std=c++20 -o /tmp/scalar_tape docs/lessons/01_scalar_tape.cpp && /tmp/scalar_tape
// ```

#include <array>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

// ## The idea
//
// Take `y = a·b + a` at `a = 2`, `b = 3`. A computer does it in two steps, each with one result:
//
// | step | result | slope by its first input | by its second |
// |---|---|---|---|
// | `p = a·b` | 6 | ∂p/∂a = b = 3 | ∂p/∂b = a = 2 |
// | `y = p + a` | 8 | ∂y/∂p = 1 | ∂y/∂a = 1 |
//
// The slopes of a single step are easy, and known as soon as the step is done. The chain rule joins them:
// **walk the steps from the last to the first, and hand each input its share**, which is the slope that has
// arrived at the result times the slope of the step.
//
// - Start: `dy = 1`, because y changes exactly as much as itself.
// - Step `y = p + a`: `dp += 1·dy`, `da += 1·dy`. Now dp = 1, da = 1.
// - Step `p = a·b`: `da += 3·dp`, `db += 2·dp`. Now da = 4, db = 2.
//
// It is `+=` and not `=` because `a` was used twice, and both uses count. Check: y = a·(b + 1), so dy/da is
// 4.
//
// ## The tape
//
// So what must be remembered of a step? Which values went in, and the slope by each. That is a record, and
// the list of records is the tape. A value is named by its place in the list.

struct Record {
  std::array<int, 2> input;     // places of the inputs; -1 for none
  std::array<double, 2> slope;  // of the result, by each input
};

struct Tape {
  std::vector<Record> records;
  std::vector<double> grad;  // d(root)/d(value), by place; filled by backward
  void backward(int root);
};

// A variable is its value and where it stands on which tape. Every operation computes a value, and records.

struct Var {
  Tape* tape;
  int id;
  double value;
  double grad() const { return tape->grad[static_cast<std::size_t>(id)]; }
};

Var record(Tape* tape, double value, Record step) {
  tape->records.push_back(step);
  return {tape, static_cast<int>(tape->records.size()) - 1, value};
}

// A leaf has no inputs: it is what we differentiate by.

Var leaf(Tape& tape, double value) { return record(&tape, value, {{-1, -1}, {0, 0}}); }

// The operations. Each line holds a formula and its slopes, side by side: this is the whole calculus of the
// program. The slope of tanh is written with its *result*, 1 − y², which saves computing tanh a second time.

Var operator+(Var a, Var b) { return record(a.tape, a.value + b.value, {{a.id, b.id}, {1, 1}}); }
Var operator-(Var a, Var b) { return record(a.tape, a.value - b.value, {{a.id, b.id}, {1, -1}}); }
Var operator*(Var a, Var b) { return record(a.tape, a.value * b.value, {{a.id, b.id}, {b.value, a.value}}); }
Var tanh(Var a) {
  const double y = std::tanh(a.value);
  return record(a.tape, y, {{a.id, -1}, {1 - y * y, 0}});
}

// ## Backward
//
// A value can only be used after it was made, so the inputs of a step stand *before* it on the tape. Going
// from the end to the start therefore meets each value when all its uses have paid in, and one loop is
// enough. No graph, no sorting: the order of recording is already the right one.

void Tape::backward(int root) {
  grad.assign(records.size(), 0.0);
  grad[static_cast<std::size_t>(root)] = 1.0;
  for (int i = root; i >= 0; --i) {
    const Record& step = records[static_cast<std::size_t>(i)];
    for (std::size_t k = 0; k < 2; ++k)
      if (step.input[k] >= 0)
        grad[static_cast<std::size_t>(step.input[k])] += step.slope[k] * grad[static_cast<std::size_t>(i)];
  }
}

// What does it cost? The loop does a few operations for each record, as the forward pass did: **all slopes
// together cost about as much as the value itself**, whether there are three weights or a million. What it
// costs is memory, since the records of the whole computation are kept until the end. (Going forwards instead
// would need a pass for every weight.)
//
// ## Is it right?
//
// Slopes can be checked without knowing any calculus: move one input a little to either side, and see what
// the formula does. `(f(x + h) − f(x − h)) / 2h` is off by about h² from the true slope, and by the rounding
// error of f divided by h. With doubles, h = 10⁻⁵ makes both about 10⁻¹⁰. The formula should use each
// operation, and one of its inputs more than once.

Var formula(const std::vector<Var>& x) { return tanh(x[0] * x[1] - x[2]) * x[0] + x[1] * x[1]; }

using Formula = Var (*)(const std::vector<Var>&);

double value_of(Formula f, const std::vector<double>& x) {
  Tape tape;
  std::vector<Var> leaves;
  for (const double v : x) leaves.push_back(leaf(tape, v));
  return f(leaves).value;
}

double largest_error(Formula f, std::vector<double> x) {
  Tape tape;
  std::vector<Var> leaves;
  for (const double v : x) leaves.push_back(leaf(tape, v));
  tape.backward(f(leaves).id);
  double largest = 0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    const double h = 1e-5, at = x[i];
    x[i] = at + h;
    const double above = value_of(f, x);
    x[i] = at - h;
    const double below = value_of(f, x);
    x[i] = at;
    largest = std::fmax(largest, std::fabs(leaves[i].grad() - (above - below) / (2 * h)));
  }
  return largest;
}

// ## A network
//
// XOR is the smallest problem that no single layer solves: the answer is +1 if the two inputs differ, else
// −1. Our network has two inputs, three hidden units with tanh, and one output: 3·(2 + 1) + (3 + 1) = 13
// weights. The loss is the mean squared error over the four cases.
//
// The weights must start *different* from each other: units that start equal get equal slopes, and stay equal
// for ever. Any fixed, uneven numbers will do here.

constexpr std::size_t kHidden = 3;
constexpr std::size_t kWeights = kHidden * 3 + kHidden + 1;
constexpr double kCases[4][3] = {{-1, -1, -1}, {-1, 1, 1}, {1, -1, 1}, {1, 1, -1}};

Var network(Tape& tape, const std::vector<Var>& w, double x0, double x1) {
  const Var in0 = leaf(tape, x0), in1 = leaf(tape, x1);
  Var out = w[kHidden * 3 + kHidden];
  for (std::size_t h = 0; h < kHidden; ++h)
    out = out + w[kHidden * 3 + h] * tanh(w[3 * h] * in0 + w[3 * h + 1] * in1 + w[3 * h + 2]);
  return out;
}

Var loss_of(Tape& tape, const std::vector<Var>& w) {
  Var sum = leaf(tape, 0);
  for (const auto& [x0, x1, wanted] : kCases) {
    const Var error = network(tape, w, x0, x1) - leaf(tape, wanted);
    sum = sum + error * error;
  }
  return sum * leaf(tape, 0.25);
}

// A training step: put the weights on a fresh tape, compute the loss, walk back, and move every weight
// against its slope. The tape lives for one step. This is gradient descent, and all of it.

double train_step(std::vector<double>& weights, double rate) {
  Tape tape;
  std::vector<Var> w;
  for (const double v : weights) w.push_back(leaf(tape, v));
  const Var loss = loss_of(tape, w);
  tape.backward(loss.id);
  for (std::size_t i = 0; i < weights.size(); ++i) weights[i] -= rate * w[i].grad();
  return loss.value;
}

// ## Exercises
//
// Each says how you know that you are done; `/tmp/scalar_tape --exercise 3` runs the check of exercise 3.
//
// **1. Break it.** Change `+=` to `=` in `backward`. Predict which slopes of `formula` come out wrong, then
// run the program: it stops at the gradient check. Put it back.
//
// **2. Count.** How many records does one step of training put on the tape? Work it out from `network` and
// `loss_of` with pencil and paper, then write your number here and ask with `--exercise 2`.

#ifdef FOVEA_ANSWERS
// Leaves: 13 weights, 1 zero, 1 quarter; and 3 for each of 4 cases (two inputs and what is wanted). For each
// case and hidden unit: 2 products and 2 sums inside, tanh, product, sum: 7. For each case: minus, square,
// sum. One last product. 15 + 4·3 + 4·3·7 + 4·3 + 1.
constexpr std::size_t kRecordsOfAStep = 124;
#else
constexpr std::size_t kRecordsOfAStep = 0;  // your answer
#endif

// **3. Division.** Write `a/b` with its two slopes. This stand-in has the value right and the slopes wrong.

#ifdef FOVEA_ANSWERS
// With y = a/b: ∂y/∂a = 1/b, and ∂y/∂b = −a/b² = −y/b.
Var operator/(Var a, Var b) {
  const double y = a.value / b.value;
  return record(a.tape, y, {{a.id, b.id}, {1 / b.value, -y / b.value}});
}
#else
Var operator/(Var a, Var b) { return record(a.tape, a.value / b.value, {{a.id, b.id}, {0, 0}}); }
#endif

Var quotient(const std::vector<Var>& x) { return x[0] / (x[1] * x[0] + x[2]); }

// **4. Forget less.** `backward` needs no values, only slopes. So which of the numbers in `Var` could a tape
// of *tensors* drop early, and which must it keep, for `+`, for `*`, for `tanh`? Compare with the lines
// "keeps" in `autograd/ops/elementwise.h`. (No program can check this one.)

int exercise(int number) {
  bool right = false;
  if (number == 2) {
    Tape tape;
    std::vector<Var> w;
    for (std::size_t i = 0; i < kWeights; ++i) w.push_back(leaf(tape, 0.1));
    loss_of(tape, w);
    right = tape.records.size() == kRecordsOfAStep;
  } else if (number == 3) {
    right = largest_error(quotient, {1.5, -0.7, 3.0}) < 1e-8;
  } else {
    std::fprintf(stderr, "error: there is no check of exercise %d\nhint: exercises 2 and 3 have one\n",
                 number);
    return 2;
  }
  std::printf("exercise %d: %s\n", number, right ? "right" : "not yet");
  return right ? 0 : 1;
}

// ## The program

int main(int argc, char** argv) {
  if (argc == 3 && std::strcmp(argv[1], "--exercise") == 0) return exercise(std::atoi(argv[2]));

  Tape tape;
  const Var a = leaf(tape, 2), b = leaf(tape, 3);
  const Var y = a * b + a;
  tape.backward(y.id);
  std::printf("y = %g, dy/da = %g, dy/db = %g\n", y.value, a.grad(), b.grad());

  if (a.grad() != 4 || b.grad() != 2 || largest_error(formula, {0.4, -0.9, 0.3}) > 1e-8) {
    std::printf("the slopes do not agree with finite differences\n");
    return 1;
  }
  std::printf("slopes agree with finite differences\n");

  std::vector<double> weights(kWeights);
  for (std::size_t i = 0; i < kWeights; ++i) weights[i] = std::sin(static_cast<double>(3 * i + 1));
  double loss = 0;
  for (int step = 0; step <= 100; ++step) {
    loss = train_step(weights, 0.1);
    if (step % 20 == 0) std::printf("step %3d  loss %.3f\n", step, loss);
  }
  bool solved = loss < 0.05;
  for (const auto& [x0, x1, wanted] : kCases) {
    Tape scratch;
    std::vector<Var> w;
    for (const double v : weights) w.push_back(leaf(scratch, v));
    const double out = network(scratch, w, x0, x1).value;
    std::printf("%+.0f, %+.0f  →  %+.1f\n", x0, x1, out);
    solved = solved && (out > 0) == (wanted > 0);
  }
  return solved ? 0 : 1;
}

// It prints
//
// ```output
// y = 8, dy/da = 4, dy/db = 2
// slopes agree with finite differences
// step   0  loss 1.668
// step  20  loss 0.817
// step  40  loss 0.559
// step  60  loss 0.290
// step  80  loss 0.096
// step 100  loss 0.022
// -1, -1  →  -0.9
// -1, +1  →  +0.9
// +1, -1  →  +0.8
// +1, +1  →  -0.9
// ```

// SPDX-License-Identifier: Apache-2.0
// The generalised linear model: spikes that feed back, recorded or its own.
#include "models/retina/glm.h"

#include <doctest/doctest.h>

#include <cmath>

#include "autograd/grad_check.h"
#include "autograd/ops/elementwise.h"
#include "models/retina/free_run.h"
#include "models/retina/predict.h"
#include "models/retina/reliability.h"
#include "models/retina/spikes.h"
#include "nn/data/loader.h"
#include "nn/init.h"
#include "nn/loss.h"
#include "nn/optim/adam.h"
#include "tensor/views.h"
#include "tests/nn/expect.h"

using namespace fovea;
using namespace fovea::retina;
using namespace fovea::test;

namespace {

const Device& host() {
  static const Device device = Device::cpu({.threads = 2});
  return device;
}

philox::Key key(const char* stream) { return {4, philox::stream_id(stream), 0, nullptr}; }

constexpr std::int64_t kSide = 6, kHistory = 5, kFrames = 12000;

GlmOptions small(bool coupling, Nonlinearity nonlinearity = Nonlinearity::exponential) {
  return {.cells = 2,
          .history = kHistory,
          .size = kSide,
          .cutout = 2,
          .centres = {{2, 2}, {3, 4}},
          .coupling = coupling,
          .nonlinearity = nonlinearity};
}

/// The filter of a cell by lag: what one spike of cell `from` adds later.
void set_spike_filter(Glm& model, bool coupling, std::int64_t cell, std::int64_t from, const Floats& by_lag) {
  const Tensor row = select(model.state().at("history.weight"), 0, cell);
  Floats w = values(row);
  for (std::size_t lag = 1; lag <= by_lag.size(); ++lag) {
    const std::size_t bin = static_cast<std::size_t>(kHistory) - lag;
    w[coupling ? bin * 2 + static_cast<std::size_t>(from) : bin] = by_lag[lag - 1];
  }
  row.copy_from(floats(w, row.shape(), host()));
}

/// A recording of a GLM of known filters: refractory for two bins, and if coupled, cell 0 drives cell 1 at lag 2.
struct KnownGlm {
  Glm truth;
  Tensor movie = Tensor::normal({kFrames + kHistory, kSide, kSide}, key("movie"), 0, 1, host());
  Tensor counts = Tensor::zeros({2, kFrames + kHistory}, DType::f32, host());

  explicit KnownGlm(bool coupling) : truth(small(coupling), host()) {
    nn::initialize(truth, 1);
    Tensor weights = truth.filter().weight.value;
    weights.copy_from(Tensor::normal(weights.shape(), key("filter"), 0, 0.07f, host()));
    truth.state().at("history.bias").fill(3.0);  // 20 Hz
    for (const std::int64_t cell : {0, 1}) set_spike_filter(truth, coupling, cell, cell, {-4.0f, -2.0f});
    if (coupling) set_spike_filter(truth, coupling, 1, 0, {0.0f, 1.0f});
    const Tensor x = rolling_window(movie, kHistory);
    const FreeRun run =
        free_run(truth, truth.drive(slice(x, 0, 0, kFrames)).value(), kHistory, {.trials = 1, .seed = 7});
    slice(counts, 1, kHistory, kHistory + kFrames).copy_from(transpose(select(run.counts, 0, 0), 0, 1));
  }

  /// Counts as rates in Hz, and as the past.
  nn::WindowDataset windows(bool with_past = true) const {
    const Tensor hz = affine(counts, 100, 0).value();
    nn::WindowDataset data(movie, hz, nn::ResponseLayout::cells_time, {.history = kHistory});
    if (with_past) data.set_past(counts, nn::ResponseLayout::cells_time);
    return data;
  }
};

Var rates(RateModel& model, Tape& tape, const nn::Batch& batch) {
  return model.rate(add(model.drive(tape.input(batch.x)), model.past_drive(tape.input(batch.past))));
}

void fit(Glm& model, const nn::WindowDataset& data, int epochs = 20) {
  nn::initialize(model, 1);
  nn::Optimizer optimizer = nn::adam({nn::all_parameters(model)}, 2e-2);
  nn::Loader loader(data, {.batch = 500, .prefetch = false}, host());
  for (int epoch = 0; epoch < epochs; ++epoch)
    while (const auto batch = loader.next()) {
      Tape tape;
      tape.backward(nn::PoissonLoss{}(rates(model, tape, *batch), batch->target));
      optimizer.step();
      optimizer.zero_grad();
    }
}

double similarity(const Tensor& a, const Tensor& b) {
  return correlation(a.to_vector<float>(), b.to_vector<float>());
}

/// Poisson loss in Hz over all samples.
double loss_of(const Predictions& found) {
  return nn::PoissonLoss{}(found.rate, found.target).value().item();
}

}  // namespace

TEST_CASE("the GLM has the published numbers of parameters") {
  const std::vector<Position> five{{21, 18}, {24, 20}, {22, 18}, {27, 18}, {31, 20}};
  CHECK(Glm({.centres = five}, host()).parameter_count() == 5 * (40 * 14 * 14 + 40 + 1));
  CHECK(Glm({.centres = five, .coupling = true}, host()).parameter_count() ==
        5 * (40 * 14 * 14 + 5 * 40 + 1));
  Glm model(small(true), host());
  CHECK(state_names(model) == Names{"history.bias", "history.weight", "stimulus.weight"});
}

TEST_CASE("the drive of a GLM is its formula") {
  for (const bool coupling : {false, true}) {
    Glm model(small(coupling), host());
    nn::initialize(model, 1);
    const Tensor w = model.state().at("history.weight");
    w.copy_from(Tensor::normal(w.shape(), key("h"), 0, 1, host()));
    model.state().at("history.bias").copy_from(floats({0.5f, -0.25f}, {2}, host()));
    const Tensor x = Tensor::normal({3, kHistory, kSide, kSide}, key("x"), 0, 1, host());
    const Tensor past = Tensor::uniform({3, kHistory, 2}, key("n"), 0, 3, host());
    const Floats spikes = values(past), own = values(model.past_drive(past));
    for (std::int64_t cell = 0; cell < 2; ++cell) {
      const Floats h = values(model.spike_filters(cell));
      for (std::size_t b = 0; b < 3; ++b) {
        double u = 0;
        for (std::size_t from = 0; from < 2; ++from)
          for (std::size_t lag = 1; lag <= kHistory; ++lag)
            u += double{h[from * kHistory + lag - 1]} * spikes[(b * kHistory + kHistory - lag) * 2 + from];
        CHECK(own[b * 2 + static_cast<std::size_t>(cell)] == doctest::Approx(u).epsilon(1e-5));
      }
    }
    CHECK(values(model.drive(x))[0] == 0.5f);  // the stimulus filter is still 0
    CHECK(values(model.drive(x))[1] == -0.25f);
    CHECK(values(model(x)) == values(model.rate(model.drive(x))));
  }
}

TEST_CASE("the gradient of a GLM is its slope") {
  for (const bool coupling : {false, true}) {
    GlmOptions options = small(coupling, Nonlinearity::softplus);
    options.stimulus_l2 = 1e-2;
    options.history_l2 = 1e-2;
    Glm model(options, host());
    nn::initialize(model, 1);
    for (const auto& named : model.named_parameters())
      named.parameter->value.copy_from(
          Tensor::normal(named.parameter->value.shape(), key(named.name.c_str()), 0, 0.3f, host()));
    const Tensor x = Tensor::normal({8, kHistory, kSide, kSide}, key("x"), 0, 1, host());
    const Tensor past = Tensor::uniform({8, kHistory, 2}, key("n"), 0, 3, host());
    const Tensor target = Tensor::uniform({8, 2}, key("y"), 0, 20, host());
    const auto cost = [&](Tape& tape) {
      const Var in = tape.input(x);
      const Var rate = model.rate(add(model.drive(in), model.past_drive(tape.input(past))));
      return add(nn::PoissonLoss{}(rate, target), model.penalty(in));
    };
    {
      Tape tape;
      tape.backward(cost(tape));
    }
    for (const auto& named : model.named_parameters()) {
      const std::string& name = named.name;
      CAPTURE(name);
      nn::Parameter& parameter = *named.parameter;
      const Tensor before = parameter.value.clone();
      const Tensor way = Tensor::normal(before.shape(), key("way"), 0, 1, host());
      const auto along = [&](double step) {
        parameter.value.copy_from(add(before, affine(way, step, 0)).value());
        Tape tape;
        return cost(tape).value().item();
      };
      const double step = 1e-2, difference = (along(step) - along(-step)) / (2 * step);
      parameter.value.copy_from(before);
      double slope = 0;
      const Floats g = values(parameter.grad), d = values(way);
      for (std::size_t i = 0; i < g.size(); ++i) slope += double{g[i]} * d[i];
      CHECK(slope == doctest::Approx(difference).epsilon(0.01));
    }
  }
  Glm plain(small(true), host());
  CHECK_FALSE(
      plain.penalty(Tensor::zeros({1, kHistory, kSide, kSide}, DType::f32, host())).value().defined());
}

TEST_CASE("the penalty of a GLM is half its coefficient's share of a cell's loss in spikes") {
  GlmOptions options = small(false);
  options.stimulus_l2 = 1e-4;
  options.history_l2 = 1e-2;
  Glm model(options, host());
  nn::initialize(model, 1);
  model.filter().weight.value.fill(2.0);
  model.state().at("history.weight").fill(3.0);
  model.state().at("history.bias").fill(1.0);
  const double stimulus = 1e-4 / 2 * 4 * (kHistory * 16), history = 1e-2 / 2 * (9 * kHistory + 1);
  CHECK(model.penalty(Tensor::zeros({1, kHistory, kSide, kSide}, DType::f32, host())).value().item() ==
        doctest::Approx(100 * (stimulus + history)));  // equal cells: their mean is one of them
}

TEST_CASE("a GLM is fitted to its own spikes: filters are found, and the history pays") {
  for (const bool coupling : {false, true}) {
    KnownGlm known(coupling);
    const auto parts = known.windows().hold_out(0.25, 500, 1);
    Glm model(small(coupling), host());
    fit(model, parts.train);
    for (std::int64_t cell = 0; cell < 2; ++cell) {
      CHECK(similarity(select(model.filter().in_frame(), 0, cell),
                       select(known.truth.filter().in_frame(), 0, cell)) > 0.9);
      CHECK(similarity(model.spike_filters(cell), known.truth.spike_filters(cell)) > 0.9);
    }
    const Floats own = values(model.spike_filters(0));
    CHECK(own[0] < -1.5f);  // refractory; few spikes come so soon after one
    CHECK(std::abs(own[3]) < 0.5f);

    Glm deaf(small(coupling), host());  // the same without a spike in sight
    nn::WindowDataset silent = parts.train;
    silent.set_past(Tensor::zeros(known.counts.shape(), DType::f32, host()), nn::ResponseLayout::cells_time);
    fit(deaf, silent);
    nn::WindowDataset silent_test = parts.validation;
    silent_test.set_past(Tensor::zeros(known.counts.shape(), DType::f32, host()),
                         nn::ResponseLayout::cells_time);
    const double with = loss_of(predict(model, parts.validation, host()));
    const double without = loss_of(predict(deaf, silent_test, host()));
    const double best = loss_of(predict(known.truth, parts.validation, host()));
    CAPTURE(best);
    CHECK(with < without - 0.5);  // Hz per bin
    CHECK(with < best + (without - best) / 2);
  }
}

TEST_CASE("a free run keeps to its seed, is refractory, and has the rate of many trials") {
  const KnownGlm known(false);
  Glm model = Glm(small(false), host());
  model.load_state(known.truth.state());
  const Tensor drive = model.drive(slice(rolling_window(known.movie, kHistory), 0, 0, 400)).value();
  const FreeRun run = free_run(model, drive, kHistory, {.trials = 40, .seed = 1});
  CHECK(run.rate.shape() == Shape{400, 2});
  CHECK(run.counts.shape() == Shape{40, 400, 2});
  CHECK(values(free_run(model, drive, kHistory, {.trials = 40, .seed = 1}).counts) == values(run.counts));
  CHECK(values(free_run(model, drive, kHistory, {.trials = 40, .seed = 2}).counts) != values(run.counts));
  CHECK(run.capped == 0);
  // Spikes in successive bins are rarer than chance; spikes and rates agree in number.
  double spikes = 0, pairs = 0, rate = 0;
  const Floats n = values(run.counts);
  for (std::size_t trial = 0; trial < 40; ++trial)
    for (std::size_t t = 0; t + 1 < 400; ++t)
      for (std::size_t cell = 0; cell < 2; ++cell) {
        const std::size_t i = (trial * 400 + t) * 2 + cell;
        spikes += n[i];
        pairs += n[i] > 0 && n[i + 2] > 0 ? 1 : 0;
      }
  for (const float r : values(run.rate)) rate += r;
  CHECK(spikes / (40 * 399 * 2) == doctest::Approx(0.01 * rate / 800).epsilon(0.05));
  CHECK(pairs < 0.1 * spikes * spikes / (40 * 399 * 2));
  CHECK(message([&] { (void)free_run(model, drive, kHistory, {.trials = 0}); }) ==
        "free run: expected at least one trial, got 0");
  CHECK(message([&] {
          (void)model.past_drive(Tensor::zeros({3, kHistory, 3}, DType::f32, host()));
        }) == "spike history 'history': past [3, 5, 3] is not [B, 5, 2]");
}

TEST_CASE("a GLM that excites itself is held at a spike a millisecond, and that is counted") {
  Glm model(small(false), host());
  nn::initialize(model, 1);
  for (const std::int64_t cell : {0, 1}) set_spike_filter(model, false, cell, cell, {8.0f});
  model.state().at("history.bias").fill(3.0);
  const FreeRun run =
      free_run(model, model.drive(Tensor::zeros({300, kHistory, kSide, kSide}, DType::f32, host())).value(),
               kHistory, {.trials = 4});
  const Floats rate = values(run.rate);
  CHECK(run.capped > 0.5);
  CHECK(run.capped < 1);
  for (const float r : rate) CHECK(r <= 1000.01f);
  CHECK(rate.back() > 990);
}

TEST_CASE("predictions of a GLM: one bin ahead with a past, else a free run, smoothed") {
  const KnownGlm known(false);
  Glm model(small(false), host());
  model.load_state(known.truth.state());
  const nn::WindowDataset recorded = known.windows(true), unknown = known.windows(false);
  const Predictions ahead = predict(model, recorded, host(), 100),
                    same = predict(model, recorded, host(), 999);
  CHECK(ahead.free_trials == 0);
  CHECK(ahead.rate.shape() == Shape{kFrames, 2});
  for (const std::int64_t sample : {0, 99, 100, 4321}) {
    const Tensor x = Tensor::empty({1, kHistory, kSide, kSide}, DType::f32, host()),
                 y = Tensor::empty({1, 2}, DType::f32, host()),
                 past = Tensor::empty({1, kHistory, 2}, DType::f32, host());
    const std::int64_t one[] = {sample};
    recorded.gather(one, x, y, past);
    const Floats rate = values(model.rate(add(model.drive(x), model.past_drive(past))));
    for (std::int64_t cell = 0; cell < 2; ++cell)
      CHECK(select(select(ahead.rate, 0, sample), 0, cell).item() ==
            doctest::Approx(rate[static_cast<std::size_t>(cell)]).epsilon(1e-5));
  }
  const Predictions free = predict(model, unknown, host());
  CHECK(free.free_trials == 50);
  CHECK(free.free_capped == 0);
  const Tensor drive = model.drive(slice(rolling_window(known.movie, kHistory), 0, 0, kFrames)).value();
  const Floats column = values(select(free_run(model, drive, kHistory).rate, 1, 1));
  const Floats smoothed = smooth_rate(column);
  for (const std::size_t t : {std::size_t{0}, std::size_t{17}, std::size_t{kFrames - 1}})
    CHECK(select(select(free.rate, 0, static_cast<std::int64_t>(t)), 0, 1).item() ==
          doctest::Approx(smoothed[t]).epsilon(1e-4));
}

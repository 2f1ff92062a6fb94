// SPDX-License-Identifier: Apache-2.0
#include "tests/op_case.h"

#include <doctest/doctest.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <map>

#include "autograd/cost.h"
#include "kernels/simt/access_report.h"
#include "tensor/graph.h"
#include "tensor/views.h"

namespace fovea::test {
namespace {

std::string g_device = "cpu";  // set once by main, before any test runs
bool g_accesses = false;       // the same
bool g_once = false;           // the same

/// Of the sample that is being checked.
template <class T>
std::vector<std::pair<std::vector<T>, Tensor>>& constants() {
  static std::vector<std::pair<std::vector<T>, Tensor>> made;
  return made;
}

void forget_constants() {
  constants<std::int64_t>().clear();
  constants<float>().clear();
  constants<std::uint8_t>().clear();
}

double unit_roundoff(DType dtype) { return dtype == DType::f64 ? 0x1p-53 : 0x1p-24; }

std::uint32_t name_id(const OpCase& op) { return philox::stream_id(std::string(op.info.name).c_str()); }

Doubles normals(std::uint32_t stream, std::uint32_t step, std::size_t count) {
  Doubles values(count);
  for (std::size_t i = 0; i < count; ++i) values[i] = philox::normal_at({11, stream, step}, i);
  return values;
}

bool equal_bits(const Doubles& x, const Doubles& y) {  // exact from f32
  return x.size() == y.size() &&
         (x.empty() || std::memcmp(x.data(), y.data(), x.size() * sizeof(double)) == 0);
}

/// The same values in memory of another layout: reversed dimensions, every second element.
Tensor strided_copy(const Tensor& x) {
  Shape doubled;
  for (int d = x.rank() - 1; d >= 0; --d) doubled.push_back(x.shape()[d]);
  doubled[doubled.rank() - 1] = doubled.back() * 2;
  Tensor view = slice(Tensor::empty(doubled, x.dtype(), x.device(), "test"), -1, 0, doubled.back(), 2);
  for (int d = 0; d < x.rank() / 2; ++d) view = transpose(view, d, x.rank() - 1 - d);
  view.copy_from(x);
  return view;
}

void shift_edges(Doubles& y) {
  for (std::size_t i = 16; i < y.size(); i += 16) y[i] = y[i - 1];
  if (y.size() > 1) y.back() = y[y.size() - 2];
}

struct Result {
  Doubles y;  // of several results, one after the other
  Grads dx;
};

std::vector<Var> results(const OpCase& op, std::span<const Var> inputs, const Sample& sample) {
  return op.apply_many ? op.apply_many(inputs, sample) : std::vector<Var>{op.apply(inputs, sample)};
}

/// Forward and backward of one sample on one device.
Result run(const OpCase& op, const Sample& sample, std::span<const Doubles> inputs, const Doubles& seed,
           const Device& device, bool strided_inputs, const Mutation& mutation) {
  Tape tape({11, 3});
  std::vector<Var> vars;
  for (std::size_t k = 0; k < inputs.size(); ++k) {
    Tensor x = to_tensor(inputs[k], sample.shapes[k], sample.dtype, device);
    if (strided_inputs && x.rank() > 0) x = strided_copy(x);
    const bool leaf = op.info.has_gradient() && (op.gradient_inputs >> k & 1u) != 0;
    vars.push_back(leaf ? tape.leaf(x) : tape.input(x));
  }
  Result result{{}, Grads(inputs.size())};
  std::vector<Tape::Root> roots;
  for (const Var& y : results(op, vars, sample)) {
    const auto values = y.value().to_vector<double>();
    const auto from = seed.begin() + static_cast<std::ptrdiff_t>(result.y.size());
    result.y.insert(result.y.end(), values.begin(), values.end());
    if (!op.info.has_gradient() || !y.needs_grad()) continue;
    roots.push_back(
        {y, to_tensor(Doubles(from, from + y.value().numel()), y.shape(), y.value().dtype(), device)});
  }
  if (mutation.shifted_edges) shift_edges(result.y);
  if (roots.empty()) return result;
  tape.backward(roots);
  for (std::size_t k = 0; k < vars.size(); ++k) {
    if (!vars[k].needs_grad()) continue;
    result.dx[k] = tape.grad(vars[k]);
    if (static_cast<int>(k) == mutation.scaled_gradient && result.dx[k].defined()) {
      auto values = result.dx[k].to_vector<double>();
      for (double& v : values) v *= 1.01;
      result.dx[k] = to_tensor(values, result.dx[k].shape(), sample.dtype, device);
    }
  }
  return result;
}

double dot(const Doubles& a, const Doubles& b) {
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) sum += a[i] * b[i];
  return sum;
}

class Checker {
 public:
  Checker(const OpCase& op, const Sample& sample, const Mutation& mutation, std::vector<std::string>& report)
      : op_(op), sample_(sample), mutation_(mutation), report_(report), inputs_(sample_inputs(op, sample)) {
    want_ = op.reference(inputs_, sample);
    seed_ = normals(name_id(op) + 99, 0, std::max<std::size_t>(want_.size(), 1));
    terms_ = std::sqrt(std::max(1.0, op.terms ? op.terms(sample) : 1.0));
    unit_ =
        unit_roundoff(sample.dtype) * (sample.dtype == DType::f64 ? 4 : 1);  // the reference rounds as well
  }
  ~Checker() { forget_constants(); }
  Checker(const Checker&) = delete;
  Checker& operator=(const Checker&) = delete;

  void on_devices(std::span<const Device> devices) {
    const Result first = run(op_, sample_, inputs_, seed_, devices[0], false, mutation_);
    forward(first, devices[0]);
    slopes(first, devices[0]);
    if (g_once || mutation_.scaled_gradient >= 0 || mutation_.shifted_edges) return;
    if (op_.info.has_gradient()) record(devices[0]);
    if (want_.size() * (inputs_.empty() ? 0 : inputs_[0].size()) <= 400) jacobian(devices[0]);
    same("a second run", first, run(op_, sample_, inputs_, seed_, devices[0], false, {}), devices[0]);
    if (op_.strided_inputs)
      same("strided inputs", first, run(op_, sample_, inputs_, seed_, devices[0], true, {}), devices[0]);
    if (Graph::supported(devices[0])) same("a graph", first, captured(devices[0]), devices[0]);
    for (const Device& device : devices.subspan(1))
      same("another thread count or order", first, run(op_, sample_, inputs_, seed_, device, false, {}),
           device);
  }

 private:
  template <class... A>
  void fail(const Device& device, fmt::format_string<A...> text, A&&... a) {
    report_.push_back(fmt::format("{} {} on {}: {}", op_.info.name, sample_.str(), device.description(),
                                  fmt::format(text, std::forward<A>(a)...)));
  }

  void forward(const Result& got, const Device& device) {
    const Doubles& y = got.y;
    if (y.size() != want_.size())
      return fail(device, "gave {} elements, expected {}", y.size(), want_.size());
    const Doubles scale = op_.magnitude ? op_.magnitude(inputs_, sample_) : want_;
    for (std::size_t i = 0; i < y.size(); ++i) {
      const double bound = op_.ulps * unit_ * terms_ * std::abs(scale[i]) + 1e-44;
      if (std::isnan(want_[i]) ? !std::isnan(y[i])
                               : !(std::abs(y[i] - want_[i]) <= bound || y[i] == want_[i]))
        return fail(device, "y[{}] = {:.9g}, reference {:.9g}, off by {:.3g}, bound {:.3g}", i, y[i],
                    want_[i], std::abs(y[i] - want_[i]), bound);
    }
  }

  /// d/dt of Σ seed·reference(x + t·direction) in input k.
  double reference_slope(std::size_t k, const Doubles& direction, const Doubles& seed) const {
    constexpr double kStep = 1e-5;
    std::vector<Doubles> moved = inputs_;
    double ends[2];
    for (int side = 0; side < 2; ++side) {
      for (std::size_t i = 0; i < direction.size(); ++i)
        moved[k][i] = inputs_[k][i] + (side == 0 ? kStep : -kStep) * direction[i];
      const Doubles y = op_.reference(moved, sample_);
      double sum = 0;
      for (std::size_t j = 0; j < y.size(); ++j)
        sum += seed[j] * (y[j] - want_[j]);  // small numbers: no cancellation
      ends[side] = sum;
    }
    return (ends[0] - ends[1]) / (2 * kStep);
  }

  void slopes(const Result& got, const Device& device) {
    for (std::size_t k = 0; k < got.dx.size(); ++k) {
      if (!got.dx[k].defined()) {
        if (op_.info.has_gradient() && (op_.gradient_inputs >> k & 1u) != 0 && !want_.empty())
          fail(device, "no gradient came back for input {}", k);
        continue;
      }
      if (!(got.dx[k].shape() == sample_.shapes[k])) {
        fail(device, "the gradient of input {} has shape {}", k, got.dx[k].shape());
        continue;
      }
      const auto dx = got.dx[k].to_vector<double>();
      for (std::uint32_t t = 0; t < 3; ++t) {
        Doubles direction = normals(name_id(op_) + 7, t + 10 * static_cast<std::uint32_t>(k), dx.size());
        // The first direction follows the gradient, so that nothing cancels and a wrong scale shows in full.
        if (t == 0)
          for (std::size_t i = 0; i < dx.size(); ++i) direction[i] = std::copysign(direction[i], dx[i]);
        double scale = 0;
        for (std::size_t i = 0; i < dx.size(); ++i) scale += std::abs(dx[i] * direction[i]);
        const double slope = dot(dx, direction), want = reference_slope(k, direction, seed_);
        const double bound = op_.gradient_ulps * unit_roundoff(DType::f32) * terms_ * scale + 1e-9;
        if (!(std::abs(slope - want) <= bound))
          return fail(device, "slope {} in input {} is {:.9g}, reference {:.9g}, off by {:.3g}, bound {:.3g}",
                      t, k, slope, want, std::abs(slope - want), bound);
      }
    }
  }

  /// Every entry, on samples small enough.
  void jacobian(const Device& device) {
    if (!op_.info.has_gradient()) return;
    for (std::size_t j = 0; j < want_.size(); ++j) {
      Doubles unit(std::max<std::size_t>(want_.size(), 1), 0.0);
      unit[j] = 1;
      const Result got = run(op_, sample_, inputs_, unit, device, false, {});
      for (std::size_t k = 0; k < got.dx.size(); ++k) {
        if (!got.dx[k].defined()) continue;
        const auto row = got.dx[k].to_vector<double>();
        double scale = 1e-3;
        for (const double v : row) scale = std::max(scale, std::abs(v));
        for (std::size_t i = 0; i < row.size(); ++i) {
          Doubles direction(row.size(), 0.0);
          direction[i] = 1;
          const double want = reference_slope(k, direction, unit);
          if (!(std::abs(row[i] - want) <=
                4 * op_.gradient_ulps * unit_roundoff(DType::f32) * terms_ * scale))
            return fail(device, "dy[{}]/dx{}[{}] is {:.9g}, reference {:.9g}", j, k, i, row[i], want);
        }
      }
    }
  }

  /// The op's info is the one on the tape; what it says is kept is what stays alive when every other handle is
  /// gone, to the byte; and its formulas can be computed.
  void record(const Device& device) {
    const auto live_bytes = [&] { return device.arena().stats().live_bytes; };
    forget_constants();  // so that one counts if, and only if, the record keeps it
    const std::size_t before = live_bytes();
    Tape tape({11, 3});
    {
      std::vector<Var> vars;
      for (std::size_t k = 0; k < inputs_.size(); ++k) {
        const Tensor x = to_tensor(inputs_[k], sample_.shapes[k], sample_.dtype, device);
        vars.push_back((op_.gradient_inputs >> k & 1u) != 0 ? tape.leaf(x) : tape.input(x));
      }
      (void)results(op_, vars, sample_);
      forget_constants();
    }
    const std::size_t held = live_bytes() - before;
    if (tape.size() != 1) return fail(device, "made {} records, expected 1", tape.size());
    const Tape::Record& entry = tape.records()[0];
    if (std::string_view(entry.info->name) != op_.info.name)
      return fail(device, "is recorded as {}", entry.info->name);
    if (entry.kept.size() != words(op_.info.keeps).size())
      return fail(device, "keeps {} tensors, but names \"{}\"", entry.kept.size(), op_.info.keeps);
    std::map<const void*, std::size_t> storages;
    for (const Tensor& tensor : entry.kept)
      if (tensor.defined()) storages.emplace(tensor.storage_id(), tensor.storage_bytes());
    std::vector<Tensor> twins;  // the arena rounds sizes up
    const std::size_t start = live_bytes();
    for (const auto& [storage, bytes] : storages)
      twins.push_back(Tensor::empty({static_cast<std::int64_t>(bytes)}, DType::u8, device, "test"));
    if (const std::size_t named = live_bytes() - start; held != named)
      return fail(device, "keeps {} bytes alive, but {} in the tensors that it names", held, named);
    const Cost cost = cost_of(entry);
    for (const double number : {cost.flops, cost.bytes, cost.gradient_flops})
      if (!(number >= 0)) return fail(device, "has a cost of {}", number);
  }

  /// Forward and backward as a graph: recorded once, in which nothing may read from the device, and replayed twice.
  Result captured(const Device& device) const {
    std::vector<Tensor> inputs;
    for (std::size_t k = 0; k < inputs_.size(); ++k)
      inputs.push_back(to_tensor(inputs_[k], sample_.shapes[k], sample_.dtype, device));
    std::vector<Tensor> seeds;  // of each result; their sizes are known from a first call, without gradients
    Grads grads(inputs.size());
    std::vector<Tensor> ys;
    const auto work = [&] {
      Tape tape({11, 3});
      std::vector<Var> vars;
      for (std::size_t k = 0; k < inputs.size(); ++k) {
        const bool leaf = op_.info.has_gradient() && (op_.gradient_inputs >> k & 1u) != 0;
        vars.push_back(leaf ? tape.leaf(inputs[k]) : tape.input(inputs[k]));
      }
      ys.clear();
      std::vector<Tape::Root> roots;
      for (const Var& y : results(op_, vars, sample_)) {
        ys.push_back(y.value());
        if (!op_.info.has_gradient() || !y.needs_grad()) continue;
        if (!seeds.empty()) roots.push_back({y, seeds[ys.size() - 1]});
      }
      if (roots.empty()) return;
      tape.backward(roots);
      for (std::size_t k = 0; k < vars.size(); ++k)
        if (vars[k].needs_grad()) grads[k] = tape.grad(vars[k]);
    };
    work();
    std::size_t at = 0;
    for (const Tensor& y : ys) {
      const auto from = seed_.begin() + static_cast<std::ptrdiff_t>(at);
      seeds.push_back(to_tensor(Doubles(from, from + y.numel()), y.shape(), y.dtype(), device));
      at += static_cast<std::size_t>(y.numel());
    }
    const Graph graph = Graph::capture(device, work);
    graph.replay();
    graph.replay();
    Result result{{}, std::move(grads)};
    for (const Tensor& y : ys) {
      const auto values = y.to_vector<double>();
      result.y.insert(result.y.end(), values.begin(), values.end());
    }
    return result;
  }

  void same(const char* what, const Result& a, const Result& b, const Device& device) {
    if (!equal_bits(a.y, b.y)) return fail(device, "{} gave other bits in y", what);
    for (std::size_t k = 0; k < a.dx.size(); ++k)
      if (a.dx[k].defined() && !equal_bits(a.dx[k].to_vector<double>(), b.dx[k].to_vector<double>()))
        return fail(device, "{} gave other bits in the gradient of input {}", what, k);
  }

  const OpCase& op_;
  const Sample& sample_;
  const Mutation& mutation_;
  std::vector<std::string>& report_;
  std::vector<Doubles> inputs_;
  Doubles want_, seed_;
  double terms_ = 1, unit_ = 0;
};

void check_rejects(const OpCase& op, const Device& device, std::vector<std::string>& report) {
  for (const Reject& reject : op.rejects) {
    std::string text = "nothing was thrown";
    try {
      reject.call(device);
    } catch (const std::exception& error) {
      text = error.what();
    }
    if (text != reject.text)
      report.push_back(fmt::format("{} with {} on {}: \"{}\", expected \"{}\"", op.info.name, reject.what,
                                   device.description(), text, reject.text));
  }
}

}  // namespace

std::string Sample::str() const {
  std::string text = fmt::format("({})", fmt::join(shapes, ", "));
  if (!params.empty()) text += fmt::format(" params {}", fmt::join(params, ", "));
  if (dtype != DType::f32) text += fmt::format(" {}", dtype_name(dtype));
  return text;
}

const std::string& device_under_test() { return g_device; }
void set_device_under_test(const std::string& name) { g_device = name; }

std::vector<std::vector<Device>> device_groups() {
  if (g_device == "cuda") return {{Device::cuda()}};
  if (g_device == "simt")
    return {{Device::simt(simt::Order::forward), Device::simt(simt::Order::reversed),
             Device::simt(simt::Order::shuffled)}};
  std::vector<std::vector<Device>> groups;
  for (const Isa isa : available_isas())
    groups.push_back({Device::cpu({.threads = 1, .isa = isa}), Device::cpu({.threads = 2, .isa = isa}),
                      Device::cpu({.threads = 3, .isa = isa})});
  return groups;
}

std::vector<Device> devices() {
  std::vector<Device> list;
  for (const auto& group : device_groups()) list.push_back(group.back());
  return list;
}

std::vector<Doubles> sample_inputs(const OpCase& op, const Sample& sample) {
  std::vector<Doubles> inputs;
  for (std::size_t k = 0; k < sample.shapes.size(); ++k) {
    Doubles values = normals(name_id(op), static_cast<std::uint32_t>(k),
                             static_cast<std::size_t>(sample.shapes[k].numel()));
    if (op.value)
      for (std::size_t i = 0; i < values.size(); ++i)
        values[i] = op.value(static_cast<int>(k), static_cast<std::int64_t>(i), values[i]);
    if (sample.dtype == DType::f32)
      for (double& v : values) v = static_cast<float>(v);  // the reference sees what the op sees
    inputs.push_back(std::move(values));
  }
  return inputs;
}

template <class T>
Tensor constant(const std::vector<T>& values, const Shape& shape, const Device& device) {
  for (const auto& [known, tensor] : constants<T>())
    if (known == values && tensor.shape() == shape && tensor.device() == device) return tensor;
  return constants<T>().emplace_back(values, Tensor::from(values, shape, device, "test")).second;
}
template Tensor constant(const std::vector<std::int64_t>&, const Shape&, const Device&);
template Tensor constant(const std::vector<float>&, const Shape&, const Device&);
template Tensor constant(const std::vector<std::uint8_t>&, const Shape&, const Device&);

Tensor to_tensor(const Doubles& values, const Shape& shape, DType dtype, const Device& device) {
  if (dtype == DType::f64) return Tensor::from(values, shape, device, "test");
  std::vector<float> floats(values.size());
  std::transform(values.begin(), values.end(), floats.begin(),
                 [](double v) { return static_cast<float>(v); });
  const Tensor x = Tensor::from(floats, shape, device, "test");
  return x.to(dtype);
}

std::vector<std::string> failures(const OpCase& op, std::span<const Device> devices,
                                  const Mutation& mutation) {
  std::vector<std::string> report;
  for (const Sample& sample : op.samples) {
    if (sample.fast_only && (g_once || devices[0].kind() == DeviceKind::simt)) continue;
    if (g_once) devices[0].arena().trim();  // what a tool knows of memory begins anew
    try {
      Checker(op, sample, mutation, report).on_devices(devices);
    } catch (const std::exception& error) {
      report.push_back(fmt::format("{} {} on {}: threw \"{}\"", op.info.name, sample.str(),
                                   devices[0].description(), error.what()));
    }
  }
  if (mutation.scaled_gradient < 0 && !mutation.shifted_edges) check_rejects(op, devices[0], report);
  return report;
}

void report_accesses_only() { g_accesses = true; }
void run_samples_once() { g_once = true; }

void report_accesses(const OpCase& op) {
  const Device device = Device::simt();
  const auto grid = [&]() -> simt::Grid& {
    return std::get<std::reference_wrapper<simt::Grid>>(device.queue()).get();
  };
  grid().count_accesses(true);
  for (const Sample& sample : op.samples) {
    const std::vector<Doubles> inputs = sample_inputs(op, sample);
    const Doubles seed(op.reference(inputs, sample).size() + 1, 1.0);
    run(op, sample, inputs, seed, device, false, {});
  }
  std::fputs(fmt::format("\n== {}\n{}", op.info.name, grid().access_report().text()).c_str(), stdout);
}

void check(const OpCase& op) {
  if (g_accesses) return report_accesses(op);
  REQUIRE_MESSAGE(!op.samples.empty(), std::string(op.info.name) << " has no samples");
  for (const auto& group : device_groups()) {
    const std::vector<std::string> report = failures(op, group);
    for (const std::string& line : report) FAIL_CHECK(line);
    CHECK(report.empty());
  }
  if (g_device != "cpu") return;
  const std::vector<Device> best = {device_groups().back()[1]};
  const bool has_edges = std::any_of(op.samples.begin(), op.samples.end(), [&](const Sample& sample) {
    return op.reference(sample_inputs(op, sample), sample).size() > 1;  // a loss is one number
  });
  if (has_edges)
    CHECK_MESSAGE(!failures(op, best, {.shifted_edges = true}).empty(),
                  std::string(op.info.name) << ": the row does not notice a tile edge that is off by one");
  for (std::size_t k = 0; k < op.samples[0].shapes.size(); ++k)
    if (op.info.has_gradient() && (op.gradient_inputs >> k & 1u) != 0)
      CHECK_MESSAGE(!failures(op, best, {.scaled_gradient = static_cast<int>(k)}).empty(),
                    std::string(op.info.name)
                        << ": the row does not notice gradient " << k << " scaled by 1.01");
}

}  // namespace fovea::test

// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "tests/op_case.h"

namespace fovea::test {
namespace {

/// Bits of a significand, the leading one included.
int precision(Math math) { return math == Math::tf32 ? 11 : 8; }

/// To nearest; of a tie, tf32 takes the larger magnitude and bf16 the even neighbour.
double rounded(double x, Math math) {
  int exponent = 0;
  const double scaled = std::ldexp(std::frexp(static_cast<float>(x), &exponent), precision(math));
  return std::ldexp(math == Math::tf32 ? std::round(scaled) : std::nearbyint(scaled),
                    exponent - precision(math));
}
Doubles rounded(Doubles values, Math math) {
  for (double& v : values) v = rounded(v, math);
  return values;
}

/// One sample in tf32 or bf16: within the mode's own bound of the exact result, and within fp32's bound of the exact
/// result of rounded operands.
class MathChecker {
 public:
  MathChecker(const OpCase& op, const Sample& sample, const Device& device, std::vector<std::string>& report)
      : op_(op),
        sample_(sample),
        device_(device),
        report_(report),
        bits_(*op.rounded_inputs),
        inputs_(sample_inputs(op, sample)),
        rounded_inputs_(inputs_),
        want_(op.reference(inputs_, sample)),
        seed_(normals(op, 99, 0, std::max<std::size_t>(want_.size(), 1))),
        root_terms_(std::sqrt(std::max(1.0, op.terms ? op.terms(sample) : 1.0))) {
    for (std::size_t k = 0; k < inputs_.size(); ++k)
      if ((bits_ >> k & 1u) != 0) rounded_inputs_[k] = rounded(inputs_[k], device.math());
    // Tensor cores of a GPU truncate where they add (kernels/cuda/mma.cuh): then K terms err by up to 2K·2^-23.
    if (device.kind() == DeviceKind::cuda) {
      exact_sums_ = false;
      exact_operands_ = !op.library_on_cuda;
    }
  }

  /// True if the result tells this math from fp32.
  bool check(std::span<const Device> others) {
    const Result got = run(op_, sample_, inputs_, seed_, device_, false, {});
    const bool told = forward(got.y);
    slopes(got);
    same("a second run", got, run(op_, sample_, inputs_, seed_, device_, false, {}));
    if (op_.strided_inputs) same("strided inputs", got, run(op_, sample_, inputs_, seed_, device_, true, {}));
    for (const Device& other : others)
      same("another order", got, run(op_, sample_, inputs_, seed_, other, false, {}));
    return told;
  }

 private:
  template <class... A>
  void fail(fmt::format_string<A...> text, A&&... a) {
    report_.push_back(fmt::format("{} {} on {}: {}", op_.info.name, sample_.str(), device_.description(),
                                  fmt::format(text, std::forward<A>(a)...)));
  }

  /// Relative to Σ|terms|.
  double fp32_bound(double ulps) const {
    const double bound = ulps * 0x1p-24 * root_terms_;
    return exact_sums_ ? bound : std::max(bound, 0x1p-22 * root_terms_ * root_terms_);
  }
  double math_bound() const { return 4 * std::ldexp(1.0, -precision(device_.math())) * root_terms_; }

  bool forward(const Doubles& y) {
    const Doubles scale = op_.magnitude(inputs_, sample_);
    const Doubles want_rounded = op_.reference(rounded_inputs_, sample_);
    bool told = false;
    for (std::size_t i = 0; i < y.size(); ++i) {
      const double fp32 = fp32_bound(op_.ulps) * scale[i] + 1e-44, math = math_bound() * scale[i] + 1e-44;
      if (!(std::abs(y[i] - want_[i]) <= math)) {
        fail("y[{}] = {:.9g}, reference {:.9g}, bound {:.3g}", i, y[i], want_[i], math);
        return told;
      }
      if (exact_operands_ && !(std::abs(y[i] - want_rounded[i]) <= fp32)) {
        fail("y[{}] = {:.9g}, reference of rounded operands {:.9g}, bound {:.3g}", i, y[i], want_rounded[i],
             fp32);
        return told;
      }
      told = told || std::abs(y[i] - want_[i]) > fp32;
    }
    return told;
  }

  void slopes(const Result& got) {
    for (std::size_t k = 0; k < got.dx.size(); ++k) {
      if (!got.dx[k].defined()) continue;
      const auto dx = got.dx[k].to_vector<double>();
      const bool from_rounded = (bits_ >> k & 1u) != 0;
      for (std::uint32_t t = 0; t < 3; ++t) {
        Doubles direction = normals(op_, 7, t + 10 * static_cast<std::uint32_t>(k), dx.size());
        if (t == 0)  // nothing cancels
          for (std::size_t i = 0; i < dx.size(); ++i) direction[i] = std::copysign(direction[i], dx[i]);
        double scale = 0, slope = 0;
        for (std::size_t i = 0; i < dx.size(); ++i) {
          slope += dx[i] * direction[i];
          scale += std::abs(dx[i] * direction[i]);
        }
        const auto within = [&](const char* what, double want, double bound) {
          if (!(std::abs(slope - want) <= bound * scale + 1e-9))
            fail("slope {} in input {} is {:.9g}, {} {:.9g}, bound {:.3g}", t, k, slope, what, want,
                 bound * scale);
        };
        within("reference", reference_slope(op_, sample_, inputs_, k, direction, seed_), math_bound());
        if (exact_operands_)
          within("reference of rounded operands",
                 reference_slope(op_, sample_, rounded_inputs_, k, direction,
                                 from_rounded ? rounded(seed_, device_.math()) : seed_),
                 fp32_bound(op_.gradient_ulps));
      }
    }
  }

  void same(const char* what, const Result& a, const Result& b) {
    if (!equal_bits(a.y, b.y)) return fail("{} gave other bits in y", what);
    for (std::size_t k = 0; k < a.dx.size(); ++k)
      if (a.dx[k].defined() && !equal_bits(a.dx[k].to_vector<double>(), b.dx[k].to_vector<double>()))
        return fail("{} gave other bits in the gradient of input {}", what, k);
  }

  const OpCase& op_;
  const Sample& sample_;
  Device device_;
  std::vector<std::string>& report_;
  std::uint32_t bits_;
  std::vector<Doubles> inputs_, rounded_inputs_;
  Doubles want_, seed_;
  double root_terms_;
  bool exact_sums_ = true, exact_operands_ = true;
};

}  // namespace

std::vector<std::string> math_failures(const OpCase& op, std::span<const Device> devices) {
  std::vector<std::string> report;
  int told = 0;
  for (const Sample& sample : op.samples) {
    if (sample.dtype != DType::f32 || (sample.fast_only && devices[0].kind() == DeviceKind::simt)) continue;
    try {
      told += MathChecker(op, sample, devices[0], report).check(devices.subspan(1)) ? 1 : 0;
    } catch (const std::exception& error) {
      report.push_back(fmt::format("{} {} on {}: threw \"{}\"", op.info.name, sample.str(),
                                   devices[0].description(), error.what()));
    }
  }
  if (told == 0 && *op.rounded_inputs != 0)
    report.push_back(
        fmt::format("{} on {}: no result differs from that of fp32", op.info.name, devices[0].description()));
  return report;
}

}  // namespace fovea::test

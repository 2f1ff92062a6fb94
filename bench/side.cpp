// SPDX-License-Identifier: Apache-2.0
#include "bench/side.h"

#include <fmt/format.h>

#include <cmath>
#include <limits>
#include <stdexcept>

namespace fovea::bench {
namespace {

class Ours final : public Side {
 public:
  Ours(const Case& c, const Device& device, const Buffers& buffers)
      : case_(c), device_(device), buffers_(buffers), state_(device, c.state, buffers.sets(), 2) {}
  void prepare(int set) override {
    if (case_.prepare) case_.prepare(device_, buffers_.set(set), state_.set(set));
  }
  void run(int set) override { case_.run(device_, buffers_.set(set), state_.set(set)); }

 private:
  const Case& case_;
  Device device_;
  const Buffers& buffers_;
  Buffers state_;
};

using Reorder = std::vector<float> (*)(const Shape&, std::span<const float>);

void reorder(const Buffers& buffers, int operand, Reorder f) {
  const Shape& shape = buffers.operands()[static_cast<std::size_t>(operand)].shape;
  if (shape.rank() == 4) buffers.upload(operand, f(shape, buffers.download(operand)));
}

}  // namespace

std::unique_ptr<Side> our_side(const Case& c, const Device& device, const Buffers& buffers) {
  if (c.ours) return c.ours(device, buffers);
  return std::make_unique<Ours>(c, device, buffers);
}

double relative_error(const Case& c, const Device& device, const Buffers& buffers, Side& side) {
  const auto is_f32 = [&](std::size_t k) { return c.operands[k].dtype == DType::f32; };
  HostValues before(c.operands.size());
  for (std::size_t k = 0; k < c.operands.size(); ++k)
    if (!c.operands[k].output) before[k] = buffers.download(static_cast<int>(k));
  buffers.poison();
  if (side.channels_last())
    for (std::size_t k = 0; k < c.operands.size(); ++k)
      if (!c.operands[k].output) reorder(buffers, static_cast<int>(k), to_channels_last);
  side.prepare(0);
  side.run(0);
  side.deliver();
  device.synchronize();

  HostValues after(c.operands.size());
  bool finite = true;
  for (std::size_t k = 0; k < c.operands.size(); ++k) {
    if (!is_f32(k)) continue;
    after[k] = buffers.download(static_cast<int>(k));
    if (side.channels_last()) after[k] = from_channels_last(c.operands[k].shape, after[k]);
    if (c.operands[k].output)
      for (const float v : after[k]) finite = finite && std::isfinite(v);
    else
      buffers.upload(static_cast<int>(k), before[k]);  // the next side gets the same
  }
  if (!finite) return std::numeric_limits<double>::quiet_NaN();
  if (!c.reference) return 0.0;
  double wrong = 0, size = 0;
  for (const Expected& e : c.reference(before)) {
    const double got = after[static_cast<std::size_t>(e.operand)][static_cast<std::size_t>(e.index)];
    wrong += (got - e.value) * (got - e.value);
    size += e.value * e.value;
  }
  return size > 0 ? std::sqrt(wrong / size) : std::sqrt(wrong);
}

double checked_error(const Case& c, const Device& device, const Buffers& buffers, Side& side, Math math) {
  const double error = relative_error(c, device, buffers, side);
  if (!std::isfinite(error))
    throw std::runtime_error("results are not finite, or not all of them were written");
  const double limit = c.error_limit > 0 ? c.error_limit : error_limit(math);
  if (error > limit)
    throw std::runtime_error(fmt::format("relative error {:.2g} is above {:.2g}", error, limit));
  return error;
}

}  // namespace fovea::bench

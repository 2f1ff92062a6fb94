// SPDX-License-Identifier: Apache-2.0
// What the rows of the op table run on: devices, inputs and constants.
#include <algorithm>
#include <utility>

#include "tests/op_case.h"

namespace fovea::test {
namespace {

std::string g_device = "cpu";  // set once by main, before any test runs

/// Of the sample that is being checked.
template <class T>
std::vector<std::pair<std::vector<T>, Tensor>>& constants() {
  static std::vector<std::pair<std::vector<T>, Tensor>> made;
  return made;
}

}  // namespace

void forget_constants() {
  constants<std::int64_t>().clear();
  constants<float>().clear();
  constants<std::uint8_t>().clear();
}

const std::string& device_under_test() { return g_device; }
void set_device_under_test(const std::string& name) { g_device = name; }

std::vector<std::vector<Device>> device_groups(Math math) {
  if (g_device == "cuda") return {{Device::cuda(0, math)}};
  if (g_device == "simt")
    return {{Device::simt(simt::Order::forward, math), Device::simt(simt::Order::reversed, math),
             Device::simt(simt::Order::shuffled, math)}};
  if (math != Math::fp32) return {};
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

Doubles normals(const OpCase& op, std::uint32_t stream, std::uint32_t step, std::size_t count) {
  Doubles values(count);
  const std::uint32_t id = philox::stream_id(std::string(op.info.name).c_str()) + stream;
  for (std::size_t i = 0; i < count; ++i) values[i] = philox::normal_at({11, id, step}, i);
  return values;
}

std::vector<Doubles> sample_inputs(const OpCase& op, const Sample& sample) {
  std::vector<Doubles> inputs;
  for (std::size_t k = 0; k < sample.shapes.size(); ++k) {
    Doubles values =
        normals(op, 0, static_cast<std::uint32_t>(k), static_cast<std::size_t>(sample.shapes[k].numel()));
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

}  // namespace fovea::test

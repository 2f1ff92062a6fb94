// SPDX-License-Identifier: Apache-2.0
#include "apps/doctor/device_check.h"

#include <fmt/format.h>

#include <array>
#include <cmath>
#include <exception>
#include <functional>

#include "autograd/ops/conv2d.h"
#include "autograd/ops/elementwise.h"
#include "autograd/ops/reduce.h"
#include "autograd/tape.h"
#include "tensor/errors.h"

namespace fovea::apps {
namespace {

std::string difference(const char* what, const Tensor& got, const std::vector<float>& expected) {
  const auto values = got.to_vector<float>();
  for (std::size_t i = 0; i < expected.size(); ++i)
    if (!(std::abs(values[i] - expected[i]) < 0.01f))  // NaN is a difference, too
      return fmt::format("{}[{}] is {}, expected {}", what, i, values[i], expected[i]);
  return {};
}

DeviceReport report(const std::string& name, const std::function<Device()>& make) {
  DeviceReport report{name, {}, false, {}};
  try {
    const Device device = make();
    report.description = device.description();
    report.there = true;
    report.fault = check_device(device);
  } catch (const std::exception& error) {
    (report.there ? report.fault : report.description) = error.what();
  }
  return report;
}

}  // namespace

const SelfCheck& self_check_numbers() {
  static const SelfCheck numbers{
      .x = {1, -2, 3, 0, 2, 5, -1, 4, -3, 2, 2, 1, 0, 1, -4, 3},
      .w = {1, 0, -1, 2, 1, 0, -2, 3, 1, 0, 2, -1, 1, -1, 3, 2, 0, 1},
      .y = {21, 10, -2, -4, -17, 29, 8, 2},
      .dx = {42, -48, 108, -78, 46, 198, -144, 178, -144, 170, 104, 90, 40, 12, -12, -4},
      .dw = {-46, -36, 98, 180, 166, 22, -94, 152, 96, -98, 318, -102, 182, -188, 302, 222, 48, -62}};
  return numbers;
}

std::string check_device(const Device& device) {
  const SelfCheck& known = self_check_numbers();
  Tape tape;
  const Var x = tape.leaf(Tensor::from(known.x, {1, 1, 4, 4}, device));
  const Var w = tape.leaf(Tensor::from(known.w, {2, 1, 3, 3}, device));
  const Var y = conv2d(x, w, Var());
  tape.backward(sum(square(y)));
  for (const std::string& fault :
       {difference("y", y.value(), known.y), difference("dx", tape.grad(x), known.dx),
        difference("dw", tape.grad(w), known.dw)})
    if (!fault.empty()) return "a convolution and its gradients: " + fault;
  return {};
}

std::vector<DeviceReport> check_devices() {
  std::vector<DeviceReport> reports{report("cpu", [] { return Device::cpu(); }),
                                    report("simt", [] { return Device::simt(); })};
  if (const std::string reason = Device::cuda_missing_reason(); !reason.empty())
    reports.push_back({"cuda", reason, false, {}});
  else
    reports.push_back(report("cuda", [] { return Device::cuda(0); }));
  return reports;
}

}  // namespace fovea::apps

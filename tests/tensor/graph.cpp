// SPDX-License-Identifier: Apache-2.0
#include "tensor/graph.h"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <optional>
#include <stdexcept>

#include "autograd/ops/elementwise.h"
#include "autograd/ops/matmul.h"
#include "autograd/ops/noise.h"
#include "kernels/ops/optimizer_step.h"

using namespace fovea;

namespace {

using Floats = std::vector<float>;

/// The emulation, and the GPU if there is one.
std::vector<Device> devices() {
  std::vector<Device> list{Device::simt()};
  if (Device::cuda_missing_reason().empty()) list.push_back(Device::cuda());
  return list;
}

std::string message(const std::function<void()>& f) {
  try {
    f();
  } catch (const std::exception& error) {
    return error.what();
  }
  return "nothing was thrown";
}

Tensor product(const Tensor& x, const Tensor& w) { return relu(matmul(Var(x), Var(w))).value(); }

}  // namespace

TEST_CASE("a graph does its work at each replay, on what its inputs hold then, and not before") {
  for (const Device& device : devices()) {
    const Tensor w = Tensor::from(Floats{1, 2, 3, 4}, {2, 2}, device);
    const Tensor x = Tensor::zeros({1, 2}, DType::f32, device),
                 y = Tensor::full({1, 2}, 7, DType::f32, device);
    (void)product(x, w);  // once without a graph: libraries make their handles
    const Graph graph = Graph::capture(device, [&] { y.copy_from(product(x, w)); });
    CHECK(graph.launches() == 3);
    CHECK(y.to_vector<float>() == Floats{7, 7});
    x.copy_from(Tensor::from(Floats{1, 1}, {1, 2}, device));
    graph.replay();
    CHECK(y.to_vector<float>() == Floats{4, 6});
    x.copy_from(Tensor::from(Floats{-1, 0.5f}, {1, 2}, device));
    graph.replay();
    CHECK(y.to_vector<float>() == Floats{0.5f, 0});
  }
}

TEST_CASE("nobody gets the memory that a graph writes to, until the graph is gone") {
  for (const Device& device : devices()) {
    const Tensor x = Tensor::full({1000}, 2, DType::f32, device);
    const Tensor y = Tensor::zeros({1000}, DType::f32, device);
    std::optional<Graph> graph = Graph::capture(device, [&] {
      // Both temporaries are free when this returns.
      y.copy_from((square(Var(x)) + square(square(Var(x)))).value());
    });
    std::vector<Tensor> others;
    for (int i = 0; i < 8; ++i) others.push_back(Tensor::full({1000}, i, DType::f32, device));
    graph->replay();
    CHECK(y.to_vector<float>() == Floats(1000, 20.0f));
    for (int i = 0; i < 8; ++i)
      CHECK(others[static_cast<std::size_t>(i)].to_vector<float>() == Floats(1000, static_cast<float>(i)));
    device.arena().trim();  // takes nothing from it
    graph->replay();
    CHECK(y.to_vector<float>() == Floats(1000, 20.0f));
    graph.reset();
    device.arena().trim();
    CHECK(device.arena().stats().cached_bytes == 0);
  }
}

TEST_CASE("what is made in a graph may outlive it") {
  for (const Device& device : devices()) {
    Tensor made;
    {
      const Graph graph =
          Graph::capture(device, [&] { made = Tensor::full({5}, 3, DType::f32, device, "made"); });
      graph.replay();
    }
    CHECK(made.to_vector<float>() == Floats(5, 3.0f));
    made = Tensor();
    CHECK(device.arena().stats().live_bytes == 0);
  }
}

TEST_CASE("a host that touches device memory in a capture is told so, and all is as before") {
  for (const Device& device : devices()) {
    const Tensor x = Tensor::full({3}, 2, DType::f32, device);
    const std::string name = device.name();
    const auto refused = [&](const char* what) {
      return fmt::format(
          "{}: the host {} here, where it must not touch device memory; keep the value on the device, or "
          "move this out of the captured work",
          name, what);
    };
    CHECK(message([&] { (void)Graph::capture(device, [&] { (void)x.to_vector<float>(); }); }) ==
          refused("reads"));
    CHECK(message([&] {
            (void)Graph::capture(device, [&] { (void)Tensor::from(Floats{1}, {1}, device); });
          }) == refused("writes"));
    CHECK(message([&] { (void)Graph::capture(device, [&] { device.synchronize(); }); }) == refused("waits"));
    CHECK(message([&] {
            (void)Graph::capture(device, [&] {
              x.fill(9);
              throw std::runtime_error("of its own");
            });
          }) == "of its own");
    CHECK(message([&] { (void)Graph::capture(device, [&] { (void)Graph::capture(device, [] {}); }); }) ==
          refused("waits"));
    CHECK(x.to_vector<float>() == Floats(3, 2.0f));
    const Graph graph = Graph::capture(device, [&] { x.fill(5); });
    graph.replay();
    CHECK(x.to_vector<float>() == Floats(3, 5.0f));
  }
  CHECK(message([] { (void)Graph::capture(Device::cpu(), [] {}); }) ==
        "graph: cpu has no graphs: run the work itself");
}

TEST_CASE("a capture that runs out of memory leaves the device usable") {
  const Device device = Device::simt();
  const Tensor x = Tensor::full({1000}, 2, DType::f32, device);
  const auto work = [&] { x.copy_from(square(Var(x)).value()); };
  device.arena().refuse_nth(1);
  CHECK_THROWS_AS((void)Graph::capture(device, work), OutOfMemory);
  const Graph graph = Graph::capture(device, work);
  graph.replay();
  CHECK(x.to_vector<float>() == Floats(1000, 4.0f));
}

TEST_CASE("random numbers of a graph are fresh at each replay, and those of the same steps without one") {
  for (const Device& device : devices()) {
    const Tensor clock = Tensor::zeros({5}, DType::i32, device);
    auto* const at = reinterpret_cast<OptimizerClock*>(clock.data<std::int32_t>());
    const Tensor x = Tensor::zeros({100}, DType::f32, device), y = Tensor::zeros({100}, DType::f32, device);
    const Graph graph = Graph::capture(device, [&] {
      y.copy_from(gaussian_noise(Var(x), 1.0f, {.seed = 3, .stream = 4, .device_step = &at->steps}).value());
      on(device.queue(), [&](auto& q) { kernels::advance_clock(q, 0.0f, 0.0f, at); });
    });
    for (std::uint32_t step = 0; step < 3; ++step) {
      graph.replay();
      CHECK(y.to_vector<float>() ==
            gaussian_noise(Var(x), 1.0f, {.seed = 3, .stream = 4, .step = step}).value().to_vector<float>());
    }
  }
}

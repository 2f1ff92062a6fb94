// SPDX-License-Identifier: Apache-2.0
#include "tensor/tensor.h"

#include <doctest/doctest.h>

#include <numeric>

#include "tensor/views.h"

using namespace fovea;

namespace {

Tensor counting(const Shape& shape, const Device& device) {
  std::vector<float> values(static_cast<std::size_t>(shape.numel()));
  std::iota(values.begin(), values.end(), 0.0f);
  return Tensor::from(values, shape, device);
}

template <class F>
std::string message(F&& f) {
  try {
    f();
  } catch (const std::exception& error) {
    return error.what();
  }
  return "nothing was thrown";
}

using Floats = std::vector<float>;

}  // namespace

TEST_CASE("a shape knows its rank, product and broadcasts") {
  CHECK(Shape{}.numel() == 1);
  CHECK(Shape{2, 0, 3}.numel() == 0);
  CHECK(Shape{2, 3}.str() == "[2, 3]");
  CHECK(broadcast("add", {4, 1, 3}, {5, 1}) == Shape{4, 5, 3});
  CHECK(message([] {
          broadcast("add", {4, 3}, {2, 3});
        }) == "add: cannot broadcast [4, 3] with [2, 3]: extents 4 and 2 differ and neither is 1");
  CHECK(message([] { Shape{1, 1, 1, 1, 1, 1, 1}; }) ==
        "shape: [1, 1, 1, 1, 1, 1, 1] has rank 7, at most 6 is supported");
}

TEST_CASE("handles share, clone copies, casts convert") {
  const Device device = Device::cpu();
  const Tensor x = counting({2, 3}, device);
  const Tensor same = x;
  same.fill(7);
  CHECK(x.to_vector<float>() == Floats(6, 7.0f));
  const Tensor copy = x.clone();
  copy.fill(1);
  CHECK(x.to_vector<float>() == Floats(6, 7.0f));
  CHECK(Tensor::from(Floats{1.5f, -2.75f, 300.0f}, {3}, device).to(DType::i32).to_vector<std::int32_t>() ==
        std::vector<std::int32_t>{1, -2, 300});
  // 1 + 2^-9 rounds down in bf16, 1 + 3·2^-9 to even.
  CHECK(Tensor::from(Floats{1.001953125f, 1.005859375f}, {2}, device)
            .to(DType::bf16)
            .to(DType::f32)
            .to_vector<float>() == Floats{1.0f, 1.0078125f});
  CHECK(x.data<float>()[0] == 7.0f);
  CHECK(message([&] { x.data<double>(); }) == "tensor: [2, 3] has dtype f32, the caller expects f64");
  CHECK(message([&] { x.item(); }) == "item: needs a tensor of one element, got shape [2, 3]");
  CHECK(message([&] {
          Tensor::from(Floats{1, 2}, {3}, device);
        }) == "tensor: 2 values do not fill shape [3], which has 3");
  CHECK(message([&] { Tensor().device(); }) == "tensor: an undefined tensor has no device");
}

TEST_CASE("views share memory and show the right elements") {
  const Device device = Device::cpu();
  const Tensor x = counting({4, 3, 2}, device);
  CHECK(reshape(x, {2, -1}).shape() == Shape{2, 12});
  CHECK(reshape(x, {2, -1}).shares_memory_with(x));
  CHECK(slice(x, 0, 1, -1, 2).to_vector<float>() == Floats{6, 7, 8, 9, 10, 11});
  CHECK(select(x, -1, 1).to_vector<float>() == Floats{1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23});
  const Tensor turned = permute(x, {2, 0, 1});
  CHECK(turned.shape() == Shape{2, 4, 3});
  CHECK(select(turned, 0, 0).to_vector<float>() == Floats{0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22});
  CHECK(turned.contiguous().is_contiguous());
  CHECK(reshape(turned, {2, 12}).shares_memory_with(x));     // 4 and 3 still lie evenly
  CHECK_FALSE(reshape(turned, {24}).shares_memory_with(x));  // 2 and 12 do not
  CHECK(reshape(turned, {24}).to_vector<float>() == turned.to_vector<float>());
  CHECK(expand(counting({3, 1}, device), {2, 3, 2}).to_vector<float>() ==
        Floats{0, 0, 1, 1, 2, 2, 0, 0, 1, 1, 2, 2});
  CHECK(squeeze(unsqueeze(x, 1), 1).shape() == x.shape());
  select(x, 0, 3).fill(-1);
  CHECK(x.to_vector<float>()[18] == -1.0f);
  CHECK(x.to_vector<float>()[17] == 17.0f);
}

TEST_CASE("a rolling window is a view: window i holds frames i … i + length - 1") {
  const Device device = Device::cpu();
  const Tensor movie = counting({5, 2}, device);
  const Tensor windows = rolling_window(movie, 3);
  CHECK(windows.shape() == Shape{3, 3, 2});
  CHECK(windows.shares_memory_with(movie));
  CHECK(select(windows, 0, 2).to_vector<float>() == Floats{4, 5, 6, 7, 8, 9});
  CHECK(message([&] { rolling_window(movie, 6); }) ==
        "rolling_window: windows of 6 frames do not fit x [5, 2], which has 5");
}

TEST_CASE("views reject what they cannot show") {
  const Tensor x = counting({4, 3}, Device::cpu());
  CHECK(message([&] {
          reshape(x, {5, -1});
        }) == "reshape: x [4, 3] has 12 elements, which do not fill [5, -1]");
  CHECK(message([&] {
          reshape(x, {-1, -1});
        }) == "reshape: [-1, -1] is not a shape: only one extent may be -1");
  CHECK(message([&] { slice(x, 0, 2, 5); }) == "slice: 2:5:1 of dimension 0 is outside of x [4, 3]");
  CHECK(message([&] { select(x, 1, 3); }) == "select: index 3 of dimension 1 is outside of x [4, 3]");
  CHECK(message([&] { permute(x, {0, 0}); }) == "permute: dimension 0 of x [4, 3] is named twice");
  CHECK(message([&] { permute(x, {0}); }) == "permute: the order has 1 dimensions, x [4, 3] has 2");
  CHECK(message([&] {
          expand(x, {4, 4});
        }) == "expand: x [4, 3] cannot become [4, 4]: only extents of 1 repeat");
  CHECK(message([&] { squeeze(x, 0); }) == "squeeze: dimension 0 of x [4, 3] has extent 4, not 1");
  CHECK(message([&] { transpose(x, 0, 2); }) == "transpose: dimension 2 is outside of x [4, 3] of rank 2");
}

TEST_CASE("a device is parsed, and an unknown one says what there is") {
  CHECK(Device::parse("cpu").name() == "cpu");
  CHECK(Device::parse("simt").name() == "simt");
  CHECK(message([] { Device::parse("gpu"); }) ==
        "device: 'gpu' is not a device; expected cpu, simt, cuda or cuda:N");
  CHECK(message([] { Device::parse("cuda:x"); }) ==
        "device: 'cuda:x' is not a device; expected cpu, simt, cuda or cuda:N");
  if (!Device::cuda_missing_reason().empty())
    CHECK(message([] { Device::cuda(); }) == "device cuda: " + Device::cuda_missing_reason());
}

TEST_CASE("a device has one math, and the cpu has fp32 only") {
  CHECK(Device::cpu().math() == Math::fp32);
  CHECK(Device::parse("simt").math() == Math::fp32);
  CHECK(Device::parse("simt").description() == "simt");
  for (const Math math : {Math::tf32, Math::bf16}) {
    const Device device = Device::parse("simt", math);
    CHECK(device.math() == math);
    CHECK(device.name() == "simt");
    CHECK(device.description() == std::string("simt ") + math_name(math));
    const std::string refused =
        math == Math::tf32
            ? "device cpu: multiplies in fp32 only, not in tf32; take cuda or simt, or leave math at fp32"
            : "device cpu: multiplies in fp32 only, not in bf16; take cuda or simt, or leave math at fp32";
    CHECK(message([&] { Device::parse("cpu", math); }) == refused);
    if (!Device::cuda_missing_reason().empty()) {
      CHECK(message([&] { Device::best(math); }) == refused);
    } else {
      const Device gpu = Device::best(math);
      CHECK(gpu.math() == math);
      CHECK(gpu.description().starts_with(gpu.name() + " " + math_name(math) + " "));
    }
  }
  for (const Math math : kAllMath) CHECK(parse_math(math_name(math)) == math);
  CHECK(!parse_math("fp16"));
}

TEST_CASE("tensors move between devices") {
  const Device cpu = Device::cpu(), simt = Device::simt();
  const Tensor x = transpose(counting({3, 4}, cpu), 0, 1);
  const Tensor there = x.to(simt);
  CHECK(there.device() == simt);
  CHECK(there.to_vector<float>() == x.to_vector<float>());
  there.copy_from(Tensor::full({4, 3}, 2, DType::i64, cpu));
  CHECK(there.to(cpu).to_vector<float>() == Floats(12, 2.0f));
  CHECK(message([&] {
          there.copy_from(x.to(DType::f64)
                              .to(cpu)
                              .to(simt)
                              .to(cpu)
                              .to(simt)
                              .contiguous()
                              .to(cpu)
                              .to(simt)
                              .to(cpu)
                              .clone()
                              .to(simt)
                              .to(DType::f32)
                              .to(cpu)
                              .view({2}, {1}, 0));
        }) == "copy: source [2] does not have the shape of the target [4, 3]");
}

TEST_CASE("printing cuts long axes in the middle") {
  const Device device = Device::cpu();
  CHECK(counting({2, 3}, device).str() == "[[0, 1, 2],\n [3, 4, 5]]\ntensor[2, 3] f32 on cpu");
  CHECK(counting({20}, device).str() == "[0, 1, 2, …, 17, 18, 19]\ntensor[20] f32 on cpu");
  CHECK(Tensor::full({}, 2.5, DType::f64, device).str() == "2.5\ntensor[] f64 on cpu");
  CHECK(Tensor().str() == "tensor(undefined)");
}

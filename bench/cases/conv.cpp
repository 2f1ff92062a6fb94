// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <set>

#include "bench/cases/builders.h"
#include "bench/cases/operands.h"
#include "kernels/ops/conv2d.h"

namespace fovea::bench {
namespace {

/// Where an element of a tensor of these extents is, as four indices.
struct Place {
  std::int64_t a, b, c, d;
};
Place place(const Shape& shape, std::int64_t i) {
  return {i / (shape[3] * shape[2] * shape[1]), i / (shape[3] * shape[2]) % shape[1], i / shape[3] % shape[2],
          i % shape[3]};
}
std::size_t at(const Shape& s, std::int64_t a, std::int64_t b, std::int64_t c, std::int64_t d) {
  return static_cast<std::size_t>(((a * s[1] + b) * s[2] + c) * s[3] + d);
}

struct Shapes {
  Shape x, w, y;
};
Shapes shapes(const Conv2d& s) {
  return {{s.batch, s.in_channels, s.in_height, s.in_width},
          {s.out_channels, s.in_channels, s.kernel_height, s.kernel_width},
          {s.batch, s.out_channels, s.out_height(), s.out_width()}};
}

double forward(const Conv2d& s, const Shapes& t, std::int64_t i, const std::vector<float>& x,
               const std::vector<float>& w) {
  const Place o = place(t.y, i);
  double sum = 0;
  for (std::int64_t c = 0; c < s.in_channels; ++c)
    for (std::int64_t r = 0; r < s.kernel_height; ++r)
      for (std::int64_t q = 0; q < s.kernel_width; ++q) {
        const std::int64_t h = o.c * s.stride.height + r - s.padding.top,
                           v = o.d * s.stride.width + q - s.padding.left;
        if (h < 0 || h >= s.in_height || v < 0 || v >= s.in_width) continue;
        sum += static_cast<double>(x[at(t.x, o.a, c, h, v)]) * static_cast<double>(w[at(t.w, o.b, c, r, q)]);
      }
  return sum;
}

double grad_input(const Conv2d& s, const Shapes& t, std::int64_t i, const std::vector<float>& w,
                  const std::vector<float>& dy) {
  const Place x = place(t.x, i);
  double sum = 0;
  for (std::int64_t o = 0; o < s.out_channels; ++o)
    for (std::int64_t r = 0; r < s.kernel_height; ++r)
      for (std::int64_t q = 0; q < s.kernel_width; ++q) {
        const std::int64_t h = x.c + s.padding.top - r, v = x.d + s.padding.left - q;
        if (h < 0 || v < 0 || h % s.stride.height != 0 || v % s.stride.width != 0) continue;
        const std::int64_t p = h / s.stride.height, u = v / s.stride.width;
        if (p >= s.out_height() || u >= s.out_width()) continue;
        sum += static_cast<double>(w[at(t.w, o, x.b, r, q)]) * static_cast<double>(dy[at(t.y, x.a, o, p, u)]);
      }
  return sum;
}

double grad_weight(const Conv2d& s, const Shapes& t, std::int64_t i, const std::vector<float>& x,
                   const std::vector<float>& dy) {
  const Place w = place(t.w, i);
  double sum = 0;
  for (std::int64_t n = 0; n < s.batch; ++n)
    for (std::int64_t p = 0; p < s.out_height(); ++p)
      for (std::int64_t q = 0; q < s.out_width(); ++q) {
        const std::int64_t h = p * s.stride.height + w.c - s.padding.top,
                           v = q * s.stride.width + w.d - s.padding.left;
        if (h < 0 || h >= s.in_height || v < 0 || v >= s.in_width) continue;
        sum += static_cast<double>(x[at(t.x, n, w.b, h, v)]) * static_cast<double>(dy[at(t.y, n, w.a, p, q)]);
      }
  return sum;
}

Case conv(const std::string& name, Conv2d s, Pass pass) {
  s.image_stride = s.in_channels * s.in_height * s.in_width;
  s.channel_stride = s.in_height * s.in_width;
  const Shapes t = shapes(s);
  Case c{
      .name = fmt::format("{}.{}.n{}", name, pass_name(pass), s.batch),
      .shape = fmt::format("x [{}, {}, {}, {}], w [{}, {}, {}, {}]", s.batch, s.in_channels, s.in_height,
                           s.in_width, s.out_channels, s.in_channels, s.kernel_height, s.kernel_width),
      .op = "conv2d",
      .pass = pass,
      .flops = 2.0 * static_cast<double>(s.out_count() * s.in_channels * s.kernel_height * s.kernel_width),
      .bytes = 4.0 * static_cast<double>(t.x.numel() + t.w.numel() + t.y.numel()),
      .geometry = s,
      .torch = "conv2d",
      .attributes = {{"stride", {static_cast<double>(s.stride.height), static_cast<double>(s.stride.width)}},
                     {"padding", {static_cast<double>(s.padding.top), static_cast<double>(s.padding.left)}}}};
  double (*element)(const Conv2d&, const Shapes&, std::int64_t, const std::vector<float>&,
                    const std::vector<float>&);
  switch (pass) {
    case Pass::grad_input:
      c.operands = {{"w", t.w}, {"dy", t.y}, {"dx", t.x, true}};
      c.run = [s](const Device& device, const Pointers& p, const Pointers&) {
        on(device.queue(), [&](auto& q) { kernels::conv2d_grad_input(q, s, in(p, 0), in(p, 1), out(p, 2)); });
      };
      element = grad_input;
      break;
    case Pass::grad_weight:
      c.operands = {{"x", t.x}, {"dy", t.y}, {"dw", t.w, true}};
      c.run = [s](const Device& device, const Pointers& p, const Pointers&) {
        on(device.queue(),
           [&](auto& q) { kernels::conv2d_grad_weight(q, s, in(p, 0), in(p, 1), out(p, 2)); });
      };
      element = grad_weight;
      break;
    default:
      c.operands = {{"x", t.x}, {"w", t.w}, {"y", t.y, true}};
      c.run = [s](const Device& device, const Pointers& p, const Pointers&) {
        on(device.queue(), [&](auto& q) { kernels::conv2d(q, s, in(p, 0), in(p, 1), nullptr, out(p, 2)); });
      };
      element = forward;
  }
  const Shape result = c.operands[2].shape;
  c.reference = [s, t, element, result](const HostValues& host) {
    std::vector<Expected> expected;
    for (const std::int64_t i : sampled(result.numel()))
      expected.push_back({2, i, element(s, t, i, host[0], host[1])});
    return expected;
  };
  return c;
}

/// Rolling windows over a movie: each image is `depth` frames, and the next one begins one frame later. Ours reads the
/// frames where they are; PyTorch has to gather the windows first, within the time or (gathered) before it.
Case windows(const char* name, Conv2d s, bool gathered) {
  const std::int64_t frame = s.in_height * s.in_width;
  s.image_stride = s.channel_stride = frame;
  const Shapes t = shapes(s);
  const Shape movie{s.batch + s.in_channels - 1, s.in_height, s.in_width};
  Case c{
      .name = fmt::format("{}.forward.n{}", name, s.batch),
      .shape = fmt::format("{} frames [{}, {}], w [{}, {}, {}, {}]", movie[0], s.in_height, s.in_width,
                           s.out_channels, s.in_channels, s.kernel_height, s.kernel_width),
      .op = "conv2d",
      .flops = 2.0 * static_cast<double>(s.out_count() * s.in_channels * s.kernel_height * s.kernel_width),
      .bytes = 4.0 * static_cast<double>(movie.numel() + t.w.numel() + t.y.numel()),
      .operands = {{"frames", movie}, {"w", t.w}, {"y", t.y, true}},
      .torch = "conv2d_windows",
      .attributes = {{"depth", {static_cast<double>(s.in_channels)}}, {"gathered", {gathered ? 1.0 : 0.0}}}};
  c.run = [s](const Device& device, const Pointers& p, const Pointers&) {
    on(device.queue(), [&](auto& q) { kernels::conv2d(q, s, in(p, 0), in(p, 1), nullptr, out(p, 2)); });
  };
  c.reference = [s, t, frame](const HostValues& host) {
    std::vector<float> x;
    for (std::int64_t n = 0; n < s.batch; ++n)
      x.insert(x.end(), host[0].begin() + n * frame, host[0].begin() + (n + s.in_channels) * frame);
    std::vector<Expected> expected;
    for (const std::int64_t i : sampled(t.y.numel()))
      expected.push_back({2, i, forward(s, t, i, x, host[1])});
    return expected;
  };
  c.quick = gathered;
  return c;
}

Conv2d square(std::int64_t batch, std::int64_t channels, std::int64_t side, std::int64_t out,
              std::int64_t kernel, std::int64_t padding, std::int64_t stride = 1) {
  return {.batch = batch,
          .in_channels = channels,
          .in_height = side,
          .in_width = side,
          .out_channels = out,
          .kernel_height = kernel,
          .kernel_width = kernel,
          .stride = stride,
          .padding = padding};
}

}  // namespace

Case conv_case(const std::string& name, const Conv2d& shape, Pass pass) { return conv(name, shape, pass); }

std::vector<Case> conv_cases() {
  std::vector<Case> cases;
  bool both_on_gpu = true;  // else the CPU's batch is the CPU's alone
  const auto add = [&](const char* name, Conv2d s, Pass pass, std::int64_t cpu_batch, std::int64_t gpu_batch,
                       bool quick = false) {
    for (const std::int64_t batch : std::set{gpu_batch, cpu_batch}) {
      s.batch = batch;
      Case c = conv(name, s, pass);
      c.cpu = batch == cpu_batch;
      c.cuda = batch == gpu_batch || both_on_gpu;
      c.quick = quick;
      cases.push_back(std::move(c));
    }
  };
  const Conv2d conv1 = square(0, 40, 50, 8, 15, 0), conv2 = square(0, 8, 36, 8, 11, 0);
  add("conv1", conv1, Pass::forward, 32, 512, true);
  add("conv1", conv1, Pass::grad_weight, 32, 512, true);
  add("conv1", conv1, Pass::grad_input, 32, 512);
  add("conv2", conv2, Pass::forward, 32, 512, true);
  add("conv2", conv2, Pass::grad_input, 32, 512, true);
  add("conv2", conv2, Pass::grad_weight, 32, 512, true);
  both_on_gpu = false;
  add("conv1", conv1, Pass::forward, 1, 1);
  for (const std::int64_t batch : {32, 512}) {
    Conv2d movie = conv1;
    movie.batch = batch;
    for (Case c : {windows("conv1.windows", movie, false), windows("conv1.gathered", movie, true)}) {
      c.cpu = batch == 32;
      c.cuda = batch == 512;
      cases.push_back(std::move(c));
    }
  }
  const auto same = [&](std::int64_t channels, std::int64_t side) {
    return square(0, channels, side, channels, 3, 1);
  };
  add("3x3.128@28", same(128, 28), Pass::forward, 8, 32, true);
  add("3x3.128@28", same(128, 28), Pass::grad_input, 8, 32);
  add("3x3.128@28", same(128, 28), Pass::grad_weight, 8, 32);
  add("3x3.64@56", same(64, 56), Pass::forward, 8, 32);
  add("3x3.256@14", same(256, 14), Pass::forward, 8, 32);
  add("3x3.512@7", same(512, 7), Pass::forward, 8, 32, true);
  add("3x3.512@7", same(512, 7), Pass::grad_input, 8, 32);
  add("3x3.512@7", same(512, 7), Pass::grad_weight, 8, 32);
  add("3x3.32@32", same(32, 32), Pass::forward, 32, 256);
  add("3x3.128@8", same(128, 8), Pass::forward, 1, 1);
  add("7x7s2.3@224", square(0, 3, 224, 64, 7, 3, 2), Pass::forward, 8, 32, true);
  add("7x7s2.3@224", square(0, 3, 224, 64, 7, 3, 2), Pass::grad_weight, 8, 32);
  add("1x1.128@28", square(0, 128, 28, 128, 1, 0), Pass::forward, 8, 32, true);
  // Small enough for the emulation; of odd sizes, so that they check more than they measure.
  for (const Pass pass : {Pass::forward, Pass::grad_input, Pass::grad_weight}) {
    Case c = conv("tiny.conv", square(2, 3, 9, 5, 3, 1, 2), pass);
    c.cuda = false;
    c.cpu = c.simt = c.quick = true;
    cases.push_back(std::move(c));
  }
  return cases;
}

}  // namespace fovea::bench

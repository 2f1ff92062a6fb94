// SPDX-License-Identifier: Apache-2.0
#include "nn/data/resample.h"

#include <doctest/doctest.h>

#include <numeric>

#include "tensor/errors.h"
#include "tests/temporary_folder.h"

namespace fovea::nn {
namespace {

std::vector<float> resampled(const std::vector<float>& in, Size2d from, Size2d to) {
  std::vector<float> out(static_cast<std::size_t>(to.height * to.width), -1.0f);
  Resample(from, to)(in.data(), out.data());
  return out;
}

}  // namespace

TEST_CASE("resample: a side that shrinks is averaged over areas") {
  const std::vector<float> ramp{0, 1, 2, 3, 4, 5, 6, 7, 8, 9};
  const std::vector<float> four = resampled(ramp, {1, 10}, {1, 4});  // of 2.5 pixels each
  CHECK(four[0] == doctest::Approx((0 + 1 + 0.5 * 2) / 2.5));
  CHECK(four[1] == doctest::Approx((0.5 * 2 + 3 + 4) / 2.5));
  CHECK(four[3] == doctest::Approx((0.5 * 7 + 8 + 9) / 2.5));
  CHECK(resampled(ramp, {10, 1}, {4, 1}) == four);
  CHECK(std::accumulate(four.begin(), four.end(), 0.0) / 4 == doctest::Approx(4.5));
}

TEST_CASE("resample: a side that grows is interpolated between centres, one that stays is copied") {
  const std::vector<float> two{0, 4};
  CHECK(resampled(two, {1, 2}, {1, 4}) == std::vector<float>{0, 1, 3, 4});
  CHECK(resampled({5}, {1, 1}, {2, 3}) == std::vector<float>(6, 5.0f));
  const std::vector<float> odd{0.1f, 0.7f, -3.0f, 1e6f, 5.5f, 0.3f};
  CHECK(resampled(odd, {2, 3}, {2, 3}) == odd);
  // Both at once: the rows grow, the columns shrink.
  CHECK(resampled({0, 2, 8, 10}, {2, 2}, {4, 1}) == std::vector<float>{1, 3, 7, 9});
}

TEST_CASE("resample: sides without a pixel are refused") {
  CHECK(test::text_of<ValueError>([] {
          Resample({2, 2}, {0, 2});
        }) == "resample: 2x2 to 0x2: sides must be at least 1");
}

}  // namespace fovea::nn

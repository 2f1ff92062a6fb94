// SPDX-License-Identifier: Apache-2.0
#include "nn/data/idx.h"

#include <doctest/doctest.h>
#include <zlib.h>

#include <fstream>

#include "tests/temporary_folder.h"

using namespace fovea;
using namespace fovea::test;

namespace {

std::string slurp(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

void gzip(const std::filesystem::path& path, const std::string& bytes) {
  const gzFile file = gzopen(path.c_str(), "wb");
  REQUIRE(gzwrite(file, bytes.data(), static_cast<unsigned>(bytes.size())) == static_cast<int>(bytes.size()));
  REQUIRE(gzclose(file) == Z_OK);
}

}  // namespace

TEST_CASE("IDX: the bytes of the format, round trips, plain and compressed") {
  const TemporaryFolder folder;
  const Device device = Device::cpu({.threads = 1});
  const auto plain = folder.path() / "x.idx", packed = folder.path() / "x.gz";
  // Two labels, as they stand in the files of MNIST.
  std::ofstream(plain, std::ios::binary) << std::string("\0\0\x08\x01\0\0\0\x02\x07\x09", 10);
  CHECK(nn::load_idx(plain, device).to_vector<std::uint8_t>() == std::vector<std::uint8_t>{7, 9});
  // 1.0f and -2, big-endian.
  std::ofstream(plain, std::ios::binary) << std::string("\0\0\x0D\x01\0\0\0\x01\x3f\x80\0\0", 12);
  CHECK(nn::load_idx(plain, device).to_vector<float>() == std::vector<float>{1.0f});
  std::ofstream(plain, std::ios::binary) << std::string("\0\0\x0C\x00\xff\xff\xff\xfe", 8);
  CHECK(nn::load_idx(plain, device).item() == -2);

  for (const DType dtype : {DType::u8, DType::i32, DType::f32, DType::f64})
    for (const Shape& shape : {Shape{3, 5, 2}, Shape{}, Shape{0, 4}, Shape{40000}}) {
      const Tensor x = Tensor::uniform(shape, {1, 1, 1}, 0, 200, device).to(dtype);
      nn::save_idx(plain, x);
      gzip(packed, slurp(plain));
      for (const auto& path : {plain, packed}) {
        const Tensor y = nn::load_idx(path, device);
        CHECK(y.shape() == shape);
        CHECK(y.dtype() == dtype);
        CHECK(y.to_vector<double>() == x.to_vector<double>());
      }
    }
  const auto refused = [&](const Tensor& x) { return text_of<IoError>([&] { nn::save_idx(plain, x); }); };
  const std::string hint = ", only u8, i32, f32 and f64 with extents below 2^32; convert it with to()";
  CHECK(refused(Tensor::zeros({2}, DType::i64, device)) ==
        plain.string() + ": IDX cannot hold i64 [2]" + hint);
  CHECK(refused(Tensor::zeros({0, 0x100000000}, DType::u8, device)) ==
        plain.string() + ": IDX cannot hold u8 [0, 4294967296]" + hint);
}

// SPDX-License-Identifier: Apache-2.0
#include "tensor/io.h"

#include <doctest/doctest.h>

#include <fstream>

#include "tensor/views.h"
#include "tests/temporary_folder.h"

using namespace fovea;
using fovea::test::TemporaryFolder;

namespace {

std::string slurp(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

void spit(const std::filesystem::path& path, const std::string& text) {
  std::ofstream(path, std::ios::binary) << text;
}

std::string safetensors_bytes(const std::string& header, const std::string& data) {
  const std::uint64_t length = header.size();
  return std::string(reinterpret_cast<const char*>(&length), 8) + header + data;
}

}  // namespace

TEST_CASE("safetensors: what is saved is loaded, equal contents give equal bytes") {
  const TemporaryFolder folder;
  const Device device = Device::cpu();
  const TensorMap tensors{
      {"weight", Tensor::normal({3, 4, 5}, {1, 2, 3}, 0, 1, device)},
      {"steps", Tensor::from(std::vector<std::int64_t>{1, -7}, {2}, device)},
      {"half", Tensor::normal({7}, {1, 2, 4}, 0, 1, device).to(DType::bf16)},
      {"none", Tensor::empty({0, 3}, DType::u8, device)},
      {"scalar", Tensor::full({}, 2.5, DType::f64, device)},
  };
  save_safetensors(folder.path() / "a", tensors, {{"seed", "1"}});
  save_safetensors(folder.path() / "b", tensors, {{"seed", "1"}});
  CHECK(slurp(folder.path() / "a") == slurp(folder.path() / "b"));
  const Safetensors loaded = load_safetensors(folder.path() / "a", device);
  CHECK(loaded.metadata.at("seed") == "1");
  REQUIRE(loaded.tensors.size() == tensors.size());
  for (const auto& [name, tensor] : tensors) {
    CHECK(loaded.tensors.at(name).shape() == tensor.shape());
    CHECK(loaded.tensors.at(name).dtype() == tensor.dtype());
    CHECK(loaded.tensors.at(name).to_vector<double>() == tensor.to_vector<double>());
  }
}

TEST_CASE("safetensors: bad files are rejected with path and reason") {
  const TemporaryFolder folder;
  const auto path = folder.path() / "bad";
  const auto error = [&](const std::string& bytes) -> std::string {
    spit(path, bytes);
    try {
      load_safetensors(path, Device::cpu());
    } catch (const IoError& e) {
      return std::string(e.what()).substr(path.string().size() + 2);
    }
    return "loaded";
  };
  const std::string good = R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})";
  CHECK(error(safetensors_bytes(good, "12345678")) == "loaded");
  CHECK(error("1234") == "is not a safetensors file: shorter than its first 8 bytes");
  CHECK(error(std::string("\xff\xff\xff\xff\xff\xff\xff\x7f", 8) + "{}") ==
        "is not a safetensors file: a header of 9223372036854775807 bytes does not fit");
  CHECK(error(safetensors_bytes("[1]", "")) == "the header is not a JSON object");
  CHECK(error(safetensors_bytes("{\"a\"", "")) == "the header is not a JSON object");
  CHECK(error(safetensors_bytes(R"({"a":{"dtype":"F32"}})", "")) ==
        "tensor 'a': needs dtype, shape and data_offsets");
  CHECK(error(safetensors_bytes(R"({"a":{"dtype":"F8","shape":[],"data_offsets":[0,1]}})", "1")) ==
        "tensor 'a': dtype F8 is not supported");
  CHECK(error(safetensors_bytes(
            R"({"a":{"dtype":"F32","shape":[4611686018427387904,4],"data_offsets":[0,8]}})", "12345678")) ==
        "tensor 'a': the shape needs more bytes than the file has");
  CHECK(error(safetensors_bytes(R"({"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,8]}})", "12345678")) ==
        "tensor 'a': extents must be whole numbers of at least 0");
  CHECK(error(safetensors_bytes(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}})", "12345678")) ==
        "tensor 'a': data_offsets [0, 4] do not hold 8 bytes of 8 data bytes");
  CHECK(error(safetensors_bytes(good, "123456789")) == "1 data bytes belong to no tensor");
  CHECK(error(safetensors_bytes(good, "1234")) == "tensor 'a': the shape needs more bytes than the file has");
  CHECK_THROWS_WITH_AS(load_safetensors(folder.path() / "absent", Device::cpu()),
                       ((folder.path() / "absent").string() + ": No such file or directory").c_str(),
                       IoError);
}

TEST_CASE("npy: round trip, Fortran order, bad files") {
  const TemporaryFolder folder;
  const Device device = Device::cpu();
  const auto path = folder.path() / "x.npy";
  for (const DType dtype : {DType::f32, DType::f64, DType::i32, DType::i64, DType::u8}) {
    const Tensor x = Tensor::uniform({3, 0 + 5, 2}, {1, 1, 1}, 0, 200, device).to(dtype);
    save_npy(path, transpose(x, 0, 2));
    const Tensor y = load_npy(path, device);
    CHECK(y.shape() == Shape{2, 5, 3});
    CHECK(y.dtype() == dtype);
    CHECK(y.to_vector<double>() == transpose(x, 0, 2).to_vector<double>());
  }
  std::string bytes = slurp(path);
  CHECK((bytes.find('\n') + 1) % 64 == 0);
  const auto at = bytes.find("False");
  bytes.replace(at, 5, "True ");
  spit(path, bytes);
  const Tensor fortran = load_npy(path, device);
  CHECK(fortran.shape() == Shape{2, 5, 3});
  spit(path, bytes.substr(0, bytes.size() - 1));
  CHECK_THROWS_WITH_AS(
      load_npy(path, device),
      (path.string() + ": the npy shape [2, 5, 3] needs more bytes than the file has").c_str(), IoError);
  spit(path, "not numpy at all");
  CHECK_THROWS_WITH_AS(load_npy(path, device),
                       (path.string() + ": is not an npy file: the first bytes differ").c_str(), IoError);
  CHECK_THROWS_WITH_AS(save_npy(path, Tensor::zeros({1}, DType::bf16, device)),
                       (path.string() + ": npy cannot hold bf16; convert it with to(DType::f32)").c_str(),
                       IoError);
}

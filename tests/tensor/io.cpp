// SPDX-License-Identifier: Apache-2.0
#include "tensor/io.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <fstream>

#include "tensor/file.h"
#include "tensor/npz.h"
#include "tensor/views.h"
#include "tests/temporary_folder.h"

using namespace fovea;
using fovea::test::TemporaryFolder;
using fovea::test::text_of;

namespace {

std::string slurp(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

void spit(const std::filesystem::path& path, const std::string& text) {
  std::ofstream(path, std::ios::binary) << text;
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

TEST_CASE("a file that cannot be opened says why, and which one was meant") {
  const TemporaryFolder folder;
  const Device device = Device::cpu({.threads = 1});
  const auto text = [&](const std::filesystem::path& path) {
    return text_of<IoError>([&] { (void)load_safetensors(path, device); });
  };
  const std::string in = folder.path().string();
  CHECK(text(folder.path() / "weights") == in + "/weights: there is no such file");
  spit(folder.path() / "weights.npz", "");
  CHECK(text(folder.path() / "wieghts.npz") ==
        in + "/wieghts.npz: there is no such file; did you mean '" + in + "/weights.npz'?");
  CHECK(text(folder.path()) == in + ": is a folder, expected a file");
  CHECK(text("/dev/zero") == "/dev/zero: is a pipe or a device, expected a file");
  CHECK(text(folder.path() / "weights.npz" / "x") == in + "/weights.npz/x: there is no such file");
  std::filesystem::create_symlink("loop", folder.path() / "loop");
  CHECK(text(folder.path() / "loop") == in + "/loop: Too many levels of symbolic links");
  File file = File::open(folder.path() / "weights.npz");
  CHECK(text_of<IoError>([&] { file.seek(~std::uint64_t{0}); }) == in + "/weights.npz: Invalid argument");
  CHECK(text("no-such-file") == "no-such-file: there is no such file");
  CHECK(text_of<IoError>([&] {
          save_npy(folder.path() / "no" / "x.npy", Tensor::zeros({1}, DType::f32, device));
        }) == in + "/no/x.npy: No such file or directory");
}

TEST_CASE("npz: round trip, equal contents give equal bytes, what numpy writes") {
  const TemporaryFolder folder;
  const Device device = Device::cpu({.threads = 1});
  TensorMap tensors;
  for (const DType dtype : {DType::f32, DType::f64, DType::i32, DType::i64, DType::u8})
    tensors[dtype_name(dtype)] = Tensor::uniform({3, 5, 2}, {1, 1, 1}, 0, 200, device).to(dtype);
  tensors["a/strided"] = transpose(tensors["f32"], 0, 2);
  tensors["none"] = Tensor::zeros({0, 4}, DType::f32, device);
  tensors["scalar"] = Tensor::full({}, 2.5, DType::f64, device);
  save_npz(folder.path() / "a.npz", tensors);
  save_npz(folder.path() / "b.npz", tensors);
  CHECK(slurp(folder.path() / "a.npz") == slurp(folder.path() / "b.npz"));
  const TensorMap loaded = load_npz(folder.path() / "a.npz", device);
  REQUIRE(loaded.size() == tensors.size());
  for (const auto& entry : tensors) {
    const Tensor& got = loaded.at(entry.first);
    const Tensor& wanted = entry.second;
    CAPTURE(entry.first);
    CHECK(got.shape() == wanted.shape());
    CHECK(got.dtype() == wanted.dtype());
    CHECK(got.to_vector<double>() == wanted.to_vector<double>());
  }
  save_npz(folder.path() / "empty.npz", {});
  CHECK(load_npz(folder.path() / "empty.npz", device).empty());
  CHECK(text_of<IoError>([&] {
          save_npz(folder.path() / "bf16.npz", {{"x", Tensor::zeros({1}, DType::bf16, device)}});
        }) ==
        (folder.path() / "bf16.npz").string() + ": npy cannot hold bf16; convert it with to(DType::f32)");
  CHECK_FALSE(std::filesystem::exists(folder.path() / "bf16.npz"));
  CHECK(text_of<IoError>([&] {
          save_npz(folder.path() / "long.npz", {{std::string(1025, 'n'), tensors["f32"]}});
        }).ends_with("…nnnnnnnnnnnnnnnnnnnnnnnnnn' is too long for npz, 1024 bytes are allowed"));
}

TEST_CASE("npz in parts: the file is the one that is written at once") {
  const TemporaryFolder folder;
  const Device device = Device::cpu({.threads = 1});
  const Tensor rates = Tensor::uniform({7, 3, 2}, {1, 1, 1}, 0, 9, device);
  const TensorMap tensors{{"first", Tensor::full({}, 2.5, DType::f64, device)}, {"rates", rates}};
  save_npz(folder.path() / "whole.npz", tensors);
  NpzWriter writer(folder.path() / "parts.npz");
  writer.add("first", tensors.at("first"));
  writer.begin("rates", DType::f32, rates.shape());
  for (const std::int64_t row : {0, 1, 4}) writer.append(slice(rates, 0, row, row == 0 ? 1 : row + 3));
  writer.end();
  writer.finish();
  CHECK(slurp(folder.path() / "parts.npz") == slurp(folder.path() / "whole.npz"));
  CHECK(load_npz(folder.path() / "parts.npz", device).at("rates").to_vector<float>() ==
        rates.to_vector<float>());
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
  std::string quoted = bytes;
  std::replace(quoted.begin(), quoted.begin() + 60, '\'', '"');
  spit(path, quoted);
  CHECK(load_npy(path, device).shape() == Shape{2, 5, 3});
  spit(path, bytes.substr(0, bytes.size() - 1));
  CHECK_THROWS_WITH_AS(
      load_npy(path, device),
      (path.string() +
       ": the npy shape [2, 5, 3] of u8 does not fit the 29 bytes of data; the file is damaged")
          .c_str(),
      IoError);
  spit(path, "not numpy at all");
  CHECK_THROWS_WITH_AS(load_npy(path, device),
                       (path.string() + ": is not an npy file: the first bytes differ").c_str(), IoError);
  CHECK_THROWS_WITH_AS(save_npy(path, Tensor::zeros({1}, DType::bf16, device)),
                       (path.string() + ": npy cannot hold bf16; convert it with to(DType::f32)").c_str(),
                       IoError);
}

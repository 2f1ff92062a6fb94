// SPDX-License-Identifier: Apache-2.0
#include "nn/data/array_file.h"

#include <doctest/doctest.h>

#include <fstream>

#include "nn/data/hdf5.h"
#include "tensor/views.h"
#include "tests/host.h"
#include "tests/temporary_folder.h"

using namespace fovea;
using namespace fovea::test;

namespace {

/// Large enough to be cut into chunks.
Tensor numbers(DType dtype) {
  return Tensor::uniform({300, 40, 90}, {5, philox::stream_id("numbers"), 0, nullptr}, 0, 255, host())
      .to(dtype);
}

}  // namespace

TEST_CASE("arrays in a file are listed, and read in pieces, as other types") {
  const TemporaryFolder folder;
  for (const char* name : {"a.safetensors", "a.h5", "a.hdf5"}) {
    if (std::string_view(name) != "a.safetensors" && nn::hdf5_version().empty()) continue;
    CAPTURE(name);
    const TensorMap saved{{"deep/down/u8", numbers(DType::u8)},
                          {"deep/f32", numbers(DType::f32)},
                          {"f64", Tensor::full({}, 2.5, DType::f64, host())},
                          {"none", Tensor::zeros({0}, DType::i64, host())},
                          {"i32", Tensor::full({3}, -7, DType::i32, host())}};
    nn::save_arrays(folder.path() / name, saved, {{"who", "us, \xc3\xa4ls"}});
    const auto file = nn::ArrayFile::open(folder.path() / name);
    CHECK(file->metadata().at("who") == "us, \xc3\xa4ls");
    REQUIRE(file->arrays().size() == saved.size());
    for (const auto& [key, tensor] : saved) {
      CAPTURE(key);
      CHECK(file->contains(key));
      CHECK(file->arrays().at(key).shape == tensor.shape());
      CHECK(file->arrays().at(key).number);
      for (const DType dtype : {DType::f32, DType::f64, DType::i64})
        CHECK(file->read(key, dtype, host()).to_vector<double>() == tensor.to(dtype).to_vector<double>());
    }
    CHECK(file->arrays().at("i32").type == "i32");
    CHECK(file->arrays().at("deep/down/u8").type == "u8");
    CHECK(file->read_rows("deep/down/u8", DType::u8, 123, 45, host()).to_vector<std::uint8_t>() ==
          slice(saved.at("deep/down/u8"), 0, 123, 168).to_vector<std::uint8_t>());
  }
}

TEST_CASE("HDF5: a damaged chunk, and a file that cannot be written") {
  if (nn::hdf5_version().empty()) {
    MESSAGE("skipped: built without HDF5");
    return;
  }
  const TemporaryFolder folder;
  const auto path = folder.path() / "a.h5";
  nn::save_hdf5(path, {{"x", numbers(DType::u8)}}, {});
  {
    std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(static_cast<std::streamoff>(std::filesystem::file_size(path) / 2));
    file << std::string(1000, '\xff');
  }
  const auto file = nn::ArrayFile::open(path);
  const std::string text = text_of<IoError>([&] { (void)file->read("x", DType::u8, host()); });
  CHECK(has(text, path.string() + ": 'x' is cut off or damaged; HDF5 says: "));
  CHECK(has(text, "inflate"));
  CHECK(text_of<IoError>([] { nn::save_hdf5("/nonexistent/a.h5", {}, {}); }) ==
        "/nonexistent/a.h5: cannot be written: No such file or directory");
}

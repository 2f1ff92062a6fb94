// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <fstream>
#include <limits>

#include "models/retina/recording_file.h"
#include "nn/data/hdf5.h"
#include "tensor/io.h"
#include "tensor/names.h"
#include "tests/host.h"
#include "tests/hostile/bad_file.h"
#include "tests/temporary_folder.h"

using namespace fovea;
using namespace fovea::test;

namespace {

void load(const std::filesystem::path& path) { (void)retina::load_recording(path, host()); }

/// 6 frames of 2 x 3 pixels in two blocks, 2 cells; a test movie of 4 frames, shown 3 times.
TensorMap good() {
  return {{"train/stimulus", Tensor::zeros({6, 2, 3}, DType::u8, host())},
          {"train/response/firing_rate_10ms", Tensor::zeros({2, 6}, DType::f32, host())},
          {"train/blocks", Tensor::from(std::vector<std::int64_t>{2, 4}, {2}, host())},
          {"train/time", Tensor::zeros({6}, DType::f64, host())},
          {"test/stimulus", Tensor::zeros({4, 2, 3}, DType::u8, host())},
          {"test/response/firing_rate_10ms", Tensor::zeros({2, 4}, DType::f32, host())},
          {"test/repeats", Tensor::zeros({3, 2, 4}, DType::f32, host())},
          {"test/true_rate", Tensor::zeros({2, 4}, DType::f32, host())}};
}

std::string bytes_of(const TensorMap& tensors, const char* name = "r") {
  const TemporaryFolder folder;
  nn::save_arrays(folder.path() / name, tensors, {{"source", "numbers"}});
  std::ifstream in(folder.path() / name, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

BadFile with(std::string name, const std::string& tensor, const Tensor& replacement) {
  TensorMap tensors = good();
  tensors.insert_or_assign(tensor, replacement);
  return {std::move(name), bytes_of(tensors)};
}
BadFile without(const std::string& tensor, const std::string& renamed = {}) {
  TensorMap tensors = good();
  auto node = tensors.extract(tensor);
  if (!renamed.empty()) {
    node.key() = renamed;
    tensors.insert(std::move(node));
  }
  return {renamed.empty() ? "without " + tensor : printable(renamed) + " for " + tensor, bytes_of(tensors)};
}
BadFile blocks(std::string name, const std::vector<std::int64_t>& frames) {
  return with(std::move(name), "train/blocks",
              Tensor::from(frames, {static_cast<std::int64_t>(frames.size())}, host()));
}
BadFile rate(std::string name, const std::string& tensor, float value) {
  const Tensor rates = good().at(tensor);
  auto values = rates.to_vector<float>();
  values.back() = value;
  return with(std::move(name), tensor, Tensor::from(values, rates.shape(), host()));
}
Tensor zeros(const Shape& shape, DType dtype = DType::f32) { return Tensor::zeros(shape, dtype, host()); }

std::vector<BadFile> bad_files() {
  constexpr float kNan = std::numeric_limits<float>::quiet_NaN(),
                  kInfinity = std::numeric_limits<float>::infinity();
  constexpr std::int64_t kMost = std::numeric_limits<std::int64_t>::max();
  const std::string rates = "response/firing_rate_10ms";
  return {
      {"empty", ""},
      {"no tensors", safetensors_bytes("{}", "")},
      without("train/stimulus"),
      without("train/" + rates),
      without("test/stimulus"),
      without("train/stimulus", "train/stimuli"),
      without("train/stimulus", "\x1b[2J train/stimulus"),
      without("train/" + rates, "train/response/\x1b[2J"),
      with("stimulus in colour", "train/stimulus", zeros({6, 3, 2, 3}, DType::u8)),
      with("repeats of one cell", "test/repeats", zeros({3, 4})),
      with("blocks in a table", "train/blocks", zeros({2, 2}, DType::i32)),
      with("times of other frames", "train/time", zeros({5}, DType::f64)),
      with("a time that is no number", "train/time", Tensor::full({6}, kNan, DType::f64, host())),
      with("a stimulus that is no number", "train/stimulus",
           Tensor::full({6, 2, 3}, kNan, DType::f32, host())),
      with("a stimulus turned round", "train/stimulus", zeros({2, 3, 6}, DType::u8)),
      with("no frames", "train/stimulus", zeros({0, 2, 3}, DType::u8)),
      with("pictures without height", "train/stimulus", zeros({6, 0, 3}, DType::u8)),
      with("no cells", "train/" + rates, zeros({0, 6})),
      with("no repeats", "test/repeats", zeros({0, 2, 4})),
      with("no blocks", "train/blocks", zeros({0}, DType::i64)),
      with("no test frames", "test/stimulus", zeros({0, 2, 3}, DType::u8)),
      with("fewer bins than frames", "train/" + rates, zeros({2, 5})),
      with("rates by time and cell", "train/" + rates, zeros({6, 2})),
      with("test rates of another length", "test/" + rates, zeros({2, 5})),
      with("test rates of more cells", "test/" + rates, zeros({3, 4})),
      with("repeats of other cells", "test/repeats", zeros({3, 1, 4})),
      with("true rates of another length", "test/true_rate", zeros({2, 3})),
      with("pictures of two sizes", "test/stimulus", zeros({4, 3, 2}, DType::u8)),
      blocks("blocks that leave frames out", {2, 3}),
      blocks("blocks with too many frames", {2, 5}),
      blocks("a block of 0", {0, 6}),
      blocks("a negative block", {8, -2}),
      blocks("blocks whose sum wraps", {kMost, kMost, 8}),
      blocks("the most negative block", {std::numeric_limits<std::int64_t>::min(), 6}),
      rate("NaN in the training rates", "train/" + rates, kNan),
      rate("infinity in the test rates", "test/" + rates, kInfinity),
      rate("a negative rate in the repeats", "test/repeats", -1.0f),
      rate("NaN in the true rates", "test/true_rate", kNan),
  };
}

}  // namespace

TEST_CASE("hostile recordings are refused before memory is taken") {
  check_refused("recording", bad_files(), load);
  TensorMap small = good();  // each byte of it is tried
  small.erase("train/time");
  check_damaged("recording", bytes_of(small), load);
}

TEST_CASE("a recording in HDF5 that is cut off or no HDF5 inside is refused in one line") {
  if (nn::hdf5_version().empty()) {
    MESSAGE("skipped: built without HDF5");
    return;
  }
  const std::string bytes = bytes_of(good(), "r.h5");
  // Not with single bytes changed: libhdf5 1.10 itself reads beyond its memory then, as AddressSanitizer tells.
  check_cut("HDF5", bytes, load, {}, 7);
  check_refused("hdf5",
                {{"cut in half", bytes.substr(0, bytes.size() / 2)},
                 {"the mark alone", bytes.substr(0, 8)},
                 {"the mark and noise", bytes.substr(0, 8) + std::string(400, '\x5a')},
                 {"behind a user block, cut off", std::string(512, ' ') + bytes.substr(0, 900)}},
                load);
}

TEST_CASE("a file that is HDF5 by name only says so") {
  const TemporaryFolder folder;
  const auto path = folder.path() / "text.h5";
  std::ofstream(path) << "weights, weights, weights";
  CHECK(text_of<IoError>([&] { load(path); }) ==
        path.string() + ": is not an HDF5 file, whatever its name says: it begins otherwise");
}

// SPDX-License-Identifier: Apache-2.0
#include "apps/checkpoint.h"

#include <doctest/doctest.h>

#include <fstream>

#include "apps/atomic_file.h"
#include "tensor/errors.h"
#include "tensor/io.h"
#include "tests/host.h"
#include "tests/temporary_folder.h"

namespace fovea::apps {
using test::has;
using test::host;
using test::TemporaryFolder;
using test::text_of;
namespace fs = std::filesystem;
namespace {

SavedRun sample() {
  return {{{"model.w", Tensor::from(std::vector<float>{1, 2, 3}, {3}, host())},
           {"train.step", Tensor::from(std::vector<std::int64_t>{7}, {}, host())}},
          {{"build", "abc"}, {"settings", "optim.lr = 0.1\n"}}};
}

}  // namespace

TEST_CASE("a checkpoint file comes back as it was written, and equal ones are equal files") {
  const TemporaryFolder folder;
  const fs::path a = folder.path() / "a", b = folder.path() / "b";
  write_checkpoint(a, sample());
  write_checkpoint(b, sample());
  CHECK(read_file(a) == read_file(b));
  const SavedRun read = read_checkpoint(a);
  CHECK(read.tensors.at("model.w").to_vector<float>() == std::vector<float>{1, 2, 3});
  CHECK(read.tensors.at("train.step").to_vector<std::int64_t>()[0] == 7);
  CHECK(read.notes.at("build") == "abc");
  CHECK(read.notes.at("settings") == "optim.lr = 0.1\n");
  const nn::State weights = read_weights(a);
  CHECK(weights.size() == 1);
  CHECK(weights.contains("w"));
}

TEST_CASE("a checkpoint of which any byte is changed, or the end is missing, is not read") {
  const TemporaryFolder folder;
  const fs::path file = folder.path() / "step-7.safetensors";
  write_checkpoint(file, sample());
  const std::string whole = read_file(file);
  int accepted = 0;
  const auto try_text = [&](const std::string& text) {
    std::ofstream(file, std::ios::binary) << text;
    const std::string error = text_of<IoError>([&] { (void)read_checkpoint(file); });
    if (!has(error, file.string() + ": ")) ++accepted;
  };
  for (std::size_t i = 0; i < whole.size(); ++i) {
    std::string changed = whole;
    changed[i] = static_cast<char>(changed[i] ^ 1);
    try_text(changed);
  }
  for (std::size_t size = 0; size < whole.size(); ++size) try_text(whole.substr(0, size));
  CHECK(accepted == 0);
}

TEST_CASE("files that are no checkpoint of this build are told apart") {
  const TemporaryFolder folder;
  const fs::path file = folder.path() / "f";
  const auto refused = [&](const std::map<std::string, std::string>& notes) {
    save_safetensors(file, sample().tensors, notes);
    return text_of<IoError>([&] { (void)read_checkpoint(file); });
  };
  CHECK(has(refused({}), "is a safetensors file, but not a checkpoint of fovea train"));
  CHECK(has(refused({{"format", "other-1"}}), "not a checkpoint of fovea train"));
  CHECK(has(refused({{"format", "fovea-run-x"}}), "not a checkpoint of fovea train"));
  CHECK(has(refused({{"format", "fovea-run-99"}}),
            "is of format fovea-run-99, this build reads fovea-run-2; read it with a newer fovea"));
  CHECK(has(refused({{"format", "fovea-run-1"}}), "read it with an older fovea"));
  CHECK(has(refused({{"format", "fovea-run-2"}}), "is damaged"));
  CHECK(
      has(text_of<IoError>([&] { (void)read_checkpoint(folder.path() / "none"); }), "there is no such file"));
}

TEST_CASE("only names of checkpoints count as checkpoints") {
  const TemporaryFolder folder;
  fs::create_directory(folder.path() / "checkpoints");
  for (const char* name :
       {"step-5.safetensors", "step-.safetensors", "step-5x.safetensors", "step-5.txt", "step-12.safetensors",
        "other-1.safetensors", "step-6.safetensors.unreadable", "step-99999999999999999999.safetensors"})
    std::ofstream(folder.path() / "checkpoints" / name) << "x";
  const auto found = checkpoints_of(folder.path());
  REQUIRE(found.size() == 2);
  CHECK(found[0].step == 5);
  CHECK(found[1].step == 12);
  CHECK(checkpoint_name(12) == "step-12.safetensors");
  CHECK_FALSE(linked_checkpoint(folder.path(), "best").has_value());
  fs::create_symlink("step-99.safetensors", folder.path() / "checkpoints/best");
  CHECK_FALSE(linked_checkpoint(folder.path(), "best").has_value());
}

}  // namespace fovea::apps

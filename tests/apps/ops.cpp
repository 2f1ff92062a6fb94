// SPDX-License-Identifier: Apache-2.0
#include "apps/ops.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <set>

#include "apps/atomic_file.h"

namespace fovea::apps {
namespace {

nlohmann::json ops() { return nlohmann::json::parse(ops_json()).at("ops"); }

/// All of tests/ops in one text.
std::string rows() {
  std::string text;
  for (const auto& file :
       std::filesystem::directory_iterator(std::filesystem::path(FOVEA_SOURCE_DIR) / "tests/ops"))
    text += read_file(file.path());
  return text;
}

}  // namespace

TEST_CASE("every op is compiled for every device of the build, and has a row that runs on each") {
  std::vector<std::string> wanted{"cpu", "simt"};
  if (FOVEA_HAS_CUDA) wanted.insert(wanted.begin() + 1, "cuda");
  CHECK(compiled_devices() == wanted);
  const std::string text = rows();
  REQUIRE_FALSE(ops().empty());
  for (const auto& op : ops()) {
    const auto name = op.at("name").get<std::string>();
    CAPTURE(name);
    CHECK(op.at("devices").get<std::vector<std::string>>() == wanted);
    CHECK(text.find(name + "_info") != std::string::npos);  // CTest runs each row as op.NAME.DEVICE
    if (name == "argmax" || name == "one_hot")
      CHECK(op.at("gradient").is_null());
    else
      CHECK(op.at("gradient").get<std::string>().starts_with("d"));
    CHECK(op.at("deterministic").is_boolean());
    CHECK(
        std::filesystem::exists(std::filesystem::path(FOVEA_SOURCE_DIR) / op.at("page").get<std::string>()));
  }
}

/// What `devices` says of every op rests on this: the linker misses an overload that an op calls, so no op can be
/// without a device as long as each contract has its two sources.
TEST_CASE("each contract of a kernel has a source for the host, and one for the GPU and the emulation") {
  const std::filesystem::path kernels = std::filesystem::path(FOVEA_SOURCE_DIR) / "kernels";
  int contracts = 0;
  for (const auto& entry : std::filesystem::directory_iterator(kernels / "ops")) {
    if (entry.path().extension() != ".h") continue;
    const std::string name = entry.path().stem().string();
    CAPTURE(name);
    CHECK(std::filesystem::exists(kernels / "cpu" / (name + ".cpp")));
    CHECK(std::filesystem::exists(kernels / "cuda" / (name + ".cu")));
    ++contracts;
  }
  CHECK(contracts >= 28);
}

TEST_CASE("ops come by name, with the types they take") {
  std::vector<std::string> names;
  for (const auto& op : ops()) names.push_back(op.at("name"));
  CHECK(std::is_sorted(names.begin(), names.end()));
  const auto of = [](const char* name) {
    for (const auto& op : ops())
      if (op.at("name") == name) return op;
    return nlohmann::json();
  };
  CHECK(of("conv2d").at("dtypes") == nlohmann::json{"f32"});
  CHECK(of("matmul").at("dtypes") == nlohmann::json{"f32", "f64"});
  CHECK(of("reshape").at("dtypes").size() == 6);
  CHECK(of("conv2d").at("keeps") == nlohmann::json{"x", "w"});
  CHECK(of("add").at("keeps").empty());
  const std::string table = ops_table();
  CHECK(table.find("conv2d  x[N, C, H, W] w[O, D, R, S] bias[O]? -> y[N, O, P, Q]\n") != std::string::npos);
  CHECK(table.find("keeps nothing") != std::string::npos);
}

}  // namespace fovea::apps

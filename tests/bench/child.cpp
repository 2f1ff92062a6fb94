// SPDX-License-Identifier: Apache-2.0
#include "bench/torch/child.h"

#include <doctest/doctest.h>

#include <cstring>
#include <stdexcept>

using fovea::bench::torch::Child;

namespace {

/// A stand-in for a peer's process, in the shell.
std::vector<std::string> shell(const char* script) { return {"/bin/sh", "-c", script}; }

}  // namespace

TEST_CASE("a child answers line by line") {
  Child child(
      shell(R"(echo "{\"version\": \"$NAME\"}"; while read -r line; do echo "{\"heard\": $line}"; done)"),
      {"NAME=1.2"});
  CHECK(child.hello()["version"] == "1.2");
  CHECK(child.ask({{"run", {0, 1, 2}}})["heard"]["run"][2] == 2);
  CHECK(child.ask({{"load", 0}})["heard"]["load"] == 0);
}

TEST_CASE("a child reads and writes the shared memory, which can grow") {
  Child child(shell("echo '{}'; while read -r line; do seen=$(dd bs=1 count=5 <&3 2>/dev/null); "
                    "echo \"{\\\"seen\\\": \\\"$seen\\\"}\"; done"),
              {});
  std::memcpy(child.memory(16).data(), "hello", 5);
  const auto larger = child.memory(1 << 20);
  CHECK(larger.size() >= std::size_t{1} << 20);
  CHECK(std::memcmp(larger.data(), "hello", 5) == 0);
  CHECK(child.ask({{"look", 0}})["seen"] == "hello");
}

TEST_CASE("a child that is not there, leaves, babbles or is silent is an error") {
  CHECK_THROWS_WITH(Child({"/no/such/program"}, {}), "the peer's process is gone");
  Child leaves(shell("echo '{}'"), {});
  CHECK_THROWS_WITH(leaves.ask({{"run", 0}}), "the peer's process is gone");
  CHECK_THROWS_WITH(Child(shell("echo words"), {}), "the peer's process answers what is no JSON");
  CHECK_THROWS_WITH(Child(shell("exec sleep 60"), {}, 1), "the peer's process does not answer");
  Child refuses(shell(R"(echo '{}'; read -r line; echo '{"error": "no such op"}'; read -r line)"), {});
  CHECK_THROWS_WITH(refuses.ask({{"make", 0}}), "no such op");
}

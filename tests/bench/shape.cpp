// SPDX-License-Identifier: Apache-2.0
#include "bench/shape.h"

#include <doctest/doctest.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>

#include "apps/exit_code.h"
#include "bench/program.h"
#include "bench/side.h"
#include "tests/temporary_folder.h"

using namespace fovea;
using namespace fovea::bench;

namespace {

std::string refusal(const std::string& text) {
  try {
    (void)case_of_shape(text);
  } catch (const apps::UsageError& error) {
    return error.what();
  }
  return "accepted";
}

}  // namespace

TEST_CASE("a shape is a case, with what was left out") {
  const Case conv = case_of_shape("conv2d:n=32,c=40,h=50,w=50,o=8,k=15,stride=1,pad=0,pass=forward");
  CHECK(conv.name == "conv2d:n=32,c=40,h=50,w=50,o=8,k=15,stride=1,pad=0,pass=forward");
  CHECK(conv.shape == "x [32, 40, 50, 50], w [8, 40, 15, 15]");
  CHECK(conv.flops == 2.0 * 32 * 8 * 36 * 36 * 40 * 15 * 15);
  CHECK(case_of_shape("conv2d:c=4,h=9").name == "conv2d:n=1,c=4,h=9,w=9,o=4,k=3,stride=1,pad=0,pass=forward");
  CHECK(case_of_shape("matmul:k=3,m=1,n=2").name == "matmul:m=1,n=2,k=3,ta=0,tb=0");
  CHECK(case_of_shape("max_pool2d:c=2,h=9,k=3,pass=backward").name ==
        "max_pool2d:n=1,c=2,h=9,w=9,k=3,stride=3,pass=backward");
  CHECK(case_of_shape("batch_norm:n=8,c=3").name == "batch_norm:n=8,c=3,h=1,w=1,pass=forward");
  CHECK(case_of_shape("lstm:t=5,i=3,h=4").name == "lstm:t=5,b=1,i=3,h=4,pass=forward");
}

TEST_CASE("every operation of a shape computes what its reference says") {
  const Device device = Device::cpu({.threads = 1});
  for (const char* text :
       {"conv2d:c=3,h=7,w=6,o=2", "conv2d:n=2,c=3,h=7,stride=2,pad=1,pass=grad_input",
        "conv2d:n=3,c=2,h=6,k=5,pad=3,pass=grad_weight", "matmul:m=5,n=6,k=7", "matmul:m=5,n=6,k=7,ta=1",
        "matmul:m=5,n=6,k=7,tb=1", "matmul:m=5,n=6,k=7,ta=1,tb=1", "max_pool2d:c=3,h=9,w=8",
        "max_pool2d:n=2,c=3,h=9,w=8,k=3,stride=2", "max_pool2d:n=2,c=2,h=9,w=8,k=3,stride=1,pass=backward",
        "max_pool2d:n=2,c=2,h=20,k=17,stride=2,pass=backward",
        "max_pool2d:c=2,h=7,k=2,stride=3,pass=backward", "batch_norm:n=4,c=3,h=5,w=2",
        "batch_norm:n=4,c=3,h=2,w=5,pass=backward", "lstm:t=3,b=2,i=5,h=4",
        "lstm:t=3,b=2,i=5,h=4,pass=backward"}) {
    const Case c = case_of_shape(text);
    const Buffers buffers(device, c.operands, 1, 3);
    CHECK_MESSAGE(relative_error(c, device, buffers, *our_side(c, device, buffers)) < 1e-5, text);
  }
}

TEST_CASE("a wrong shape is refused in one line that names what is wrong") {
  CHECK(refusal("conv3d:n=1") ==
        "--shape conv3d: no such operation; there are conv2d, matmul, max_pool2d, batch_norm, lstm; did you "
        "mean "
        "'conv2d'?");
  CHECK(refusal("lstm:t=5,i=3,h=4,hiden=3").find("lstm: no key 'hiden'; there are t, b, i, h, pass") !=
        std::string::npos);
  CHECK(refusal("conv2d:c=4,h=9,strid=2") ==
        "--shape conv2d: no key 'strid'; there are n, c, h, w, o, k, stride, pad, pass; did you mean "
        "'stride'?");
  CHECK(refusal("matmul:m=1,n=2,k=3,pass=forward") ==
        "--shape matmul: no key 'pass'; there are m, n, k, ta, tb");
  CHECK(refusal("matmul:m=1,n=2") == "--shape matmul: needs k");
  CHECK(refusal("matmul") == "--shape matmul: needs m");
  CHECK(refusal("matmul:m=1,n=2,k") == "--shape matmul: k has no value");
  CHECK(refusal("matmul:m=1,m=2,n=1,k=1") == "--shape matmul: m is given twice");
  for (const char* value : {"0", "-3", "2.5", "", "x", "1000001", "99999999999999999999"})
    CHECK(refusal(std::string("matmul:n=1,k=1,m=") + value) ==
          std::string("--shape matmul: m=") + value + ": must be a whole number from 1 to 1000000");
  CHECK(refusal("conv2d:c=1,h=9,pass=foward") ==
        "--shape conv2d: pass=foward: expected forward, grad_input, grad_weight; did you mean 'forward'?");
  CHECK(refusal("conv2d:c=1,h=4,k=7,pad=1") == "--shape conv2d: a window of 7 does not fit into 6 x 6");
  CHECK(refusal("max_pool2d:c=1,h=4,w=1") == "--shape max_pool2d: a window of 2 does not fit into 4 x 1");
  CHECK(refusal("matmul:m=1000000,n=1000000,k=1") ==
        "--shape matmul: a tensor of 1e+12 elements is too large");
}

TEST_CASE("the program runs shapes, and says which keys there are") {
  const test::TemporaryFolder folder;
  std::ostringstream out, err;
  const std::filesystem::path file = folder.path() / "shape.json";
  CHECK(run_program({"--without-peers", "--threads", "1", "--shape", "matmul:m=5,n=6,k=7", "--shape",
                     "batch_norm:n=4,c=3", "--quick", "--json", file.string()},
                    out, err) == 0);
  CHECK(err.str().empty());
  std::ifstream stream(file);
  const nlohmann::json report = nlohmann::json::parse(stream), cases = report["cases"];
  CHECK(report["date"].get<std::string>().size() == 10);
  REQUIRE(cases.size() == 2);
  CHECK(cases[0]["name"] == "matmul:m=5,n=6,k=7,ta=0,tb=0");
  CHECK(cases[1]["status"] == "done");

  CHECK(run_program({"--shape", "matmul:m=5", "conv1"}, out, err) == 2);
  CHECK(err.str() == "fovea_bench: --shape says what to run: leave 'conv1' out\n");
  err.str("");
  CHECK(run_program({"--shape", "matmul:m=5"}, out, err) == 2);
  CHECK(err.str() == "fovea_bench: --shape matmul: needs n\n");
  out.str("");
  CHECK(run_program({"--help"}, out, err) == 0);
  CHECK(out.str().find("conv2d:n=1,c=…,h=…,w=h,o=c,k=3,stride=1,pad=0,pass=forward|grad_input|grad_weight") !=
        std::string::npos);
}

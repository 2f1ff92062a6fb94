// SPDX-License-Identifier: Apache-2.0
#include "nn/data/sha256.h"

#include <doctest/doctest.h>

#include <fstream>
#include <string_view>

#include "tests/temporary_folder.h"

using namespace fovea;

namespace {

std::string sum_of(std::string_view text, std::size_t piece) {
  nn::Sha256 sum;
  for (std::size_t at = 0; at < text.size(); at += piece) {
    const std::string_view part = text.substr(at, piece);
    sum.add({reinterpret_cast<const std::uint8_t*>(part.data()), part.size()});
  }
  return sum.finish();
}

}  // namespace

// The examples of FIPS 180-2 (2002), appendix B, and the empty message.
TEST_CASE("SHA-256 of the standard's examples") {
  const std::string long_text(1'000'000, 'a');
  for (const std::size_t piece : {1, 7, 64, 1000}) {
    CHECK(sum_of("", piece) == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    CHECK(sum_of("abc", piece) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    CHECK(sum_of("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", piece) ==
          "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
  }
  CHECK(sum_of(long_text, 999) == "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
  const test::TemporaryFolder folder;
  std::ofstream(folder.path() / "a") << long_text;
  CHECK(nn::sha256_of_file(folder.path() / "a") == sum_of(long_text, 64));
}

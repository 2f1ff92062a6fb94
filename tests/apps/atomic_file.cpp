// SPDX-License-Identifier: Apache-2.0
#include "apps/atomic_file.h"

#include <doctest/doctest.h>

#include <cerrno>
#include <fstream>

#include "tensor/errors.h"
#include "tests/apps/small_files.h"
#include "tests/temporary_folder.h"

namespace fovea::apps {
using test::has;
using test::TemporaryFolder;
using test::text_of;
namespace fs = std::filesystem;
namespace {

using Names = std::vector<std::string>;

}  // namespace

TEST_CASE("replace_file leaves the old file when writing fails") {
  const TemporaryFolder folder;
  const fs::path file = folder.path() / "f";
  replace_file(file, "old");
  SUBCASE("the disk is full") {
    const SmallFilesOnly limit(100);
    CHECK(has(text_of<IoError>([&] { replace_file(file, std::string(1000, 'x')); }), "cannot write"));
  }
  SUBCASE("the writer throws") {
    CHECK(text_of<std::runtime_error>([&] {
            replace_file(file, [](const fs::path& path) {
              std::ofstream(path) << "half";
              throw std::runtime_error("no more");
            });
          }) == "no more");
  }
  SUBCASE("the writer writes nothing") {
    CHECK(has(text_of<IoError>([&] { replace_file(file, [](const fs::path&) {}); }), "cannot read back"));
  }
  CHECK(read_file(file) == "old");
  CHECK(names_in(folder.path()) == Names{"f"});
}

TEST_CASE("an error names the file that is meant, and what may help") {
  const TemporaryFolder folder;
  const fs::path file = folder.path() / "f";
  CHECK(text_of<IoError>([&] {
          replace_file(file, [](const fs::path& path) { throw IoError(path.string() + ": no ink"); });
        }) == file.string() + ": no ink");
  CHECK(text_of<IoError>([&] { replace_file(file, [](const fs::path&) { throw IoError("elsewhere"); }); }) ==
        "elsewhere");
  const auto hint = [&](int error) { return text_of<IoError>([&] { file_error(file, "write", error); }); };
  for (const int error : {ENOSPC, EDQUOT}) CHECK(has(hint(error), "; free some space"));
  for (const int error : {EACCES, EPERM, EROFS})
    CHECK(has(hint(error), "; choose a folder you may write to"));
  CHECK(hint(EIO) == file.string() + ": cannot write: Input/output error");
}

TEST_CASE("replace_folder changes places with the old folder, or leaves it as it was") {
  const TemporaryFolder folder;
  const fs::path target = folder.path() / "repro";
  const auto write = [](const char* name) {
    return [name](const fs::path& made) { replace_file(made / name, std::string("x")); };
  };
  replace_folder(target, write("old"));
  replace_folder(target, write("new"));
  CHECK(names_in(target) == Names{"new"});
  CHECK(text_of<IoError>([&] {
          replace_folder(target, [](const fs::path& made) { throw IoError((made / "f").string() + ": no"); });
        }) == (target / "f").string() + ": no");
  CHECK(has(text_of<IoError>([&] { replace_folder(target / ".", write("new")); }),
            ": cannot replace the folder: "));
  CHECK(names_in(target) == Names{"new"});
  fs::create_symlink("nowhere", folder.path() / "link");
  CHECK(text_of<IoError>([&] { replace_folder(folder.path() / "link", write("new")); }) ==
        (folder.path() / "link").string() +
            ": cannot make the folder: Not a directory; choose another place");
  CHECK(text_of<IoError>([&] { replace_folder(folder.path() / "no/repro", write("new")); }) ==
        (folder.path() / "no/repro").string() +
            ": cannot make the folder: No such file or directory; choose another place");
  CHECK(names_in(folder.path()) == Names{"link", "repro"});
}

TEST_CASE("replace_file and its errors") {
  const TemporaryFolder folder;
  const fs::path file = folder.path() / "f";
  replace_file(file, "one");
  const auto first = file_checksum(file);
  replace_file(file, "two");
  CHECK(read_file(file) == "two");
  CHECK(file_checksum(file) != first);
  CHECK(has(text_of<IoError>([&] { replace_file(file / "below", "x"); }), "cannot write: Not a directory"));
  CHECK(has(text_of<IoError>([&] { (void)read_file(folder.path() / "none"); }), "No such file"));
  CHECK(has(text_of<IoError>([&] { (void)read_file(folder.path()); }), "Is a directory"));
  CHECK(has(text_of<IoError>([&] { make_folder(file / "below"); }), "cannot make the folder"));
  CHECK(has(text_of<IoError>([&] { make_folder(file); }), "cannot make the folder"));
}

}  // namespace fovea::apps

// SPDX-License-Identifier: Apache-2.0
#include "apps/metrics_log.h"

#include <doctest/doctest.h>

#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>

#include "apps/atomic_file.h"
#include "tensor/errors.h"
#include "tests/apps/small_files.h"
#include "tests/temporary_folder.h"

namespace fovea::apps {
using test::has;
using test::TemporaryFolder;
using test::text_of;
namespace fs = std::filesystem;
TEST_CASE("figures of a step become one line and come back") {
  CHECK(metrics_line(120, {{"loss", 0.5}, {"r \"x\"", std::nan("")}}) ==
        "{\"step\":120,\"loss\":0.5,\"r \\\"x\\\"\":null}\n");
  const TemporaryFolder folder;
  const fs::path file = folder.path() / "m";
  {
    MetricsLog log(file, {});
    log.append(1, {{"loss", 0.1}});
    log.append(2, {{"loss", 1e-30}, {"r", std::nan("")}});
    log.sync();
  }
  const auto rows = MetricsLog::read(file);
  REQUIRE(rows.size() == 2);
  CHECK(rows[1].step == 2);
  CHECK(rows[1].figures[0] == std::pair<std::string, double>("loss", 1e-30));
  CHECK(std::isnan(rows[1].figures[1].second));
  CHECK(MetricsLog::read(folder.path() / "none").empty());
}

TEST_CASE("a resumed log drops lines past the checkpoint and a torn last line") {
  const TemporaryFolder folder;
  const fs::path file = folder.path() / "m";
  const std::string kept = "{\"step\":1,\"loss\":3}\n{\"step\":2,\"loss\":2}\n";
  for (const std::string& torn :
       {std::string(), std::string("{\"step\":3,\"loss\":1}\n"), std::string("{\"step\":2,\"lo"),
        std::string("{\"step\":2,\"l\0\0\n", 15)}) {
    CAPTURE(torn);
    std::ofstream(file) << kept << torn;
    {
      const MetricsLog log(file, {2, kept.size()});
      CHECK_FALSE(log.changed());
    }
    CHECK(read_file(file) == kept);
    // A file that is not what the checkpoint saw is gone through line by line.
    std::ofstream(file) << kept << torn;
    {
      const MetricsLog log(file, {2, kept.size() + 100});
      CHECK(log.changed());
      CHECK(log.size() == kept.size());
    }
    CHECK(read_file(file) == kept);
  }
  { const MetricsLog log(file, {}); }
  CHECK(read_file(file).empty());
  fs::remove(file);
  CHECK(MetricsLog(file, {2, 10}).changed());
  CHECK(fs::exists(file));
  std::ofstream(file) << "{\"step\":1}\nnonsense\n{\"step\":2}\n";
  CHECK(text_of<IoError>([&] {
          const MetricsLog log(file, {2, 5});
        }) == file.string() + ":2: not a line of figures; the file was changed by another program");
}

TEST_CASE("a full disk stops the log with one line, and what is torn is dropped") {
  const TemporaryFolder folder;
  const fs::path file = folder.path() / "m";
  MetricsLog log(file, {});
  log.append(1, {{"loss", 1}});
  {
    const SmallFilesOnly limit(30);
    CHECK(has(text_of<IoError>([&] { log.append(2, {{"loss", 2}}); }), "cannot write"));
  }
  CHECK(MetricsLog::read(file).size() == 1);
}

}  // namespace fovea::apps

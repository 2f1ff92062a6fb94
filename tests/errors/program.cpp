// SPDX-License-Identifier: Apache-2.0
// What the program says to wrong usage, bad input and missing files: the real binary, its exit code, the whole of
// stderr, and that nothing is left behind.
#include <doctest/doctest.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <sys/wait.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <fstream>
#include <sstream>

#include "apps/checkpoint.h"
#include "apps/exit_code.h"
#include "tensor/device.h"
#include "tests/apps/tiny_training.h"
#include "tests/golden.h"

namespace fovea::apps {
namespace fs = std::filesystem;
namespace {

std::string content(const fs::path& path) {
  std::ostringstream text;
  text << std::ifstream(path, std::ios::binary).rdbuf();
  return text.str();
}

void write(const fs::path& path, const std::string& bytes) {
  fs::create_directories(path.parent_path());
  std::ofstream(path, std::ios::binary) << bytes;
}

/// Every path below a folder with size and, for links, target; times are not looked at, nor the size of a lock, which
/// holds the number of the last process that took it.
std::string listing(const fs::path& folder) {
  std::vector<std::string> lines;
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    std::string what = entry.is_symlink()                  ? " -> " + fs::read_symlink(entry.path()).string()
                       : entry.is_directory()              ? "/"
                       : entry.path().filename() == "lock" ? ""
                                                           : fmt::format(" {}", entry.file_size());
    lines.push_back(entry.path().string() + what);
  }
  std::sort(lines.begin(), lines.end());
  return fmt::format("{}", fmt::join(lines, "\n"));
}

/// The folder that the commands run in.
///
///   recording.safetensors  good       ok/        a finished run         empty/   an empty folder
///   random.safetensors     noise      broken/    a run whose weights    foreign/ somebody's file
///   huge.safetensors       2^63 bytes            are noise              noconfig/ checkpoints and no settings
///   shapes.safetensors     a checkpoint of another model               file.txt text
struct Scene : Bench {
  Scene() {
    const fs::path in = folder.path();
    REQUIRE(train(in / "ok", {"--steps", "1"}).code == kDone);
    fs::create_directory(in / "empty");
    write(in / "foreign/letter.txt", "Dear reader,\n");
    write(in / "file.txt", "weights, weights, weights\n");
    write(in / "random.safetensors", "\x9c\x12\xf0\x01\x88\xe3\x5d\xaa\x10\x7e\x31\xc4");
    write(in / "huge.safetensors", std::string("\0\0\0\0\0\0\0\x80{}", 10));
    write_checkpoint(in / "shapes.safetensors",
                     {{{"model.w", Tensor::zeros({2, 3}, DType::f32, Device::cpu({.threads = 1}))}}, {}});
    write(in / "bad.toml", "[train]\nbatch = \"many\"\n");
    write(in / "unknown.toml", "[trian]\nbatch = 16\n");
    write(in / "binary.toml", std::string("\0\x01\x02\xff", 4));
    fs::copy(in / "ok", in / "broken", fs::copy_options::recursive | fs::copy_options::copy_symlinks);
    write(in / "broken/checkpoints/step-1.safetensors", "\x9c\x12\xf0\x01\x88\xe3\x5d\xaa\x10\x7e");
    write(in / "broken/report.json", "{\"title\":");
    fs::copy(in / "ok", in / "noconfig", fs::copy_options::recursive | fs::copy_options::copy_symlinks);
    fs::remove(in / "noconfig/config.toml");
    fs::copy(in / "ok", in / "othermodel", fs::copy_options::recursive | fs::copy_options::copy_symlinks);
    write(in / "othermodel/config.toml", "[model]\nname = \"deep-retnia\"\n");
    const auto like_ok = [&](const char* name) {
      fs::copy(in / "ok", in / name, fs::copy_options::recursive | fs::copy_options::copy_symlinks);
      return in / name;
    };
    write(like_ok("badstep") / "letter.txt", "");
    like_ok("nostep");
    for (const char* file : {"step-0.safetensors", "step-1.safetensors"}) {
      SavedRun saved = read_checkpoint(in / "ok/checkpoints" / file);
      saved.tensors.at("train.step").fill(std::nan(""));
      write_checkpoint(in / "badstep/checkpoints" / file, saved);
      saved.tensors.erase("train.step");
      write_checkpoint(in / "nostep/checkpoints" / file, saved);
    }
    SavedRun lost = read_checkpoint(in / "ok/checkpoints/step-1.safetensors");
    lost.tensors.at("model.conv1.weight").fill(std::nan(""));
    write_checkpoint(in / "nan.safetensors", lost);
    fs::create_symlink("/proc", in / "runs");
    std::string other = content(data);
    other.back() = static_cast<char>(other.back() ^ 1);
    write(in / "other.safetensors", other);
    write(like_ok("nomodel") / "config.toml", "[train]\nbatch = 4\n");
    write(like_ok("badsummary") / "summary.json", "[]");
    write(like_ok("oldsummary") / "summary.json", "{}");
    fs::create_directories(in / "nolock/lock");
    // It is named relative to the folder, as its user would.
    const std::string config = content(in / "ok/config.toml");
    for (const char* run : {"ok", "broken", "badstep", "nostep"})
      write(in / run / "config.toml", test::replaced(config, in.string() + "/", ""));
    const std::string there = content(in / "ok/config.toml");
    write(like_ok("changed") / "config.toml", test::replaced(there, "lr = 0.001", "lr = 0.5"));
    write(like_ok("otherdata") / "config.toml",
          test::replaced(there, "recording.safetensors", "other.safetensors"));
  }
};

struct Command {
  std::string line;
  int code;
};

const std::vector<Command> kCommands{
    {"", kWrongUsage},
    {"trian ln", kWrongUsage},
    {"probe ok", kWrongUsage},
    {"reprot ok", kWrongUsage},
    {"$'\\e[2J'", kWrongUsage},
    {"--verison", kWrongUsage},
    {"train", kWrongUsage},
    {"train deep-retnia", kWrongUsage},
    {"train quicksort", kWrongUsage},
    {"train ln ln", kWrongUsage},
    {"train ln --stpes 3", kWrongUsage},
    {"train ln --steps", kWrongUsage},
    {"train ln --steps many", kWrongUsage},
    {"train ln --steps 99999999999999999999", kWrongUsage},
    {"train ln --steps -5", kWrongUsage},
    {"train ln --epochs -1", kWrongUsage},
    {"train ln --steps 1 --epochs 1", kWrongUsage},
    {"train ln --steps 0 --epochs 0", kWrongUsage},
    {"train ln --preset dmeo", kWrongUsage},
    {"train ln --set optim.rl=1", kWrongUsage},
    {"train ln --set lr=1", kWrongUsage},
    {"train ln --set optim.lr", kWrongUsage},
    {"train ln --set optim.lr=fast", kWrongUsage},
    {"train ln --set optim.name=adma", kWrongUsage},
    {"train ln --set train.batch=0", kWrongUsage},
    {"train ln --set train.steps=-3", kWrongUsage},
    {"train ln --config bad.toml", kWrongUsage},
    {"train ln --config unknown.toml", kWrongUsage},
    {"train ln --config binary.toml", kWrongUsage},
    {"train ln --config bda.toml", kFailed},
    {"train ln --config empty", kFailed},
    {"train ln --device gpu", kWrongUsage},
    {"train ln --device cuad", kWrongUsage},
    {"train ln --device cuda:x", kWrongUsage},
    {"train ln --device cuda:9999999999", kWrongUsage},
    {"train ln --data recording.safetensors --device cuda --out new", kFailed},
    {"train ln --data recroding.safetensors --out new", kFailed},
    {"train ln --data empty --out new", kFailed},
    {"train ln --data file.txt --out new", kFailed},
    {"train ln --data random.safetensors --out new", kFailed},
    {"train ln --data huge.safetensors --out new", kFailed},
    {"train ln --data shapes.safetensors --out new", kFailed},
    {"train ln --data recording.safetensors --init-from nowhere.safetensors --out new", kWrongUsage},
    {"train ln --data recording.safetensors --init-from random.safetensors --steps 1 --out new", kFailed},
    {"train ln --data recording.safetensors --init-from huge.safetensors --steps 1 --out new", kFailed},
    {"train ln --data recording.safetensors --init-from shapes.safetensors --steps 1 --out new", kFailed},
    {"train ln --data recording.safetensors --init-from recording.safetensors --steps 1 --out new", kFailed},
    {"train deep-retina --config ok/config.toml --init-from nan.safetensors --device cpu --out new", kFailed},
    {"train ln --data recording.safetensors --steps 1", kFailed},
    {"train ln --data recording.safetensors --set eval.baseline=nowhere --steps 1 --out new", kFailed},
    {"train ln --data recording.safetensors --set train.batch=100000 --steps 1 --out new", kFailed},
    {"train ln --data recording.safetensors --set model.history=900 --steps 1 --out new", kFailed},
    {"train ln --data recording.safetensors --steps 1 --out file.txt", kFailed},
    {"train ln --data recording.safetensors --steps 1 --out file.txt/run", kFailed},
    {"train ln --data recording.safetensors --steps 1 --out /proc/run", kFailed},
    {"train ln --data recording.safetensors --steps 1 --out foreign", kWrongUsage},
    {"train ln --resume", kWrongUsage},
    {"train ln --resume --out ok", kWrongUsage},
    {"train deep-retina --resume --out ok --seed 5", kWrongUsage},
    {"train deep-retina --resume --out badstep --device cpu --steps 3", kFailed},
    {"train deep-retina --resume --out nostep --device cpu --steps 3", kFailed},
    {"train deep-retina --resume --out changed --device cpu --steps 3", kWrongUsage},
    {"train deep-retina --resume --out otherdata --device cpu --steps 3", kWrongUsage},
    {"train ln --set train.steps=0 --set train.epochs=0", kWrongUsage},
    {"train ln --set train.patience=2 --set train.eval_every=0", kWrongUsage},
    {"train deep-retina --data recording.safetensors --set model.channels=8 --out new", kWrongUsage},
    {"train deep-retina --preset one-hot-shared --data recording.safetensors --set model.share_from=ok --out "
     "new",
     kWrongUsage},
    {"train ln --data recording.safetensors --set eval.baseline=badsummary --out new", kFailed},
    {"train ln --data recording.safetensors --set eval.baseline=oldsummary --out new", kFailed},
    {"train ln --data recording.safetensors --out nolock", kFailed},
    {"eval nomodel", kFailed},
    {"eval", kWrongUsage},
    {"eval nowhere", kFailed},
    {"eval file.txt", kFailed},
    {"eval empty", kFailed},
    {"eval foreign", kFailed},
    {"eval noconfig", kFailed},
    {"eval othermodel", kWrongUsage},
    {"eval broken", kFailed},
    {"eval ok --split tset", kWrongUsage},
    {"eval ok --checkpoint bset", kFailed},
    {"eval ok --checkpoint 17", kFailed},
    {"eval ok --device gup", kWrongUsage},
    {"eval ok --device cuda", kFailed},
    {"report", kWrongUsage},
    {"report nowhere", kFailed},
    {"report empty", kFailed},
    {"report broken", kFailed},
    {"report ok empty", kFailed},
    {"report ok --out nowhere/page.html", kFailed},
    {"data retnia", kWrongUsage},
    {"data recroding.safetensors", kWrongUsage},
    {"data empty", kFailed},
    {"data file.txt", kFailed},
    {"data random.safetensors", kFailed},
    {"data huge.safetensors", kFailed},
    {"data recording.safetensors --out x", kWrongUsage},
    {"data retina --stimulus dead-leafs", kWrongUsage},
    {"data retina --stimulus white-noise --circuit predicative", kWrongUsage},
    {"data retina --minutes 0", kWrongUsage},
    {"data retina --minutes -1", kWrongUsage},
    {"replay empty", kFailed},
    {"train ln --data recording.safetensors --profile nowhere/trace.json --out new", kWrongUsage},
    {"demo --out foreign", kWrongUsage},
    {"demo --out file.txt", kWrongUsage},
    {"demo --device gpu", kWrongUsage},
};

}  // namespace

TEST_CASE("each wrong command ends in one to three lines on stderr, its exit code, and nothing else") {
  const Scene scene;
  const fs::path in = scene.folder.path();
  const test::TemporaryFolder output;
  const bool has_gpu = Device::cuda_missing_reason().empty();
  const std::string before = listing(in);
  std::string golden;
  for (const Command& command : kCommands) {
    if (command.line.find("--device cuda") != std::string::npos && command.code == kFailed && has_gpu)
      continue;
    CAPTURE(command.line);
    const std::string shell = fmt::format(
        "cd '{}' && exec env HOME='{}/home' XDG_CACHE_HOME= bash -c \"'{}/fovea' {}\" >'{}' 2>'{}' "
        "</dev/null",
        in.string(), in.string(), FOVEA_BINARY_DIR, command.line, (output.path() / "out").string(),
        (output.path() / "err").string());
    const int status = std::system(shell.c_str());
    REQUIRE(WIFEXITED(status));
    CHECK(WEXITSTATUS(status) == command.code);
    const std::string err = content(output.path() / "err");
    const auto lines = std::count(err.begin(), err.end(), '\n');
    CHECK(lines >= 1);
    if (!command.line.empty()) {  // which shows the help
      CHECK(lines <= 3);
      CHECK(content(output.path() / "out").empty());
      golden += fmt::format("$ fovea {}\n{}", command.line, err);
    }
    CHECK(listing(in) == before);
  }
  golden = test::replaced(golden, in.string(), "DIR");
  // Which of the two it is depends on the build, not on the program.
  const std::string reason = Device::cuda_missing_reason();
  if (!has_gpu) golden = test::replaced(golden, reason, "REASON");
  test::check_golden("program", golden);
}

}  // namespace fovea::apps

// SPDX-License-Identifier: Apache-2.0
// Videos are made by the ffmpeg that reads them; where there is none, only its absence is tested.
#include <doctest/doctest.h>

#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <vector>

#include "nn/data/child_process.h"
#include "nn/data/movie.h"
#include "tensor/errors.h"
#include "tests/temporary_folder.h"

namespace fovea::nn {
using test::TemporaryFolder;
using test::text_of;
namespace {

bool no_ffmpeg() {
  const bool missing = !ChildProcess::installed("ffmpeg");
  if (missing) MESSAGE("skipped: there is no ffmpeg (apt-get install ffmpeg)");
  return missing;
}

/// Runs ffmpeg on a source of its own; `how` says how to pack it.
void make_video(const std::filesystem::path& file, const std::string& source,
                const std::vector<std::string>& how) {
  std::vector<std::string> command{"ffmpeg", "-v", "error", "-f", "lavfi", "-i", source};
  command.insert(command.end(), how.begin(), how.end());
  command.push_back(file.string());
  ChildProcess ffmpeg(command);
  (void)ffmpeg.read_all();
  REQUIRE(ffmpeg.finish() == "");
}

/// 12 frames of 16x8 at 30000/1001 Hz: frame n has the sRGB grey 20·n.
void make_ramp(const std::filesystem::path& file, const std::vector<std::string>& how) {
  make_video(file, "nullsrc=s=16x8:r=30000/1001:d=0.4,format=rgb24,geq=r='20*N':g='20*N':b='20*N'", how);
}
const std::vector<std::string> kLossless{"-c:v", "png", "-pix_fmt", "rgb24"};

double light_of(double srgb) {  // IEC 61966-2-1, as a grey level
  const double v = srgb / 255;
  return 255 * (v <= 0.04045 ? v / 12.92 : std::pow((v + 0.055) / 1.055, 2.4));
}

std::string error_of(const std::filesystem::path& file) {
  return text_of<IoError>([&] {
    const auto movie = open_movie(file);
    std::vector<float> frame(static_cast<std::size_t>(movie->size().height * movie->size().width));
    while (movie->next(frame.data())) {
    }
  });
}

/// A PATH that holds programs of ours only.
class OtherPath {
 public:
  OtherPath() : before_(std::getenv("PATH")) { ::setenv("PATH", folder_.path().c_str(), 1); }
  OtherPath(const OtherPath&) = delete;
  OtherPath& operator=(const OtherPath&) = delete;
  ~OtherPath() { ::setenv("PATH", before_.c_str(), 1); }

  void add(const char* program, const std::string& script) const {
    std::ofstream(folder_.path() / program) << "#!/bin/sh\n" << script << "\n";
    std::filesystem::permissions(folder_.path() / program, std::filesystem::perms::owner_all);
  }

 private:
  std::string before_;
  TemporaryFolder folder_;
};

}  // namespace

TEST_CASE("video: a grey ramp comes as the light that a screen would give off") {
  if (no_ffmpeg()) return;
  const TemporaryFolder folder;
  const auto file =
      folder.path() / "- 100% $HOME 'ramp'.avi";  // no shell, no option, no protocol reads this name
  make_ramp(file, kLossless);
  const auto movie = open_movie(file);
  CHECK(movie->size() == Size2d(8, 16));
  CHECK(movie->fps() == doctest::Approx(30000.0 / 1001));
  std::vector<float> frame(8 * 16);
  for (int pass = 0; pass < 2; ++pass) {
    for (int n = 0; n < 12; ++n) {
      REQUIRE(movie->next(frame.data()));
      for (const std::size_t i : {std::size_t{0}, std::size_t{127}})
        CHECK_MESSAGE(frame[i] == doctest::Approx(light_of(20 * n)).epsilon(1e-5), "frame " << n);
    }
    CHECK_FALSE(movie->next(frame.data()));
    CHECK_FALSE(movie->next(frame.data()));
    movie->rewind();
  }
}

TEST_CASE("video: of a lossy codec, the whole range of greys") {
  if (no_ffmpeg()) return;
  const TemporaryFolder folder;
  make_ramp(folder.path() / "a.mp4", {"-c:v", "mpeg4", "-q:v", "1"});
  const auto movie = open_movie(folder.path() / "a.mp4");
  std::vector<float> frame(8 * 16);
  for (int n = 0; n < 12; ++n) {
    REQUIRE(movie->next(frame.data()));
    CHECK_MESSAGE(std::abs(static_cast<double>(frame[64]) - light_of(20 * n)) < 6, "frame " << n);
  }
}

TEST_CASE("video: one that cannot be read, in one line") {
  if (no_ffmpeg()) return;
  const TemporaryFolder folder;
  const auto path = [&](const char* name) { return folder.path() / name; };
  std::ofstream(path("text.avi")) << "not a video, but long enough to look like one";
  const std::string text = error_of(path("text.avi"));
  CHECK(text.starts_with(path("text.avi").string() + ": cannot be read as a video: "));
  CHECK(text.find('\n') == std::string::npos);

  make_video(path("sound.avi"), "sine=d=0.2", {});
  CHECK(error_of(path("sound.avi")) == path("sound.avi").string() + ": holds no video stream");

  make_ramp(path("whole.avi"), kLossless);
  std::ifstream in(path("whole.avi"), std::ios::binary);
  std::string bytes{std::istreambuf_iterator<char>(in), {}};
  const auto place = bytes.find("IDAT", bytes.find("IDAT") + 300);  // in a picture after the first
  REQUIRE(place != std::string::npos);
  for (std::size_t i = 0; i < 20; ++i) bytes[place + i] = '\xff';
  std::ofstream(path("damaged.avi"), std::ios::binary) << bytes;
  const std::string damaged = error_of(path("damaged.avi"));
  CAPTURE(damaged);
  CHECK(damaged.starts_with(path("damaged.avi").string() + ": the video is damaged after "));
  CHECK(damaged.ends_with("; 'ffmpeg -i IN OUT' may repair it"));
  CHECK(damaged.find('\n') == std::string::npos);
}

TEST_CASE("video: ffmpeg that is missing, or dies") {
  const TemporaryFolder folder;
  const auto file = folder.path() / "a.avi";
  std::ofstream(file) << "any";
  const std::string name = file.string();
  const OtherPath path;
  CHECK(error_of(file) ==
        name + ": reading a video needs the program ffprobe, which is not there (apt-get install ffmpeg)");
  path.add("ffprobe", "echo r_frame_rate=25/1; echo avg_frame_rate=0/0");
  CHECK(error_of(file) ==
        name + ": reading a video needs the program ffmpeg, which is not there (apt-get install ffmpeg)");

  path.add("ffmpeg", "exit 0");
  CHECK(error_of(file) == name + ": holds a video stream without frames");
  path.add("ffmpeg", "echo 'no such codec' >&2; exit 1");
  CHECK(error_of(file) == name +
                              ": the video is damaged after 0 frames, says ffmpeg: no such codec; 'ffmpeg -i "
                              "IN OUT' may repair it");
  const std::string frame = "printf 'P6\\n1 2\\n255\\nABCDEF'; ";
  path.add("ffmpeg", frame + frame + "kill -9 $$");
  CHECK(error_of(file) == name +
                              ": the video is damaged after 2 frames, says ffmpeg: it was ended by signal 9; "
                              "'ffmpeg -i IN OUT' may repair it");
  path.add("ffmpeg", frame + "printf 'P6\\n1 2\\n255\\nABC'");
  CHECK(error_of(file) == name +
                              ": the video is damaged after 1 frames, says ffmpeg: the last one is cut off; "
                              "'ffmpeg -i IN OUT' may repair it");
  path.add("ffmpeg", "echo 'P5 1 2 255 AB'");
  CHECK(error_of(file) == name + ": ffmpeg sent something else than frames");
  path.add("ffmpeg", frame);
  CHECK(error_of(file) == "");
  CHECK(open_movie(file)->fps() == 25.0);
  path.add("ffprobe", "exit 3");
  CHECK(error_of(file) == name + ": cannot be read as a video: it ended with code 3");
}

TEST_CASE("child process: ended with its owner, refused with a reason") {
  const auto start = std::filesystem::file_time_type::clock::now();
  { const ChildProcess sleeper({"sleep", "60"}); }
  CHECK(std::filesystem::file_time_type::clock::now() - start < std::chrono::seconds(20));
  CHECK(text_of<IoError>([] { ChildProcess({"/nowhere/ffmpeg"}); }) ==
        "/nowhere/ffmpeg: cannot be started: No such file or directory");
}

}  // namespace fovea::nn

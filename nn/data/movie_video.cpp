// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <vector>

#include "nn/data/child_process.h"
#include "nn/data/movie.h"
#include "nn/data/picture_file.h"
#include "tensor/errors.h"

namespace fovea::nn {
namespace {

constexpr std::int64_t kMostPixels = 400'000'000;  // of a frame; guards the memory

/// A video, decoded by ffmpeg in a process of its own. Its frames come as PPM pictures: each tells its size, so that
/// what is turned upright by the file's own mark needs no care here.
class Video final : public Movie {
 public:
  explicit Video(const std::filesystem::path& path) : Movie(path.string()), file_("file:" + path.string()) {
    for (const char* program : {"ffprobe", "ffmpeg"})
      if (!ChildProcess::installed(program))
        throw IoError(fmt::format(
            "{}: reading a video needs the program {}, which is not there (apt-get install ffmpeg)", name_,
            program));
    // "V": video streams, but not the cover pictures of albums. Nothing but files: a list in a file could name a host.
    ChildProcess probe({"ffprobe", "-v", "error", "-protocol_whitelist", "file", "-select_streams", "V:0",
                        "-show_entries", "stream=avg_frame_rate,r_frame_rate", "-of",
                        "default=noprint_wrappers=1", file_});
    const std::string told = probe.read_all();
    if (const std::string why = probe.finish(); !why.empty())
      bad(fmt::format("cannot be read as a video: {}", why));
    if (told.empty()) bad("holds no video stream");
    for (const char* key : {"avg_frame_rate=", "r_frame_rate="}) {
      const auto at = ("\n" + told).find(std::string("\n") + key);
      if (rate_.empty() && at != std::string::npos) set_rate(told.substr(at + std::string_view(key).size()));
    }
    rewind();
  }

  bool next(float* frame) override {
    if (!read_header()) return false;
    rgb_.resize(static_cast<std::size_t>(size_.height * size_.width * 3));
    if (ffmpeg_->read(rgb_.data(), rgb_.size()) != rgb_.size()) end_of_data();
    header_read_ = false;
    ++frames_;
    luminance(rgb_, frame);
    std::for_each(frame, frame + size_.height * size_.width, [](float& level) { level *= 255.0f; });
    return true;
  }

  void rewind() override {
    std::vector<std::string> command{"ffmpeg",    "-v", "error", "-nostdin", "-xerror", "-protocol_whitelist",
                                     "file,pipe", "-i", file_,   "-map",     "0:V:0"};
    // At one rate: where the time between frames varies, they are repeated or left out.
    if (!rate_.empty()) command.insert(command.end(), {"-r", rate_});
    for (const char* word : {"-f", "image2pipe", "-c:v", "ppm", "-pix_fmt", "rgb24", "-"})
      command.emplace_back(word);
    ffmpeg_ = std::make_unique<ChildProcess>(command);
    frames_ = 0;
    header_read_ = false;
    size_ = 0;
    if (!read_header()) bad("holds a video stream without frames");
  }

 private:
  [[noreturn]] void bad(const std::string& why) const { throw IoError(name_ + ": " + why); }

  /// From "30000/1001\n…"; left empty if that is no rate.
  void set_rate(const std::string& text) {
    std::int64_t count = 0, seconds = 0;
    const char* const end = text.data() + text.size();
    const auto first = std::from_chars(text.data(), end, count);
    if (first.ptr == end || *first.ptr != '/') return;
    std::from_chars(first.ptr + 1, end, seconds);
    if (count < 1 || seconds < 1) return;
    rate_ = fmt::format("{}/{}", count, seconds);
    fps_ = static_cast<double>(count) / static_cast<double>(seconds);
  }

  /// "P6\nWIDTH HEIGHT\n255\n"; false at the end of the video.
  bool read_header() {
    if (header_read_) return true;
    if (!ffmpeg_) return false;
    char mark[3];
    const std::size_t got = ffmpeg_->read(mark, sizeof mark);
    if (got == 0) {
      end_of_data();
      return false;
    }
    Size2d size = 0;
    std::int64_t most = 0;
    if (got != sizeof mark || std::string_view(mark, 3) != "P6\n" || !number(size.width) ||
        !number(size.height) || !number(most) || most != 255 || size.width < 1 || size.height < 1 ||
        size.width > kMostPixels / size.height)
      bad("ffmpeg sent something else than frames");
    if (frames_ > 0 && size != size_)
      bad("changes its size amid the frames");  // untested: ffmpeg keeps to the first frame's size
    size_ = size;
    header_read_ = true;
    return true;
  }

  bool number(std::int64_t& value) {
    value = 0;
    char c = 0;
    for (int digits = 0; ffmpeg_->read(&c, 1) == 1; ++digits) {
      if (c < '0' || c > '9') return digits > 0;
      if (digits == 9) return false;
      value = 10 * value + (c - '0');
    }
    return false;
  }

  /// throws unless the video was read to its end and found good
  void end_of_data() {
    const std::string why = ffmpeg_->finish();
    const bool within_frame = header_read_;
    ffmpeg_.reset();
    if (!why.empty() || within_frame)
      bad(fmt::format(
          "the video is damaged after {} frames, says ffmpeg: {}; 'ffmpeg -i IN OUT' may repair it", frames_,
          why.empty() ? "the last one is cut off" : why));
  }

  std::string file_, rate_;
  std::unique_ptr<ChildProcess> ffmpeg_;
  std::vector<std::uint8_t> rgb_;
  std::int64_t frames_ = 0;
  bool header_read_ = false;
};

}  // namespace

std::unique_ptr<Movie> open_video(const std::filesystem::path& path) { return std::make_unique<Video>(path); }

}  // namespace fovea::nn

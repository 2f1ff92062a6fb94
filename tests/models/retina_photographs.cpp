// SPDX-License-Identifier: Apache-2.0
#include "models/retina/photographs.h"

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <string>

#include <doctest/doctest.h>
#include <jpeglib.h>
#include <png.h>
#include <unistd.h>

using namespace fovea::retina;
namespace fs = std::filesystem;

namespace {

/// A folder that goes away with the test.
struct Folder {
  fs::path path = fs::temp_directory_path() / ("fovea_photographs_" + std::to_string(getpid()));
  Folder() {
    fs::remove_all(path);
    fs::create_directories(path);
  }
  ~Folder() { fs::remove_all(path); }
};

/// Left half of the picture in one grey, right half in another.
std::vector<std::uint8_t> two_greys(int height, int width, std::uint8_t left, std::uint8_t right,
                                    int channels = 3) {
  std::vector<std::uint8_t> bytes;
  for (int i = 0; i < height * width; ++i) {
    for (int k = 0; k < channels; ++k) bytes.push_back(i % width < width / 2 ? left : right);
  }
  return bytes;
}

void write_png(const fs::path& file, int height, int width, const std::vector<std::uint8_t>& rgb) {
  png_image image{};
  image.version = PNG_IMAGE_VERSION;
  image.width = static_cast<png_uint_32>(width);
  image.height = static_cast<png_uint_32>(height);
  image.format = PNG_FORMAT_RGB;
  REQUIRE(png_image_write_to_file(&image, file.c_str(), 0, rgb.data(), 0, nullptr) != 0);
}

void write_jpeg(const fs::path& file, int height, int width, std::vector<std::uint8_t> bytes,
                J_COLOR_SPACE space, int channels) {
  jpeg_compress_struct info{};
  jpeg_error_mgr errors{};
  info.err = jpeg_std_error(&errors);
  jpeg_create_compress(&info);
  FILE* out = std::fopen(file.c_str(), "wb");
  REQUIRE(out != nullptr);
  jpeg_stdio_dest(&info, out);
  info.image_width = static_cast<JDIMENSION>(width);
  info.image_height = static_cast<JDIMENSION>(height);
  info.input_components = channels;
  info.in_color_space = space;
  jpeg_set_defaults(&info);
  jpeg_set_quality(&info, 95, TRUE);
  jpeg_start_compress(&info, TRUE);
  while (info.next_scanline < info.image_height) {
    JSAMPROW row = bytes.data() +
                   static_cast<std::size_t>(info.next_scanline) * static_cast<std::size_t>(width * channels);
    jpeg_write_scanlines(&info, &row, 1);
  }
  jpeg_finish_compress(&info);
  jpeg_destroy_compress(&info);
  std::fclose(out);
}

std::string error_of(const fs::path& file) {
  try {
    load_photograph(file);
  } catch (const fovea::IoError& error) {
    return error.what();
  }
  return "no error";
}

}  // namespace

TEST_CASE("retina photographs: sRGB bytes become linear light of mean 1") {
  const Folder folder;
  // 188 is 0.5029 of full light, 255 all of it: the mean is 0.7514.
  write_png(folder.path / "a.png", 100, 120, two_greys(100, 120, 188, 255));
  const Image image = load_photograph(folder.path / "a.png");
  CHECK(image.name == "a.png");
  CHECK(image.height == 100);
  CHECK(image.width == 120);
  CHECK(image.at(50, 10) == doctest::Approx(0.5029 / 0.7514).epsilon(1e-3));
  CHECK(image.at(50, 110) == doctest::Approx(1.0 / 0.7514).epsilon(1e-3));

  write_jpeg(folder.path / "b.jpg", 96, 128, two_greys(96, 128, 188, 255), JCS_RGB, 3);
  const Image colour = load_photograph(folder.path / "b.jpg");
  CHECK(colour.at(50, 10) == doctest::Approx(0.5029 / 0.7514).epsilon(0.02));
  write_jpeg(folder.path / "c.jpg", 96, 128, two_greys(96, 128, 188, 255, 1), JCS_GRAYSCALE, 1);
  CHECK(load_photograph(folder.path / "c.jpg").at(50, 110) == doctest::Approx(1.0 / 0.7514).epsilon(0.02));
}

TEST_CASE("retina photographs: dark and bright ends are clipped") {
  const Folder folder;
  std::vector<std::uint8_t> bytes = two_greys(100, 100, 0, 0);
  for (int i = 0; i < 100 * 4 * 3; ++i) bytes[static_cast<std::size_t>(i)] = 255;
  write_png(folder.path / "a.png", 100, 100, bytes);
  const Image image = load_photograph(folder.path / "a.png");
  CHECK(image.at(0, 0) == kBrightest);
  CHECK(image.at(99, 99) == kDarkest);
}

TEST_CASE("retina photographs: averaging down keeps the mean and averages over areas") {
  Image image{.name = "ramp", .height = 30, .width = 100, .pixel = {}};
  for (int r = 0; r < 30; ++r) {
    for (int c = 0; c < 100; ++c) image.pixel.push_back(static_cast<float>(c + 100 * (r % 2)));
  }
  const Image small = averaged_down(image, 40);
  CHECK(small.width == 40);
  CHECK(small.height == 12);
  // Column j covers columns 2.5j … 2.5j+2.5, whose mean value is their centre (pixel c spans c … c+1).
  CHECK(small.at(0, 0) == doctest::Approx((0.0 + 1.0 + 0.5 * 2.0) / 2.5 + 40.0));  // rows 0, 1 and half of 2
  double sum = 0.0;
  for (float v : small.pixel) sum += static_cast<double>(v);
  CHECK(sum / 480.0 == doctest::Approx(99.5).epsilon(1e-5));
  CHECK(averaged_down(image, 100).pixel == image.pixel);
}

TEST_CASE("retina photographs: a file that cannot be used is named in one line") {
  const Folder folder;
  auto path = [&](const char* file) { return folder.path / file; };
  write_jpeg(path("whole.jpg"), 200, 200, two_greys(200, 200, 20, 200), JCS_RGB, 3);
  write_png(path("whole.png"), 200, 200, two_greys(200, 200, 20, 200));
  for (const char* kind : {"jpg", "png"}) {
    std::ifstream in(path((std::string("whole.") + kind).c_str()), std::ios::binary);
    const std::string bytes{std::istreambuf_iterator<char>(in), {}};
    std::ofstream(path((std::string("cut.") + kind).c_str()), std::ios::binary)
        << bytes.substr(0, bytes.size() / 2);
    std::ofstream(path((std::string("head.") + kind).c_str()), std::ios::binary) << bytes.substr(0, 20);
  }
  std::ofstream(path("text.jpg")) << "not a picture";
  std::ofstream(path("empty.png")).flush();
  write_jpeg(path("press.jpg"), 100, 100, two_greys(100, 100, 20, 200, 4), JCS_CMYK, 4);
  write_png(path("stamp.png"), 100, 40, two_greys(100, 40, 20, 200));
  write_png(path("night.png"), 100, 100, two_greys(100, 100, 0, 0));

  struct Bad {
    const char *file, *why;
  };
  for (const Bad& bad :
       {Bad{"cut.jpg", "damaged JPEG"}, Bad{"cut.png", "damaged PNG"}, Bad{"head.jpg", "damaged JPEG"},
        Bad{"head.png", "damaged PNG"}, Bad{"text.jpg", "neither a JPEG nor a PNG"},
        Bad{"empty.png", "neither a JPEG nor a PNG"}, Bad{"press.jpg", "CMYK"}, Bad{"stamp.png", "100x40"},
        Bad{"night.png", "black"}, Bad{"absent.jpg", "no such file"}}) {
    const std::string error = error_of(path(bad.file));
    INFO(error);
    CHECK(error.find(path(bad.file).string()) == 0);
    CHECK(error.find(bad.why) != std::string::npos);
    CHECK(error.find('\n') == std::string::npos);
  }
  CHECK_THROWS_AS(load_photographs({path("whole.jpg"), path("cut.jpg")}, 2), fovea::IoError);
}

TEST_CASE("retina photographs: each fourth picture of a folder is kept for the test") {
  const Folder folder;
  CHECK_THROWS_WITH_AS(split_photographs(folder.path), doctest::Contains("at least 4"), fovea::IoError);
  CHECK_THROWS_WITH_AS(split_photographs(folder.path / "none"), doctest::Contains("no such folder"),
                       fovea::IoError);
  for (const char* file : {"b.jpg", "d.PNG", "a.jpeg", "c.jpg", "e.jpg", "notes.txt"})
    std::ofstream(folder.path / file).flush();
  const PhotographSplit split = split_photographs(folder.path);
  REQUIRE(split.test.size() == 1);
  CHECK(split.test[0].filename() == "d.PNG");
  CHECK(split.train.size() == 4);
}

TEST_CASE("retina photographs: the packaged pictures, or the command that brings them") {
  if (!fs::exists(packaged_photographs())) {
    CHECK_THROWS_WITH_AS(split_photographs(packaged_photographs()),
                         doctest::Contains("apt-get install mate-backgrounds"), fovea::IoError);
    return;
  }
  const PhotographSplit split = split_photographs(packaged_photographs());
  REQUIRE(split.train.size() == 9);
  REQUIRE(split.test.size() == 3);
  CHECK(split.test[0].filename() == "FreshFlower.jpg");
  CHECK(split.test[1].filename() == "RainDrops.jpg");
  CHECK(split.test[2].filename() == "YellowFlower.jpg");
  for (const fs::path& test : split.test) {
    for (const fs::path& train : split.train) CHECK(test != train);
  }
  const Image image = load_photographs({split.test[0]})[0];
  CHECK(std::max(image.height, image.width) == kLongestSide);
}

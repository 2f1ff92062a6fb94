// SPDX-License-Identifier: Apache-2.0
#include "nn/data/movie.h"

#include <doctest/doctest.h>
#include <png.h>

#include <cmath>
#include <fstream>
#include <limits>
#include <set>

#include "nn/data/array_file.h"
#include "nn/data/binned_movie.h"
#include "nn/data/hdf5.h"
#include "tensor/io.h"
#include "tensor/views.h"
#include "tests/temporary_folder.h"

namespace fovea::nn {
using test::TemporaryFolder;
using test::text_of;
namespace {

const Device& host() {
  static const Device device = Device::cpu({.threads = 1});
  return device;
}

/// The first pixel of each frame.
std::vector<float> levels(Movie& movie) {
  std::vector<float> frame(static_cast<std::size_t>(movie.size().height * movie.size().width)), all;
  while (movie.next(frame.data())) all.push_back(frame[0]);
  return all;
}

std::vector<float> levels(BinnedMovie& movie) {
  std::vector<float> frame(static_cast<std::size_t>(movie.size().height * movie.size().width)), all;
  while (movie.next(frame.data())) all.push_back(frame[0]);
  return all;
}

/// A movie [count, 1, 2] of which frame n has the level n.
BinnedMovie counting(const TemporaryFolder& folder, int count, const BinOptions& options) {
  std::vector<float> pixels;
  for (int n = 0; n < count; ++n) pixels.insert(pixels.end(), {static_cast<float>(n), 0.0f});
  save_npy(folder.path() / "n.npy", Tensor::from(pixels, {count, 1, 2}, host()));
  return {open_movie(folder.path() / "n.npy"), options};
}

void write_png(const std::filesystem::path& file, int height, int width, std::uint8_t level) {
  const std::vector<std::uint8_t> rgb(static_cast<std::size_t>(height * width * 3), level);
  png_image image{};
  image.version = PNG_IMAGE_VERSION;
  image.width = static_cast<png_uint_32>(width);
  image.height = static_cast<png_uint_32>(height);
  image.format = PNG_FORMAT_RGB;
  REQUIRE(png_image_write_to_file(&image, file.c_str(), 0, rgb.data(), 0, nullptr) != 0);
}

}  // namespace

TEST_CASE("movie: arrays of bytes and of floats, grey and in colour") {
  const TemporaryFolder folder;
  const auto file = folder.path() / "a.npz";
  const Tensor bytes = Tensor::from(std::vector<std::uint8_t>{0, 7, 255, 9}, {2, 1, 2}, host());
  const Tensor doubles = Tensor::from(std::vector<double>{0.5, 1.5, 2.5, 3.5}, {2, 1, 2}, host());
  const Tensor colour =
      Tensor::from(std::vector<std::uint8_t>{255, 0, 0, 188, 188, 188}, {1, 1, 2, 3}, host());
  const Tensor light = Tensor::from(std::vector<float>{0, 10, 0}, {1, 1, 1, 3}, host());
  save_npz(file, {{"bytes", bytes}, {"doubles", doubles}, {"colour", colour}, {"light", light}});
  const auto open = [&](const char* name) { return open_movie(file, name); };

  CHECK(open("bytes")->size() == Size2d(1, 2));
  CHECK(open("bytes")->fps() == 0.0);
  CHECK(levels(*open("bytes")) == std::vector<float>{0, 255});
  CHECK(levels(*open("doubles")) == std::vector<float>{0.5f, 2.5f});
  CHECK(levels(*open("light"))[0] == doctest::Approx(7.152));
  float pixels[2];
  REQUIRE(open("colour")->next(pixels));
  CHECK(pixels[0] == doctest::Approx(255 * 0.2126));
  CHECK(pixels[1] == doctest::Approx(255 * 0.5029).epsilon(1e-3));  // sRGB 188

  const auto movie = open("bytes");
  (void)levels(*movie);
  movie->rewind();
  CHECK(levels(*movie) == std::vector<float>{0, 255});
}

TEST_CASE("movie: which array of a file is meant") {
  const TemporaryFolder folder;
  const auto file = folder.path() / "a.safetensors";
  const Tensor one = Tensor::full({2, 1, 1}, 1, DType::u8, host()),
               two = Tensor::full({2, 1, 1}, 2, DType::u8, host());
  const Tensor rates = Tensor::zeros({2, 2}, DType::f32, host());
  save_safetensors(file, {{"rates", rates}, {"train/stimulus", one}});
  CHECK(levels(*open_movie(file))[0] == 1);
  save_safetensors(file, {{"rates", rates}, {"train/stimulus", one}, {"test/stimulus", two}});
  CHECK(levels(*open_movie(file))[0] == 2);
  CHECK(levels(*open_movie(file, "train"))[0] == 1);
  CHECK(levels(*open_movie(file, "train/stimulus"))[0] == 1);

  const auto text = [&](const char* array) {
    return text_of<IoError>([&] { (void)open_movie(file, array); });
  };
  CHECK(text("rtes") == file.string() + ": holds no array 'rtes'; did you mean 'rates'?");
  CHECK(text("rates") ==
        file.string() + ": the array is f32 [2, 2], expected a movie [T, H, W] or [T, H, W, 3] of numbers");
  save_safetensors(file, {{"a", one}, {"b", two}});
  CHECK(text("") ==
        file.string() + ": holds 2 arrays that may be movies (a, b); say which with --stimulus NAME");
  save_safetensors(file, {{"a", rates}});
  CHECK(text("") ==
        file.string() + ": holds no movie, expected an array [T, H, W] or [T, H, W, 3] of numbers");
}

TEST_CASE("movie: a long array is read in parts") {
  const TemporaryFolder folder;
  const Tensor frames =
      Tensor::zeros({11, 1000, 1000}, DType::u8, host());  // more than twice what is read at once
  for (std::int64_t n = 0; n < 11; ++n) select(frames, 0, n).fill(static_cast<double>(n));
  std::vector<std::string> files{"a.npy", "a.npz", "a.safetensors"};
  save_npy(folder.path() / "a.npy", frames);
  save_npz(folder.path() / "a.npz", {{"frames", frames}});
  save_arrays(folder.path() / "a.safetensors", {{"test/stimulus", frames}}, {});
  if (hdf5_version().empty()) {
    MESSAGE("skipped: this build reads no HDF5");
  } else {
    files.emplace_back("a.h5");
    save_arrays(folder.path() / "a.h5", {{"test/stimulus", frames}}, {});
  }
  for (const std::string& file : files) {
    CAPTURE(file);
    const auto movie = open_movie(folder.path() / file);
    for (int pass = 0; pass < 2; ++pass) {
      CHECK(levels(*movie) == std::vector<float>{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10});
      movie->rewind();
    }
  }
}

TEST_CASE("movie: the pictures of a folder in their natural order") {
  CHECK(natural_order("frame2.png", "frame10.png"));
  CHECK_FALSE(natural_order("frame10.png", "frame2.png"));
  CHECK(natural_order("a9b2", "a9b10"));
  CHECK(natural_order("a", "a1"));
  CHECK(natural_order("b1", "c0"));
  CHECK(natural_order("f01", "f1"));
  CHECK_FALSE(natural_order("f1", "f01"));
  CHECK_FALSE(natural_order("x7", "x7"));
  CHECK(natural_order("x99999999999999999999998", "x99999999999999999999999"));

  const TemporaryFolder folder;
  write_png(folder.path() / "f10.png", 2, 3, 255);
  write_png(folder.path() / "f2.PNG", 2, 3, 188);
  write_png(folder.path() / "f1.png", 2, 3, 0);
  std::ofstream(folder.path() / "notes.txt") << "no frame";
  const auto movie = open_movie(folder.path());
  CHECK(movie->size() == Size2d(2, 3));
  const std::vector<float> all = levels(*movie);
  REQUIRE(all.size() == 3);
  CHECK(all[0] == 0);
  CHECK(all[1] == doctest::Approx(255 * 0.5029).epsilon(1e-3));
  CHECK(all[2] == doctest::Approx(255));

  write_png(folder.path() / "f3.png", 3, 2, 0);
  const auto mixed = open_movie(folder.path());
  CHECK(text_of<IoError>([&] { (void)levels(*mixed); }) ==
        (folder.path() / "f3.png").string() +
            ": is 3x2, but f1.png is 2x3 (height x width); the frames of a movie have one size");
}

TEST_CASE("movie: what is none") {
  const TemporaryFolder folder;
  const auto text = [&](const std::filesystem::path& path) {
    return text_of<IoError>([&] { (void)open_movie(path); });
  };
  const std::string in = folder.path().string();
  CHECK(text(folder.path()) ==
        in + ": the folder holds no PNG or JPEG files, expected the frames of a movie");
  std::ofstream(folder.path() / "a.txt") << "text";
  write_png(folder.path() / "a.png", 2, 2, 0);
  CHECK(text(folder.path() / "a.txt") == in + "/a.txt: is no kind of movie that is known, expected .npy, "
                                              ".npz, .safetensors, .h5, a folder of PNG or JPEG "
                                              "files, or a video (.3gp .avi .flv .gif .m4v .mkv .mov .mp4 "
                                              ".mpeg .mpg .mts .ogv .ts .webm .wmv .y4m)");
  CHECK(text(folder.path() / "a.png") ==
        in + "/a.png: is one picture, expected a movie; give a folder of pictures");
  CHECK(text(folder.path() / "a.tx") ==
        in + "/a.tx: there is no such file or folder; did you mean '" + in + "/a.txt'?");
}

TEST_CASE("binned movie: a bin shows the frame that is on the screen in its middle") {
  const TemporaryFolder folder;
  const auto shown = [&](int count, double fps) {
    BinnedMovie movie = counting(folder, count, {.fps = fps});
    return levels(movie);
  };
  CHECK(shown(4, 0) == std::vector<float>{0, 1, 2, 3});
  CHECK(shown(2, 25) == std::vector<float>{0, 0, 0, 0, 1, 1, 1, 1});
  // At 30 Hz a frame takes 3 1/3 bins: the frames change at bins 3.33, 6.67 and 10.
  CHECK(shown(3, 30) == std::vector<float>{0, 0, 0, 1, 1, 1, 1, 2, 2, 2});
  CHECK(shown(6, 200) == std::vector<float>{1, 3, 5});
  CHECK(shown(1, 1e6).empty());
  // Ten minutes at a rate that no float holds: still one frame after another.
  BinnedMovie movie = counting(folder, 18000, {.fps = 30000.0 / 1001});
  const std::vector<float> all = levels(movie);
  CHECK(all.size() == 60060);
  CHECK(std::set<float>(all.begin(), all.end()).size() == 18000);
  movie.rewind();
  CHECK(levels(movie) == all);
}

TEST_CASE("binned movie: cropped, resized, normalised") {
  const TemporaryFolder folder;
  std::vector<float> pixels(4 * 8, 100.0f);
  for (int row = 0; row < 4; ++row)
    for (int col = 2; col < 6; ++col)
      pixels[static_cast<std::size_t>(row * 8 + col)] = static_cast<float>(row);
  save_npy(folder.path() / "a.npy", Tensor::from(pixels, {1, 4, 8}, host()));
  const auto open = [&](const BinOptions& options) {
    return BinnedMovie(open_movie(folder.path() / "a.npy"), options);
  };
  BinnedMovie movie = open({.square = true, .size = 2});
  CHECK(movie.size() == Size2d(2));
  movie.set_normalization({.mean = 0.5f, .sd = 2.0f});
  float frame[4];
  REQUIRE(movie.next(frame));
  CHECK(std::vector<float>(frame, frame + 4) == std::vector<float>{0, 0, 1, 1});
  CHECK_FALSE(movie.next(frame));
  CHECK(open({}).size() == Size2d(4, 8));
  CHECK(open({.square = true}).size() == Size2d(4));

  const auto text = [&](const BinOptions& options) {
    return text_of<ValueError>([&] { (void)open(options); });
  };
  CHECK(text({.fps = -1}) == "binned_movie: -1 frames a second, expected more than 0 and at most 1e6");
  CHECK(text({.bins_per_s = 0}) == "binned_movie: 0 bins a second, expected more than 0");
}

TEST_CASE("measure: mean and SD of what is shown, in bins") {
  const TemporaryFolder folder;
  BinnedMovie movie = counting(folder, 3, {.fps = 50});  // pixels 0 0, 1 0, 2 0, each twice
  const auto all = [](std::int64_t) { return true; };
  const MovieStatistics seen = measure(movie, all);
  CHECK(seen.bins == 6);
  CHECK(seen.mean == doctest::Approx(0.5));
  CHECK(seen.sd == doctest::Approx(std::sqrt(5.0 / 6 - 0.25)));
  CHECK(levels(movie).size() == 6);  // it was wound back
  movie.rewind();
  CHECK(measure(movie, [](std::int64_t bins) { return bins < 4; }).bins == 4);
  CHECK(measure(movie, [](std::int64_t) { return false; }).bins == 0);

  // A high mean takes nothing from a small SD.
  save_npy(folder.path() / "b.npy",
           Tensor::from(std::vector<double>{65536.0, 65536.0625, 65536.0, 65536.0625}, {2, 1, 2}, host()));
  BinnedMovie bright(open_movie(folder.path() / "b.npy"), {});
  CHECK(measure(bright, all).sd == doctest::Approx(0.03125));

  const float nan = std::numeric_limits<float>::quiet_NaN();
  save_npy(folder.path() / "c.npy", Tensor::from(std::vector<float>{1, 2, 3, nan}, {2, 1, 2}, host()));
  BinnedMovie broken(open_movie(folder.path() / "c.npy"), {});
  CHECK(text_of<IoError>([&] { (void)measure(broken, all); }) ==
        (folder.path() / "c.npy").string() + ": bin 1 has values that are not finite numbers");
}

}  // namespace fovea::nn

// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <chrono>
#include <cmath>

#include "apps/atomic_file.h"
#include "apps/checkpoint.h"
#include "apps/encode.h"
#include "apps/exit_code.h"
#include "apps/model_list.h"
#include "apps/progress.h"
#include "apps/retina_models.h"
#include "apps/run_device.h"
#include "apps/stop_signal.h"
#include "models/retina/circuit.h"
#include "models/retina/encode.h"
#include "nn/data/binned_movie.h"
#include "tensor/npz.h"

namespace fovea::apps {
namespace {

constexpr double kBinsPerSecond = 100.0;

/// Leaves the writing of a file, which then does not appear.
struct Interrupted {};

/// "1.4 GB"
std::string bytes_text(double bytes) {
  return bytes < 1e6   ? fmt::format("{:.0f} kB", bytes / 1e3)
         : bytes < 1e9 ? fmt::format("{:.1f} MB", bytes / 1e6)
                       : fmt::format("{:.1f} GB", bytes / 1e9);
}

nn::Normalization normalization(const EncodeRequest& request, const std::filesystem::path& checkpoint,
                                const nn::MovieStatistics& movie) {
  if (request.contrast == "none") return {};
  if (request.contrast == "match") {
    if (!(movie.sd > 0.0))
      throw IoError(fmt::format("{}: is one even grey, there is no contrast to match; use --contrast keep",
                                request.movie.string()));
    return {static_cast<float>(movie.mean), static_cast<float>(movie.sd)};
  }
  return saved_normalization(checkpoint);
}

/// The movie at the size that the model reads.
nn::BinnedMovie open(const EncodeRequest& request, bool any_size) {
  std::unique_ptr<nn::Movie> movie = nn::open_movie(request.movie, request.stimulus);
  nn::BinOptions options{
      .bins_per_s = kBinsPerSecond, .fps = request.fps, .square = request.square, .size = request.size};
  const Size2d given = movie->size(), model = retina::kSize;
  if (!any_size && request.size != Size2d(0) && request.size != model)
    throw UsageError(fmt::format("--size {}x{}: the model reads frames of {}x{} only", request.size.height,
                                 request.size.width, model.height, model.width));
  if (!any_size && given != model) {
    fmt::print(stderr,
               "note: the model reads frames of {}x{}: those of {}x{} are averaged or interpolated{}\n",
               model.height, model.width, given.height, given.width,
               given.height == given.width || request.square ? "" : "; --crop would keep their proportions");
    options.size = model;
  }
  return {std::move(movie), options};
}

void write_numbers(NpzWriter& file, const nn::BinnedMovie& movie, const nn::Normalization& norm,
                   const retina::EncodeOptions& options, std::int64_t bins) {
  const Device host = Device::cpu({.threads = 1});
  const auto number = [&](const char* name, double value) {
    file.add(name, Tensor::full({}, value, DType::f64, host));
  };
  std::vector<double> time;
  for (std::int64_t i = 0; i < bins; ++i)
    time.push_back(static_cast<double>(options.history + i * options.every) / kBinsPerSecond);
  file.add("time", Tensor::from(time, {bins}, host));
  number("first_bin", static_cast<double>(options.history));
  number("fps", kBinsPerSecond);
  number("movie_fps", movie.fps());
  number("norm_mean", static_cast<double>(norm.mean));
  number("norm_sd", static_cast<double>(norm.sd));
  file.add("frame_size",
           Tensor::from(std::vector<std::int64_t>{movie.size().height, movie.size().width}, {2}, host));
}

void write_grid(NpzWriter& file, const retina::MapGrid& grid) {
  const Device host = Device::cpu({.threads = 1});
  file.add("offset_px",
           Tensor::from(std::vector<double>(grid.offset_px.begin(), grid.offset_px.end()), {2}, host));
  file.add("stride_px",
           Tensor::from(std::vector<double>(grid.stride_px.begin(), grid.stride_px.end()), {2}, host));
}

void check_space(const std::filesystem::path& out, double bytes) {
  std::error_code unknown;
  const auto space = std::filesystem::space(std::filesystem::absolute(out).parent_path(), unknown);
  if (!unknown && bytes > static_cast<double>(space.available))
    throw IoError(fmt::format(  // untested: tests/crash/full_disk.sh looks at its words
        "{}: needs {}, but {} are free there; --every, --pool, --size or --what rates need less",
        out.string(), bytes_text(bytes), bytes_text(static_cast<double>(space.available))));
}

}  // namespace

int encode_movie(const EncodeRequest& request) {
  const Config config = read_run_config(request.run);
  if (config.text("data.normalize") == "pixel")
    throw UsageError(fmt::format(
        "{}: was trained with data.normalize = pixel, by the mean and SD of each pixel of its own screen, "
        "which other movies do not have; train with data.normalize = scalar to encode them",
        request.run.string()));
  const Checkpoint checkpoint = find_checkpoint(request.run, request.checkpoint);
  const Device device = viewing_device(request.device, config);
  const std::unique_ptr<retina::RateModel> model = load_retina_model(config, checkpoint.path, device);
  const bool maps = request.what == "maps" || (request.what == "auto" && model->has_maps());
  if (maps && !model->has_maps())
    throw UsageError(fmt::format("--what maps: {} has none, its cells see the whole frame; use --what rates",
                                 config.text("model.name")));
  if (!maps && request.pool > 0)
    throw UsageError("--pool: rates have no places to average over; it is for --what maps");
  if (model->sees_past())
    fmt::print(stderr, "note: {} also sees the cells' spikes; these are its rates while none is fired\n",
               config.text("model.name"));
  nn::BinnedMovie movie = open(request, maps);
  const retina::EncodeOptions options{.what = maps ? retina::Encoding::maps : retina::Encoding::rates,
                                      .history = config.integer("model.history"),
                                      .every = request.every,
                                      .pool = request.pool};
  const Shape one = retina::encoded_shape(*model, device, options, movie.size());
  make_folder(request.out.has_parent_path() ? request.out.parent_path() : ".");

  const StopSignal stop;
  double seconds = 0.0;
  std::int64_t bins = 0;
  try {
    replace_file(request.out, [&](const std::filesystem::path& path) {
      NpzWriter file(path);  // first of all, so that a place that cannot be written is told at once
      // Read twice: how long it is, and of what contrast, is known only at its end.
      const nn::MovieStatistics seen = nn::measure(movie, [&](std::int64_t) { return !stop.requested(); });
      if (stop.requested()) throw Interrupted{};
      const nn::Normalization norm = normalization(request, checkpoint.path, seen);
      movie.set_normalization(norm);
      bins = retina::encoded_bins(options, seen.bins);
      if (bins == 0)
        throw IoError(fmt::format(
            "{}: has {} bins of 10 ms, but the model needs at least {}: {} of history and the one "
            "to tell",
            request.movie.string(), seen.bins, options.history + 1, options.history));
      Shape shape{bins};
      for (const std::int64_t extent : one) shape.push_back(extent);
      const double bytes = 4.0 * static_cast<double>(shape.numel());
      fmt::print(stderr, "{}: {} bins of 10 ms, {}x{}, mean {:.1f}, SD {:.1f}\n{} {}: {}\n",
                 request.movie.string(), seen.bins, movie.size().height, movie.size().width, seen.mean,
                 seen.sd, maps ? "maps" : "rates", shape, bytes_text(bytes));
      check_space(request.out, bytes);
      write_numbers(file, movie, norm, options, bins);
      if (maps) write_grid(file, retina::map_grid(*model, options, movie.size()));

      file.begin(maps ? "maps" : "rates", DType::f32, shape);
      Progress progress(0, bins);
      const auto start = std::chrono::steady_clock::now();
      std::int64_t done = 0;
      retina::encode(
          *model, device, options, movie.size(), [&](float* frame) { return movie.next(frame); },
          [&](const Tensor& part) {
            if (stop.requested()) throw Interrupted{};
            file.append(part);
            done += part.size(0);
            progress.step(done, std::nan(""));
            return true;
          });
      progress.finish();
      seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
      if (done != bins)
        throw IoError(
            fmt::format("{}: gave {} results, then {}; it changed while it was read",  // untested: a race
                        request.movie.string(), bins, done));
      file.end();
      file.finish();
    });
  } catch (const Interrupted&) {
    fmt::print(stderr, "interrupted; {} was not written\n", request.out.string());
    return stop.exit_code();
  }
  fmt::print("{}  ({:.1f} bins/s)\n", request.out.string(), static_cast<double>(bins) / seconds);
  return kDone;
}

}  // namespace fovea::apps

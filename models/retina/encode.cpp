// SPDX-License-Identifier: Apache-2.0
#include "models/retina/encode.h"

#include <algorithm>
#include <cstring>

#include "autograd/ops/pool2d.h"
#include "tensor/views.h"

namespace fovea::retina {
namespace {

void check(const RateModel& model, const EncodeOptions& options, Size2d frame) {
  constexpr const char* kName = "encode";
  if (options.history < 1 || options.every < 1 || options.pool < 0 || options.batch < 0 || options.tile < 0)
    reject<ValueError>(kName,
                       "history {} and every {} must be at least 1, pool {}, batch {} and tile {} at least 0",
                       options.history, options.every, options.pool, options.batch, options.tile);
  if (options.what != Encoding::maps) return;
  if (std::min(frame.height, frame.width) <= model.reach())
    reject<ValueError>(kName, "frames of {}x{} are too small for maps: the model sees {} pixels at once",
                       frame.height, frame.width, model.reach() + 1);
  if (options.pool > std::min(frame.height, frame.width) - model.reach())
    reject<ValueError>(kName, "maps of {}x{} cannot be averaged down to {}x{}", frame.height - model.reach(),
                       frame.width - model.reach(), options.pool, options.pool);
}

/// Side of the frames that a map is made from. On the cpu, convolutions of large kernels go by transforms of planes up
/// to 100: a frame of 240 in tiles takes a seventh of the time, although tiles overlap by the model's reach.
std::int64_t tile_for(const RateModel& model, const EncodeOptions& options, Size2d frame,
                      const Device& device) {
  constexpr std::int64_t kTransform = 100;
  const std::int64_t whole = std::max(frame.height, frame.width);
  if (options.tile > 0) return std::max(options.tile, model.reach() + 1);
  const bool transforms = device.kind() == DeviceKind::cpu && 2 * model.reach() < kTransform;
  return transforms ? std::min(kTransform, whole) : whole;
}

/// So many bins that results of all layers, whole maps, and the frames between them stay within half a gigabyte each.
std::int64_t batch_for(Size2d frame, std::int64_t tile, std::int64_t every) {
  constexpr std::int64_t kElements = std::int64_t{1} << 27, kPerPixel = 32, kFilters = 8;
  const std::int64_t plane = frame.height * frame.width;
  return std::clamp<std::int64_t>(
      kElements / std::max({kPerPixel * tile * tile, kFilters * plane, every * plane}), 1, 256);
}

/// Equal parts of a side of `whole` places, each of at most `most`.
struct Parts {
  std::int64_t whole, count, size;
  Parts(std::int64_t places, std::int64_t most)
      : whole(places), count((places + most - 1) / most), size((places + count - 1) / count) {}
  /// The last one may overlap the one before it.
  std::int64_t begin(std::int64_t i) const { return std::min(i * size, whole - size); }
};

/// Maps of the windows that begin at each `every`-th frame, [n, filters, H', W'] on the model's device.
Tensor maps_of(RateModel& model, const Device& device, const EncodeOptions& options, const Tensor& frames,
               std::int64_t tile) {
  const std::int64_t reach = model.reach();
  const Parts rows(frames.size(1) - reach, tile - reach), cols(frames.size(2) - reach, tile - reach);
  Tensor all;
  for (std::int64_t r = 0; r < rows.count; ++r) {
    for (std::int64_t c = 0; c < cols.count; ++c) {
      const std::int64_t top = rows.begin(r), left = cols.begin(c);
      // Cut out of the frames, not of the windows: those stay a view in which each frame is stored once.
      const Tensor part =
          slice(slice(frames, 1, top, top + rows.size + reach), 2, left, left + cols.size + reach);
      const Tensor windows = rolling_window(part.contiguous("tile").to(device), options.history);
      const Tensor y = model.maps(slice(windows, 0, 0, windows.size(0), options.every)).value();
      if (rows.count * cols.count == 1) return y;
      if (!all.defined())
        all = Tensor::empty({y.size(0), y.size(1), rows.whole, cols.whole}, DType::f32, device, "maps");
      slice(slice(all, 2, top, top + rows.size), 3, left, left + cols.size).copy_from(y);
    }
  }
  return all;
}

/// The model infers while one of these lives, and is then what it was.
class Inference {
 public:
  explicit Inference(nn::Module& model) : model_(model), training_(model.training()) { model.eval(); }
  Inference(const Inference&) = delete;
  Inference& operator=(const Inference&) = delete;
  ~Inference() { model_.train(training_); }

 private:
  nn::Module& model_;
  bool training_;
};

}  // namespace

std::int64_t encoded_bins(const EncodeOptions& options, std::int64_t frames) {
  return std::max<std::int64_t>(0, (frames - options.history + options.every - 1) / options.every);
}

Shape encoded_shape(RateModel& model, const Device& device, const EncodeOptions& options, Size2d frame) {
  check(model, options, frame);
  const Inference inference(model);
  const bool maps = options.what == Encoding::maps;
  const Size2d seen = maps ? Size2d(model.reach() + 1) : frame;
  const Var grey = Tensor::zeros({1, options.history, seen.height, seen.width}, DType::f32, device, "grey");
  const Shape shape = (maps ? model.maps(grey) : model(grey)).shape();
  if (!maps) return {shape[1]};
  if (options.pool > 0) return {shape[1], options.pool, options.pool};
  return {shape[1], frame.height - model.reach(), frame.width - model.reach()};
}

MapGrid map_grid(const RateModel& model, const EncodeOptions& options, Size2d frame) {
  MapGrid grid;
  const std::int64_t sides[2] = {frame.height - model.reach(), frame.width - model.reach()};
  for (std::size_t axis = 0; axis < 2; ++axis) {
    grid.stride_px[axis] =
        options.pool > 0 ? static_cast<double>(sides[axis]) / static_cast<double>(options.pool) : 1.0;
    grid.offset_px[axis] = (static_cast<double>(model.reach()) + grid.stride_px[axis] - 1.0) / 2.0;
  }
  return grid;
}

void encode(RateModel& model, const Device& device, const EncodeOptions& options, Size2d frame,
            const std::function<bool(float*)>& next, const std::function<bool(const Tensor&)>& take) {
  check(model, options, frame);
  const Inference inference(model);
  const bool maps = options.what == Encoding::maps;
  const std::int64_t plane = frame.height * frame.width,
                     tile =
                         maps ? tile_for(model, options, frame, device) : std::max(frame.height, frame.width),
                     batch = options.batch > 0 ? options.batch : batch_for(frame, tile, options.every);
  // A window is complete when the frame after it is there: that is the bin it tells of, as in a recording.
  const std::int64_t room = (batch - 1) * options.every + options.history + 1;
  const Device host = Device::cpu({.threads = 1});
  const Tensor frames = Tensor::empty({room, frame.height, frame.width}, DType::f32, host, "movie");
  float* const pixels = frames.data();
  std::int64_t filled = 0, skip = 0;  // frames that are there; that are read and dropped first
  for (bool more = true; more;) {
    while (filled < room && (more = next(pixels + filled * plane))) skip > 0 ? void(--skip) : void(++filled);
    const std::int64_t count = encoded_bins(options, filled);
    if (count == 0) break;
    const std::int64_t last = (count - 1) * options.every + options.history;
    const Tensor seen = slice(frames, 0, 0, last);
    Var y;
    if (maps) {
      y = maps_of(model, device, options, seen, tile);
      if (options.pool > 0) y = adaptive_average_pool2d(y, options.pool);
    } else {
      const Tensor windows = rolling_window(seen.to(device), options.history);
      y = model(slice(windows, 0, 0, windows.size(0), options.every));
    }
    const Tensor result = Tensor::empty(y.shape(), DType::f32, host, "encoding");
    result.copy_from(y.value());
    if (!take(result)) return;
    // The next window begins `every` frames after the last one, which may be beyond what is there.
    const std::int64_t done = std::min(filled, count * options.every);
    skip = count * options.every - done;
    filled -= done;
    std::memmove(pixels, pixels + done * plane, static_cast<std::size_t>(filled * plane) * sizeof(float));
  }
}

}  // namespace fovea::retina

// SPDX-License-Identifier: Apache-2.0
#include "models/retina/stimuli.h"

#include <algorithm>
#include <cmath>
#include <stdexcept>

#include <fmt/format.h>

#include "models/retina/draws.h"
#include "models/retina/parts.h"

namespace fovea::retina {
namespace {

constexpr int kLeavesSize = 256;
constexpr double kSmallestLeaf_px = 1.5, kLargestLeaf_px = 85.0;
constexpr float kLeafSpread = 0.55f;
constexpr float kShading = 0.2f;  // largest change of luminance from a leaf's centre to its rim

std::uint8_t grey_level(float intensity) {
  return static_cast<std::uint8_t>(std::clamp(std::lround(intensity * kLevelsPerUnit), 0L, 255L));
}

Image one_dead_leaves_image(philox::Key key) {
  Draws draw(key);
  Image image{.name = fmt::format("dead leaves {}", key.step),
              .height = kLeavesSize,
              .width = kLeavesSize,
              .pixel = {}};
  image.pixel.assign(std::size_t{kLeavesSize} * kLeavesSize, -1.0f);  // negative: not covered yet
  const double smallest = 1.0 / (kSmallestLeaf_px * kSmallestLeaf_px),
               largest = 1.0 / (kLargestLeaf_px * kLargestLeaf_px);
  for (int open = kLeavesSize * kLeavesSize; open > 0;) {
    // The cumulative distribution of a density ∝ r⁻³, solved for r.
    const float u = draw.uniform();
    const float radius =
        static_cast<float>(1.0 / std::sqrt(smallest - static_cast<double>(u) * (smallest - largest)));
    const float reach = static_cast<float>(kLargestLeaf_px);
    const float row = draw.uniform() * (kLeavesSize + 2.0f * reach) - reach;
    const float col = draw.uniform() * (kLeavesSize + 2.0f * reach) - reach;
    const float luminance = std::exp(kLeafSpread * draw.normal());
    const float slope = kShading * draw.uniform() / radius;
    const philox::SinCos direction = philox::sincos_turn(draw.uniform());
    const int last_row = std::min(kLeavesSize - 1, static_cast<int>(std::floor(row + radius)));
    const int last_col = std::min(kLeavesSize - 1, static_cast<int>(std::floor(col + radius)));
    for (int r = std::max(0, static_cast<int>(std::ceil(row - radius))); r <= last_row; ++r) {
      for (int c = std::max(0, static_cast<int>(std::ceil(col - radius))); c <= last_col; ++c) {
        const float dr = static_cast<float>(r) - row, dc = static_cast<float>(c) - col;
        float& pixel = image.pixel[static_cast<std::size_t>(r * kLeavesSize + c)];
        if (pixel >= 0.0f || dr * dr + dc * dc > radius * radius) continue;
        pixel = luminance * (1.0f + slope * (dr * direction.sin + dc * direction.cos));
        --open;
      }
    }
  }
  normalise(image);
  return image;
}

/// Keeps a coordinate in [0, last] by reflection.
float reflected(float x, float last) {
  if (x < 0.0f) x = -x;
  if (x > last) x = 2.0f * last - x;
  return std::clamp(x, 0.0f, last);
}

}  // namespace

std::vector<Image> dead_leaves(int count, std::uint64_t seed, std::uint32_t set, int threads) {
  std::vector<Image> images(static_cast<std::size_t>(count));
  for_parts(threads, count, [&](int i) {
    const std::uint32_t number = (set << 16) + static_cast<std::uint32_t>(i);
    images[static_cast<std::size_t>(i)] = one_dead_leaves_image(
        {.seed = seed, .stream = philox::stream_id("retina.dead_leaves"), .step = number});
  });
  return images;
}

std::vector<Gaze> gaze_path(std::span<const Image> images, int frames, std::uint64_t seed,
                            std::uint32_t block) {
  if (images.empty()) throw std::invalid_argument("natural movie: no images");
  for (const Image& image : images) {
    if (image.height < kMinImageSize || image.width < kMinImageSize) {
      throw std::invalid_argument(fmt::format("natural movie: {} is {}x{} pixels, at least {}x{} are needed",
                                              image.name, image.height, image.width, kMinImageSize,
                                              kMinImageSize));
    }
  }
  Draws saccade({.seed = seed, .stream = philox::stream_id("retina.saccade"), .step = block});
  Draws drift({.seed = seed, .stream = philox::stream_id("retina.drift"), .step = block});
  const int count = static_cast<int>(images.size());
  std::vector<Gaze> path(static_cast<std::size_t>(frames));
  Gaze now{0, 0.0f, 0.0f};
  float last_row = 0.0f, last_col = 0.0f;
  for (int t = 0; t < frames; ++t) {
    if (t % kSaccadeFrames == 0) {
      const int other = t == 0 || count == 1 ? saccade.below(count) : saccade.below(count - 1);
      now.image = t == 0 || count == 1 || other < now.image ? other : other + 1;
      const Image& image = images[static_cast<std::size_t>(now.image)];
      // Bilinear interpolation reads one pixel beyond the window.
      last_row = static_cast<float>(image.height - kSize - 1);
      last_col = static_cast<float>(image.width - kSize - 1);
      now.row = saccade.uniform() * last_row;
      now.col = saccade.uniform() * last_col;
    } else {
      now.row = reflected(now.row + kDrift_px * drift.normal(), last_row);
      now.col = reflected(now.col + kDrift_px * drift.normal(), last_col);
    }
    path[static_cast<std::size_t>(t)] = now;
  }
  return path;
}

Movie natural_movie(std::span<const Image> images, std::span<const Gaze> path, int threads) {
  Movie movie;
  movie.pixel.resize(path.size() * kPixels);
  const int frames = static_cast<int>(path.size());
  for_parts(threads, (frames + kSaccadeFrames - 1) / kSaccadeFrames, [&](int part) {
    for (int t = part * kSaccadeFrames; t < std::min(frames, (part + 1) * kSaccadeFrames); ++t) {
      const Gaze& gaze = path[static_cast<std::size_t>(t)];
      const Image& image = images[static_cast<std::size_t>(gaze.image)];
      const int row = static_cast<int>(gaze.row), col = static_cast<int>(gaze.col);
      const float down = gaze.row - static_cast<float>(row), right = gaze.col - static_cast<float>(col);
      std::uint8_t* out = movie.pixel.data() + static_cast<std::size_t>(t) * kPixels;
      for (int r = 0; r < kSize; ++r) {
        for (int c = 0; c < kSize; ++c) {
          const float above =
              image.at(row + r, col + c) * (1.0f - right) + image.at(row + r, col + c + 1) * right;
          const float below =
              image.at(row + r + 1, col + c) * (1.0f - right) + image.at(row + r + 1, col + c + 1) * right;
          *out++ = grey_level(above * (1.0f - down) + below * down);
        }
      }
    }
  });
  return movie;
}

Movie white_noise_movie(int frames, std::uint64_t seed, std::uint32_t block, int threads) {
  Movie movie;
  movie.pixel.resize(static_cast<std::size_t>(frames) * kPixels);
  const philox::Key key{.seed = seed, .stream = philox::stream_id("retina.white_noise"), .step = block};
  static_assert(kPixels % 4 == 0);
  for_parts(threads, (frames + kNoiseHoldFrames - 1) / kNoiseHoldFrames, [&](int part) {
    std::uint8_t* first = movie.pixel.data() + static_cast<std::size_t>(part) * kNoiseHoldFrames * kPixels;
    for (int i = 0; i < kPixels; i += 4) {
      const philox::Normals n = philox::normals(philox::bits(
          key, (static_cast<std::uint64_t>(part) * kPixels + static_cast<std::uint64_t>(i)) / 4));
      for (int j = 0; j < 4; ++j)
        first[i + j] = grey_level(std::clamp(1.0f + kNoiseContrast * n.value[j], 0.0f, 2.0f));
    }
    const int held = std::min(kNoiseHoldFrames, frames - part * kNoiseHoldFrames);
    for (int copy = 1; copy < held; ++copy) std::copy_n(first, kPixels, first + copy * kPixels);
  });
  return movie;
}

}  // namespace fovea::retina

// SPDX-License-Identifier: Apache-2.0
#include "tests/apps/tiny_recording.h"

#include "models/retina/recording_file.h"

namespace fovea::apps {

void write_tiny_recording(const std::filesystem::path& path, std::vector<std::int64_t> blocks) {
  const Device host = Device::cpu({.threads = 1});
  const auto uniform = [&](const Shape& shape, const char* stream, float low, float high) {
    return Tensor::uniform(shape, {9, philox::stream_id(stream), 0, nullptr}, low, high, host);
  };
  retina::RecordingData recording;
  recording.train_stimulus = uniform({1200, 50, 50}, "train", 0, 255).to(DType::u8);
  recording.train_rate = uniform({2, 1200}, "rate", 0, 30);
  recording.train_counts = uniform({2, 1200}, "counts", 0, 2).to(DType::i32).to(DType::f32);  // 0 or 1
  recording.blocks = std::move(blocks);
  recording.test_stimulus = uniform({300, 50, 50}, "test", 0, 255).to(DType::u8);
  recording.test_repeats = uniform({3, 2, 300}, "repeats", 0, 30);
  recording.test_rate = Tensor::zeros({2, 300}, DType::f32, host);
  for (std::int64_t i = 0; i < 600; ++i)  // their mean
    for (std::int64_t trial = 0; trial < 3; ++trial)
      recording.test_rate.data()[i] += recording.test_repeats.data()[trial * 600 + i] / 3;
  recording.test_true_rate = uniform({2, 300}, "true", 0, 30);
  retina::save_recording(path, recording);
}

}  // namespace fovea::apps

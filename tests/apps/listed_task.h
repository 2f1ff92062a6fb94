// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "apps/task.h"

namespace fovea::apps {

/// A task whose batches a test writes down, x [rows, 2] each; it has no scores. The test sets `trainable_`.
class ListedTask : public Task {
 public:
  ListedTask(const Device& device, std::vector<std::vector<float>> batches)
      : device_(device), batches_(std::move(batches)) {}
  const Device& device() const override { return device_; }
  Trainable& trainable() override { return trainable_; }
  Trainable twin(const Device&) const override { return {}; }
  nn::Batch blank(std::int64_t, const Device&) const override { return {}; }
  nn::Batch next_batch() override {
    const std::vector<float>& values = batches_.at(static_cast<std::size_t>(position_.batch++));
    const auto rows = static_cast<std::int64_t>(values.size()) / 2;
    return {Tensor::from(values, {rows, 2}, device_), Tensor::zeros({rows, 1}, DType::f32, device_), {}};
  }
  std::int64_t batches_per_epoch() const override { return 1000; }
  nn::LoaderPosition position() const override { return position_; }
  void seek(nn::LoaderPosition position) override { position_ = position; }
  Evaluation evaluate() override { return {0.0, {}}; }
  const char* score_name() const override { return "score"; }
  std::string data_summary() const override { return "listed"; }
  const std::string& data_checksum() const override { return checksum_; }
  std::string data_path() const override { return "listed"; }
  nn::State constants() const override { return {}; }
  nlohmann::ordered_json test(const nn::State&) override { return {}; }
  void report(const RunFolder&) override {}

 protected:
  Device device_;
  Trainable trainable_;

 private:
  std::vector<std::vector<float>> batches_;
  nn::LoaderPosition position_;
  std::string checksum_ = "none";
};

}  // namespace fovea::apps

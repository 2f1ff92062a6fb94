// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include "apps/append_file.h"
#include "apps/metrics_log.h"

namespace fovea::apps {

/// CRC-32C (Castagnoli), reflected, as in iSCSI: 0xe3069283 for "123456789".
std::uint32_t crc32c(std::string_view bytes);

/// One record of a TFRecord file: length (u64), masked CRC of the length, data, masked CRC of the data; the mask
/// is rotr(crc, 15) + 0xa282ead8. All little-endian.
std::string event_record(std::string_view data);

/// A tensorflow.Event message with one Summary.Value a figure. Fields, by number: Event.wall_time 1 (double,
/// seconds since 1970), .step 2, .summary 5; Summary.value 1; Value.tag 1, .simple_value 2 (float).
std::string scalar_event(double wall_time_s, std::int64_t step, const Figures& figures);

/// The same figures as metrics.jsonl, for TensorBoard: `tensorboard --logdir RUN`.
class EventFile {
 public:
  /// As MetricsLog: goes on where `end` says. If the file is not what it was then, it is begun anew, and
  /// changed() tells: TensorBoard then shows the figures from here on.
  EventFile(const std::filesystem::path& path, const LogEnd& end);

  void append(std::int64_t step, const Figures& figures);
  void sync() const { file_->sync(); }
  std::uint64_t size() const { return file_->size(); }
  bool changed() const { return changed_; }

 private:
  std::optional<AppendFile> file_;
  bool changed_ = false;
};

}  // namespace fovea::apps

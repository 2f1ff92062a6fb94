// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace fovea::retina {

/// A recording that its authors have published, told by its checksum.
struct KnownRecording {
  std::string_view name;
  std::uint64_t bytes;
  std::string_view sha256;
  int blocks;  ///< equally long ones, of which the training movie consists
};

/// Those that we know.
std::span<const KnownRecording> known_recordings();

/// The entry that a file is, if any. A checksum is taken only of a file of an entry's size.
/// throws IoError if the file has the size of an entry and other content: then it is damaged
std::optional<KnownRecording> recognise(const std::filesystem::path& path,
                                        std::span<const KnownRecording> known = known_recordings());

}  // namespace fovea::retina

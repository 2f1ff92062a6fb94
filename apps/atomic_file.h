// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace fovea::apps {

/// Files that are either old and whole or new and whole, also after a crash, `kill -9` or a power cut.
///
/// The way: a temporary file in the same folder → fsync → read back and compare checksums → rename over the
/// target → fsync of the folder. Temporary files are named ".tmp-…"; one left by a killed program is removed
/// by remove_temporary_files(). All functions throw IoError naming path and cause; the target is then
/// unchanged and the temporary file is gone.

/// write: fills the file at the path it is given (the temporary one). If it throws, its exception passes on.
void replace_file(const std::filesystem::path& target,
                  const std::function<void(const std::filesystem::path&)>& write);
void replace_file(const std::filesystem::path& target, std::string_view content);
/// The same for a folder of files; a folder that is there already gives way. write: fills the (empty) one it is given.
void replace_folder(const std::filesystem::path& target,
                    const std::function<void(const std::filesystem::path&)>& write);
/// Makes `link` a symbolic link to `content`, relative to the link's folder.
void replace_link(const std::filesystem::path& link, const std::filesystem::path& content);
bool is_temporary_file(std::string_view name);
void remove_temporary_files(const std::filesystem::path& folder);

/// throws IoError "path: cannot <what>: <reason>; <hint>"
[[noreturn]] void file_error(const std::filesystem::path& path, std::string_view what, int error);

/// throws IoError if there is no such file or it cannot be read
std::string read_file(const std::filesystem::path& path);
/// What a folder holds, sorted; nothing if it cannot be read. Not by directory_iterator: libstdc++'s ends the
/// program when it finds no memory, and a save must not.
std::vector<std::string> names_in(const std::filesystem::path& folder);
/// FNV-1a over the bytes of a file, 64 bits: tells a torn or changed file, not a forged one.
std::uint64_t file_checksum(const std::filesystem::path& path);
/// mkdir -p, with an error in words
void make_folder(const std::filesystem::path& folder);

}  // namespace fovea::apps

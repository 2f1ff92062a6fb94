// SPDX-License-Identifier: Apache-2.0
#include "apps/checkpoint.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <cstring>

#include "apps/atomic_file.h"
#include "tensor/errors.h"
#include "tensor/io.h"
#include "tensor/names.h"

namespace fovea::apps {
namespace fs = std::filesystem;
namespace {

constexpr std::string_view kFormat = "fovea-run-";
constexpr int kVersion = 2;  // 1 had no checksum
constexpr std::string_view kPrefix = "step-", kSuffix = ".safetensors";

/// FNV-1a, 64 bits.
struct Checksum {
  std::uint64_t hash = 14695981039346656037ull;
  void add(const void* data, std::size_t bytes) {
    const auto* first = static_cast<const unsigned char*>(data);
    for (const auto* p = first; p != first + bytes; ++p) hash = (hash ^ *p) * 1099511628211ull;
  }
  void add(std::string_view text) {
    add(text.data(), text.size());
    add("\0", 1);  // "ab", "c" is not "a", "bc"
  }
};

std::string checksum_of(const SavedRun& saved) {
  Checksum sum;
  for (const auto& [name, note] : saved.notes) {
    if (name == "checksum") continue;
    sum.add(name);
    sum.add(note);
  }
  for (const auto& [name, tensor] : saved.tensors) {
    sum.add(name);
    sum.add(fmt::format("{}{}", dtype_name(tensor.dtype()), tensor.shape()));
    sum.add(tensor.raw(), static_cast<std::size_t>(tensor.bytes()));
  }
  return fmt::format("{:016x}", sum.hash);
}

template <class T>
std::optional<T> number_in(std::string_view text) {
  T value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc{} && end == text.data() + text.size() ? std::optional(value) : std::nullopt;
}

std::optional<std::int64_t> step_of(const fs::path& file) {
  const std::string file_name = file.filename().string();
  std::string_view name = file_name;
  if (!name.starts_with(kPrefix) || !name.ends_with(kSuffix)) return std::nullopt;
  name.remove_prefix(kPrefix.size());
  name.remove_suffix(kSuffix.size());
  return number_in<std::int64_t>(name);
}

void check_format(const fs::path& file, const std::map<std::string, std::string>& notes) {
  const auto format = notes.find("format");
  std::optional<int> version;
  if (format != notes.end() && format->second.starts_with(kFormat))
    version = number_in<int>(std::string_view(format->second).substr(kFormat.size()));
  if (!version)
    throw IoError(
        fmt::format("{}: is a safetensors file, but not a checkpoint of fovea train", file.string()));
  if (*version != kVersion)
    throw IoError(fmt::format("{}: is of format {}, this build reads {}{}; read it with {} fovea",
                              file.string(), printable(format->second, 40), kFormat, kVersion,
                              *version > kVersion ? "a newer" : "an older"));
}

}  // namespace

void write_checkpoint(const fs::path& file, const SavedRun& saved) {
  const Device host = Device::cpu({.threads = 1});
  SavedRun copy{{}, saved.notes};
  for (const auto& [name, tensor] : saved.tensors) copy.tensors.emplace(name, tensor.contiguous().to(host));
  copy.notes["format"] = fmt::format("{}{}", kFormat, kVersion);
  copy.notes["checksum"] = checksum_of(copy);
  save_safetensors(file, copy.tensors, copy.notes);
  (void)read_checkpoint(file);  // compares the content with its checksum
}

SavedRun read_checkpoint(const fs::path& file) {
  Safetensors content = load_safetensors(file, Device::cpu({.threads = 1}));
  check_format(file, content.metadata);
  SavedRun saved{std::move(content.tensors), std::move(content.metadata)};
  if (saved.notes["checksum"] != checksum_of(saved))
    throw IoError(fmt::format("{}: is damaged: its content does not fit its checksum", file.string()));
  return saved;
}

nn::State read_weights(const fs::path& file) {
  return nn::without_prefix("model.", read_checkpoint(file).tensors);
}

std::string checkpoint_name(std::int64_t step) { return fmt::format("{}{}{}", kPrefix, step, kSuffix); }

std::vector<Checkpoint> checkpoints_of(const fs::path& run) {
  std::vector<Checkpoint> found;
  const fs::path folder = run / "checkpoints";
  for (const std::string& name : names_in(folder))
    if (const auto step = step_of(name)) found.push_back({*step, folder / name});
  std::sort(found.begin(), found.end(), [](const auto& a, const auto& b) { return a.step < b.step; });
  return found;
}

std::optional<Checkpoint> linked_checkpoint(const fs::path& run, std::string_view link) {
  std::error_code error;
  const fs::path target = fs::read_symlink(run / "checkpoints" / link, error);
  if (error) return std::nullopt;
  const fs::path file = run / "checkpoints" / target.filename();
  const auto step = step_of(file);
  return step && fs::exists(file, error) ? std::optional(Checkpoint{*step, file}) : std::nullopt;
}

Checkpoint find_checkpoint(const fs::path& run, std::string_view which) {
  if (!fs::is_directory(run)) throw IoError(fmt::format("{}: there is no such run folder", run.string()));
  const std::vector<Checkpoint> all = checkpoints_of(run);
  if (which == "best") {
    if (const auto best = linked_checkpoint(run, "best")) return *best;
  }
  for (const Checkpoint& checkpoint : all)
    // `latest` is moved after the checkpoint is there: a run killed in between has one more than the link says.
    if (which == "latest" ? checkpoint.step == all.back().step : fmt::format("{}", checkpoint.step) == which)
      return checkpoint;
  std::vector<std::int64_t> steps;
  std::vector<std::string> names{"best", "latest"};
  for (const Checkpoint& checkpoint : all) {
    steps.push_back(checkpoint.step);
    names.push_back(fmt::format("{}", checkpoint.step));
  }
  throw IoError(steps.empty()
                    ? fmt::format("{}: has no checkpoint yet", run.string())
                    : fmt::format("{}: has no checkpoint '{}'{} (there are steps {})", run.string(), which,
                                  which == "best" ? "" : did_you_mean(which, names), fmt::join(steps, ", ")));
}

}  // namespace fovea::apps

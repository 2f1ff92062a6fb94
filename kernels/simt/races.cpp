// SPDX-License-Identifier: Apache-2.0
#include "kernels/simt/races.h"

namespace fovea::simt {

void Races::begin_launch(std::uint32_t first_block) {
  first_block_ = first_block;
  constexpr std::size_t kMaxPages = 1024;  // about 50 MB of cells
  if (pages_.size() <= kMaxPages) return;
  pages_.clear();
  last_page_ = nullptr;
}

Races::Cell& Races::cell(std::uintptr_t address) {
  const std::uintptr_t number = address / kPage;
  if (last_page_ == nullptr || number != last_number_) {
    std::unique_ptr<Page>& page = pages_[number];
    if (page == nullptr) page = std::make_unique<Page>();
    last_number_ = number;
    last_page_ = page.get();
  }
  return (*last_page_)[address % kPage];
}

bool Races::ordered(const Access& earlier, const Access& now) const {
  if (earlier.block < first_block_) return true;
  if (earlier.block != now.block) return false;
  if (earlier.thread == now.thread || earlier.barriers < now.barriers) return true;
  return earlier.thread / 32 == now.thread / 32 && earlier.warp_syncs < now.warp_syncs;
}

void Races::add_shared(const void* memory, std::size_t bytes, std::uint32_t block) {
  const auto start = reinterpret_cast<std::uintptr_t>(memory);
  for (std::size_t i = 0; i < bytes; ++i) {
    Cell& c = cell(start + i);
    c = Cell{};
    c.unwritten_block = block;
  }
}

void Races::start_copy(const void* memory, std::size_t bytes, std::uint32_t block) {
  const auto start = reinterpret_cast<std::uintptr_t>(memory);
  for (std::size_t i = 0; i < bytes; ++i) {
    Cell& c = cell(start + i);
    c.unwritten_block = block;
    c.in_flight = true;
  }
}

std::optional<Races::Conflict> Races::access(const void* memory, std::size_t bytes, Kind kind,
                                             const Access& now) {
  std::optional<Conflict> found;
  const auto start = reinterpret_cast<std::uintptr_t>(memory);
  for (std::size_t i = 0; i < bytes; ++i) {
    Cell& c = cell(start + i);
    const auto offset = static_cast<std::ptrdiff_t>(i);
    const bool both_atomic = kind == Kind::atomic && c.atomic;
    if (!found && !both_atomic && !ordered(c.write, now))
      found = Conflict{.offset = offset, .earlier_wrote = true, .earlier = c.write};
    if (kind != Kind::write && !found && c.unwritten_block == now.block)
      found = Conflict{.offset = offset, .unwritten = true, .in_flight = c.in_flight};
    if (kind == Kind::read) {
      if (c.reads[0].thread != now.thread || c.reads[0].block != now.block) c.reads[1] = c.reads[0];
      c.reads[0] = now;
      continue;
    }
    for (const Access& read : c.reads)
      if (!found && !ordered(read, now)) found = Conflict{.offset = offset, .earlier = read};
    c.write = now;
    c.atomic = kind == Kind::atomic;
    c.unwritten_block = 0;
    c.in_flight = false;
  }
  return found;
}

}  // namespace fovea::simt

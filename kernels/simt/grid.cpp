// SPDX-License-Identifier: Apache-2.0
#include "kernels/simt/grid.h"

#include <fmt/format.h>

#include <utility>

#include "kernels/simt/access_report.h"
#include "kernels/simt/scheduler.h"

namespace fovea::simt {

KernelFault::KernelFault(const std::string& kernel_name, Index3 block_index, Index3 thread_index,
                         const std::string& why)
    : DeviceFault(fmt::format("{}: {}", kernel_name, why)),
      kernel(kernel_name),
      block(block_index),
      thread(thread_index) {}

Grid::Grid(Order order, Math math) : scheduler_(std::make_unique<Scheduler>(order)), math_(math) {}
Grid::~Grid() = default;
Grid::Grid(Grid&&) noexcept = default;
Grid& Grid::operator=(Grid&&) noexcept = default;

Order Grid::order() const { return scheduler_->order; }
Arena& Grid::arena() { return scheduler_->arena; }
std::int64_t Grid::launches() const { return scheduler_->launches; }
void Grid::reset_launches() { scheduler_->launches = 0; }
void Grid::set_shared_fill(unsigned char fill) { scheduler_->shared_fill = fill; }
void Grid::count_accesses(bool on) { scheduler_->count_accesses(on); }
AccessReport Grid::access_report() const { return scheduler_->access_report(); }

void Grid::run(const Launch& launch, void (*thread)(const void*), const void* context) {
  scheduler_->run(launch, thread, context);
}

void Grid::begin_capture() {
  if (capturing_) throw std::logic_error("a capture has begun already: captures do not nest");
  capturing_ = true;
}

Captured Grid::end_capture() {
  auto all = std::make_shared<std::vector<Kept>>(std::move(kept_));
  abandon_capture();
  const auto launches = static_cast<std::int64_t>(all->size());
  return {std::move(all), launches};
}

void Grid::abandon_capture() noexcept {
  capturing_ = false;
  kept_.clear();
}

void Grid::keep(const Launch& launch, void (*thread)(const void*), std::shared_ptr<const void> context) {
  kept_.push_back({launch, thread, std::move(context)});
}

void keep(Grid& queue, const Launch& launch, void (*thread)(const void*), const void* context,
          void (*free)(const void*)) {
  queue.keep(launch, thread, std::shared_ptr<const void>(context, free));
}

void Grid::replay(const Captured& captured) {
  for (const Kept& kept : *static_cast<const std::vector<Kept>*>(captured.work.get()))
    run(kept.launch, kept.thread, kept.context.get());
}

}  // namespace fovea::simt

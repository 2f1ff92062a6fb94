// SPDX-License-Identifier: Apache-2.0
#include "apps/trace.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

namespace fovea::apps {
namespace {

/// At most `most` bytes, cut between characters.
std::string cut(std::string text, std::size_t most) {
  if (text.size() <= most) return text;
  while (most > 0 && (static_cast<unsigned char>(text[most]) & 0xC0) == 0x80) --most;
  text.resize(most);
  return text;
}

std::string detail_of(const std::string& module, const std::string& shapes) {
  return module.empty() ? shapes : module + " " + shapes;
}

}  // namespace

std::int64_t Trace::now_ns() const {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now() - begin_)
      .count();
}

void Trace::add(std::string name, const char* category, std::int64_t start_ns, std::string detail) {
  mark();
  // Both cut so that a span is at most kMostSpanBytes in the file.
  Event event{cut(std::move(name), 64), category, cut(std::move(detail), 160), start_ns, last_ns_ - start_ns};
  if (ring_.size() < most_) {
    ring_.push_back(std::move(event));
  } else {
    ring_[oldest_] = std::move(event);
    oldest_ = (oldest_ + 1) % most_;
    ++dropped_;
  }
}

std::vector<Trace::Event> Trace::events() const {
  std::vector<Event> all = ring_;
  std::rotate(all.begin(), all.begin() + static_cast<std::ptrdiff_t>(oldest_), all.end());
  return all;
}

std::string Trace::json() const {
  const auto microseconds = [](std::int64_t ns) { return fmt::format("{}.{:03}", ns / 1000, ns % 1000); };
  std::string text = fmt::format(
      "{{\"displayTimeUnit\":\"ms\",\"otherData\":{{\"most_spans\":{},\"dropped_spans\":{}}},\"traceEvents\":"
      "[\n"
      "{{\"name\":\"process_name\",\"ph\":\"M\",\"pid\":1,\"tid\":1,\"args\":{{\"name\":\"fovea\"}}}}",
      most_, dropped_);
  for (const Event& event : events()) {
    text +=
        fmt::format(",\n{{\"name\":{},\"cat\":\"{}\",\"ph\":\"X\",\"pid\":1,\"tid\":1,\"ts\":{},\"dur\":{}",
                    nlohmann::json(event.name).dump(), event.category, microseconds(event.start_ns),
                    microseconds(event.duration_ns));
    if (!event.detail.empty())
      text += fmt::format(",\"args\":{{\"what\":{}}}", nlohmann::json(event.detail).dump());
    text += "}";
  }
  return text + "\n]}\n";
}

void TraceOps::computed(const OpInfo& info, const std::string& module, std::span<const Var> inputs,
                        std::span<const Var> results) {
  std::string shapes;
  for (const Var& input : inputs)
    if (input.value().defined()) shapes += input.shape().str() + " ";
  shapes += "->";
  for (const Var& result : results) shapes += fmt::format(" {}", result.shape());
  trace_.add(info.name, "op", trace_.last_ns(), detail_of(module, shapes));
}

void TraceOps::backward_begins(const Tape::Record&, const Grads&) {
  trace_.mark();
  start_ns_ = trace_.last_ns();
}

void TraceOps::backward_ends(const Tape::Record& entry, const Grads& dxs) {
  std::string shapes = "->";
  for (const Tensor& dx : dxs)
    if (dx.defined()) shapes += fmt::format(" {}", dx.shape());
  trace_.add(fmt::format("{} gradient", entry.info->name), "op", start_ns_, detail_of(entry.module, shapes));
}

}  // namespace fovea::apps

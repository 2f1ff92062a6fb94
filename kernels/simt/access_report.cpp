// SPDX-License-Identifier: Apache-2.0
#include "kernels/simt/access_report.h"

#include <dlfcn.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <map>
#include <memory>
#include <tuple>
#include <utility>

namespace fovea::simt {
namespace {

/// A hook returns to what lies behind its call; one byte before that is inside of the call.
const char* inside(const void* code) { return static_cast<const char*>(code) - 1; }

std::string quoted(const std::string& word) {
  std::string text = "'";
  for (const char c : word) text += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return text + "'";
}

/// "/…/kernels/cuda/reduce.cu:40 (discriminator 2)" -> "reduce.cu:40"
std::string shortened(std::string line) {
  line = line.substr(0, line.find(' '));
  return line.substr(line.find_last_of('/') + 1);
}

/// One name from the lines of an inlined call, the innermost first.
std::string joined(const std::vector<std::string>& frames) {
  if (frames.empty() || frames[0].starts_with("??")) return "";
  const auto is_source = [](const std::string& f) {
    return f.find(".cu:") != std::string::npos || f.find(".cpp:") != std::string::npos;
  };
  const auto source = std::find_if(frames.begin(), frames.end(), is_source);
  if (source == frames.begin() || source == frames.end()) return frames[0];
  return frames[0] + " in " + *source;
}

/// The names that addr2line gives to offsets in a program or library; empty where it knows none.
std::map<std::uintptr_t, std::string> ask_addr2line(const std::string& file,
                                                    const std::vector<std::uintptr_t>& offsets) {
  std::map<std::uintptr_t, std::string> names;
  constexpr std::size_t kAtOnce = 500;  // the length of a command line is limited
  for (std::size_t first = 0; first < offsets.size(); first += kAtOnce) {
    std::string command = "addr2line -a -i -e " + quoted(file);
    for (std::size_t i = first; i < std::min(first + kAtOnce, offsets.size()); ++i)
      command += fmt::format(" {:#x}", offsets[i]);
    const std::unique_ptr<FILE, int (*)(FILE*)> output(popen((command + " 2>/dev/null").c_str(), "r"),
                                                       pclose);
    if (output == nullptr) return names;
    std::size_t next = first;
    std::vector<std::string> frames;
    const auto finish = [&] {
      if (next > first) names[offsets[next - 1]] = joined(frames);
      frames.clear();
    };
    char buffer[4096];
    while (std::fgets(buffer, sizeof buffer, output.get()) != nullptr) {
      std::string line = buffer;
      while (!line.empty() && line.back() == '\n') line.pop_back();
      if (line.starts_with("0x")) {
        finish();
        ++next;
      } else {
        frames.push_back(shortened(line));
      }
    }
    finish();
  }
  return names;
}

void add(AccessSite& sum, const AccessSite& site) {
  sum.requests += site.requests;
  sum.units += site.units;
  sum.ideal += site.ideal;
  sum.worst = std::max(sum.worst, site.worst);
}

using Columns = std::array<std::string, 4>;

std::string row(const std::string& name, const std::string& launches, const Columns& s, const Columns& g) {
  return fmt::format("{:<28}{:>9} |{:>10}{:>12}{:>7}{:>9} |{:>10}{:>10}{:>7}{:>9}\n", name, launches, s[0],
                     s[1], s[2], s[3], g[0], g[1], g[2], g[3]);
}

double per(std::int64_t amount, std::int64_t count) {
  return static_cast<double>(amount) / static_cast<double>(count);
}

std::string share(std::int64_t part, std::int64_t whole) {
  return whole == 0 ? "-" : fmt::format("{:.0f} %", 100 * per(part, whole));
}

Columns columns(const AccessSite& sum, const std::string& verdict) {
  if (sum.requests == 0) return {"0", "-", "-", "-"};
  return {fmt::to_string(sum.requests), fmt::format("{:.2f}", per(sum.units, sum.requests)),
          fmt::format("{:.2f}", per(sum.ideal, sum.requests)), verdict};
}

std::string describe(const std::string& line, const AccessSite& s) {
  return fmt::format("    {} {} {:>2} B: {:.2f} {} for {:.2f}, worst {}{}; {} requests at {}\n",
                     s.shared ? "shared" : "global", s.write ? "write" : "read ", s.bytes,
                     per(s.units, s.requests), s.shared ? "wavefronts" : "sectors", per(s.ideal, s.requests),
                     s.worst, s.shared ? "-way" : "", s.requests, line);
}

/// Source lines that cost more than they must, those that waste most first. A line may have been compiled to
/// several instructions, and inlined in several places.
std::vector<std::pair<std::string, AccessSite>> wasteful_lines(const KernelAccesses& kernel) {
  std::vector<AccessSite> wasteful;
  std::vector<const void*> code;
  for (const AccessSite& site : kernel.sites) {
    if (site.units <= site.ideal) continue;
    wasteful.push_back(site);
    code.push_back(site.code);
  }
  const std::vector<std::string> lines = source_lines(code);
  std::map<std::tuple<std::string, bool, bool, int>, AccessSite> merged;
  for (std::size_t i = 0; i < wasteful.size(); ++i) {
    const AccessSite& site = wasteful[i];
    const auto [at, fresh] = merged.try_emplace({lines[i], site.shared, site.write, site.bytes}, site);
    if (!fresh) add(at->second, site);
  }
  std::vector<std::pair<std::string, AccessSite>> worst;
  for (const auto& [key, site] : merged) worst.emplace_back(std::get<0>(key), site);
  std::stable_sort(worst.begin(), worst.end(), [](const auto& a, const auto& b) {
    return a.second.units - a.second.ideal > b.second.units - b.second.ideal;
  });
  return worst;
}

}  // namespace

std::vector<std::string> source_lines(const std::vector<const void*>& code) {
  std::vector<Dl_info> modules(code.size());
  std::map<std::string, std::vector<std::uintptr_t>> offsets;
  const auto offset = [&](std::size_t i) {
    return static_cast<std::uintptr_t>(inside(code[i]) - static_cast<const char*>(modules[i].dli_fbase));
  };
  for (std::size_t i = 0; i < code.size(); ++i)
    if (dladdr(code[i], &modules[i]) != 0 && modules[i].dli_fname != nullptr)
      offsets[modules[i].dli_fname].push_back(offset(i));
  std::map<std::string, std::map<std::uintptr_t, std::string>> names;
  for (const auto& [file, list] : offsets) names[file] = ask_addr2line(file, list);
  std::vector<std::string> lines;
  for (std::size_t i = 0; i < code.size(); ++i) {
    if (modules[i].dli_fname == nullptr) {
      lines.push_back(fmt::format("{}", code[i]));
      continue;
    }
    std::string line = names[modules[i].dli_fname][offset(i)];
    if (line.empty()) line = fmt::format("{}+{:#x}", shortened(modules[i].dli_fname), offset(i));
    lines.push_back(std::move(line));
  }
  return lines;
}

AccessSite KernelAccesses::total(bool shared) const {
  AccessSite sum{.shared = shared};
  for (const AccessSite& site : sites)
    if (site.shared == shared) add(sum, site);
  return sum;
}

const KernelAccesses* AccessReport::find(const std::string& kernel) const {
  const auto at = std::find_if(kernels.begin(), kernels.end(),
                               [&](const KernelAccesses& k) { return k.kernel == kernel; });
  return at == kernels.end() ? nullptr : &*at;
}

std::string AccessReport::text(int worst_lines) const {
  if (kernels.empty()) return "no kernel was launched\n";
  std::string text =
      row("", "", {"shared", "wavefronts", "", "conflict"}, {"global", "sectors", "", "useful"}) +
      row("kernel", "launches", {"requests", "/request", "ideal", "cost"},
          {"requests", "/request", "ideal", "bytes"});
  std::int64_t requests = 0;
  for (const KernelAccesses& kernel : kernels) {
    const AccessSite shared = kernel.total(true), global = kernel.total(false);
    requests += shared.requests + global.requests;
    text += row(kernel.kernel, fmt::to_string(kernel.launches),
                columns(shared, share(shared.units - shared.ideal, shared.ideal)),
                columns(global, share(global.ideal, global.units)));
    if (kernel.dropped > 0)
      text +=
          fmt::format("    {} accesses of single lanes were not matched (too many between two barriers)\n",
                      kernel.dropped);
    std::vector<std::pair<std::string, AccessSite>> lines = wasteful_lines(kernel);
    lines.resize(std::min(lines.size(), static_cast<std::size_t>(std::max(worst_lines, 0))));
    for (const auto& [line, site] : lines) text += describe(line, site);
  }
  if (requests == 0)
    text +=
        "no load or store was noted: only kernels compiled with FOVEA_RACES=ON are followed "
        "(cmake --preset races)\n";
  return text;
}

}  // namespace fovea::simt

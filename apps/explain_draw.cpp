// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "apps/explain.h"
#include "apps/report/svg.h"

namespace fovea::apps {
namespace {

/// A string of DOT.
std::string dot_string(std::string_view text) {
  std::string result = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') result += '\\';
    result += c;
  }
  return result + '"';
}

std::int64_t adds(const ExplainedOp& op) {
  std::int64_t bytes = 0;
  for (const KeptTensor& kept : op.kept) bytes += kept.adds;
  return bytes;
}

// Inks for light and dark; a viewer without media queries gets the light ones.
constexpr const char* kStyle = R"(
svg{--page:#f7f6f2;--card:#fff;--text:#1c2127;--soft:#626a75;--rule:#dcdad2;--keep:#1f66d6;--work:#c26a12;--arc:#7c8490}
@media (prefers-color-scheme:dark){svg{--page:#0f1216;--card:#171b21;--text:#e5e8ec;--soft:#9aa3af;--rule:#2b313a;
--keep:#6aa9ff;--work:#f0a050;--arc:#8e97a4}}
text{font-family:system-ui,-apple-system,"Segoe UI",Roboto,"Noto Sans","DejaVu Sans",sans-serif;fill:var(--text)}
.page{fill:var(--page)}.card{fill:var(--card);stroke:var(--rule)}
.title{font-size:20px;font-weight:650}.op{font-size:14px;font-weight:650}.soft{font-size:12px;fill:var(--soft)}
.keep{fill:var(--keep)}.work{fill:var(--work)}.back{opacity:.45}.flow{fill:none;stroke:var(--arc);stroke-width:1.5}
)";

constexpr double kWidth = 1120, kLeft = 96, kText = 560, kRow = 66, kGap = 8, kTop = 118;
constexpr double kBars = kLeft + kText + 24, kBar = 190;

double row_top(std::size_t row) { return kTop + static_cast<double>(row) * (kRow + kGap); }

std::string text_at(double x, double y, const char* ink, std::string_view text) {
  return fmt::format("<text x=\"{:g}\" y=\"{:g}\" class=\"{}\">{}</text>\n", x, y, ink, svg::escape(text));
}

std::string bar(double x, double y, double length, const char* ink) {
  return fmt::format("<rect x=\"{:g}\" y=\"{:g}\" width=\"{:.1f}\" height=\"10\" rx=\"2\" class=\"{}\"/>\n",
                     x, y, std::max(length, 1.5), ink);
}

/// As much as fits into `width` at about 6.4 px a letter.
std::string shortened(const std::string& text, double width) {
  const auto most = static_cast<std::size_t>(width / 6.4);
  std::size_t letters = 0, bytes = 0;
  for (; bytes < text.size(); ++bytes)
    if ((static_cast<unsigned char>(text[bytes]) & 0xC0) != 0x80 && ++letters > most) break;
  return bytes < text.size() ? text.substr(0, bytes) + "…" : text;
}

std::string names_of_inputs(const ExplainedOp& op) {
  std::vector<std::string> names;
  for (const ExplainedOp::Operand& input : op.inputs)
    if (input.name != "none") names.push_back(input.name);
  return fmt::format("{}", fmt::join(names, ", "));
}

std::string draw_row(const ExplainedOp& op, std::size_t row, double most_kept, double most_flops) {
  const double y = row_top(row);
  std::string part =
      fmt::format("<g><title>{}</title>\n", svg::escape(fmt::format("{} [{}]", op.gradient, op.source)));
  part +=
      fmt::format("<rect x=\"{:g}\" y=\"{:g}\" width=\"{:g}\" height=\"{:g}\" rx=\"8\" class=\"card\"/>\n",
                  kLeft, y, kText, kRow);
  part += fmt::format(
      "<text x=\"{:g}\" y=\"{:g}\"><tspan class=\"op\">{}</tspan><tspan class=\"soft\" "
      "dx=\"10\">{}</tspan></text>\n",
      kLeft + 14, y + 22, svg::escape(op.op), svg::escape(op.module));
  part += fmt::format("<text x=\"{:g}\" y=\"{:g}\" class=\"soft\" text-anchor=\"end\">{}</text>\n",
                      kLeft + kText - 14, y + 22,
                      svg::escape(fmt::format("%{} {}", op.id, fmt::join(op.shapes, ", "))));
  part += text_at(kLeft + 14, y + 40, "soft", shortened("of " + names_of_inputs(op), kText - 28));
  part += text_at(kLeft + 14, y + 57, "soft", shortened(op.gradient, kText - 28));

  const double kept = static_cast<double>(adds(op));
  if (kept > 0) part += bar(kBars, y + 12, kBar * kept / most_kept, "keep");
  part += text_at(kBars, y + 38, "soft", kept > 0 ? size_text(adds(op)) : "");
  std::vector<std::string> names;
  for (const KeptTensor& tensor : op.kept) names.push_back(tensor.name);
  part += text_at(kBars, y + 54, "soft",
                  names.empty() ? "keeps nothing" : fmt::format("keeps {}", fmt::join(names, ", ")));

  const double x = kBars + kBar + 24;
  if (op.cost.flops > 0) part += bar(x, y + 10, kBar * op.cost.flops / most_flops, "work");
  if (op.cost.gradient_flops > 0)
    part += bar(x, y + 23, kBar * op.cost.gradient_flops / most_flops, "work back");
  part += text_at(x, y + 54, "soft",
                  fmt::format("{} + {}", flops_text(op.cost.flops), flops_text(op.cost.gradient_flops)));
  return part + "</g>\n";
}

}  // namespace

std::string explain_dot(const StepReport& report) {
  std::string text = fmt::format("digraph step {{\n  label={};\n  node [shape=box, style=rounded];\n",
                                 dot_string(fmt::format("{}: one step of {}", report.model, report.batch)));
  std::set<std::string> leaves;
  std::set<int> results;
  for (const ExplainedOp& op : report.ops) {
    results.insert(op.id);
    const std::string name = op.module.empty() ? op.op : fmt::format("{} ({})", op.op, op.module);
    // \n is DOT's own line break, so it is added outside of the quoting.
    std::string label = dot_string(fmt::format("{} {}", name, fmt::join(op.shapes, ", ")));
    label.pop_back();
    std::string second = dot_string(fmt::format("{}, keeps {}", flops_text(op.cost.flops), kept_text(op)));
    text += fmt::format("  n{} [label={}\\n{}];\n", op.id, label, second.substr(1));
  }
  for (const ExplainedOp& op : report.ops)
    for (const ExplainedOp::Operand& input : op.inputs) {
      if (input.name == "none") continue;
      std::string from = fmt::format("n{}", input.id);
      if (!results.contains(input.id)) {
        from = dot_string(input.id < 0 ? fmt::format("data {}", input.shape) : input.name);
        if (leaves.insert(from).second) text += fmt::format("  {} [shape=plain];\n", from);
      }
      text += fmt::format("  {} -> n{};\n", from, op.id);
    }
  return text + "}\n";
}

std::string explain_svg(const StepReport& report) {
  std::map<int, std::size_t> row_of;
  double most_kept = 1, most_flops = 1;
  for (std::size_t row = 0; row < report.ops.size(); ++row) {
    const ExplainedOp& op = report.ops[row];
    row_of[op.id] = row;
    most_kept = std::max(most_kept, static_cast<double>(adds(op)));
    most_flops = std::max({most_flops, op.cost.flops, op.cost.gradient_flops});
  }
  const double height = row_top(report.ops.size()) + 20;
  std::string text = fmt::format(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {0:g} {1:g}\" width=\"{0:g}\" "
      "height=\"{1:g}\" role=\"img\">\n"
      "<title>{2}</title>\n<style>{3}</style>\n<rect width=\"100%\" height=\"100%\" class=\"page\"/>\n",
      kWidth, height, svg::escape(fmt::format("The tape of one step of {}", report.model)), kStyle);
  text += text_at(kLeft, 40, "title", fmt::format("{}: one step of {}", report.model, report.batch));
  text +=
      text_at(kLeft, 62, "soft",
              fmt::format("{} parameters; forward {}, backward {}; kept for backward {}, peak {}",
                          report.parameters, flops_text(report.flops()), flops_text(report.gradient_flops()),
                          size_text(report.kept_bytes()), size_text(report.memory.peak)));
  text += text_at(kLeft, 100, "soft", "op and module, result, operands, gradient");
  text += text_at(kBars, 100, "soft", "bytes it adds to what is kept");
  text += text_at(kBars + kBar + 24, 100, "soft", "FLOPs forward, gradient");
  for (std::size_t row = 0; row < report.ops.size(); ++row) {
    for (const ExplainedOp::Operand& input : report.ops[row].inputs) {
      const auto from = row_of.find(input.id);
      if (from == row_of.end()) continue;
      if (from->second + 1 == row) {
        const double x = kLeft + 28;
        text += fmt::format("<path d=\"M{0:g} {1:g}V{2:g}\" class=\"flow\"/>\n", x, row_top(row) - kGap,
                            row_top(row));
      } else {
        const double y1 = row_top(from->second) + kRow / 2, y2 = row_top(row) + kRow / 2;
        const double reach = kLeft - std::min(80.0, 16 + 10 * static_cast<double>(row - from->second));
        text += fmt::format("<path d=\"M{0:g} {1:g}C{2:g} {1:g} {2:g} {3:g} {0:g} {3:g}\" class=\"flow\"/>\n",
                            kLeft, y1, reach, y2);
      }
    }
  }
  for (std::size_t row = 0; row < report.ops.size(); ++row)
    text += draw_row(report.ops[row], row, most_kept, most_flops);
  return text + "</svg>\n";
}

}  // namespace fovea::apps

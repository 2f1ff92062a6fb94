// SPDX-License-Identifier: Apache-2.0
#include "apps/report/svg.h"

#include <fmt/format.h>

#include <algorithm>
#include <cassert>
#include <cmath>
#include <limits>

#include "apps/report/png.h"

namespace fovea::apps::svg {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

/// The smallest interval that holds all finite numbers it was shown.
struct Range {
  double low = kInfinity, high = -kInfinity;
  void add(double value) {
    if (!std::isfinite(value)) return;
    low = std::min(low, value);
    high = std::max(high, value);
  }
  void add(const std::vector<double>& values) {
    for (const double value : values) add(value);
  }
  Range or_unit() const { return low <= high ? *this : Range{0, 1}; }
  double share(double value) const { return (value - low) / (high - low); }
};

/// Coordinates inside the stretched drawing: 0..1000 both ways, y downwards.
struct Frame {
  Range x, y;
  double across(double value) const { return 1000 * x.share(value); }
  double down(double value) const { return 1000 * (1 - y.share(value)); }
};

std::string path_of(const Frame& frame, const std::vector<double>& xs, const std::vector<double>& ys) {
  std::string path;
  bool pen_down = false;
  for (std::size_t i = 0; i < std::min(xs.size(), ys.size()); ++i) {
    if (!std::isfinite(xs[i]) || !std::isfinite(ys[i])) {
      pen_down = false;
      continue;
    }
    path += fmt::format("{}{:.1f} {:.1f}", pen_down ? "L" : "M", frame.across(xs[i]), frame.down(ys[i]));
    pen_down = true;
  }
  return path;
}

/// One closed area for each stretch without a nan.
std::string area_of(const Frame& frame, const Band& band) {
  std::string path;
  const std::size_t count = std::min({band.x.size(), band.low.size(), band.high.size()});
  for (std::size_t first = 0; first < count;) {
    std::size_t last = first;
    while (last < count && std::isfinite(band.low[last]) && std::isfinite(band.high[last])) ++last;
    for (std::size_t i = first; i < last; ++i)
      path += fmt::format("{}{:.1f} {:.1f}", i == first ? "M" : "L", frame.across(band.x[i]),
                          frame.down(band.high[i]));
    for (std::size_t i = last; i-- > first;)
      path += fmt::format("L{:.1f} {:.1f}", frame.across(band.x[i]), frame.down(band.low[i]));
    if (last > first) path += "Z";
    first = last + 1;
  }
  return path;
}

std::string legend_key(std::string_view kind, std::string_view ink, std::string_view name) {
  return fmt::format("<span class=\"key\"><i class=\"{} ink-{}\"></i>{}</span>", kind, ink, escape(name));
}

std::string legend(const std::vector<std::string>& keys) {
  std::string out;
  for (const std::string& key : keys) out += key;
  return out.empty() ? out : fmt::format("<div class=\"legend\">{}</div>", out);
}

std::string x_axis(const Ticks& ticks, const Range& range, std::string_view label) {
  std::string out;
  for (std::size_t i = 0; i < ticks.at.size(); ++i) {
    const double percent = 100 * range.share(ticks.at[i]);
    out +=
        fmt::format("<text class=\"num\" x=\"{:.2f}%\" y=\"100%\" dy=\"18\" text-anchor=\"middle\">{}</text>",
                    percent, ticks.label(i));
  }
  out += fmt::format("<text class=\"axis\" x=\"50%\" y=\"100%\" dy=\"37\" text-anchor=\"middle\">{}</text>",
                     escape(label));
  return out;
}

}  // namespace

std::string escape(std::string_view text) {
  std::string out;
  for (const char c : text) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      default:
        out += c;
    }
  }
  return out;
}

Ticks nice_ticks(double low, double high, int count, bool inside) {
  assert(count >= 1 && std::isfinite(low) && std::isfinite(high));
  if (low > high) std::swap(low, high);
  if (low == high) {
    const double widen = low == 0 ? 1 : std::abs(low) / 2;
    low -= widen;
    high += widen;
  }
  const double rough = (high - low) / count;
  const double power = std::pow(10, std::floor(std::log10(rough)));
  const double digit = rough / power;
  Ticks ticks;
  ticks.step = power * (digit <= 1 ? 1 : digit <= 2 ? 2 : digit <= 5 ? 5 : 10);
  // Multiples of the step, not sums: 3 · 0.1 has one rounding, 0.1 + 0.1 + 0.1 has two. The slack lets an end
  // that is a tick but for its last bit be one.
  constexpr double kSlack = 1e-9;
  const double first = inside ? std::ceil(low / ticks.step - kSlack) : std::floor(low / ticks.step + kSlack);
  const double last = inside ? std::floor(high / ticks.step + kSlack) : std::ceil(high / ticks.step - kSlack);
  for (double k = first; k <= last; ++k) ticks.at.push_back(k * ticks.step + 0.0);
  return ticks;
}

std::string Ticks::label(std::size_t i) const {
  const double value = at[i];
  const double most = at.empty() ? 0 : std::max(std::abs(at.front()), std::abs(at.back()));
  if (most >= 1e6 || step < 1e-4) {
    if (value == 0) return "0";
    std::string text = fmt::format("{:.6g}", value / std::pow(10, std::floor(std::log10(std::abs(value)))));
    return fmt::format("{}{}e{}", value < 0 ? "−" : "", text.substr(value < 0 ? 1 : 0),
                       static_cast<int>(std::floor(std::log10(std::abs(value)))));
  }
  const int decimals = std::max(0, static_cast<int>(-std::floor(std::log10(step) + 1e-9)));
  std::string digits = fmt::format("{:.{}f}", std::abs(value), decimals);
  if (most >= 1e4)
    for (std::size_t at_digit = digits.find('.') == std::string::npos ? digits.size() : digits.find('.');
         at_digit > 3; at_digit -= 3)
      digits.insert(at_digit - 3, "\u2009");  // thin space
  return value < 0 && digits.find_first_not_of("0.") != std::string::npos ? "−" + digits : digits;
}

std::string render(const LinePlot& plot, std::string_view alt) {
  Frame frame;
  for (const Band& band : plot.bands) {
    frame.x.add(band.x);
    frame.y.add(band.low);
    frame.y.add(band.high);
  }
  for (const Line& line : plot.lines) {
    frame.x.add(line.x);
    frame.y.add(line.y);
  }
  frame.x.add(plot.x_least.value_or(kInfinity));
  frame.x.add(plot.x_most.value_or(kInfinity));
  frame.y.add(plot.y_least.value_or(kInfinity));
  frame.y.add(plot.y_most.value_or(kInfinity));
  frame.x = frame.x.or_unit();
  frame.y = frame.y.or_unit();
  if (frame.x.low == frame.x.high) frame.x = {frame.x.low - 0.5, frame.x.high + 0.5};
  // y ends on round numbers; x ends where the data end, so that no room is lost.
  const Ticks y_ticks = nice_ticks(frame.y.low, frame.y.high, plot.y_ticks);
  frame.y = {y_ticks.at.front(), y_ticks.at.back()};
  const Ticks x_ticks = nice_ticks(frame.x.low, frame.x.high, plot.x_ticks, /*inside=*/true);

  std::vector<std::string> keys;
  std::string drawing;
  for (const Band& band : plot.bands) {
    drawing += fmt::format("<path class=\"band ink-{}\" d=\"{}\"/>", band.ink, area_of(frame, band));
    if (!band.name.empty()) keys.push_back(legend_key("swatch pale", band.ink, band.name));
  }
  for (const Line& line : plot.lines) {
    const std::string path = path_of(frame, line.x, line.y);
    if (!path.empty())
      drawing += fmt::format("<path class=\"line ink-{}{}\" style=\"stroke-width:{}px\" d=\"{}\"/>", line.ink,
                             line.dashed ? " dashed" : "", line.width_px, path);
    if (!line.name.empty())
      keys.push_back(legend_key(line.dashed ? "stroke dashed" : "stroke", line.ink, line.name));
  }

  std::string out = fmt::format("<div class=\"plot\">{}", legend(keys));
  if (!plot.events.empty()) {
    std::string ticks;
    const double pitch = 1000.0 / static_cast<double>(plot.events.size());
    for (std::size_t row = 0; row < plot.events.size(); ++row)
      for (const double event : plot.events[row])
        if (event >= frame.x.low && event <= frame.x.high)
          ticks += fmt::format("M{:.1f} {:.1f}v{:.1f}", frame.across(event),
                               pitch * (static_cast<double>(row) + 0.12), 0.76 * pitch);
    out += fmt::format(
        "<p class=\"y-label\">{}</p><svg class=\"raster\" style=\"height:{}px\" viewBox=\"0 0 1000 1000\" "
        "preserveAspectRatio=\"none\" "
        "aria-hidden=\"true\"><path class=\"spikes\" d=\"{}\"/></svg>",
        escape(plot.events_label), 9 * plot.events.size(), ticks);
  }
  if (!plot.y_label.empty()) out += fmt::format("<p class=\"y-label\">{}</p>", escape(plot.y_label));
  out += fmt::format("<svg class=\"frame\" style=\"height:{}px\" role=\"img\" aria-label=\"{}\">",
                     plot.height_px, escape(alt));
  for (std::size_t i = 0; i < y_ticks.at.size(); ++i) {
    const double percent = 100 * (1 - frame.y.share(y_ticks.at[i]));
    const bool zero = plot.zero_line && y_ticks.at[i] == 0;
    out += fmt::format(
        "<line class=\"grid{0}\" x1=\"0\" x2=\"100%\" y1=\"{1:.2f}%\" y2=\"{1:.2f}%\"/>"
        "<text class=\"num\" x=\"0\" dx=\"-8\" y=\"{1:.2f}%\" dy=\"4\" text-anchor=\"end\">{2}</text>",
        zero ? " zero" : "", percent, y_ticks.label(i));
  }
  out += x_axis(x_ticks, frame.x, plot.x_label);
  out += fmt::format(
      "<svg viewBox=\"0 0 1000 1000\" preserveAspectRatio=\"none\" width=\"100%\" height=\"100%\">{}</svg>",
      drawing);
  return out + "</svg></div>";
}

std::string render(const BarChart& chart, std::string_view alt) {
  constexpr int kRow = 34, kThick = 12, kThin = 5;
  const Range range{chart.x_least, chart.x_most};
  const auto percent = [&](double value) { return 100 * std::clamp(range.share(value), 0.0, 1.0); };
  const int height = kRow * static_cast<int>(chart.categories.size());
  const Ticks ticks = nice_ticks(range.low, range.high, 5, /*inside=*/true);

  std::vector<std::string> keys;
  for (const auto& series : chart.bars) keys.push_back(legend_key("swatch", series.ink, series.name));
  for (const auto& series : chart.marks) keys.push_back(legend_key("mark", series.ink, series.name));
  std::size_t longest = 0;
  for (const std::string& name : chart.categories) longest = std::max(longest, name.size());

  std::string out =
      fmt::format("<div class=\"plot bars\" style=\"--label:{}ch\">{}", longest + 2, legend(keys));
  out += fmt::format("<svg class=\"frame\" style=\"height:{}px\" role=\"img\" aria-label=\"{}\">", height,
                     escape(alt));
  for (const double at : ticks.at)
    out += fmt::format("<line class=\"grid\" x1=\"{0:.2f}%\" x2=\"{0:.2f}%\" y1=\"0\" y2=\"100%\"/>",
                       percent(at));
  for (std::size_t row = 0; row < chart.categories.size(); ++row) {
    const int top = kRow * static_cast<int>(row);
    out += fmt::format("<text class=\"label\" x=\"0\" dx=\"-8\" y=\"{}\" text-anchor=\"end\">{}</text>",
                       top + kRow / 2 + 4, escape(chart.categories[row]));
    int y = top + (kRow - kThick - kThin * (static_cast<int>(chart.bars.size()) - 1)) / 2;
    for (std::size_t s = 0; s < chart.bars.size(); ++s) {
      const int thickness = s == 0 ? kThick : kThin;
      if (const double value = chart.bars[s].values[row]; std::isfinite(value))
        out += fmt::format(
            "<rect class=\"bar ink-{}\" x=\"0\" y=\"{}\" height=\"{}\" width=\"{:.2f}%\" rx=\"2\">"
            "<title>{}: {:.3f}</title></rect>",
            chart.bars[s].ink, y, thickness, percent(value), escape(chart.bars[s].name), value);
      y += thickness;
    }
    for (const auto& mark : chart.marks)
      if (const double value = mark.values[row]; std::isfinite(value))
        out += fmt::format(
            "<line class=\"mark ink-{0}\" x1=\"{1:.2f}%\" x2=\"{1:.2f}%\" y1=\"{2}\" y2=\"{3}\">"
            "<title>{4}: {5:.3f}</title></line>",
            mark.ink, percent(value), top + 5, top + kRow - 5, escape(mark.name), value);
  }
  return out + x_axis(ticks, range, chart.x_label) + "</svg></div>";
}

std::string heat_map_image(std::span<const double> values, std::int64_t height, std::int64_t width,
                           double scale, std::string_view alt, std::string_view css_class) {
  return fmt::format(
      "<img class=\"{}\" width=\"{}\" height=\"{}\" alt=\"{}\" src=\"data:image/png;base64,{}\">", css_class,
      width, height, escape(alt), base64(encode_png(heat_map(values, height, width, scale))));
}

}  // namespace fovea::apps::svg

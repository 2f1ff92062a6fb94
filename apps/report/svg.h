// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

/// Plots as SVG inside HTML, without scripts. Positions are percentages of whatever width the page gives, so
/// one plot serves a desktop and a phone: curves stretch, letters and line widths do not. Colours are names
/// of inks that the page's style sheet defines for light and dark (apps/report/style.h).
namespace fovea::apps::svg {

/// & < > " as entities; for text and attributes.
std::string escape(std::string_view text);

/// Round numbers (1, 2 or 5 times a power of ten apart) that cover [low, high], about `count` of them.
/// at.front() ≤ low and at.back() ≥ high unless `inside`, which keeps only ticks within the range.
struct Ticks {
  std::vector<double> at = {};
  double step = 0;
  /// Same number of decimals for all; a true minus sign; thousands apart from 10 000 on.
  std::string label(std::size_t i) const;
};
/// low == high is widened; low > high is swapped; count ≥ 1
Ticks nice_ticks(double low, double high, int count, bool inside = false);

/// A nan breaks the line.
struct Line {
  std::string name = {};  ///< in the legend; empty: not listed
  std::string ink = {};
  std::vector<double> x = {}, y = {};
  bool dashed = false;
  double width_px = 1.75;
};

/// The area between two lines.
struct Band {
  std::string name = {};
  std::string ink = {};
  std::vector<double> x = {}, low = {}, high = {};
};

struct LinePlot {
  std::string x_label, y_label;  ///< with the unit: "time (s)"
  std::vector<Band> bands = {};
  std::vector<Line> lines = {};
  /// Rows of events (spikes) drawn as ticks above the plot, first row on top.
  std::vector<std::vector<double>> events = {};
  std::string events_label;                                ///< "6 trials"
  std::optional<double> x_least, x_most, y_least, y_most;  ///< forced into the range
  int height_px = 220;
  int x_ticks = 6, y_ticks = 4;
  bool zero_line = false;
};
/// alt: what a reader who cannot see the picture is told
std::string render(const LinePlot& plot, std::string_view alt);

/// Horizontal bars, one group a category: thick for the first series, thin below it for the others; marks are
/// vertical strokes across the group.
struct BarChart {
  struct Series {
    std::string name, ink;
    std::vector<double> values = {};  ///< one a category; nan: none
  };
  std::string x_label = {};
  std::vector<std::string> categories = {};
  std::vector<Series> bars, marks;
  double x_least = 0, x_most = 1;
};
std::string render(const BarChart& chart, std::string_view alt);

/// <img> with the picture inside, pixels kept square and sharp; values as in heat_map().
std::string heat_map_image(std::span<const double> values, std::int64_t height, std::int64_t width,
                           double scale, std::string_view alt, std::string_view css_class = "heat");

}  // namespace fovea::apps::svg

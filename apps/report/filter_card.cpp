// SPDX-License-Identifier: Apache-2.0
#include "apps/report/filter_card.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "apps/report/svg.h"

namespace fovea::apps {

std::string filter_card(const SpaceTimeFilter& filter) {
  std::string out =
      fmt::format("<figure class=\"card\"><div class=\"top\"><h3>{}</h3>", svg::escape(filter.name));
  if (std::isfinite(filter.separable_share))
    out += fmt::format("<span>{:.0f} % separable</span>", 100 * filter.separable_share);
  out += "</div>";
  if (!filter.space.empty()) {
    // time · space has a sign to spare: the picture shows the filter as it is when the curve peaks.
    const auto [least, most] = std::minmax_element(filter.time.begin(), filter.time.end());
    const double sign = -*least > *most ? -1 : 1;
    const auto signed_copy = [sign](std::vector<double> values) {
      for (double& value : values) value *= sign;
      return values;
    };
    svg::LinePlot plot;
    plot.x_label = "time before the response (ms)";
    plot.height_px = 84;
    plot.x_ticks = 4;
    plot.x_most = 0;
    plot.y_ticks = 2;
    plot.zero_line = true;
    plot.y_least = plot.y_most = 0;
    std::vector<double> before_ms;
    for (std::int64_t f = 0; f < filter.frames; ++f)
      before_ms.push_back(-1e3 * static_cast<double>(filter.frames - f) * filter.frame_s);
    plot.lines.push_back({"", "model", before_ms, signed_copy(filter.time), false, 2});
    out += "<div class=\"two\">";
    out += svg::heat_map_image(signed_copy(filter.space), filter.height, filter.width, 0,
                               fmt::format("{} in space", filter.name));
    out += svg::render(plot, fmt::format("{} in time", filter.name)) + "</div>";
  }
  double scale = 0;  // one for all slices, so that their strengths can be compared
  for (const std::vector<double>& slice : filter.slices)
    for (const double value : slice)
      if (std::isfinite(value)) scale = std::max(scale, std::abs(value));
  out += "<div class=\"strip\">";
  for (std::size_t k = 0; k < filter.slices.size(); ++k) {
    const double ms = 1e3 * static_cast<double>(filter.frames - filter.slice_frames[k]) * filter.frame_s;
    out += fmt::format("<div>{}−{:.0f}</div>",
                       svg::heat_map_image(filter.slices[k], filter.height, filter.width, scale,
                                           fmt::format("{}, {:.0f} ms before", filter.name, ms)),
                       ms);
  }
  return out + "</div></figure>";
}

}  // namespace fovea::apps

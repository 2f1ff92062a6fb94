// SPDX-License-Identifier: Apache-2.0
#include "apps/report/svg.h"

#include <doctest/doctest.h>

#include <cmath>
#include <limits>

#include "apps/report/png.h"
#include "tensor/errors.h"
#include "tests/temporary_folder.h"

namespace fovea::apps {
using test::text_of;
namespace {

std::vector<std::string> labels(const svg::Ticks& ticks) {
  std::vector<std::string> out;
  for (std::size_t i = 0; i < ticks.at.size(); ++i) out.push_back(ticks.label(i));
  return out;
}

using Labels = std::vector<std::string>;

std::vector<std::uint8_t> bytes(std::string_view text) { return {text.begin(), text.end()}; }

std::size_t count(const std::string& text, std::string_view part) {
  std::size_t found = 0;
  for (std::size_t at = 0; (at = text.find(part, at)) != std::string::npos; at += part.size()) ++found;
  return found;
}

}  // namespace

TEST_CASE("ticks are round and cover the range") {
  CHECK(labels(svg::nice_ticks(0, 1, 5)) == Labels{"0.0", "0.2", "0.4", "0.6", "0.8", "1.0"});
  CHECK(labels(svg::nice_ticks(-2.1, -0.3, 4)) == Labels{"−2.5", "−2.0", "−1.5", "−1.0", "−0.5", "0.0"});
  CHECK(labels(svg::nice_ticks(0, 117, 3)) == Labels{"0", "50", "100", "150"});
  CHECK(labels(svg::nice_ticks(0, 0.00037, 4)) == Labels{"0.0000", "0.0001", "0.0002", "0.0003", "0.0004"});
  CHECK(labels(svg::nice_ticks(0, 20000, 2)) == Labels{"0", "10\u2009000", "20\u2009000"});
  CHECK(labels(svg::nice_ticks(0, 3e7, 3)) == Labels{"0", "1e7", "2e7", "3e7"});
  CHECK(labels(svg::nice_ticks(-2e-6, 0, 2)) == Labels{"−2e-6", "−1e-6", "0"});
}

TEST_CASE("ticks inside a range stay inside it") {
  CHECK(labels(svg::nice_ticks(12, 17.99, 6, true)) == Labels{"12", "13", "14", "15", "16", "17"});
  CHECK(labels(svg::nice_ticks(-400, -10, 4, true)) == Labels{"−400", "−300", "−200", "−100"});
}

TEST_CASE("ticks of empty and reversed ranges") {
  CHECK(svg::nice_ticks(0, 0, 4).at.front() < 0);
  CHECK(svg::nice_ticks(5, 5, 4).at.back() > 5);
  CHECK(labels(svg::nice_ticks(1, 0, 2)) == Labels{"0.0", "0.5", "1.0"});
}

TEST_CASE("ticks of any range cover it with about as many as asked for") {
  for (int decade = -12; decade <= 12; ++decade) {
    for (const double mantissa : {1.0, 1.7, 2.5, 3.3, 7.9}) {
      const double high = mantissa * std::pow(10, decade), low = -0.37 * high;
      CAPTURE(high);
      const svg::Ticks ticks = svg::nice_ticks(low, high, 5);
      CHECK(ticks.at.front() <= low);
      CHECK(ticks.at.back() >= high * (1 - 1e-9));
      CHECK(ticks.at.size() >= 3);
      CHECK(ticks.at.size() <= 8);
    }
  }
}

TEST_CASE("pixels survive PNG") {
  Image image{3, 2, {}};
  for (int i = 0; i < 24; ++i) image.rgba.push_back(static_cast<std::uint8_t>(i * 11));
  const auto png = encode_png(image);
  const Image back = decode_png(png);
  CHECK(back.height == 3);
  CHECK(back.width == 2);
  CHECK(back.rgba == image.rgba);
  CHECK(text_of<IoError>([] { (void)encode_png(Image{}); }).find("png: ") == 0);
  CHECK(text_of<IoError>([&] { (void)decode_png(std::span(png).first(20)); }).find("png: ") == 0);
}

TEST_CASE("base64 as in RFC 4648") {
  CHECK(base64(bytes("")).empty());
  CHECK(base64(bytes("f")) == "Zg==");
  CHECK(base64(bytes("fo")) == "Zm8=");
  CHECK(base64(bytes("foo")) == "Zm9v");
  CHECK(base64(bytes("foobar")) == "Zm9vYmFy");
  CHECK(base64(std::vector<std::uint8_t>{0xff, 0xfe, 0xfd}) == "//79");
}

TEST_CASE("a heat map is transparent at 0 and full at the scale, red up and blue down") {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const Image image = heat_map(std::vector<double>{-2, -1, 0, 1, 4, nan}, 2, 3, 2);
  const auto pixel = [&](std::size_t i) {
    return std::vector<int>(image.rgba.begin() + 4 * static_cast<std::ptrdiff_t>(i),
                            image.rgba.begin() + 4 * static_cast<std::ptrdiff_t>(i + 1));
  };
  CHECK(pixel(0)[3] == 255);
  CHECK(pixel(0)[2] > pixel(0)[0]);
  CHECK(pixel(1)[3] == 128);
  CHECK(pixel(2)[3] == 0);
  CHECK(pixel(3)[3] == 128);
  CHECK(pixel(4)[3] == 255);
  CHECK(pixel(4)[0] > pixel(4)[2]);
  CHECK(pixel(5)[0] == pixel(5)[2]);
  CHECK(heat_map(std::vector<double>{-8, 4}, 1, 2).rgba[3] == 255);
  CHECK(heat_map(std::vector<double>{0, 0}, 1, 2).rgba[3] == 0);
}

TEST_CASE("a line is broken by nan, and a plot says what it shows") {
  svg::LinePlot plot;
  plot.x_label = "time (s)";
  plot.y_label = "rate (Hz)";
  plot.lines = {{.name = "a < b", .ink = "model", .x = {0, 1, 2, 3}, .y = {0, 10, std::nan(""), 5}}};
  plot.bands = {
      {.name = "", .ink = "recorded", .x = {0, 1, 2}, .low = {0, std::nan(""), 1}, .high = {1, 2, 3}}};
  plot.events = {{0.5, 9.0}, {}};
  const std::string html = svg::render(plot, "a \"plot\"");
  CHECK(html.find("aria-label=\"a &quot;plot&quot;\"") != std::string::npos);
  CHECK(html.find("a &lt; b") != std::string::npos);
  CHECK(html.find("rate (Hz)") != std::string::npos);
  CHECK(html.find("time (s)") != std::string::npos);
  CHECK(html.find("d=\"M0.0 1000.0L333.3 0.0M1000.0 500.0\"") != std::string::npos);
  CHECK(html.find("M166.7 60.0v380.0\"") != std::string::npos);  // the event beyond the range is not drawn
  CHECK(html.find("nan") == std::string::npos);
  CHECK_NOTHROW((void)svg::render(svg::LinePlot{}, "nothing"));
}

TEST_CASE("bars that are not known are left out") {
  svg::BarChart chart;
  chart.categories = {"one", "two"};
  chart.bars = {{"m", "model", {0.5, std::nan("")}}, {"b", "baseline", {0.25, 2}}};
  chart.marks = {{"c", "ceiling", {0.75, std::nan("")}}};
  const std::string html = svg::render(chart, "bars");
  CHECK(count(html, "<rect") == 3);
  CHECK(html.find("width=\"50.00%\"") != std::string::npos);
  CHECK(html.find("width=\"100.00%\"") != std::string::npos);  // clipped at the end of the axis
  CHECK(count(html, "<line class=\"mark") == 1);
}

}  // namespace fovea::apps

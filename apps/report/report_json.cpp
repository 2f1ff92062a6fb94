// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>
#include <cassert>
#include <cmath>
#include <cstdlib>
#include <nlohmann/json.hpp>

#include "apps/report/report_data.h"
#include "tensor/errors.h"
#include "tensor/names.h"

// One function a struct names its members once, for reading and for writing.
namespace fovea::apps {
namespace {

using Json = nlohmann::ordered_json;

double rounded(double value, int digits) {
  return std::strtod(fmt::format("{:.{}g}", value, digits).c_str(), nullptr);
}

class Writer {
 public:
  Json json = Json::object();
  int digits = 6;

  void field(const char* name, const std::string& text) { json[name] = text; }
  void field(const char* name, std::int64_t integer) { json[name] = integer; }
  void field(const char* name, double number) { json[name] = as_json(number); }
  template <class T>
  void field(const char* name, const std::vector<T>& list) {
    Json array = Json::array();
    for (const T& item : list) array.push_back(as_json(item));
    json[name] = std::move(array);
  }

 private:
  Json as_json(double number) {
    return std::isfinite(number) ? Json(rounded(number, digits)) : Json(nullptr);
  }
  Json as_json(std::int64_t integer) { return Json(integer); }
  Json as_json(const std::vector<double>& list) {
    Json array = Json::array();
    for (const double number : list) array.push_back(as_json(number));
    return array;
  }
  Json as_json(const std::pair<std::string, std::string>& pair) {
    return Json::array({pair.first, pair.second});
  }
  template <class T>
  Json as_json(const T& item) {
    Writer inner;
    describe(inner, const_cast<T&>(item));  // a Writer only reads
    return std::move(inner.json);
  }
};

class Reader {
 public:
  explicit Reader(const Json& json) : json_(json) {}

  void field(const char* name, std::string& text) { text = json_.at(name).get<std::string>(); }
  void field(const char* name, std::int64_t& integer) { integer = json_.at(name).get<std::int64_t>(); }
  void field(const char* name, double& number) { read(json_.at(name), number); }
  template <class T>
  void field(const char* name, std::vector<T>& list) {
    list.clear();
    for (const Json& item : json_.at(name)) read(item, list.emplace_back());
  }

 private:
  static void read(const Json& json, double& number) {
    number = json.is_null() ? std::numeric_limits<double>::quiet_NaN() : json.get<double>();
  }
  static void read(const Json& json, std::int64_t& integer) { integer = json.get<std::int64_t>(); }
  static void read(const Json& json, std::vector<double>& list) {
    for (const Json& item : json) read(item, list.emplace_back());
  }
  static void read(const Json& json, std::pair<std::string, std::string>& pair) {
    pair = {json.at(0).get<std::string>(), json.at(1).get<std::string>()};
  }
  template <class T>
  static void read(const Json& json, T& item) {
    Reader inner(json);
    describe(inner, item);
  }

  const Json& json_;
};

template <class Visitor>
void describe(Visitor& v, CellScore& score) {
  v.field("name", score.name);
  v.field("model", score.model);
  v.field("baseline", score.baseline);
  v.field("ceiling", score.ceiling);
}

template <class Visitor>
void describe(Visitor& v, Curve& curve) {
  v.field("name", curve.name);
  v.field("step", curve.step);
  v.field("value", curve.value);
}

template <class Visitor>
void describe(Visitor& v, CellTrace& trace) {
  v.field("name", trace.name);
  v.field("start_s", trace.start_s);
  v.field("bin_s", trace.bin_s);
  v.field("recorded_hz", trace.recorded_hz);
  v.field("recorded_low_hz", trace.recorded_low_hz);
  v.field("recorded_high_hz", trace.recorded_high_hz);
  v.field("predicted_hz", trace.predicted_hz);
  v.field("baseline_hz", trace.baseline_hz);
  v.field("spikes_s", trace.spikes_s);
  v.field("correlation", trace.correlation);
}

template <class Visitor>
void describe(Visitor& v, SpaceTimeFilter& filter) {
  v.field("name", filter.name);
  v.field("frames", filter.frames);
  v.field("height", filter.height);
  v.field("width", filter.width);
  v.field("frame_s", filter.frame_s);
  v.field("pixel_um", filter.pixel_um);
  v.field("slice_frames", filter.slice_frames);
  if constexpr (requires { v.digits; }) v.digits = 3;
  v.field("slices", filter.slices);
  v.field("space", filter.space);
  if constexpr (requires { v.digits; }) v.digits = 6;
  v.field("time", filter.time);
  v.field("separable_share", filter.separable_share);
}

template <class Visitor>
void describe(Visitor& v, ReportData& data) {
  v.field("title", data.title);
  v.field("run", data.run);
  v.field("model", data.model);
  v.field("baseline", data.baseline);
  v.field("summary", data.summary);
  v.field("data_note", data.data_note);
  v.field("trials", data.trials);
  v.field("cells", data.cells);
  v.field("loss_label", data.loss_label);
  v.field("loss", data.loss);
  v.field("correlation", data.correlation);
  v.field("traces", data.traces);
  v.field("filters", data.filters);
  v.field("averages", data.averages);
  v.field("config", data.config);
  v.field("provenance", data.provenance);
}

/// What the library says, without its own name for the kind of error.
std::string reason(const Json::exception& error) {
  const std::string_view text = error.what();
  return printable(text.substr(text.find("] ") + 2), 200);
}

/// What the pictures rely on: lists that belong together have one length, and a filter's planes its size.
/// Throws what is wrong as text.
void check_sizes(const ReportData& data) {
  const auto need = [](bool ok, std::string_view what, const std::string& name) {
    if (!ok) throw std::string(fmt::format("{} of '{}' do not fit together", what, printable(name)));
  };
  for (const auto* curves : {&data.loss, &data.correlation})
    for (const Curve& curve : *curves)
      need(curve.step.size() == curve.value.size(), "steps and values of the curve", curve.name);
  for (const CellTrace& trace : data.traces) {
    const std::size_t bins = trace.recorded_hz.size();
    const auto fits = [&](const std::vector<double>& other) { return other.empty() || other.size() == bins; };
    need(trace.predicted_hz.size() == bins && fits(trace.baseline_hz) && fits(trace.recorded_low_hz) &&
             trace.recorded_low_hz.size() == trace.recorded_high_hz.size() && trace.bin_s > 0 &&
             std::isfinite(trace.bin_s) && std::isfinite(trace.start_s),
         "the rates", trace.name);
  }
  for (const auto* filters : {&data.filters, &data.averages})
    for (const SpaceTimeFilter& filter : *filters) {
      constexpr std::int64_t kMost = 4096;
      const auto in_range = [](std::int64_t extent) { return extent >= 1 && extent <= kMost; };
      need(in_range(filter.frames) && in_range(filter.height) && in_range(filter.width),
           "frames, height and width", filter.name);
      const auto plane = static_cast<std::size_t>(filter.height * filter.width);
      need(filter.slices.size() == filter.slice_frames.size() && filter.space.size() == plane &&
               filter.time.size() == static_cast<std::size_t>(filter.frames) && filter.frame_s > 0 &&
               std::isfinite(filter.frame_s) && std::isfinite(filter.pixel_um),
           "slices, space and time", filter.name);
      for (const auto& slice : filter.slices)
        need(slice.size() == plane, "the pixels of a slice", filter.name);
    }
}

}  // namespace

void take_slices(SpaceTimeFilter& filter, std::span<const double> values) {
  const std::int64_t plane = filter.height * filter.width, count = std::min<std::int64_t>(8, filter.frames);
  assert(static_cast<std::int64_t>(values.size()) == filter.frames * plane);
  filter.slice_frames.clear();
  filter.slices.clear();
  for (std::int64_t k = 1; k <= count; ++k) {
    const std::int64_t frame = k * filter.frames / count - 1;
    const auto first = values.begin() + static_cast<std::ptrdiff_t>(frame * plane);
    filter.slice_frames.push_back(frame);
    filter.slices.emplace_back(first, first + static_cast<std::ptrdiff_t>(plane));
  }
}

std::string to_json(const ReportData& data) {
  Writer writer;
  describe(writer, const_cast<ReportData&>(data));  // a Writer only reads
  return writer.json.dump() + "\n";
}

ReportData report_from_json(std::string_view text, std::string_view source) {
  try {
    const Json json = Json::parse(text);
    Reader reader(json);
    ReportData data;
    describe(reader, data);
    check_sizes(data);
    return data;
  } catch (const Json::exception& error) {
    throw IoError(fmt::format("{}: not the numbers of a report, which a run writes when it ends: {}", source,
                              reason(error)));
  } catch (const std::string& problem) {
    throw IoError(
        fmt::format("{}: not the numbers of a report, which a run writes when it ends: {}", source, problem));
  }
}

}  // namespace fovea::apps

// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace fovea::apps {

/// One recorded cell's scores: Pearson correlation with the trial mean on the test movie. nan: not known.
struct CellScore {
  std::string name = {};  ///< "cell 3, slow OFF"
  double model = std::numeric_limits<double>::quiet_NaN();
  double baseline = std::numeric_limits<double>::quiet_NaN();  ///< LN fitted to the same data
  double ceiling = std::numeric_limits<double>::quiet_NaN();   ///< the most that trial noise allows
};

/// A figure over the steps of a run.
struct Curve {
  std::string name = {};  ///< "training", "validation"
  std::vector<double> step = {}, value = {};
};

/// A few seconds of one cell's answer to the repeated test movie. Vectors hold one value a bin; those that
/// may be empty say so.
struct CellTrace {
  std::string name = {};
  double start_s = 0, bin_s = 0.01;
  std::vector<double> recorded_hz = {};                             ///< mean over trials
  std::vector<double> recorded_low_hz = {}, recorded_high_hz = {};  ///< ± 1 standard error; may be empty
  std::vector<double> predicted_hz = {};
  std::vector<double> baseline_hz = {};            ///< LN; may be empty
  std::vector<std::vector<double>> spikes_s = {};  ///< [trials], times on the axis of start_s; may be empty
  double correlation = std::numeric_limits<double>::quiet_NaN();  ///< over the whole test movie
};

/// A picture in time, oldest frame first: a first-layer filter, a spike-triggered average.
struct SpaceTimeFilter {
  std::string name = {};
  std::int64_t frames = 0, height = 0, width = 0;
  double frame_s = 0.01;
  double pixel_um = 0;                           ///< side of a pixel on the retina; 0: not known
  std::vector<std::int64_t> slice_frames = {};   ///< which frames are shown
  std::vector<std::vector<double>> slices = {};  ///< [slice_frames] of [height, width]
  std::vector<double> space =
      {};  ///< [height, width], the best separable fit, filter ≈ time · space; may be empty
  std::vector<double> time = {};                                      ///< [frames]; empty with space
  double separable_share = std::numeric_limits<double>::quiet_NaN();  ///< of the summed squares, 0..1
};

/// Sets slice_frames and slices to at most eight frames, evenly apart, the newest among them.
/// values  [filter.frames, filter.height, filter.width]
void take_slices(SpaceTimeFilter& filter, std::span<const double> values);

/// All that report.html shows of one run. Lists that are empty leave their section out.
struct ReportData {
  std::string title = {};  ///< "Deep Retina on natural scenes"
  std::string run = {};    ///< name of the run folder
  std::string model = {};  ///< "Deep Retina"
  std::string baseline = "LN";
  std::string summary = {};    ///< one or two sentences: what was fitted to what, and how it went
  std::string data_note = {};  ///< where the responses come from: "simulated retina, no biological recording"
  std::int64_t trials = 0;     ///< repeats of the test movie; 0: not known

  std::vector<CellScore> cells = {};
  std::string loss_label = "loss";  ///< with its unit: "Poisson loss (per bin)"
  std::vector<Curve> loss = {};
  std::vector<Curve> correlation = {};
  std::vector<CellTrace> traces = {};
  std::vector<SpaceTimeFilter> filters = {};
  std::vector<SpaceTimeFilter> averages = {};  ///< spike-triggered, one a cell

  std::vector<std::pair<std::string, std::string>> config = {};  ///< key, value
  std::vector<std::pair<std::string, std::string>> provenance =
      {};  ///< seed, build, device, data hashes, wall time
};

/// report.json: the numbers behind the pictures, nan as null. One object, keys as above; six significant
/// digits, three for what becomes a colour.
std::string to_json(const ReportData& data);
/// throws IoError naming `source` if the text is not of this form
ReportData report_from_json(std::string_view text, std::string_view source);

}  // namespace fovea::apps

// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "apps/retina_data.h"

namespace fovea::apps {

/// A data set that has a name; any other is given by its path.
struct DataSetEntry {
  std::string name;
  std::string summary;
};
const std::vector<DataSetEntry>& data_set_list();

/// `fovea data`'s command line.
struct DataRequest {
  std::string name;                          ///< of data_set_list(), or the path of a recording
  std::optional<std::filesystem::path> out;  ///< where to write it; empty: where training looks for it
  RecordingRequest recording;
  bool json = false;  ///< the description as one JSON object
};

/// Makes a data set, unless it is there already, and describes it: sizes, rates, reliability, where it comes
/// from.
int make_data(const DataRequest& request);

}  // namespace fovea::apps

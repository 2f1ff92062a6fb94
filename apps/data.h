// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace fovea::apps {

/// A data set that has a name; any other is given by its path.
struct DataSetEntry {
  std::string name;
  std::string summary;
};
const std::vector<DataSetEntry>& data_set_list();

/// `fovea data`'s command line.
struct DataRequest {
  std::string name;  ///< of data_set_list(), or the path of an existing file
  std::optional<std::filesystem::path>
      out;             ///< write it there (HDF5, the labs' layout); empty: only describe it
  double minutes = 0;  ///< length of a generated recording; 0: as large as it comes
  std::int64_t seed = 1;
  bool json = false;  ///< the description as one JSON object
};

/// Makes, converts or describes a data set: splits, shapes, units, hash, where it comes from.
int make_data(const DataRequest& request);

}  // namespace fovea::apps

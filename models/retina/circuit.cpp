// SPDX-License-Identifier: Apache-2.0
#include "models/retina/circuit.h"

namespace fovea::retina {

std::string_view name(CellType type) {
  switch (type) {
    case CellType::kFastOff:
      return "fast OFF";
    case CellType::kSlowOff:
      return "slow OFF";
    case CellType::kOnOff:
      return "ON-OFF";
    case CellType::kOn:
      break;
  }
  return "ON";
}

std::string_view name(Circuit circuit) { return circuit == Circuit::kStandard ? "standard" : "predictive"; }

}  // namespace fovea::retina

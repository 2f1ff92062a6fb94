// SPDX-License-Identifier: Apache-2.0
#include "models/retina/selected_places.h"

#include <algorithm>
#include <cmath>

namespace fovea::retina {

std::vector<SelectedPlace> selected_places(DeepRetina& model) {
  const Tensor weights = model.selection();
  const auto values = weights.to_vector<double>();
  const std::int64_t places = weights.size(1), reach = model.reach();
  const auto side = static_cast<std::int64_t>(std::lround(std::sqrt(static_cast<double>(places))));
  std::vector<SelectedPlace> found;
  for (std::int64_t cell = 0; cell < weights.size(0); ++cell) {
    const auto row = values.begin() + static_cast<std::ptrdiff_t>(cell * places);
    const auto best = std::max_element(row, row + static_cast<std::ptrdiff_t>(places));
    const std::int64_t at = best - row;
    found.push_back({{at / side + reach / 2, at % side + reach / 2}, *best});
  }
  return found;
}

void decide(DeepRetina& model) {
  const Tensor weights = model.selection();
  const auto values = weights.to_vector<float>();
  const auto places = static_cast<std::size_t>(weights.size(1));
  std::vector<float> decided(values.size(), 0.0f);
  for (std::size_t row = 0; row < values.size(); row += places) {
    const auto first = values.begin() + static_cast<std::ptrdiff_t>(row);
    const auto best = std::max_element(first, first + static_cast<std::ptrdiff_t>(places));
    decided[static_cast<std::size_t>(best - values.begin())] = 1.0f;
  }
  nn::State state = model.state();
  state.at("selection.weight")
      .copy_from(Tensor::from(decided, weights.shape(), weights.device(), "selection"));
}

}  // namespace fovea::retina

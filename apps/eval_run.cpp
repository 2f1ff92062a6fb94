// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <cmath>
#include <memory>
#include <nlohmann/json.hpp>
#include <utility>

#include "apps/checkpoint.h"
#include "apps/eval.h"
#include "apps/exit_code.h"
#include "apps/model_list.h"
#include "apps/retina_data.h"
#include "apps/retina_models.h"
#include "apps/retina_report.h"
#include "apps/run_device.h"
#include "apps/run_state.h"
#include "models/retina/predict.h"

namespace fovea::apps {
Evaluated evaluate_run(const EvalRequest& request) {
  Config config = read_run_config(request.run);
  if (request.data) config.set("data.test", request.data->string(), "--data");
  Checkpoint checkpoint = find_checkpoint(request.run, request.checkpoint);
  const Device device = viewing_device(request.device, config);
  RetinaData data = load_retina_data(config);
  const std::unique_ptr<retina::RateModel> model = make_retina_model(config, data.train.cells(), device);
  load_weights(*model, checkpoint.path);
  // A run measured them on these data itself; converted weights were trained with others.
  const nn::Normalization trained = saved_normalization(checkpoint.path);
  for (nn::WindowDataset* part : {&data.train, &data.validation, &data.test})
    part->set_normalization(trained);
  const nn::WindowDataset& part =
      request.split == "train" ? data.train : (request.split == "validation" ? data.validation : data.test);
  retina::Predictions predicted = retina::predict(*model, part, device);
  retina::Scores scores =
      retina::score(predicted.rate, predicted.target, request.split == "test" ? data.test_repeats : Tensor());
  std::string history = spike_history(*model, predicted);
  return {std::move(config),    std::move(checkpoint), std::move(data),
          std::move(predicted), std::move(history),    std::move(scores)};
}

int evaluate(const EvalRequest& request) {
  const Evaluated evaluated = evaluate_run(request);
  const retina::Scores& scores = evaluated.scores;
  const std::string& history = evaluated.spike_history;
  const bool test = request.split == "test";
  if (request.json) {
    nlohmann::ordered_json json{{"run", request.run.string()},
                                {"split", request.split},
                                {"step", evaluated.checkpoint.step},
                                {"pearson", scores.pearson.mean},
                                {"pearson_per_cell", scores.pearson.values},
                                {"explained_variance", scores.explained_variance.mean},
                                {"rmse_hz", scores.rmse_hz.mean},
                                {"log_likelihood", scores.log_likelihood.mean}};
    if (!history.empty()) json["spike_history"] = history;
    if (test) {
      json["cc_norm"] = scores.cc_norm.mean;
      json["cc_norm_per_cell"] = scores.cc_norm.values;
      json["feve"] = scores.feve.mean;
      json["feve_per_cell"] = scores.feve.values;
      json["noise_ceiling_per_cell"] = evaluated.data.ceiling;
    }
    fmt::print("{}\n", json.dump(2));
  } else {
    fmt::print("{} of step {} on the {} part\n{}", evaluated.config.text("model.name"),
               evaluated.checkpoint.step, request.split, scores_table(evaluated.data, scores, test));
    if (!history.empty()) fmt::print("spike history: {}\n", history);
    fmt::print("explained variance {:.3f}, rmse {:.2f} Hz, log-likelihood {:.3f}\n",
               scores.explained_variance.mean, scores.rmse_hz.mean, scores.log_likelihood.mean);
    if (test && !std::isnan(scores.cc_norm.mean))
      fmt::print("against the repeatable part: normalised correlation {:.3f}, explained variance {:.3f}\n",
                 scores.cc_norm.mean, scores.feve.mean);
  }
  return kDone;
}

}  // namespace fovea::apps

// SPDX-License-Identifier: Apache-2.0
#include "apps/eval.h"

#include <CLI/CLI.hpp>
#include <memory>

#include "apps/cli.h"
#include "apps/names.h"
#include "apps/run_folder.h"
#include "apps/train.h"

namespace fovea::apps {

void register_eval(CLI::App& program, Action& action) {
  const auto request = std::make_shared<EvalRequest>();
  CLI::App* command = program.add_subcommand("eval", "Score a trained model on held-out data");
  command->add_option("RUN", request->run, "Run folder")->required();
  command->add_option("--split", request->split, "Which part of the data: train, validation or test")
      ->capture_default_str();
  command->add_option("--data", request->data,
                      "Another recording of the same cells, whose test movie takes the place of the run's");
  command->add_option("--checkpoint", request->checkpoint, "best, latest, or a step")->capture_default_str();
  command
      ->add_option("--device", request->device, "auto (the GPU if there is one), cpu, simt, cuda or cuda:N")
      ->capture_default_str();
  command->add_flag("--json", request->json, "One JSON object on stdout");
  command->callback([request, &action] {
    action = [request] {
      check_choice("--split", request->split, {"train", "validation", "test"});
      check_device_name(request->device);
      (void)find_checkpoint(request->run,
                            request->checkpoint);  // a wrong name fails before anything is loaded
      return evaluate(*request);
    };
  });
}

}  // namespace fovea::apps

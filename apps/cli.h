// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <iosfwd>
#include <string>
#include <vector>

namespace CLI {
class App;
}

namespace fovea::apps {

/// What the chosen subcommand does once the command line is read; returns the exit code.
using Action = std::function<int()>;

/// Each adds one subcommand to the program; when it is chosen, `action` is set and called after parsing.
void register_train(CLI::App& program, Action& action);
void register_replay(CLI::App& program, Action& action);
void register_suite(CLI::App& program, Action& action);
void register_eval(CLI::App& program, Action& action);
void register_encode(CLI::App& program, Action& action);
void register_report(CLI::App& program, Action& action);
void register_data(CLI::App& program, Action& action);
void register_demo(CLI::App& program, Action& action);
void register_doctor(CLI::App& program, Action& action);
void register_ops(CLI::App& program, Action& action);
void register_explain(CLI::App& program, Action& action);

/// Runs `fovea` with these arguments (the program's name left out) and returns its exit code (exit_code.h).
/// Help and version go to `out`; an error is one line on `err`, ending in a hint (of a run that stopped, up to three).
int run_program(const std::vector<std::string>& arguments, std::ostream& out, std::ostream& err);

}  // namespace fovea::apps

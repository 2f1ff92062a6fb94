// SPDX-License-Identifier: Apache-2.0
#include "apps/cli.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <new>
#include <ostream>

#include "apps/exit_code.h"
#include "apps/names.h"
#include "apps/version.h"
#include "kernels/arena.h"
#include "tensor/names.h"

namespace fovea::apps {
namespace {

/// Errors are one line that a terminal can show, whatever a library, a file or a user puts into the text.
std::string one_line(std::string_view text) {
  std::string line;
  for (const char c : text) {
    if (c != '\n' && c != '\r' && c != '\t')
      line += c;
    else if (!line.empty() && line.back() != ' ')
      line += ' ';
  }
  while (!line.empty() && (line.back() == ' ' || line.back() == '.')) line.pop_back();
  return printable(line, 1000);
}

std::vector<std::string> subcommand_names(const CLI::App& program) {
  std::vector<std::string> names;
  for (const CLI::App* command : program.get_subcommands([](const CLI::App*) { return true; }))
    names.push_back(command->get_name());
  return names;
}

std::vector<std::string> option_names(const CLI::App& command) {
  std::vector<std::string> names;
  for (const CLI::Option* option : command.get_options())
    for (const std::string& name : option->get_lnames()) names.push_back("--" + name);
  return names;
}

/// The subcommand that was named, or the program itself.
const CLI::App& named_command(const CLI::App& program) {
  const auto chosen = program.get_subcommands();
  return chosen.empty() ? program : *chosen.front();
}

std::string usage_error(const CLI::App& program, const CLI::ParseError& error) {
  const CLI::App& command = named_command(program);
  // With an unknown option before any command, CLI11 complains of the missing command instead.
  const std::vector<std::string> extras = program.remaining(true);
  const bool unknown = dynamic_cast<const CLI::ExtrasError*>(&error) != nullptr || &command == &program;
  if (unknown && !extras.empty()) {
    const std::string& wrong = extras.front();
    if (!wrong.starts_with("-")) return fmt::format("unexpected argument '{}'", wrong);
    const std::string name = wrong.substr(0, wrong.find('='));
    return fmt::format("unknown option '{}'{}", name, did_you_mean(name, option_names(command)));
  }
  // CLI11's own words leave out what was expected.
  std::string text = one_line(error.what());
  if (constexpr std::string_view kStart = "Could not convert: "; text.starts_with(kStart))
    return text.substr(kStart.size()) + ": expected a number";
  if (const auto end = text.find(": 1 required "); end != std::string::npos)
    return text.substr(0, end) + ": expected a value after it";
  return text;
}

int run_command(const std::vector<std::string>& arguments, std::ostream& out, std::ostream& err) {
  CLI::App program("Models of the visual system, trained and probed.", "fovea");
  program.set_version_flag("--version", fmt::format("fovea {} ({})", version(), build_id()));
  program.get_formatter()->column_width(36);
  program.require_subcommand(1);
  program.footer("Exit codes: 0 done, 1 failed, 2 wrong usage, 130 or 143 interrupted after saving.");
  Action action;
  register_train(program, action);
  register_replay(program, action);
  register_suite(program, action);
  register_eval(program, action);
  register_encode(program, action);
  register_report(program, action);
  register_data(program, action);
  register_demo(program, action);
  register_explain(program, action);
  register_ops(program, action);
  register_doctor(program, action);

  std::string prefix = "fovea";
  const auto fail = [&](int code, std::string_view text) {
    err << fmt::format("{}: {}", prefix, one_line(text)) << std::endl;
    return code;
  };
  if (arguments.empty()) {
    err << program.help();
    return kWrongUsage;
  }
  if (const std::string& first = arguments.front(); !first.starts_with("-")) {
    const std::vector<std::string> names = subcommand_names(program);
    if (std::find(names.begin(), names.end(), first) == names.end())
      return fail(kWrongUsage, fmt::format("unknown command '{}'{} ('fovea --help' lists the commands)",
                                           first, did_you_mean(first, names)));
    prefix += " " + first;
  }
  try {
    // CLI11 takes the arguments last first.
    program.parse(std::vector<std::string>(arguments.rbegin(), arguments.rend()));
    return action();
  } catch (const CLI::CallForHelp&) {
    out << named_command(program).help();
    return kDone;
  } catch (const CLI::CallForVersion& version_text) {
    out << version_text.what() << "\n";
    return kDone;
  } catch (const CLI::ParseError& error) {
    return fail(kWrongUsage,
                fmt::format("{} ('{} --help' shows the usage)", usage_error(program, error), prefix));
  } catch (const UsageError& error) {
    return fail(kWrongUsage, error.what());
  } catch (const StoppedRun& error) {  // its lines are its own
    err << fmt::format("{}: {}", prefix, error.what()) << std::endl;
    return kFailed;
  } catch (const OutOfMemory& error) {  // says who asked for how much
    return fail(kFailed, error.what());
  } catch (const std::bad_alloc&) {
    return fail(kFailed,
                "out of memory; a smaller train.batch needs less");  // untested: the arena says it better
  } catch (const std::exception& error) {
    return fail(kFailed, error.what());
  }
}

}  // namespace

int run_program(const std::vector<std::string>& arguments, std::ostream& out, std::ostream& err) {
  try {
    return run_command(arguments, out, err);
  } catch (const std::bad_alloc&) {  // there was no memory to put the error into words
    err << "fovea: out of memory" << std::endl;
    return kFailed;
  }
}

}  // namespace fovea::apps

// SPDX-License-Identifier: Apache-2.0
#include "apps/explain.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <CLI/CLI.hpp>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>

#include "apps/atomic_file.h"
#include "apps/cli.h"
#include "apps/exit_code.h"
#include "apps/run_device.h"
#include "apps/train.h"

namespace fovea::apps {
namespace {

struct ExplainOptions {
  TrainOptions train = {};
  std::optional<std::int64_t> batch = {};
  std::string format = "text";
  bool json = false;
  std::optional<std::filesystem::path> out = {};
};

int run_explain(const ExplainOptions& options) {
  std::vector<std::string> notes;
  TrainRequest request = resolve_train(options.train, notes);
  if (options.batch) request.config.set("train.batch", *options.batch, "--batch");
  Device device = viewing_device(request.device, request.config);
  if (device.kind() == DeviceKind::simt) {
    fmt::print(stderr,
               "the emulation would take minutes for a step: explained on the cpu, whose tape is the same\n");
    device = Device::cpu();
  }
  const StepReport report = explain_step(request.config, device);
  const std::string text = options.json || options.format == "json" ? explain_json(report)
                           : options.format == "dot"                ? explain_dot(report)
                           : options.format == "svg"                ? explain_svg(report)
                                                                    : explain_text(report);
  if (options.out)
    replace_file(*options.out, text);
  else
    fmt::print("{}", text);
  return kDone;
}

std::string inputs_text(const ExplainedOp& op) {
  std::vector<std::string> inputs;
  for (const ExplainedOp::Operand& input : op.inputs)
    inputs.push_back(input.name == "none" ? "none" : fmt::format("{} {}", input.name, input.shape));
  return fmt::format("{}", fmt::join(inputs, ", "));
}

}  // namespace

std::int64_t StepReport::kept_bytes() const {
  std::int64_t bytes = 0;
  for (const ExplainedOp& op : ops)
    for (const KeptTensor& kept : op.kept) bytes += kept.adds;
  return bytes;
}

double StepReport::flops() const {
  double sum = 0;
  for (const ExplainedOp& op : ops) sum += op.cost.flops;
  return sum;
}

double StepReport::gradient_flops() const {
  double sum = 0;
  for (const ExplainedOp& op : ops) sum += op.cost.gradient_flops;
  return sum;
}

StepReport explain_step(const Config& config, const Device& device) {
  StepReport report;
  report.model = config.text("model.name");
  report.device = device.description();
  report.batch = config.integer("train.batch");
  const Probe probe = standard_probe(config);
  report.memory = plan_memory(config, probe, device);
  check_fits(report.memory);
  const Trainable trainable = probe.model(device);
  report.parameters = trainable.module->parameter_count();
  Tape tape({static_cast<std::uint64_t>(config.integer("train.seed")), 0});
  const StepLoss loss = trainable.loss(tape, probe.batch(report.batch, device));
  report.ops = explain(tape);
  return report;
}

std::string flops_text(double flops) {
  for (const auto& [unit, size] : {std::pair{"TFLOP", 1e12}, {"GFLOP", 1e9}, {"MFLOP", 1e6}, {"kFLOP", 1e3}})
    if (flops >= size) return fmt::format("{:.1f} {}", flops / size, unit);
  return fmt::format("{:.0f} FLOP", flops);
}

std::string kept_text(const ExplainedOp& op) {
  std::vector<std::string> all;
  for (const KeptTensor& kept : op.kept) {
    const std::string whose = kept.memory == "own" ? "its own" : kept.memory;
    const bool again = kept.adds == 0 && kept.memory.starts_with("%");
    all.push_back(
        fmt::format("{} {} ({}{})", kept.name, size_text(kept.bytes), whose, again ? ", kept above" : ""));
  }
  return all.empty() ? "nothing" : fmt::format("{}", fmt::join(all, ", "));
}

std::string explain_text(const StepReport& report) {
  std::string text =
      fmt::format("{}: the tape of one step of {} on {}\n\n", report.model, report.batch, report.device);
  for (const ExplainedOp& op : report.ops) {
    text +=
        fmt::format("%{:<3} {:<30} {} -> {}\n", op.id, op.op + (op.module.empty() ? "" : " in " + op.module),
                    inputs_text(op), fmt::join(op.shapes, ", "));
    text += fmt::format("     {}, gradient {}; keeps {}\n", flops_text(op.cost.flops),
                        flops_text(op.cost.gradient_flops), kept_text(op));
    text += fmt::format("     {}  [{}]\n", op.gradient, op.source);
  }
  text += fmt::format("\n{} records, {} parameters; forward {}, backward {}; kept for backward {}\n",
                      report.ops.size(), report.parameters, flops_text(report.flops()),
                      flops_text(report.gradient_flops()), size_text(report.kept_bytes()));
  return text + report.memory.str() + "\n";
}

std::string explain_json(const StepReport& report) {
  nlohmann::ordered_json ops = nlohmann::ordered_json::array();
  const auto extents = [](const Shape& shape) {
    return std::vector<std::int64_t>(shape.begin(), shape.end());
  };
  for (const ExplainedOp& op : report.ops) {
    nlohmann::ordered_json inputs = nlohmann::ordered_json::array(), kept = inputs, shapes = inputs;
    for (const auto& input : op.inputs)
      inputs.push_back({{"id", input.id}, {"name", input.name}, {"shape", extents(input.shape)}});
    for (const Shape& shape : op.shapes) shapes.push_back(extents(shape));
    for (const KeptTensor& tensor : op.kept)
      kept.push_back({{"name", tensor.name},
                      {"memory", tensor.memory},
                      {"shape", extents(tensor.shape)},
                      {"bytes", tensor.bytes},
                      {"adds", tensor.adds}});
    ops.push_back({{"id", op.id},
                   {"op", op.op},
                   {"module", op.module},
                   {"inputs", inputs},
                   {"shapes", shapes},
                   {"dtype", dtype_name(op.dtype)},
                   {"kept", kept},
                   {"flops", op.cost.flops},
                   {"bytes", op.cost.bytes},
                   {"gradient_flops", op.cost.gradient_flops},
                   {"gradient", op.gradient},
                   {"source", op.source}});
  }
  const MemoryPlan& memory = report.memory;
  nlohmann::ordered_json plan{{"weights", memory.weights}, {"gradients", memory.gradients},
                              {"moments", memory.moments}, {"batch", memory.data},
                              {"kept", memory.kept},       {"working", memory.working},
                              {"peak", memory.peak},       {"limit", nullptr},
                              {"largest_batch", nullptr},  {"probed_on", memory.device}};
  if (memory.limit) plan["limit"] = *memory.limit;
  if (memory.largest_batch) plan["largest_batch"] = *memory.largest_batch;
  const nlohmann::ordered_json json{{"model", report.model},
                                    {"device", report.device},
                                    {"batch", report.batch},
                                    {"parameters", report.parameters},
                                    {"flops", report.flops()},
                                    {"gradient_flops", report.gradient_flops()},
                                    {"kept_bytes", report.kept_bytes()},
                                    {"memory", plan},
                                    {"ops", ops}};
  return json.dump(2) + "\n";
}

void register_explain(CLI::App& program, Action& action) {
  const auto options = std::make_shared<ExplainOptions>();
  CLI::App* command =
      program.add_subcommand("explain", "The tape of one step: ops, what they keep, what they cost");
  command->add_option("MODEL", options->train.model, "Which model")->required();
  command->add_option("--preset", options->train.preset, "Settings under one name; none by default");
  command->add_option("--config", options->train.config, "Settings from a TOML file, over the preset");
  command->add_option("--set", options->train.set, "key=value, over the file; may be repeated")
      ->take_all()
      ->allow_extra_args(false);
  command->add_option("--batch", options->batch, "Samples a step (train.batch)");
  command->add_option("--format", options->format, "text, dot (for Graphviz), svg or json")
      ->capture_default_str()
      ->check(CLI::IsMember({"text", "dot", "svg", "json"}));
  command->add_flag("--json", options->json, "The same as --format json");
  command->add_option("--out", options->out, "File to write")->default_str("standard output");
  command
      ->add_option("--device", options->train.device,
                   "auto (the GPU if there is one), cpu, simt, cuda or cuda:N")
      ->capture_default_str();
  command->footer(
      "One step is planned and its forward pass run, on a batch of zeros: no data are needed. What an op "
      "keeps\n"
      "stays in memory until backward has passed it; in brackets, whose memory that is: a value (%7), a "
      "parameter,\n"
      "data, or its own.");
  command->callback([options, &action] { action = [options] { return run_explain(*options); }; });
}

}  // namespace fovea::apps

// SPDX-License-Identifier: Apache-2.0
#include "bench/cudnn/peer.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <optional>

#include "bench/clock.h"
#include "bench/cudnn/operations.h"
#include "kernels/cuda/check.h"
#include "tensor/tensor.h"

namespace fovea::bench::cudnn {
namespace {

/// Which memory a tensor of a graph is.
struct Wire {
  Uid uid;
  enum { operand, state, number } kind;
  std::size_t index;
};
/// How a case is put to cuDNN.
struct Recipe {
  std::vector<Layout> layouts = {};
  std::function<Graph(const Target&, Layout)> run = {}, prepare = {};  ///< prepare may be empty
  std::vector<Wire> run_wires = {}, prepare_wires = {};
  std::vector<Operand> state = {};
  std::vector<float> numbers = {};  ///< on the host
};

constexpr cudnnDataType_t kType = CUDNN_DATA_FLOAT;  // of operands: all of them are f32 so far

Recipe recipe(const Conv2d& s, Pass pass) {
  const auto build = pass == Pass::grad_input    ? conv2d_grad_input
                     : pass == Pass::grad_weight ? conv2d_grad_weight
                                                 : conv2d_forward;
  const std::array<Uid, 3> uids = pass == Pass::grad_input    ? std::array{kW, kY, kX}
                                  : pass == Pass::grad_weight ? std::array{kX, kY, kW}
                                                              : std::array{kX, kW, kY};
  Recipe r{.layouts = {Layout::nchw, Layout::channels_last},
           .run = [=](const Target& target, Layout layout) { return build(target, s, layout, kType); }};
  for (std::size_t k = 0; k < uids.size(); ++k) r.run_wires.push_back({uids[k], Wire::operand, k});
  return r;
}

Recipe recipe(const PoolGeometry& g, Pass pass) {
  const Shape y{g.pool.planes / g.channels, g.channels, g.pool.rows.out, g.pool.columns.out};
  const auto forward = [g](const Target& target, Layout) {
    return max_pool2d_forward(target, g.pool, g.channels, kType);
  };
  Recipe r{.layouts = {Layout::channels_last}, .state = {{"index", y, true, 0, 0, DType::u8}}};
  if (pass == Pass::forward) {
    r.run = forward;
    r.run_wires = {{kX, Wire::operand, 0}, {kY, Wire::operand, 1}, {kIndex, Wire::state, 0}};
    return r;
  }
  r.state.push_back({"y", y, true});
  r.prepare = forward;
  r.prepare_wires = {{kX, Wire::operand, 0}, {kY, Wire::state, 1}, {kIndex, Wire::state, 0}};
  r.run = [g](const Target& target, Layout) {
    return max_pool2d_backward(target, g.pool, g.channels, kType);
  };
  r.run_wires = {{kDy, Wire::operand, 1}, {kDx, Wire::operand, 2}, {kIndex, Wire::state, 0}};
  return r;
}

Recipe recipe(const NormGeometry& g, Pass pass) {
  const NormShape s{g.batch, g.channels, g.height, g.width};
  const Shape channel{g.channels};
  const auto forward = [s](const Target& target, Layout layout) {
    return batch_norm_forward(target, s, layout, kType);
  };
  Recipe r{.layouts = {Layout::channels_last, Layout::nchw}, .numbers = {g.eps, g.momentum}};
  const auto scratch = [&](const char* name) { return Operand{name, channel, false, 0.5, 1.0}; };
  if (pass == Pass::forward) {
    r.state = {scratch("new_mean"), scratch("new_variance")};
    r.run = forward;
    r.run_wires = {{kX, Wire::operand, 0},
                   {kScale, Wire::operand, 1},
                   {kBias, Wire::operand, 2},
                   {kRunningMean, Wire::operand, 3},
                   {kRunningVariance, Wire::operand, 4},
                   {kY, Wire::operand, 5},
                   {kMean, Wire::operand, 6},
                   {kInverseSd, Wire::operand, 7},
                   {kNewRunningMean, Wire::state, 0},
                   {kNewRunningVariance, Wire::state, 1},
                   {kEpsilon, Wire::number, 0},
                   {kMomentum, Wire::number, 1}};
    return r;
  }
  r.state = {scratch("mean"),         scratch("inverse_sd"),
             scratch("new_mean"),     scratch("new_variance"),
             scratch("running_mean"), scratch("running_variance"),
             scratch("bias"),         {"y", {g.batch, g.channels, g.height, g.width}, true}};
  r.prepare = forward;
  r.prepare_wires = {{kX, Wire::operand, 0},
                     {kScale, Wire::operand, 1},
                     {kBias, Wire::state, 6},
                     {kRunningMean, Wire::state, 4},
                     {kRunningVariance, Wire::state, 5},
                     {kY, Wire::state, 7},
                     {kMean, Wire::state, 0},
                     {kInverseSd, Wire::state, 1},
                     {kNewRunningMean, Wire::state, 2},
                     {kNewRunningVariance, Wire::state, 3},
                     {kEpsilon, Wire::number, 0},
                     {kMomentum, Wire::number, 1}};
  r.run = [s](const Target& target, Layout layout) { return batch_norm_backward(target, s, layout, kType); };
  r.run_wires = {{kX, Wire::operand, 0},  {kScale, Wire::operand, 1},  {kDy, Wire::operand, 2},
                 {kDx, Wire::operand, 3}, {kDScale, Wire::operand, 4}, {kDBias, Wire::operand, 5},
                 {kMean, Wire::state, 0}, {kInverseSd, Wire::state, 1}};
  return r;
}

Recipe recipe(const Case& c) {
  if (const auto* conv = std::get_if<Conv2d>(&c.geometry)) return recipe(*conv, c.pass);
  if (const auto* pool = std::get_if<PoolGeometry>(&c.geometry)) return recipe(*pool, c.pass);
  return recipe(std::get<NormGeometry>(c.geometry), c.pass);
}

/// A plan with the memory of each set, and with what it was made from, in case it refers to it.
struct Ready {
  std::shared_ptr<const Graph> graph;
  std::optional<Plan> plan;
  std::vector<Descriptor> packs;
  Tensor workspace;
};

class GraphPeer final : public Peer {
 public:
  GraphPeer(const Case& c, const Device& device, const Buffers& buffers, Math math)
      : handle_(device),
        device_(device),
        buffers_(buffers),
        recipe_(recipe(c)),
        state_(device, recipe_.state, buffers.sets(), 3) {
    const double start = seconds_now();
    const Target target{handle_.get(), nullptr};
    const PlanOptions options{.tensor_cores = math != Math::fp32};
    double best = 1e30;
    std::string reasons;
    for (const Layout layout : recipe_.layouts) {
      try {
        tune(target, options, layout, best, reasons);
      } catch (const std::exception& error) {  // a layout that cuDNN does not take; the other may do
        reasons += fmt::format("{}{}: {}", reasons.empty() ? "" : "; ", name(layout), error.what());
      }
    }
    if (run_.packs.empty())
      throw CudnnError(fmt::format("cuDNN has no plan that runs{}{}", reasons.empty() ? "" : ": ", reasons));
    info_.tuning_ms = (seconds_now() - start) * 1e3;
    info_.name = "cudnn " + version();
  }

  void prepare(int set) override {
    if (!prepare_.packs.empty()) execute(prepare_, set);
  }
  void run(int set) override { execute(run_, set); }
  bool channels_last() const override { return layout_ == Layout::channels_last; }
  PeerInfo info() const override { return info_; }

 private:
  static const char* name(Layout layout) { return layout == Layout::nchw ? "nchw" : "channels_last"; }

  void execute(const Ready& ready, int set) {
    check(library().cudnnBackendExecute(handle_.get(), ready.plan->plan.get(),
                                        ready.packs[static_cast<std::size_t>(set)].get()),
          "cudnnBackendExecute");
  }

  Ready ready(std::shared_ptr<const Graph> graph, Plan plan, const std::vector<Wire>& wires, int sets) {
    const std::int64_t workspace = std::max<std::int64_t>(plan.workspace_bytes, 1);
    Ready made{
        std::move(graph), std::move(plan), {}, Tensor::empty({workspace}, DType::u8, device_, "bench")};
    add_packs(made, wires, sets);
    return made;
  }

  void add_packs(Ready& made, const std::vector<Wire>& wires, int sets) {
    for (int set = static_cast<int>(made.packs.size()); set < sets; ++set) {
      std::vector<std::int64_t> uids;
      std::vector<void*> pointers;
      for (const Wire& wire : wires) {
        uids.push_back(wire.uid);
        pointers.push_back(wire.kind == Wire::operand ? buffers_.set(set)[wire.index]
                           : wire.kind == Wire::state ? state_.set(set)[wire.index]
                                                      : static_cast<void*>(&recipe_.numbers[wire.index]));
      }
      made.packs.push_back(variant_pack(uids, pointers, made.workspace.raw()));
    }
  }

  /// The first plan that runs, for a pass that is not timed.
  Ready first_that_runs(const Target& target, const PlanOptions& options,
                        const std::shared_ptr<const Graph>& graph) {
    for (Plan& plan : plans(target, *graph, options)) {
      Ready made = ready(graph, std::move(plan), recipe_.prepare_wires, buffers_.sets());
      if (library().cudnnBackendExecute(handle_.get(), made.plan->plan.get(), made.packs[0].get()) ==
          CUDNN_STATUS_SUCCESS)
        return made;
    }
    throw CudnnError("no plan for what comes before the timed pass");
  }

  /// Tries all plans of a layout and keeps the fastest one if it beats `best`.
  void tune(const Target& target, const PlanOptions& options, Layout layout, double& best,
            std::string& reasons) {
    Ready before;
    if (recipe_.prepare)
      before =
          first_that_runs(target, options, std::make_shared<const Graph>(recipe_.prepare(target, layout)));
    const auto graph = std::make_shared<const Graph>(recipe_.run(target, layout));
    bool won = false;
    for (Plan& plan : plans(target, *graph, options)) {
      const std::string label = plan.notes.empty()
                                    ? fmt::format("engine {}", plan.engine)
                                    : fmt::format("engine {} ({})", plan.engine, fmt::join(plan.notes, ", "));
      const std::int64_t workspace = plan.workspace_bytes;
      ++info_.candidates;
      try {
        Ready made = ready(graph, std::move(plan), recipe_.run_wires, 1);
        const double ms = quick_ms(handle_.stream(), best, [&] { execute(made, 0); });
        if (ms >= best) continue;
        best = ms;
        won = true;
        run_ = std::move(made);
        layout_ = layout;
        info_.engine = label;
        info_.layout = name(layout);
        info_.workspace_bytes = workspace;
      } catch (const std::exception& error) {
        reasons += fmt::format("{}{}: {}", reasons.empty() ? "" : "; ", label, error.what());
      }
    }
    if (!won) return;
    add_packs(run_, recipe_.run_wires, buffers_.sets());
    prepare_ = std::move(before);
  }

  Handle handle_;
  Device device_;
  const Buffers& buffers_;
  Recipe recipe_;
  Buffers state_;
  Ready run_, prepare_;
  Layout layout_ = Layout::nchw;
  PeerInfo info_;
};

}  // namespace

Handle::Handle(const Device& device)
    : stream_(std::get<std::reference_wrapper<cuda::Stream>>(device.queue()).get()) {
  stream_.make_current();
  check(library().cudnnCreate(&raw_), "cudnnCreate");
  check(library().cudnnSetStream(raw_, stream_.get()), "cudnnSetStream");
}

double quick_ms(cuda::Stream& stream, double best, const std::function<void()>& run) {
  const auto once = [&] {
    cudaEvent_t start = nullptr, end = nullptr;
    CHECK_CUDA(cudaEventCreate(&start));
    CHECK_CUDA(cudaEventCreate(&end));
    const std::shared_ptr<CUevent_st> first(start, cudaEventDestroy), last(end, cudaEventDestroy);
    CHECK_CUDA(cudaEventRecord(start, stream.get()));
    run();
    CHECK_CUDA(cudaEventRecord(end, stream.get()));
    CHECK_CUDA(cudaEventSynchronize(end));
    float ms = 0;
    CHECK_CUDA(cudaEventElapsedTime(&ms, start, end));
    return static_cast<double>(ms);
  };
  double ms = once();  // loads the kernel, so it counts only where it is hopeless
  if (ms >= 10 * best && ms > 10) return ms;
  ms = once();
  for (int i = 0; i < 2; ++i) ms = std::min(ms, once());
  return ms;
}

std::unique_ptr<Peer> make_graph_peer(const Case& c, const Device& device, const Buffers& buffers,
                                      Math math) {
  return std::make_unique<GraphPeer>(c, device, buffers, math);
}

std::unique_ptr<Peer> make_peer(const Case& c, const Device& device, const Buffers& buffers, Math math) {
  return std::holds_alternative<LstmGeometry>(c.geometry) ? make_lstm_peer(c, device, buffers, math)
                                                          : make_graph_peer(c, device, buffers, math);
}

}  // namespace fovea::bench::cudnn

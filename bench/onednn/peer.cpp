// SPDX-License-Identifier: Apache-2.0
#include "bench/onednn/peer.h"

#include <algorithm>
#include <cstring>

#include "bench/clock.h"

namespace fovea::bench::onednn {
namespace {

std::size_t bytes_of(const MemoryDesc& desc) { return library().dnnl_memory_desc_get_size(desc.get()); }
bool same(const MemoryDesc& a, const MemoryDesc& b) {
  return library().dnnl_memory_desc_equal(a.get(), b.get()) != 0;
}

/// Blocks of 16 channels.
MemoryDesc blocked(const Shape& shape) {
  dnnl_memory_desc_t raw = nullptr;
  const dnnl_dims_t extents = {shape[0], shape[1], shape[2], shape[3]};
  check(library().dnnl_memory_desc_create_with_tag(&raw, 4, extents, dnnl_f32, dnnl_nChw16c),
        "dnnl_memory_desc_create_with_tag");
  return {raw, library().dnnl_memory_desc_destroy};
}
MemoryDesc channels_last(const Shape& shape) {
  const std::int64_t pixel = shape[1], row = shape[3] * pixel;
  return strided(shape, {shape[2] * row, 1, row, pixel});
}

/// Memory that starts as aligned as an allocation of oneDNN's own.
class Block {
 public:
  explicit Block(std::size_t bytes) : bytes_(bytes + kAlignment, std::byte{0}) {}
  float* data() {
    const std::size_t off = reinterpret_cast<std::uintptr_t>(bytes_.data()) % kAlignment;
    return reinterpret_cast<float*>(bytes_.data() + (kAlignment - off) % kAlignment);
  }

 private:
  static constexpr std::size_t kAlignment = 64;
  std::vector<std::byte> bytes_;
};

/// An operand that the primitive has in another order than ours.
struct Reordered {
  std::size_t operand;
  bool output;
  MemoryDesc ours, theirs;
  Memory memory;
};
/// A primitive with the arguments of one set.
struct Bound {
  std::vector<Memory> kept;
  std::vector<Reordered> reordered;
  std::vector<dnnl_exec_arg_t> arguments;
  std::vector<std::pair<void*, std::size_t>> cleared;
};

class OnednnPeer final : public Peer {
 public:
  OnednnPeer(const Case& c, int threads, const Buffers& buffers, Layout layout, Recipe recipe)
      : case_(c),
        threads_(threads),
        buffers_(buffers),
        recipe_(std::move(recipe)),
        run_(primitive(recipe_.run)) {
    if (recipe_.prepare) prepare_ = primitive(recipe_.prepare);
    for (int set = 0; set < buffers.sets(); ++set) {
      std::vector<Block>& blocks = blocks_.emplace_back();
      for (const MemoryDesc& state : recipe_.states) blocks.emplace_back(bytes_of(state));
      runs_.push_back(bound(recipe_.run, recipe_.run_wires, set));
      if (prepare_) prepares_.push_back(bound(recipe_.prepare, recipe_.prepare_wires, set));
    }
    info_.name = "onednn " + version() + (layout == Layout::plain ? " plain" : "");
    info_.engine = implementation(recipe_.run);
    info_.layout = recipe_.layout;
  }

  void prepare(int set) override {
    library().omp_set_num_threads(threads_);
    const auto k = static_cast<std::size_t>(set);
    if (recipe_.before) recipe_.before(buffers_.set(set), states(set));
    bring(runs_[k], set, false);
    if (!prepare_) return;
    bring(prepares_[k], set, false);
    execute(prepare_, prepares_[k]);
  }
  void run(int set) override {
    library().omp_set_num_threads(threads_);
    execute(run_, runs_[static_cast<std::size_t>(set)]);
  }
  void deliver() override {
    bring(runs_[0], 0, true);
    if (recipe_.after) recipe_.after(buffers_.set(0), states(0));
  }
  PeerInfo info() const override { return info_; }
  PeerInfo& info() { return info_; }

 private:
  Bound bound(const PrimitiveDesc& desc, const std::vector<Wire>& wires, int set) {
    Bound b;
    for (const Wire& wire : wires) {
      const MemoryDesc theirs = chosen(desc, wire.argument);
      if (wire.kind == Wire::state) {
        b.kept.push_back(memory(theirs, blocks_[static_cast<std::size_t>(set)][wire.index].data()));
      } else {
        const MemoryDesc ours = wire.order ? wire.order : plain(case_.operands[wire.index].shape);
        if (same(ours, theirs)) {
          b.kept.push_back(memory(theirs, buffers_.set(set)[wire.index]));
          clear_if_asked(b, wire, buffers_.set(set)[wire.index], bytes_of(theirs));
        } else {
          Block& block = *own_.emplace_back(std::make_unique<Block>(bytes_of(theirs)));
          b.kept.push_back(memory(theirs, block.data()));
          b.reordered.push_back({wire.index, wire.kind == Wire::output, ours, theirs, b.kept.back()});
          clear_if_asked(b, wire, block.data(), bytes_of(theirs));
        }
      }
      b.arguments.push_back({wire.argument, b.kept.back().get()});
    }
    return b;
  }
  void clear_if_asked(Bound& b, const Wire& wire, void* data, std::size_t bytes) const {
    if (std::find(recipe_.cleared.begin(), recipe_.cleared.end(), wire.argument) != recipe_.cleared.end())
      b.cleared.emplace_back(data, bytes);
  }

  static void execute(const Primitive& primitive, const Bound& b) {
    for (const auto& [data, bytes] : b.cleared) std::memset(data, 0, bytes);
    check(library().dnnl_primitive_execute(primitive.get(), stream(), static_cast<int>(b.arguments.size()),
                                           b.arguments.data()),
          "dnnl_primitive_execute");
    wait();
  }
  /// Inputs into oneDNN's order, or outputs back.
  void bring(const Bound& b, int set, bool outputs) {
    for (const Reordered& r : b.reordered) {
      if (r.output != outputs) continue;
      const Memory ours = memory(r.ours, buffers_.set(set)[r.operand]);
      if (outputs)
        reorder(r.theirs, r.memory, r.ours, ours);
      else
        reorder(r.ours, ours, r.theirs, r.memory);
    }
  }
  States states(int set) {
    States all;
    for (Block& block : blocks_[static_cast<std::size_t>(set)]) all.push_back(block.data());
    return all;
  }

  const Case& case_;
  int threads_;
  const Buffers& buffers_;
  Recipe recipe_;
  Primitive run_, prepare_;
  std::vector<std::vector<Block>> blocks_;   // states, by set
  std::vector<std::unique_ptr<Block>> own_;  // operands in oneDNN's order
  std::vector<Bound> runs_, prepares_;
  PeerInfo info_;
};

double best_ms(Peer& peer, int threads) {
  const auto now = threads == 1 ? thread_seconds : seconds_now;
  peer.prepare(0);
  peer.run(0);
  double best = 1e30;
  // The best of many, where threads may still share a core.
  const double enough = seconds_now() + (threads > 1 ? 2 * kSpreadMs * 1e-3 : 0);
  for (int i = 0; i < 3 || seconds_now() < enough; ++i) {
    const double start = now();
    peer.run(0);
    best = std::min(best, (now() - start) * 1e3);
  }
  return best;
}

struct Named {
  const char* name;  ///< "" leaves the recipe's own
  MemoryDesc (*order)(const Shape&);
};

/// The fastest of these orders, on as many threads as the case has, or on one of them.
std::unique_ptr<Peer> best_of(const Case& c, int threads, const Buffers& buffers, Layout layout,
                              const std::vector<Named>& orders,
                              const std::function<Recipe(const Order&)>& recipe) {
  const double start = seconds_now();
  std::unique_ptr<OnednnPeer> best;
  double best_time = 1e30;
  int candidates = 0;
  for (const int count : threads > 1 ? std::vector<int>{threads, 1} : std::vector<int>{1}) {
    library().omp_set_num_threads(count);  // primitives are made for a number of threads
    for (const Named& named : orders) {
      Recipe made = recipe(named.order);
      if (*named.name != '\0') made.layout = named.name;
      auto peer = std::make_unique<OnednnPeer>(c, count, buffers, layout, std::move(made));
      if (count < threads) peer->info().engine += ", 1 thread";
      ++candidates;
      const bool only = orders.size() == 1 && threads == 1;
      const double ms = only ? 0 : best_ms(*peer, threads);
      if (ms >= best_time) continue;
      best_time = ms;
      best = std::move(peer);
    }
  }
  best->info().tuning_ms = (seconds_now() - start) * 1e3;
  best->info().candidates = candidates;
  return best;
}

}  // namespace

bool has_layouts(const Case& c) { return !std::holds_alternative<LstmGeometry>(c.geometry); }

std::unique_ptr<Peer> make_peer(const Case& c, int threads, const Buffers& buffers, Layout layout) {
  std::vector<Named> orders{{"", plain}};
  std::function<Recipe(const Order&)> recipe;
  if (const auto* s = std::get_if<Conv2d>(&c.geometry)) {
    recipe = [&, s](const Order&) { return conv2d(*s, c.pass, layout); };
  } else if (const auto* m = std::get_if<Matmul>(&c.geometry)) {
    recipe = [&, m](const Order&) { return matmul(*m, layout); };
  } else if (const auto* l = std::get_if<LstmGeometry>(&c.geometry)) {
    recipe = [&, l](const Order&) { return lstm(*l, c.pass); };
  } else {
    orders = {{"nchw", plain}};
    if (layout == Layout::preferred) orders = {{"blocked", blocked}, {"channels_last", channels_last}};
    recipe = [&](const Order& order) {
      if (const auto* p = std::get_if<PoolGeometry>(&c.geometry)) return max_pool2d(*p, c.pass, order);
      return batch_norm(std::get<NormGeometry>(c.geometry), c.pass, order);
    };
  }
  return best_of(c, threads, buffers, layout, orders, recipe);
}

}  // namespace fovea::bench::onednn

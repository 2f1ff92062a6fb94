// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cassert>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>
#include <vector>

#include "autograd/channel_sums.h"
#include "autograd/optional.h"
#include "autograd/tape.h"
#include "kernels/ops/cell_update.h"
#include "kernels/ops/conv2d.h"
#include "kernels/ops/conv_terms.h"
#include "kernels/ops/elementwise.h"
#include "tensor/views.h"

/// What the recurrent cells of convolutional nets share: the convolutions of a step, described by the numbers
/// of its operands, so that a gradient rule can hold the description.
///
/// Operands are tensors in the order of the record's inputs. Maps are [N, C, H, W], all of one N, H and W;
/// kernels are [O, I, R, S] with stride 1 and SAME padding (same_padding: behind the map, where R or S is
/// even).
namespace fovea::conv_rnn {

/// One convolution: map `source` with kernel `weight` is a term of a slab. The kernel may reach further maps,
/// too: its input channels from `first_in` on, as many as the map has, belong to this one.
struct Link {
  int source = -1, weight = -1, slab = 0;
  int depthwise = -1;  ///< operand [I, 1, R, S]: a kernel for each channel, before `weight`; -1: none
  std::int64_t first_in = 0;
};

/// All convolutions of a step.
struct Links {
  static constexpr int kMaxLinks = 18, kMaxSlabs = 8;
  int links = 0, slabs = 0;
  Link link[kMaxLinks];
  int bias[kMaxSlabs] = {};  ///< operand [channels], or one that is undefined
  std::int64_t channels[kMaxSlabs] = {};

  /// A slab of so many channels; its number.
  int add_slab(std::int64_t count, int bias_operand) {
    assert(slabs < kMaxSlabs);
    channels[slabs] = count;
    bias[slabs] = bias_operand;
    return slabs++;
  }
  void add(const Link& one) {
    assert(links < kMaxLinks);
    link[links++] = one;
  }
  bool has_depthwise() const {
    for (int k = 0; k < links; ++k)
      if (link[k].depthwise >= 0) return true;
    return false;
  }
};
using Maps = std::vector<Tensor>;

inline ConvTerm term_of(const Tensor& x, const Tensor& w) {
  const Padding2d before = same_padding({x.size(2), x.size(3)}, {w.size(2), w.size(3)});
  return {.x = x.data(),
          .w = w.data(),
          .w_out = w.size(1) * w.size(2) * w.size(3),
          .w_in = w.size(2) * w.size(3),
          .w_row = w.size(3),
          .w_column = 1,
          .channels = static_cast<int>(x.size(1)),
          .kernel_height = static_cast<int>(w.size(2)),
          .kernel_width = static_cast<int>(w.size(3)),
          .top = static_cast<int>(before.top),
          .left = static_cast<int>(before.left)};
}
/// x ⋆ w, where x takes the channels of w from first_in on and y those from first_out on.
inline ConvTerm forward_term(const Tensor& x, const Tensor& w, std::int64_t first_out,
                             std::int64_t first_in) {
  ConvTerm term = term_of(x, w);
  term.w += first_out * term.w_out + first_in * term.w_in;
  return term;
}
/// What dy adds to the slope of the map that takes the channels of w from first_in on: the correlation with
/// the kernel turned by 180 degrees.
inline ConvTerm backward_term(const Tensor& dy, const Tensor& w, std::int64_t first_in) {
  ConvTerm term = term_of(dy, w);
  term.w += first_in * term.w_in + term.w_in - 1;
  std::swap(term.w_out, term.w_in);
  term.w_row = -term.w_row;
  term.w_column = -1;
  term.top = term.kernel_height - 1 - term.top;
  term.left = term.kernel_width - 1 - term.left;
  return term;
}
/// The same for a depthwise kernel, whose w_in nobody reads.
inline ConvTerm backward_depthwise_term(const Tensor& dy, const Tensor& w) {
  ConvTerm term = backward_term(dy, w, 0);
  std::swap(term.w_out, term.w_in);
  return term;
}

/// Collects slabs and terms, and runs them in one launch.
class Plan {
 public:
  explicit Plan(const Tensor& like, bool depthwise = false) {
    plan_.batch = like.size(0);
    plan_.height = static_cast<int>(like.size(2));
    plan_.width = static_cast<int>(like.size(3));
    plan_.depthwise = depthwise;
  }
  /// Begins a slab; terms follow. `start` may be undefined, or y itself.
  ConvSlab& slab(const Tensor& y, const Tensor& bias = {}, const Tensor& start = {}) {
    assert(plan_.slabs < ConvTerms::kMaxSlabs);
    ConvSlab& one = plan_.slab[plan_.slabs++];
    one.y = y.data();
    one.bias = data_or_null(bias);
    one.start = data_or_null(start);
    one.channels = static_cast<int>(y.size(1));
    one.first_term = terms_;
    return one;
  }
  void term(const ConvTerm& one) {
    assert(terms_ < ConvTerms::kMaxTerms);
    plan_.term[terms_++] = one;
    ++plan_.slab[plan_.slabs - 1].terms;
  }
  void run(const Queue& queue) const {
    if (plan_.slabs > 0) on(queue, [&](auto& q) { kernels::conv_terms(q, plan_); });
  }

 private:
  ConvTerms plan_;
  int terms_ = 0;
};

inline Tensor map_like(const char* op, const Tensor& map, std::int64_t channels) {
  return Tensor::empty({map.size(0), channels, map.size(2), map.size(3)}, DType::f32, map.device(), op);
}

/// The maps between the depthwise and the 1×1 kernels, one for each link; undefined where there is none. One
/// launch, or none.
inline Maps depthwise_maps(const char* op, const Links& links, Kept operands) {
  Maps maps(static_cast<std::size_t>(links.links));
  if (!links.has_depthwise()) return maps;
  Plan plan(operands[0], true);
  for (int k = 0; k < links.links; ++k) {
    const Link& link = links.link[k];
    if (link.depthwise < 0) continue;
    const Tensor& x = operands[link.source];
    maps[k] = map_like(op, x, x.size(1));
    plan.slab(maps[k]);
    plan.term(forward_term(x, operands[link.depthwise], 0, 0));
  }
  plan.run(operands[0].queue());
  return maps;
}

/// The slabs, one launch. One without terms is undefined and counts as 0.
inline Maps slabs_of(const char* op, const Links& links, Kept operands, const Maps& between) {
  Maps slabs(static_cast<std::size_t>(links.slabs));
  Plan plan(operands[0]);
  for (int s = 0; s < links.slabs; ++s) {
    for (int k = 0; k < links.links; ++k) {
      const Link& link = links.link[k];
      if (link.slab != s) continue;
      if (!slabs[s].defined()) {
        slabs[s] = map_like(op, operands[0], links.channels[s]);
        plan.slab(slabs[s], operands[links.bias[s]]);
      }
      const Tensor& x = link.depthwise >= 0 ? between[k] : operands[link.source];
      plan.term(forward_term(x, operands[link.weight], 0, link.first_in));
    }
  }
  plan.run(operands[0].queue());
  return slabs;
}

/// Writes the slope of a kernel's input channels from first_in on into dw.
inline void grad_weight(const char* op, const Tensor& x, const Tensor& dy, const Tensor& dw,
                        std::int64_t first_in) {
  const Conv2d shape{.batch = x.size(0),
                     .in_channels = x.size(1),
                     .in_height = x.size(2),
                     .in_width = x.size(3),
                     .out_channels = dy.size(1),
                     .kernel_height = dw.size(2),
                     .kernel_width = dw.size(3),
                     .padding = same_padding({x.size(2), x.size(3)}, {dw.size(2), dw.size(3)}),
                     .image_stride = x.size(1) * x.size(2) * x.size(3),
                     .channel_stride = x.size(2) * x.size(3)};
  const bool whole = x.size(1) == dw.size(1);
  const Tensor part =
      whole ? dw : Tensor::empty({dy.size(1), x.size(1), dw.size(2), dw.size(3)}, DType::f32, x.device(), op);
  on(x.queue(), [&](auto& q) { kernels::conv2d_grad_weight(q, shape, x.data(), dy.data(), part.data()); });
  if (!whole) slice(dw, 1, first_in, first_in + x.size(1)).copy_from(part);
}

/// y += x, of one shape.
inline void accumulate(const Tensor& x, const Tensor& y) {
  on(y.queue(), [&](auto& q) { kernels::accumulate(q, y.numel(), DType::f32, x.raw(), y.raw()); });
}

/// Which of the first `count` operands want a slope.
inline std::vector<bool> wanted(Needs needs, int count) {
  std::vector<bool> flags;
  for (int k = 0; k < count; ++k) flags.push_back(needs[k]);
  return flags;
}

/// The slopes of all operands that want one, given those of the slabs. Where d[source] is there already it is
/// added to in place.
inline void link_slopes(const char* op, const Links& links, Kept operands, const Maps& between,
                        const Maps& dslabs, const std::vector<bool>& needs, Grads& d) {
  const Queue& queue = operands[0].queue();
  // Slopes of the maps: terms by source, and of the maps between depthwise and 1×1 kernels.
  Maps dbetween(static_cast<std::size_t>(links.links));
  const auto sum_over = [&](bool depthwise) {
    Plan plan(operands[0], depthwise);
    for (int source = 0; source < static_cast<int>(operands.size()); ++source) {
      bool begun = false;
      for (int k = 0; k < links.links; ++k) {
        const Link& link = links.link[k];
        if (link.source != source || !needs[source] || (link.depthwise >= 0) != depthwise) continue;
        if (!begun) {
          const Tensor before = d[source];
          if (!before.defined()) d[source] = map_like(op, operands[source], operands[source].size(1));
          plan.slab(d[source], {}, before);
          begun = true;
        }
        plan.term(depthwise ? backward_depthwise_term(dbetween[k], operands[link.depthwise])
                            : backward_term(dslabs[link.slab], operands[link.weight], link.first_in));
      }
    }
    if (!depthwise)
      for (int k = 0; k < links.links; ++k) {
        const Link& link = links.link[k];
        if (link.depthwise < 0 || (!needs[link.source] && !needs[link.depthwise])) continue;
        dbetween[k] = map_like(op, between[k], between[k].size(1));
        plan.slab(dbetween[k]);
        plan.term(backward_term(dslabs[link.slab], operands[link.weight], 0));
      }
    plan.run(queue);
  };
  sum_over(false);
  if (links.has_depthwise()) sum_over(true);

  for (int k = 0; k < links.links; ++k) {
    const Link& link = links.link[k];
    const Tensor& x = link.depthwise >= 0 ? between[k] : operands[link.source];
    if (needs[link.weight]) {
      if (!d[link.weight].defined()) d[link.weight] = Tensor::empty_like(operands[link.weight], op);
      grad_weight(op, x, dslabs[link.slab], d[link.weight], link.first_in);
    }
    if (link.depthwise >= 0 && needs[link.depthwise]) {
      const Tensor& source = operands[link.source];
      d[link.depthwise] = Tensor::empty_like(operands[link.depthwise], op);
      on(queue, [&](auto& q) {
        kernels::depthwise_grad_weight(
            q, source.size(0), static_cast<int>(source.size(2)), static_cast<int>(source.size(3)),
            term_of(source, operands[link.depthwise]), dbetween[k].data(), d[link.depthwise].data());
      });
    }
  }
  for (int s = 0; s < links.slabs; ++s)
    if (dslabs[s].defined() && operands[links.bias[s]].defined() && needs[links.bias[s]])
      d[links.bias[s]] = channel_sums(op, dslabs[s]);
}

/// record() for any number of operands; `kept` begins with their values, as gradient rules count on.
template <class F>
std::vector<Var> record_step(const OpInfo& info, const std::vector<Tensor>& ys, std::span<const Var> inputs,
                             std::vector<Tensor> kept, F backward, Where where = Where::here()) {
  static_assert(std::is_trivially_copyable_v<F>);
  Tape* tape = common_tape(info.name, inputs);
  if (tape == nullptr) return {ys.begin(), ys.end()};
  return tape->record(info, ys, inputs, std::move(kept), backward, where);
}

/// The operands of a step: contiguous values, those left out undefined.
inline Maps values_of(const char* op, std::span<const Var> inputs) {
  Maps values;
  for (const Var& input : inputs)
    values.push_back(input.value().defined() ? input.value().contiguous(op) : Tensor());
  return values;
}

/// An operand that is f32 and on x's device.
inline void check_operand(const char* op, const char* name, const Var& operand, const Var& x) {
  check_dtype(op, name, operand.value(), DType::f32);
  check_same_device(op, {x, operand});
}
inline void check_first_map(const char* op, const Var& x) {
  check_dtype(op, "x", x.value(), DType::f32);
  if (x.shape().rank() != 4) reject(op, "x {} must be [N, C, H, W]", x.shape());
}
/// A map of x's batch and size, of `channels` channels (-1: any number).
inline void check_map(const char* op, const char* name, const Var& map, const Var& x,
                      std::int64_t channels = -1) {
  check_operand(op, name, map, x);
  const Shape &shape = map.shape(), &like = x.shape();
  if (shape.rank() != 4 || shape[0] != like[0] || shape[2] != like[2] || shape[3] != like[3] ||
      (channels >= 0 && shape[1] != channels))
    reject(op, "{} {} does not fit x {}, expected [{}, {}, {}, {}]", name, shape, like, like[0],
           channels >= 0 ? std::to_string(channels) : "channels", like[2], like[3]);
}
inline void check_kernel(const char* op, const char* name, const Var& w, const Var& x, std::int64_t out,
                         std::int64_t in) {
  check_operand(op, name, w, x);
  const Shape& shape = w.shape();
  if (shape.rank() != 4 || shape[0] != out || shape[1] != in || shape[2] < 1 || shape[3] < 1)
    reject(op, "{} is {}, expected [{}, {}, R, S] (x {})", name, shape, out, in, x.shape());
}
inline void check_bias(const char* op, const char* name, const Var& b, const Var& x, std::int64_t channels) {
  if (!b.value().defined()) return;
  check_operand(op, name, b, x);
  if (b.shape() != Shape{channels})
    reject(op, "{} is {}, expected [{}] (x {})", name, b.shape(), channels, x.shape());
}
/// One of the functions whose slope follows from the value.
inline void check_function(const char* op, const char* name, Function f) {
  if (!has_slope_from_value(f))
    reject<ValueError>(op, "{} is {}, expected identity, relu, sigmoid, tanh or elu", name, function_name(f));
}

}  // namespace fovea::conv_rnn

// SPDX-License-Identifier: Apache-2.0
#include "kernels/ops/recurrent.h"

#include "kernels/arena.h"
#include "kernels/cpu/loops.h"
#include "kernels/cpu/queue.h"
#include "kernels/cpu/recurrent_tile.h"
#include "kernels/cpu/vec_exp.h"
#include "kernels/recurrent_cell.h"

/// A step is one sweep over tiles of units: a tile's products stay in registers and go straight through the gates.
/// Samples do not touch each other, so while the packed weights fit a core's cache, a part is a few samples for the
/// whole sequence and threads never wait for each other. Larger weights are read once for all samples: there a part
/// is a few tiles of one step, and threads meet after each step. Which of the two, and the parts, follow from the
/// shape.
///
/// FLOP of a step: 2·B·gates·H² each way, and 20·B·H·gates for the gates. Bytes: the weights, from the second-level
/// cache while they fit.
namespace fovea::cpu {
namespace {

constexpr Index kCached = 128 * 1024;      // floats of packed weights that a core keeps
constexpr Index kPartWeights = 32 * 1024;  // floats of weights of a part, where they are shared out

/// A sample at a time.
struct Row {
  Index t, b, length;
};

/// Weights as recurrent_tile.h packs them: tiles of V vectors.
struct Packed {
  Index tiles, terms, tile_floats;
  Packed(Index results, Index lanes, Index terms_of_each, Index vectors)
      : tiles(blocks_of(results, lanes)), terms(terms_of_each), tile_floats(terms * vectors * Vec::kLanes) {}
  Index floats() const { return tiles * tile_floats; }
};

const float* at(const float* p, Index row, Index width) { return p == nullptr ? nullptr : p + row * width; }
Vec load_or_zero(const float* p, Index i, int lanes) {
  return p == nullptr ? Vec::zero() : load(p + i, lanes);
}

/// The k-th of n things to be visited in step i: every other step goes backwards, so that it begins with the weights
/// that the step before has left in the nearest cache.
constexpr Index to_and_fro(Index i, Index k, Index n) { return i % 2 == 0 ? k : n - 1 - k; }

/// Calls pack(tile, to) for all tiles: here, where they are so small that other threads would wake too late.
template <class F>
void pack_tiles(Queue& q, const Packed& packed, float* to, F&& pack) {
  constexpr Index kSmall = 32 * 1024;  // floats
  auto tile = [&](Index k) { pack(k, to + k * packed.tile_floats); };
  if (packed.floats() > kSmall) return for_parts(q, packed.tiles, tile);
  for (Index k = 0; k < packed.tiles; ++k) tile(k);
}

/// Calls step(i, first sample, last sample, first tile, last tile) for the steps i < steps, in order for each result.
template <int V, class F>
void for_steps(Queue& q, Index steps, Index batch, const Packed& packed, F&& step) {
  if (packed.floats() <= kCached) {
    const Index parts = blocks_of(batch, kRows<V>);
    for_parts(q, parts, [&](Index part) {
      for (Index i = 0; i < steps; ++i)
        step(i, cut(batch, parts, part), cut(batch, parts, part + 1), Index{0}, packed.tiles);
    });
    return;
  }
  const Index tiles = packed.tile_floats < kPartWeights ? kPartWeights / packed.tile_floats : 1;
  for (Index i = 0; i < steps; ++i)
    for_parts(q, blocks_of(packed.tiles, tiles), [&](Index k) {
      const Index part = to_and_fro(i, k, blocks_of(packed.tiles, tiles));
      step(i, Index{0}, batch, part * tiles, least((part + 1) * tiles, packed.tiles));
    });
}

/// Calls f.operator()<R>(rows) for groups of the samples for which place(b, row) is true, of about equal size.
template <int V, class P, class F>
void for_groups(Index first, Index last, P&& place, F&& f) {
  Row rows[kRows<V>];
  Index n = 0, size = 0;
  for (Index b = first; b < last; ++b) {
    if (n == 0) size = blocks_of(last - b, blocks_of(last - b, kRows<V>));
    if (place(b, rows[n])) ++n;
    if (n == size || (n > 0 && b == last - 1)) {
      with_rows<kRows<V>>(static_cast<int>(n), [&]<int R>() { f.template operator()<R>(rows); });
      n = 0;
    }
  }
}

/// What both directions know of rows.
class Rows {
 public:
  explicit Rows(const Recurrent& s) : s_(s) {}

 protected:
  bool has(const Row& row, Index t) const { return t >= 0 && t < row.length; }
  /// Of arrays [steps, batch, width].
  Index index(Index t, const Row& row) const { return t * s_.batch + row.b; }
  /// The state before a step: in `states`, else the initial one, which may be null.
  const float* before(const Row& row, const float* states, const float* initial) const {
    const Index t = s_.before(row.t);
    return has(row, t) ? states + index(t, row) * s_.hidden : at(initial, row.b, s_.hidden);
  }

  const Recurrent& s_;
};

template <int V>
class Forward : Rows {
  static constexpr bool kLstm = V == 4;

 public:
  Forward(const Recurrent& s, const RecurrentForward& p, const Packed& packed, const float* weights,
          const float* zeros)
      : Rows(s), p_(p), packed_(packed), weights_(weights), zeros_(zeros) {}

  void step(Index i, Index first, Index last, Index first_tile, Index last_tile) const {
    const Index t = s_.time(i);
    for (Index k = 0; k < last_tile - first_tile; ++k) {
      const Index tile = first_tile + to_and_fro(i, k, last_tile - first_tile);
      const Index u = tile * Vec::kLanes;
      const int lanes = static_cast<int>(least(s_.hidden - u, Vec::kLanes));
      const auto place = [&](Index b, Row& row) {
        row = {t, b, s_.length(p_.lengths, b)};
        if (t < row.length) return true;
        store(p_.y + index(t, row) * s_.hidden + u, lanes, Vec::zero());
        if (i == 0 && row.length == 0) keep_state(b, u, lanes);
        return false;
      };
      for_groups<V>(first, last, place, [&]<int R>(const Row* rows) { group<R>(rows, tile, u, lanes); });
    }
  }

 private:
  /// A sample without steps ends as it began.
  void keep_state(Index b, Index u, int lanes) const {
    const Index row = b * s_.hidden;
    store(p_.h_last + row + u, lanes, load_or_zero(p_.h0, row + u, lanes));
    if (kLstm) store(p_.c_last + row + u, lanes, load_or_zero(p_.c0, row + u, lanes));
  }

  template <int R>
  void group(const Row* rows, Index tile, Index u, int lanes) const {
    const float* states[R];
    for (int r = 0; r < R; ++r) {
      states[r] = before(rows[r], p_.y, p_.h0);
      if (states[r] == nullptr) states[r] = zeros_;
    }
    Vec sums[R][V];
    multiply<R, V>(weights_ + tile * packed_.tile_floats, packed_.terms, states, sums);
    for (int r = 0; r < R; ++r) finish(rows[r], u, lanes, states[r], sums[r]);
  }

  void finish(const Row& row, Index u, int lanes, const float* state, const Vec (&sums)[V]) const {
    const Index here = index(row.t, row), hidden = s_.hidden;
    float* const gate = p_.gates + here * V * hidden + u;
    Vec gates[V], inner = Vec::zero(), h;
    for (int v = 0; v < V; ++v) {
      gates[v] = load(gate + v * hidden, lanes) + load_or_zero(p_.bias_input, v * hidden + u, lanes);
      const Vec from_h = sums[v] + load_or_zero(p_.bias_hidden, v * hidden + u, lanes);
      if (kLstm || v < 2)
        gates[v] = gates[v] + from_h;
      else
        inner = from_h;
    }
    if constexpr (kLstm)
      lstm_step(gates, load_or_zero(before(row, p_.inner, p_.c0), u, lanes), inner, h);
    else
      gru_step(gates, inner, load(state + u, lanes), h);
    for (int v = 0; v < V; ++v) store(gate + v * hidden, lanes, gates[v]);
    store(p_.inner + here * hidden + u, lanes, inner);
    store(p_.y + here * hidden + u, lanes, h);
    if (has(row, s_.after(row.t))) return;
    store(p_.h_last + row.b * hidden + u, lanes, h);
    if (kLstm) store(p_.c_last + row.b * hidden + u, lanes, inner);
  }

  const RecurrentForward& p_;
  const Packed& packed_;
  const float *weights_, *zeros_;
};

/// Steps in the opposite order. The slope of a step's h is a product with the slopes of the step after it, which is
/// complete; so one sweep over tiles does both. After the last of them, one more gives the slopes of h0 and c0.
template <int V>
class Backward : Rows {
  static constexpr bool kLstm = V == 4;

 public:
  Backward(const Recurrent& s, const RecurrentBackward& p, const Packed& packed, const float* weights,
           const float* zeros, float* carried)
      : Rows(s), p_(p), packed_(packed), weights_(weights), zeros_(zeros), carried_(carried) {}

  void step(Index i, Index first, Index last, Index first_tile, Index last_tile) const {
    for (Index k = 0; k < last_tile - first_tile; ++k) {
      const Index tile = first_tile + to_and_fro(i, k, last_tile - first_tile);
      const auto place = [&](Index b, Row& row) {
        row = {s_.time(s_.steps - 1 - i), b, s_.length(p_.lengths, b)};
        if (i == s_.steps) row.t = s_.reverse ? row.length : -1;  // of h0: its step after is the first
        if (i == s_.steps || row.t < row.length) return true;
        for_units(tile, [&](int, Index u, int lanes) { no_part(row, u, lanes); });
        return false;
      };
      for_groups<kBackVectors>(first, last, place, [&]<int R>(const Row* rows) { group<R>(rows, tile); });
    }
  }

 private:
  /// Calls f(v, u, lanes) for the vectors of a tile that hold units.
  template <class F>
  void for_units(Index tile, F&& f) const {
    for (int v = 0; v < kBackVectors; ++v) {
      const Index u = (tile * kBackVectors + v) * Vec::kLanes;
      if (u < s_.hidden) f(v, u, static_cast<int>(least(s_.hidden - u, Vec::kLanes)));
    }
  }

  void no_part(const Row& row, Index u, int lanes) const {
    const Index here = index(row.t, row) * s_.hidden;
    for (int v = 0; v < V; ++v) {
      store(p_.dhidden + here * V + v * s_.hidden + u, lanes, Vec::zero());
      if (p_.dinput != nullptr) store(p_.dinput + here * V + v * s_.hidden + u, lanes, Vec::zero());
    }
    if (p_.h_before != nullptr) store(p_.h_before + here + u, lanes, Vec::zero());
  }

  template <int R>
  void group(const Row* rows, Index tile) const {
    const float* slopes[R];
    for (int r = 0; r < R; ++r) {
      const Index next = s_.after(rows[r].t);
      slopes[r] = has(rows[r], next) ? p_.dhidden + index(next, rows[r]) * V * s_.hidden : zeros_;
    }
    Vec sums[R][kBackVectors];
    multiply<R, kBackVectors>(weights_ + tile * packed_.tile_floats, packed_.terms, slopes, sums);
    for (int r = 0; r < R; ++r)
      for_units(tile, [&](int v, Index u, int lanes) { finish(rows[r], u, lanes, sums[r][v]); });
  }

  void finish(const Row& row, Index u, int lanes, Vec dh) const {
    const Index state = row.b * s_.hidden + u;
    const bool is_last = !has(row, s_.after(row.t));
    Vec carried =
        is_last ? load_or_zero(kLstm ? p_.dc_last : nullptr, state, lanes) : load(carried_ + state, lanes);
    if (is_last) dh = load_or_zero(p_.dh_last, state, lanes);
    if (!kLstm) dh = dh + carried;
    if (!has(row, row.t)) {
      if (p_.dh0 != nullptr) store(p_.dh0 + state, lanes, dh);
      if (kLstm && p_.dc0 != nullptr) store(p_.dc0 + state, lanes, carried);
      return;
    }
    const Index here = index(row.t, row) * s_.hidden;
    dh = dh + load_or_zero(p_.dy, here + u, lanes);
    const Vec h_before = load_or_zero(before(row, p_.y, p_.h0), u, lanes);
    if (p_.h_before != nullptr) store(p_.h_before + here + u, lanes, h_before);
    const Vec inner = load(p_.inner + here + u, lanes);
    Vec gates[V], d[V];
    for (int v = 0; v < V; ++v) gates[v] = load(p_.gates + here * V + v * s_.hidden + u, lanes);
    float* const to = p_.dhidden + here * V + u;
    if constexpr (kLstm) {
      lstm_slope(gates, load_or_zero(before(row, p_.inner, p_.c0), u, lanes), inner, dh, carried, d);
    } else {
      Vec d_hidden;
      gru_slope(gates, inner, h_before, dh, d, d_hidden, carried);
      if (p_.dinput != nullptr)
        for (int v = 0; v < V; ++v) store(p_.dinput + here * V + v * s_.hidden + u, lanes, d[v]);
      d[2] = d_hidden;
    }
    for (int v = 0; v < V; ++v) store(to + v * s_.hidden, lanes, d[v]);
    store(carried_ + state, lanes, carried);
  }

  const RecurrentBackward& p_;
  const Packed& packed_;
  const float *weights_, *zeros_;
  float* carried_;
};

void clear(float* p, Index n) {
  for (Index i = 0; i < n; ++i) p[i] = 0.0f;
}

template <int V>
void forward(Queue& q, const Recurrent& s, const RecurrentForward& p) {
  const Packed packed(s.hidden, Vec::kLanes, s.hidden, V);
  Scratch<float> weights(q, packed.floats(), "recurrent"), zeros(q, s.hidden, "recurrent");
  clear(zeros.data(), s.hidden);
  pack_tiles(q, packed, weights.data(),
             [&](Index tile, float* to) { pack_forward<V>(s.hidden, p.w_hidden, tile, to); });
  const Forward<V> all(s, p, packed, weights.data(), zeros.data());
  for_steps<V>(q, s.steps, s.batch, packed, [&](auto... range) { all.step(range...); });
}

template <int V>
void backward(Queue& q, const Recurrent& s, const RecurrentBackward& p) {
  const Index terms = V * s.hidden;
  const Packed packed(s.hidden, kBackVectors * Vec::kLanes, terms, kBackVectors);
  Scratch<float> weights(q, packed.floats(), "recurrent"), zeros(q, terms, "recurrent"),
      carried(q, s.batch * s.hidden, "recurrent");
  clear(zeros.data(), terms);
  pack_tiles(q, packed, weights.data(),
             [&](Index tile, float* to) { pack_backward(s.hidden, terms, p.w_hidden, tile, to); });
  const Backward<V> all(s, p, packed, weights.data(), zeros.data(), carried.data());
  const Index steps = s.steps + (p.dh0 != nullptr || p.dc0 != nullptr ? 1 : 0);
  for_steps<kBackVectors>(q, steps, s.batch, packed, [&](auto... range) { all.step(range...); });
}

}  // namespace
}  // namespace fovea::cpu

namespace fovea::kernels {

void recurrent(cpu::Queue& q, const Recurrent& s, const RecurrentForward& p) {
  if (s.cell == Cell::lstm)
    cpu::forward<4>(q, s, p);
  else
    cpu::forward<3>(q, s, p);
}

void recurrent_grad(cpu::Queue& q, const Recurrent& s, const RecurrentBackward& p) {
  if (s.cell == Cell::lstm)
    cpu::backward<4>(q, s, p);
  else
    cpu::backward<3>(q, s, p);
}

}  // namespace fovea::kernels

// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "bench/clock.h"
#include "bench/cudnn/peer.h"
#include "tensor/tensor.h"

/// cuDNN's LSTM: not part of the graph API. Weights and their gradients lie in one block each, whose parts cuDNN
/// tells; the forward pass leaves what the backward one needs in a "reserve".
namespace fovea::bench::cudnn {
namespace {

/// A descriptor of cuDNN's older kind.
template <class T>
class Owned {
 public:
  using Create = cudnnStatus_t (*)(T*);
  using Destroy = cudnnStatus_t (*)(T);
  Owned(Create create, Destroy destroy, const char* what) : destroy_(destroy) { check(create(&raw_), what); }
  ~Owned() { destroy_(raw_); }
  Owned(const Owned&) = delete;
  Owned& operator=(const Owned&) = delete;
  T get() const { return raw_; }

 private:
  T raw_ = nullptr;
  Destroy destroy_;
};

struct Tensors : Owned<cudnnTensorDescriptor_t> {
  Tensors()
      : Owned(library().cudnnCreateTensorDescriptor, library().cudnnDestroyTensorDescriptor,
              "cudnnCreateTensorDescriptor") {}
};
struct Sequence : Owned<cudnnRNNDataDescriptor_t> {
  Sequence(const LstmGeometry& g, std::int64_t width)
      : Owned(library().cudnnCreateRNNDataDescriptor, library().cudnnDestroyRNNDataDescriptor,
              "cudnnCreateRNNDataDescriptor") {
    const std::vector<int> lengths(static_cast<std::size_t>(g.batch), static_cast<int>(g.steps));
    float padding = 0;
    check(library().cudnnSetRNNDataDescriptor(get(), CUDNN_DATA_FLOAT, CUDNN_RNN_DATA_LAYOUT_SEQ_MAJOR_PACKED,
                                              static_cast<int>(g.steps), static_cast<int>(g.batch),
                                              static_cast<int>(width), lengths.data(), &padding),
          "cudnnSetRNNDataDescriptor");
  }
};

struct Algorithm {
  cudnnRNNAlgo_t algo;
  const char* name;
};
constexpr std::array kAlgorithms{Algorithm{CUDNN_RNN_ALGO_STANDARD, "standard"},
                                 Algorithm{CUDNN_RNN_ALGO_PERSIST_STATIC, "persist_static"},
                                 Algorithm{CUDNN_RNN_ALGO_PERSIST_STATIC_SMALL_H, "persist_static_small_h"}};

/// Operands of a case, by pass; see bench/case.h.
enum : std::size_t {
  kXs = 0,
  kWeightsAndBiases = 1,
  kForwardY = 5,
  kForwardH,
  kForwardC,
  kBackwardDy = 5,
  kBackwardDx,
  kBackwardDw
};
/// Our own state.
enum : std::size_t { kWeights, kDWeights, kReserve, kHidden, kLastH, kLastC };

class LstmPeer final : public Peer {
 public:
  LstmPeer(const Case& c, const Device& device, const Buffers& buffers, Math math)
      : geometry_(std::get<LstmGeometry>(c.geometry)),
        backward_(c.pass == Pass::backward),
        handle_(device),
        device_(device),
        buffers_(buffers),
        xs_(geometry_, geometry_.inputs),
        ys_(geometry_, geometry_.hidden),
        layer_(library().cudnnCreateRNNDescriptor, library().cudnnDestroyRNNDescriptor,
               "cudnnCreateRNNDescriptor"),
        dropout_(library().cudnnCreateDropoutDescriptor, library().cudnnDestroyDropoutDescriptor,
                 "cudnnCreateDropoutDescriptor") {
    const double start = seconds_now();
    check(library().cudnnSetDropoutDescriptor(dropout_.get(), handle_.get(), 0.0f, nullptr, 0, 0),
          "cudnnSetDropoutDescriptor");
    const std::array<int, 3> extents{1, static_cast<int>(geometry_.batch),
                                     static_cast<int>(geometry_.hidden)},
        strides{extents[1] * extents[2], extents[2], 1};
    check(library().cudnnSetTensorNdDescriptor(states_.get(), CUDNN_DATA_FLOAT, 3, extents.data(),
                                               strides.data()),
          "cudnnSetTensorNdDescriptor");
    lengths_ =
        Tensor::full({geometry_.batch}, static_cast<double>(geometry_.steps), DType::i32, device_, "bench");
    double best = 1e30;
    const Algorithm* chosen = nullptr;
    std::string reasons;
    for (const Algorithm& algorithm : kAlgorithms) try {
        ++info_.candidates;
        use(algorithm.algo, math, 1);
        prepare(0);
        const double ms = quick_ms(handle_.stream(), best, [&] { run(0); });
        if (ms >= best) continue;
        best = ms;
        chosen = &algorithm;
      } catch (const std::exception& error) {
        reasons += fmt::format("{}{}: {}", reasons.empty() ? "" : "; ", algorithm.name, error.what());
      }
    if (chosen == nullptr) throw CudnnError("cuDNN has no LSTM that runs: " + reasons);
    use(chosen->algo, math, buffers_.sets());
    info_.name = "cudnn " + version();
    info_.engine = chosen->name;
    info_.workspace_bytes = static_cast<std::int64_t>(workspace_bytes_);
    info_.tuning_ms = (seconds_now() - start) * 1e3;
  }

  void prepare(int set) override {
    weights_to_or_from(set, kWeights, true);
    if (backward_) forward(set, state(set, kHidden), state(set, kLastH), state(set, kLastC));
  }

  void run(int set) override {
    const Pointers& p = buffers_.set(set);
    if (!backward_) return forward(set, p[kForwardY], p[kForwardH], p[kForwardC]);
    const Library& l = library();
    check(l.cudnnRNNBackwardData_v8(handle_.get(), layer_.get(), lengths_.data<std::int32_t>(), ys_.get(),
                                    state(set, kHidden), p[kBackwardDy], xs_.get(), p[kBackwardDx],
                                    states_.get(), nullptr, nullptr, nullptr, states_.get(), nullptr, nullptr,
                                    nullptr, weight_bytes_, state(set, kWeights), workspace_bytes_,
                                    workspace_.raw(), reserve_bytes_, state(set, kReserve)),
          "cudnnRNNBackwardData_v8");
    // Gradients can only be added to what is there, so clearing it is part of the pass.
    handle_.stream().fill_zero(state(set, kDWeights), weight_bytes_);
    check(l.cudnnRNNBackwardWeights_v8(handle_.get(), layer_.get(), CUDNN_WGRAD_MODE_ADD,
                                       lengths_.data<std::int32_t>(), xs_.get(), p[kXs], states_.get(),
                                       nullptr, ys_.get(), state(set, kHidden), weight_bytes_,
                                       state(set, kDWeights), workspace_bytes_, workspace_.raw(),
                                       reserve_bytes_, state(set, kReserve)),
          "cudnnRNNBackwardWeights_v8");
  }

  void deliver() override {
    if (backward_) weights_to_or_from(0, kDWeights, false);
  }

  PeerInfo info() const override { return info_; }

 private:
  void* state(int set, std::size_t k) const { return state_->set(set)[k]; }

  /// Sets up the layer with this algorithm and the memory that it asks for.
  void use(cudnnRNNAlgo_t algorithm, Math math, int sets) {
    const Library& l = library();
    const auto hidden = static_cast<std::int32_t>(geometry_.hidden);
    check(
        l.cudnnSetRNNDescriptor_v8(layer_.get(), algorithm, CUDNN_LSTM, CUDNN_RNN_DOUBLE_BIAS,
                                   CUDNN_UNIDIRECTIONAL, CUDNN_LINEAR_INPUT, CUDNN_DATA_FLOAT,
                                   CUDNN_DATA_FLOAT, math == Math::fp32 ? CUDNN_FMA_MATH : CUDNN_DEFAULT_MATH,
                                   static_cast<std::int32_t>(geometry_.inputs), hidden, hidden, 1,
                                   dropout_.get(), CUDNN_RNN_PADDED_IO_DISABLED),
        "cudnnSetRNNDescriptor_v8");
    check(l.cudnnGetRNNWeightSpaceSize(handle_.get(), layer_.get(), &weight_bytes_),
          "cudnnGetRNNWeightSpaceSize");
    check(l.cudnnGetRNNTempSpaceSizes(handle_.get(), layer_.get(), CUDNN_FWD_MODE_TRAINING, xs_.get(),
                                      &workspace_bytes_, &reserve_bytes_),
          "cudnnGetRNNTempSpaceSizes");
    const auto bytes = [](std::size_t n) {
      return Shape{std::max<std::int64_t>(static_cast<std::int64_t>(n), 1)};
    };
    const Shape y{geometry_.steps, geometry_.batch, geometry_.hidden},
        last{geometry_.batch, geometry_.hidden};
    state_.reset();
    workspace_ = Tensor::empty(bytes(workspace_bytes_), DType::u8, device_, "bench");
    const std::vector<Operand> operands{{"weights", bytes(weight_bytes_), true, 0, 0, DType::u8},
                                        {"dweights", bytes(weight_bytes_), true, 0, 0, DType::u8},
                                        {"reserve", bytes(reserve_bytes_), true, 0, 0, DType::u8},
                                        {"y", y, true},
                                        {"h_last", last, true},
                                        {"c_last", last, true}};
    state_ = std::make_unique<Buffers>(device_, operands, sets, 4);
  }

  void forward(int set, void* y, void* h_last, void* c_last) {
    check(library().cudnnRNNForward(handle_.get(), layer_.get(), CUDNN_FWD_MODE_TRAINING,
                                    lengths_.data<std::int32_t>(), xs_.get(), buffers_.set(set)[kXs],
                                    ys_.get(), y, states_.get(), nullptr, h_last, states_.get(), nullptr,
                                    c_last, weight_bytes_, state(set, kWeights), workspace_bytes_,
                                    workspace_.raw(), reserve_bytes_, state(set, kReserve)),
          "cudnnRNNForward");
  }

  /// Copies the operands w_input, w_hidden, bias_input, bias_hidden into cuDNN's block, or a block of gradients into
  /// dw_input, dw_hidden, dbias. Gates are i, f, g, o for both; cuDNN counts 0..3 for the inputs, 4..7 for h.
  void weights_to_or_from(int set, std::size_t block, bool into) {
    const std::int64_t hidden = geometry_.hidden;
    Tensors matrix, bias;
    for (int part = 0; part < 8; ++part) {
      void *matrix_at = nullptr, *bias_at = nullptr;
      check(
          library().cudnnGetRNNWeightParams(handle_.get(), layer_.get(), 0, weight_bytes_, state(set, block),
                                            part, matrix.get(), &matrix_at, bias.get(), &bias_at),
          "cudnnGetRNNWeightParams");
      const std::int64_t gate = part % 4, width = part < 4 ? geometry_.inputs : hidden;
      const std::size_t of_hidden = part < 4 ? 0 : 1;
      const auto copy = [&](void* at, std::size_t operand, std::int64_t count) {
        float* const ours = static_cast<float*>(buffers_.set(set)[operand]) + gate * count;
        const std::size_t n = static_cast<std::size_t>(count) * sizeof(float);
        into ? handle_.stream().copy(at, ours, n) : handle_.stream().copy(ours, at, n);
      };
      copy(matrix_at, (into ? kWeightsAndBiases : kBackwardDw) + of_hidden, hidden * width);
      if (into) copy(bias_at, kWeightsAndBiases + 2 + of_hidden, hidden);
      if (!into && part < 4) copy(bias_at, kBackwardDw + 2, hidden);
    }
  }

  LstmGeometry geometry_;
  bool backward_;
  Handle handle_;
  Device device_;
  const Buffers& buffers_;
  Sequence xs_, ys_;
  Tensors states_;
  Owned<cudnnRNNDescriptor_t> layer_;
  Owned<cudnnDropoutDescriptor_t> dropout_;
  Tensor lengths_, workspace_;
  std::size_t weight_bytes_ = 0, workspace_bytes_ = 0, reserve_bytes_ = 0;
  std::unique_ptr<Buffers> state_;
  PeerInfo info_;
};

}  // namespace

std::unique_ptr<Peer> make_lstm_peer(const Case& c, const Device& device, const Buffers& buffers, Math math) {
  return std::make_unique<LstmPeer>(c, device, buffers, math);
}

}  // namespace fovea::bench::cudnn

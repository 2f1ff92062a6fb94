// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "nn/conv2d.h"
#include "nn/dropout.h"
#include "nn/module.h"

namespace fovea::nn {

struct StackedConvOptions {
  std::int64_t piece = 3;   ///< side of each small kernel
  float dropout = 0.0f;     ///< between the pieces, in training
  bool bias = true;         ///< of the last piece; the others have none
  bool one_to_one = false;  ///< from the second piece on, each channel sees only itself
};

/// A K×K convolution made of small ones in a row, with nothing but dropout between them: still one linear filter, of
/// fewer parameters and restricted rank, which training finds smoother than a free one.
///
/// x           [B, in, H, W] f32
/// returns     [B, out, H - K + 1, W - K + 1]
/// parameters  piece0.weight [out, in, 3, 3], piece1.weight [out, out, 3, 3], … and the last one's bias [out]; the last
///             piece is smaller if K - 1 is not a multiple of piece - 1
/// throws      ValueError where it is made if piece is below 2 or K below piece; else as Conv2d
/// source      the linear stacks of torch-deep-retina, of the networks of Maheswaranathan et al. 2023
class StackedConv2d final : public Module {
 public:
  StackedConv2d(std::int64_t in, std::int64_t out, std::int64_t kernel, const Device& device,
                const StackedConvOptions& options = {});
  Var forward(const Var& x) override;

  /// The kernel that all pieces together are, [out, in, K, K] on the module's device; the bias is that of the last
  /// piece. Without dropout it gives what the pieces give, but for rounding.
  Tensor collapsed() const;
  /// Of the last piece; undefined value if options.bias is false.
  const Parameter& bias() const { return pieces_.back()->bias; }
  /// Pieces, first to last.
  const std::vector<std::unique_ptr<Conv2d>>& pieces() const { return pieces_; }

 private:
  std::vector<std::unique_ptr<Conv2d>> pieces_;
  std::vector<std::unique_ptr<Dropout>> dropouts_;  // after each piece but the last
};

}  // namespace fovea::nn

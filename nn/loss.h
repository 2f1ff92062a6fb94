// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "autograd/tape.h"
#include "nn/module.h"

namespace fovea::nn {

/// Poisson negative log-likelihood without its constant: mean over batch and cells of
/// rate - target·log(rate + eps).
///
/// rate    [B, cells], > -eps; target [B, cells]: the same unit, such as spikes per second
/// mask    [B] f32 of 1 for a sample that counts and 0 for one that fills up the batch (Batch::mask), at least one of
///         them 1; Tensor() is 1 everywhere. The mean is over those that count, the others get no gradient, and nothing
///         waits for the device. A mask of ones changes no bit
/// throws  ShapeError if the shapes differ, DTypeError (mask)
struct PoissonLoss {
  float eps = 1e-8f;
  Var operator()(const Var& rate, const Tensor& target, const Tensor& mask = {}) const;
};

/// mean((x - target)²); for the mask see PoissonLoss.
struct MseLoss {
  Var operator()(const Var& x, const Tensor& target, const Tensor& mask = {}) const;
};

/// Mean over the batch of the cross-entropy of softmax(logits) with class labels.
///
/// logits  [B, C]; labels [B] i64, each 0..C-1: another one makes the loss NaN
/// mask    see PoissonLoss
/// label_smoothing  share of the target that is spread evenly over all classes, 0..1
/// throws  ShapeError, DTypeError, ValueError (label_smoothing)
/// source  Szegedy et al. 2016, Rethinking the Inception architecture (label smoothing)
struct CrossEntropyLoss {
  float label_smoothing = 0.0f;
  Var operator()(const Var& logits, const Tensor& labels, const Tensor& mask = {}) const;
};

/// The semantic loss that makes each row of weights pick one position: −beta·Σ_i log P(exactly one of row i), as if
/// position j were picked with probability p[i, j] by itself; see fovea::exactly_one_loss. 0 where a row is 0 but for
/// one 1.
///
/// p       [cells, n] f32 in 0..1, such as Selection::weights
/// beta    beside a Poisson loss torch-deep-retina has 7 or 10
/// throws  ShapeError, DTypeError
/// source  Xu et al. 2018, A semantic loss function for deep learning with symbolic knowledge
struct ExactlyOneLoss {
  float beta = 10.0f;
  Var operator()(const Var& p) const;
};

/// How an activity penalty joins many activities into one number.
enum class ActivityNorm {
  mean,  ///< mean|x|: does not depend on the batch size
  /// Σ|x| over batch × cells, as torch-deep-retina has it. Beside a loss that is a mean it grows with the
  /// batch, and at 2500 × 5 and 1e-4 it scales the fitted rates by 1/2.25: for replications only.
  sum,
};

/// coefficient·mean|x| (or Σ|x|), scalar, over the samples that count; for the mask see PoissonLoss. On rates, which are
/// not negative, it pulls the mean down.
Var activity_l1(const Var& x, float coefficient, ActivityNorm norm = ActivityNorm::mean,
                const Tensor& mask = {});

/// coefficient·Σ w² over the parameters of role `weight`, scalar on x's tape: a penalty that is part of the
/// loss and shows in its value. Its gradient 2·coefficient·w is what weight_decay = 2·coefficient of a
/// ParameterGroup adds without a record; Keras' l2(c) is this with coefficient c.
/// throws ValueError if the module has no weights
Var weight_l2(const Module& module, const Var& x, float coefficient);

/// Whether a loss is a number: neither NaN nor infinite. Waits for the device, so not for every step.
/// throws ShapeError unless loss has one element
bool is_finite(const Tensor& loss);

}  // namespace fovea::nn

// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "bench/side.h"

/// PyTorch, in a process of its own (peers/torch_peer.py).
namespace fovea::bench::torch {

/// How a user runs a model. compiled and graphed exist on a GPU only; both have not been run on one yet.
enum class Mode { eager, compiled, graphed };
std::vector<Mode> modes(DeviceKind kind);
/// "pytorch", "pytorch compiled", "pytorch graphed"
const char* mode_name(Mode mode);

/// Why there is no PyTorch; empty if there is. Looked for by FOVEA_BENCH_PYTHON, an interpreter, else where
/// `./run bench --peers` puts it, else in /usr/bin/python3; the first use starts the process, which stays.
std::string missing();
/// "2.15.0", or missing().
std::string version();

/// The case as its user writes it: the fastest of its ways (peers/torch_cases.py), tried on set 0.
/// throws std::runtime_error with PyTorch's words
std::unique_ptr<Peer> make_peer(const Case& c, const Device& device, int threads, const Buffers& buffers,
                                Math math, Mode mode);

}  // namespace fovea::bench::torch

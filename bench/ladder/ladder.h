// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "bench/case.h"
#include "bench/ceilings.h"

/// The same results again and again, each time by a better program: what an idea is worth, measured beside what was
/// expected of it.
namespace fovea::bench::ladder {

/// A way to compute a problem.
struct Rung {
  std::string name;    ///< of its function
  std::string change;  ///< what it does differently from the rung before, in a few words
  double predicted =
      0;  ///< how many times faster than the rung before, written down before it ran; 0: the first one
  std::function<void(const Device&, const Pointers&)> run;
  int threads = 1;
};

/// A problem, and its rungs from the plainest on; the last ones call the library.
struct Family {
  std::string name;
  Case problem;
  std::vector<Rung> rungs;
};

Family gemm_family(const Matmul& shape);
/// shape  stride 1, without padding or groups
Family conv_family(const std::string& name, const Conv2d& shape);
/// shape  the same, sides of at most 256
Family fft_family(const std::string& name, const Conv2d& shape);
/// Those of the table, with their predictions.
std::vector<Family> families();

/// A rung as it ran.
struct Climbed {
  double error = 0;             ///< ‖out − ref‖/‖ref‖ over the elements that the problem samples
  std::vector<double> wall_ms;  ///< of each round, by the wall clock
  std::vector<double> cpu_ms;   ///< the same as processor time of the calling thread
  std::vector<double> gains;    ///< of each round: the rung before / this one; empty for the first
};

/// Runs all rungs in turns, up and down the ladder, `rounds` times. A gain compares processor times, so that a
/// neighbour who takes the core away counts for nothing; where a rung has more than one thread, it compares wall times.
/// The time of a rung is told in the same way.
std::vector<Climbed> climb(const Family& family, int rounds);

/// {"name", "shape", "flops", "rungs": […]} as docs: bench/ladder/README.md
nlohmann::ordered_json to_json(const Family& family, const std::vector<Climbed>& climbed,
                               const Ceilings& ceilings);
/// The same as a table.
std::string table(const Family& family, const std::vector<Climbed>& climbed, const Ceilings& ceilings);

}  // namespace fovea::bench::ladder

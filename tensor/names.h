// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

/// Words of error texts: the name that was probably meant, and text from outside made fit to print.
namespace fovea {

/// Smallest number of insertions, deletions, replacements and swaps of neighbours that turn a into b
/// (optimal string alignment: no letter is edited twice).
int edit_distance(std::string_view a, std::string_view b);

/// The name that was probably meant: the nearest one by edit distance if at most a third of the letters are
/// wrong, else one that contains `wrong` or whose part after the last '.' is `wrong`. Ties go to the first.
std::optional<std::string> nearest_name(std::string_view wrong, const std::vector<std::string>& names);

/// "; did you mean 'optim.lr'?", or "" when nothing is near.
std::string did_you_mean(std::string_view wrong, const std::vector<std::string>& names);

/// Text from a file or a command line as it can stand in a one-line message: control characters and bytes
/// that are not UTF-8 as \x1B, and the middle left out if it is longer than `most` bytes.
std::string printable(std::string_view text, std::size_t most = 80);

}  // namespace fovea

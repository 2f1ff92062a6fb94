// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

namespace fovea::test {

/// Fails the test unless `text` is what NAME.txt in tests/golden holds, and shows the first line that differs.
/// What was got is written beside the build, with the command that accepts it.
void check_golden(const std::string& name, const std::string& text);

/// Every `what` in `text` replaced by `by`: a temporary folder by DIR, say.
std::string replaced(std::string text, const std::string& what, const std::string& by);

}  // namespace fovea::test

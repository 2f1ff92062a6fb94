// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <fmt/format.h>

#include <stdexcept>
#include <string_view>

namespace fovea {

/// What a caller got wrong. Texts begin with the operation, say what was got and expected, and show every
/// shape: "conv2d: x [8, 3, 32, 32] has 3 channels, w [16, 4, 5, 5] expects 4".
struct Error : std::invalid_argument {
  using std::invalid_argument::invalid_argument;
};
struct ShapeError : Error {
  using Error::Error;
};
struct DTypeError : Error {
  using Error::Error;
};
struct ValueError : Error {
  using Error::Error;
};
/// Operands on different devices, or a device that this build or machine does not have.
struct DeviceError : Error {
  using Error::Error;
};
/// A file or the environment failed; the text names the path.
struct IoError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

template <class E = ShapeError, class... A>
[[noreturn]] void reject(std::string_view op, fmt::format_string<A...> why, A&&... a) {
  throw E(fmt::format("{}: {}", op, fmt::format(why, std::forward<A>(a)...)));
}

}  // namespace fovea

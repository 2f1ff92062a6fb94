// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "kernels/device_code.h"

namespace fovea::apps {

/// What a reader wants of a mangled kernel name: its own name and its template arguments, "fill_constant<4, float>".
std::string kernel_title(std::string_view mangled);

/// One line for each kernel and architecture, by source, and the totals.
std::string device_code_table(std::span<const KernelCode> kernels);
/// {"kernels":[{"source","kernel","architecture","registers",…}]}, in the same order.
std::string device_code_json(std::span<const KernelCode> kernels);

}  // namespace fovea::apps

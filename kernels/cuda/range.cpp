// SPDX-License-Identifier: Apache-2.0
#include "kernels/range.h"

#include <nvtx3/nvToolsExt.h>

namespace fovea {

Range::Range(const char* name) noexcept { (void)nvtxRangePushA(name); }
Range::~Range() { (void)nvtxRangePop(); }

}  // namespace fovea

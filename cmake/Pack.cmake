# SPDX-License-Identifier: Apache-2.0
# Target `gpu`: the programs that `./run gpu` runs on a GPU and `./run gpu pack` takes along (tests/gpu/pack.py).
set(programs fovea fovea_ops fovea_tensor_tests fovea_autograd_tests fovea_nn_tests fovea_models_tests
  fovea_tiny_recording)
if(TARGET fovea_bench)
  list(APPEND programs fovea_bench)
endif()
add_custom_target(gpu DEPENDS ${programs})

# SPDX-License-Identifier: Apache-2.0
# One library a room. Sources are globbed, so adding an op or a module edits no list.

add_library(fovea_flags INTERFACE)
target_include_directories(fovea_flags INTERFACE ${CMAKE_SOURCE_DIR})
target_compile_definitions(fovea_flags INTERFACE FOVEA_HAS_CUDA=$<BOOL:${FOVEA_HAS_CUDA}>)
# Contraction is off so that the random numbers, and every reference, have the same bits on all instruction sets.
set(FOVEA_WARNINGS -Wall -Wextra -Wconversion -Wno-sign-conversion -Wshadow -Werror)
target_compile_options(fovea_flags INTERFACE $<$<COMPILE_LANGUAGE:CXX>:${FOVEA_WARNINGS};-ffp-contract=off;-fno-math-errno>
  $<$<COMPILE_LANGUAGE:CUDA>:-Xcompiler=-Wall,-ffp-contract=off -Werror=all-warnings --fmad=true --expt-relaxed-constexpr -lineinfo>)
if(FOVEA_SANITIZE)
  target_compile_options(fovea_flags INTERFACE $<$<COMPILE_LANGUAGE:CXX>:-fsanitize=address,undefined;-fno-sanitize-recover=all;-fno-omit-frame-pointer>)
  target_link_options(fovea_flags INTERFACE -fsanitize=address,undefined)
endif()

function(fovea_room name)
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/*.cpp)
  if(NOT sources)
    add_library(fovea_${name} INTERFACE)
    add_library(fovea::${name} ALIAS fovea_${name})
    target_link_libraries(fovea_${name} INTERFACE fovea_flags ${ARGN})
    return()
  endif()
  add_library(fovea_${name} STATIC ${sources})
  add_library(fovea::${name} ALIAS fovea_${name})
  target_link_libraries(fovea_${name} PUBLIC fovea_flags ${ARGN})
  set_target_properties(fovea_${name} PROPERTIES LINKER_LANGUAGE CXX)
endfunction()

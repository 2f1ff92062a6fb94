# SPDX-License-Identifier: Apache-2.0
# A target for each room, its objects; cmake/Library.cmake makes one library of them. Sources are globbed, so adding an
# op or a module edits no list.

add_library(fovea_flags INTERFACE)
target_include_directories(fovea_flags INTERFACE ${CMAKE_SOURCE_DIR})
target_compile_definitions(fovea_flags INTERFACE FOVEA_HAS_CUDA=$<BOOL:${FOVEA_HAS_CUDA}>)
# Contraction is off so that the random numbers, and every reference, have the same bits on all instruction sets.
set(FOVEA_WARNINGS -Wall -Wextra -Wconversion -Wno-sign-conversion -Wshadow)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  list(APPEND FOVEA_WARNINGS -Werror)  # one compiler judges; others warn of other things
endif()
target_compile_options(fovea_flags INTERFACE $<$<COMPILE_LANGUAGE:CXX>:${FOVEA_WARNINGS};-ffp-contract=off;-fno-math-errno>
  $<$<COMPILE_LANGUAGE:CUDA>:-Xcompiler=-Wall,-ffp-contract=off -Werror=all-warnings --fmad=true --expt-relaxed-constexpr -lineinfo>)
if(FOVEA_PACK)  # __FILE__ without the folders of this machine; a tenth of the device code's size (nvcc 12.8 and newer)
  target_compile_options(fovea_flags INTERFACE $<$<COMPILE_LANGUAGE:CXX>:-ffile-prefix-map=${CMAKE_SOURCE_DIR}/=>
    $<$<COMPILE_LANGUAGE:CUDA>:--compress-mode=size>)
endif()
set(FOVEA_SANITIZER_FLAGS)
if(FOVEA_SANITIZE STREQUAL "address")
  set(FOVEA_SANITIZER_FLAGS -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer)
elseif(FOVEA_SANITIZE STREQUAL "thread")
  set(FOVEA_SANITIZER_FLAGS -fsanitize=thread -fno-omit-frame-pointer)
elseif(FOVEA_SANITIZE)
  message(FATAL_ERROR "FOVEA_SANITIZE=${FOVEA_SANITIZE}: expected address, thread or OFF")
endif()
if(FOVEA_SANITIZE AND FOVEA_RACES)
  message(FATAL_ERROR "FOVEA_RACES answers the calls of -fsanitize=thread itself and goes with no sanitizer: set FOVEA_SANITIZE=OFF")
endif()
target_compile_options(fovea_flags INTERFACE "$<$<COMPILE_LANGUAGE:CXX>:${FOVEA_SANITIZER_FLAGS}>")
target_link_options(fovea_flags INTERFACE ${FOVEA_SANITIZER_FLAGS})
if(FOVEA_COVERAGE)
  if(NOT CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
    message(FATAL_ERROR "FOVEA_COVERAGE=ON needs clang, and this is ${CMAKE_CXX_COMPILER_ID}. Configure with -DCMAKE_CXX_COMPILER=clang++-14")
  endif()
  # Counters follow the source, not the machine code, so optimisation changes nothing. Atomic ones are exact with threads;
  # the simulations of the models would take ten times as long with them.
  set(update -fprofile-update=$<IF:$<STREQUAL:$<TARGET_PROPERTY:NAME>,fovea_models>,single,atomic>)
  target_compile_options(fovea_flags INTERFACE -O1 -fprofile-instr-generate -fcoverage-mapping ${update})
  target_link_options(fovea_flags INTERFACE -fprofile-instr-generate)
endif()

# Kernels whose loads and stores the emulation follows. -fsanitize=thread for its calls, not its library (see
# kernels/simt/race_hooks.cpp); a struct of 16 bytes must stay one access, as it is on a GPU; reports name lines.
set(FOVEA_FOLLOWED_FLAGS -DFOVEA_FOLLOWED -fsanitize=thread -fno-tree-sra -g1)

# Puts the objects of a target into libfovea, which then needs `ARGN` at link time.
function(fovea_part target)
  set_property(GLOBAL APPEND PROPERTY FOVEA_PARTS $<TARGET_OBJECTS:${target}>)
  set_property(GLOBAL APPEND PROPERTY FOVEA_LIBRARIES ${ARGN})
endfunction()

# fovea_room(NAME [rooms below] [libraries]): what is header-only is needed to compile, the others also to link.
function(fovea_room name)
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/*.cpp)
  set(libraries ${ARGN})
  list(FILTER libraries EXCLUDE REGEX "^fovea::(kernels|tensor|autograd|nn|models)$")  # the include path holds all of them
  set(linked)
  foreach(library ${libraries})
    get_target_property(type ${library} TYPE)
    if(NOT type STREQUAL "INTERFACE_LIBRARY")
      list(APPEND linked ${library})
    endif()
  endforeach()
  add_library(fovea_${name} OBJECT ${sources})
  target_link_libraries(fovea_${name} PRIVATE fovea_flags fmt::fmt ${libraries})
  fovea_part(fovea_${name} ${linked})
endfunction()

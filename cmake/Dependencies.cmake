# SPDX-License-Identifier: Apache-2.0
# Libraries from the distribution. A missing one is named with the package that brings it; nothing is downloaded.

macro(fovea_require name package)
  find_package(${name} ${ARGN} QUIET)
  if(NOT ${name}_FOUND)
    message(FATAL_ERROR "${name} is missing. On Debian or Ubuntu: apt-get install ${package}   (or let ./run do it)")
  endif()
endmacro()

fovea_require(fmt libfmt-dev)
find_package(Threads REQUIRED)
if(FOVEA_PACK)  # a third smaller than the shared one, which holds LAPACK and needs the Fortran library
  find_library(FOVEA_OPENBLAS NAMES libopenblas.a)
endif()
include(SystemLibraries)  # fovea::openblas, fovea::boost_context
fovea_require(ZLIB zlib1g-dev)
fovea_require(PNG libpng-dev)
fovea_require(JPEG libjpeg-dev)
fovea_require(CLI11 libcli11-dev)
fovea_require(tomlplusplus libtomlplusplus-dev)
fovea_require(nlohmann_json nlohmann-json3-dev)
if(FOVEA_TESTS)
  fovea_require(doctest doctest-dev)
  fovea_require(Python3 python3 COMPONENTS Interpreter)  # checks of the documentation
endif()

# Sets `out` to the architectures of the GPUs in this machine, or to 90a (Hopper) if it has none.
function(fovea_gpu_architectures out)
  set(found)
  find_program(FOVEA_NVIDIA_SMI nvidia-smi)
  if(FOVEA_NVIDIA_SMI)
    execute_process(COMMAND ${FOVEA_NVIDIA_SMI} --query-gpu=compute_cap --format=csv,noheader
                    OUTPUT_VARIABLE text ERROR_QUIET)
    string(REGEX MATCHALL "[0-9]+\\.[0-9]" capabilities "${text}")
    string(REPLACE "." "" found "${capabilities}")
    list(REMOVE_DUPLICATES found)
    list(TRANSFORM found REPLACE "^90$" "90a")
  endif()
  if(NOT found)
    set(found 90a)
  endif()
  set(${out} ${found} PARENT_SCOPE)
endfunction()

# CUDA is optional at build time and at run time.
set(FOVEA_HAS_CUDA OFF)
set(FOVEA_CUDA_STATUS "off (FOVEA_CUDA=OFF)")
if(NOT FOVEA_CUDA STREQUAL "OFF")
  include(CheckLanguage)
  check_language(CUDA)
  if(CMAKE_CUDA_COMPILER)
    set(architectures ${FOVEA_CUDA_ARCHITECTURES})
    if(NOT architectures)
      fovea_gpu_architectures(architectures)
    endif()
    set(CMAKE_CUDA_ARCHITECTURES ${architectures})
    enable_language(CUDA)
    if(NOT DEFINED CMAKE_CUDA20_STANDARD_COMPILE_OPTION)  # CMake before 3.26 does not know that nvcc 12 and later has C++20
      set(CMAKE_CUDA20_STANDARD_COMPILE_OPTION -std=c++20)
      set(CMAKE_CUDA20_EXTENSION_COMPILE_OPTION -std=c++20)
    endif()
    find_package(CUDAToolkit QUIET)
  endif()
  if(CMAKE_CUDA_COMPILER AND CUDAToolkit_FOUND)
    set(FOVEA_HAS_CUDA ON)
    set(FOVEA_CUDA_STATUS "on (nvcc ${CMAKE_CUDA_COMPILER_VERSION}, architectures ${CMAKE_CUDA_ARCHITECTURES})")
  elseif(FOVEA_CUDA STREQUAL "ON")
    message(FATAL_ERROR "FOVEA_CUDA=ON, but no CUDA Toolkit was found. Install NVIDIA's, 12 or newer, "
                        "and put nvcc on PATH, or configure with -DFOVEA_CUDA=AUTO")
  else()
    set(FOVEA_CUDA_STATUS "off: no nvcc on PATH (NVIDIA's CUDA Toolkit 12 or newer has it)")
  endif()
endif()

# SPDX-License-Identifier: Apache-2.0
# libfovea, from the objects of all rooms: libfovea.a, libfovea.so, or both. BUILD_SHARED_LIBS says which one the program
# uses and `cmake --install` installs; a build with tests makes both, so that each is tried as its users will.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

get_property(parts GLOBAL PROPERTY FOVEA_PARTS)
get_property(libraries GLOBAL PROPERTY FOVEA_LIBRARIES)
list(REMOVE_DUPLICATES libraries)

if(BUILD_SHARED_LIBS)
  set(FOVEA_KIND shared)
else()
  set(FOVEA_KIND static)
endif()
# Counters and checks of a special build are not for users.
set(FOVEA_BOTH_KINDS OFF)
if(FOVEA_TESTS AND NOT FOVEA_PACK AND NOT FOVEA_SANITIZE AND NOT FOVEA_RACES AND NOT FOVEA_COVERAGE)
  set(FOVEA_BOTH_KINDS ON)
endif()

# fovea_installed(KIND out): options of install() for what belongs to one kind; the other one is left out unless asked for.
function(fovea_installed kind out)
  set(options COMPONENT ${kind})
  if(NOT kind STREQUAL FOVEA_KIND)
    list(APPEND options EXCLUDE_FROM_ALL)
  endif()
  set(${out} ${options} PARENT_SCOPE)
endfunction()

set(has_cuda 0)
if(FOVEA_HAS_CUDA)
  set(has_cuda 1)
endif()
set(package_folder ${CMAKE_INSTALL_LIBDIR}/cmake/fovea)
foreach(kind static shared)
  string(TOUPPER ${kind} type)
  set(target fovea_${kind})
  add_library(${target} ${type} ${parts})
  if(NOT FOVEA_BOTH_KINDS AND NOT kind STREQUAL FOVEA_KIND)
    set_target_properties(${target} PROPERTIES EXCLUDE_FROM_ALL ON)
  endif()
  # Headers use fmt. What consumers of libfovea.a only link is found by fovea-config.cmake, without their naming it.
  target_link_libraries(${target} PUBLIC fmt::fmt PRIVATE Threads::Threads ${CMAKE_DL_LIBS} ${libraries})
  target_compile_features(${target} PUBLIC cxx_std_20)
  target_compile_definitions(${target} INTERFACE $<INSTALL_INTERFACE:FOVEA_HAS_CUDA=${has_cuda}>)
  # Inline functions of the headers, random numbers among them, must have the bits of those in the library.
  target_compile_options(${target} INTERFACE $<INSTALL_INTERFACE:$<$<COMPILE_LANGUAGE:CXX>:-ffp-contract=off>>)
  target_include_directories(${target} INTERFACE $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}/fovea>)
  # 0.x: each minor version has an interface of its own.
  set_target_properties(${target} PROPERTIES OUTPUT_NAME fovea EXPORT_NAME fovea LINKER_LANGUAGE CXX
    VERSION ${PROJECT_VERSION} SOVERSION ${PROJECT_VERSION_MAJOR}.${PROJECT_VERSION_MINOR})
  fovea_installed(${kind} options)
  install(TARGETS ${target} EXPORT ${target}
    ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR} ${options} LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR} ${options})
  install(EXPORT ${target} NAMESPACE fovea:: FILE fovea-${kind}-targets.cmake DESTINATION ${package_folder} ${options})
endforeach()

# Symbols of namespace fovea are public, the others are ours: a program may bring its own version of a library we use.
target_link_options(fovea_shared PRIVATE LINKER:--version-script=${CMAKE_CURRENT_LIST_DIR}/fovea.map)
set_target_properties(fovea_shared PROPERTIES LINK_DEPENDS ${CMAKE_CURRENT_LIST_DIR}/fovea.map)
if(NOT FOVEA_PACK)  # run-gpu looks for it on the machine that it runs on
  set_target_properties(fovea_shared PROPERTIES INSTALL_RPATH_USE_LINK_PATH ON)  # cuBLAS may lie where the loader does not look
endif()

# What programs of this build link, by the name of the highest room that they use.
add_library(fovea_library INTERFACE)
target_link_libraries(fovea_library INTERFACE fovea_flags fovea_${FOVEA_KIND})
foreach(room kernels tensor autograd nn models fovea)
  add_library(fovea::${room} ALIAS fovea_library)
endforeach()

# The headers of the rooms below include/fovea, which users have on their include path: `#include "tensor/tensor.h"`. Of
# the kernels, only what they include: the entries, the queues and what these consist of.
set(headers ${CMAKE_INSTALL_INCLUDEDIR}/fovea)
install(DIRECTORY tensor autograd nn models DESTINATION ${headers} COMPONENT headers FILES_MATCHING PATTERN *.h)
install(DIRECTORY kernels/ops DESTINATION ${headers}/kernels COMPONENT headers FILES_MATCHING PATTERN *.h)
file(GLOB kernel_headers CONFIGURE_DEPENDS kernels/*.h)
install(FILES ${kernel_headers} DESTINATION ${headers}/kernels COMPONENT headers)
install(FILES kernels/cpu/pool.h DESTINATION ${headers}/kernels/cpu COMPONENT headers)
install(FILES kernels/simt/grid.h DESTINATION ${headers}/kernels/simt COMPONENT headers)
install(FILES kernels/cuda/stream.h DESTINATION ${headers}/kernels/cuda COMPONENT headers)

set(FOVEA_FIND_DEPENDENCIES)
foreach(library ${libraries})
  string(REGEX REPLACE "::.*" "" package ${library})
  string(REPLACE CUDA CUDAToolkit package ${package})
  if(NOT package STREQUAL "fovea" AND NOT FOVEA_FIND_DEPENDENCIES MATCHES "\\(${package}\\)")
    string(APPEND FOVEA_FIND_DEPENDENCIES "  find_dependency(${package})\n")
  endif()
endforeach()
configure_package_config_file(cmake/fovea-config.in ${CMAKE_BINARY_DIR}/fovea-config.cmake
  INSTALL_DESTINATION ${package_folder} NO_SET_AND_CHECK_MACRO
  NO_CHECK_REQUIRED_COMPONENTS_MACRO)
write_basic_package_version_file(${CMAKE_BINARY_DIR}/fovea-config-version.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_BINARY_DIR}/fovea-config.cmake ${CMAKE_BINARY_DIR}/fovea-config-version.cmake
  cmake/SystemLibraries.cmake DESTINATION ${package_folder} COMPONENT headers)

install(FILES LICENSE README.md CHANGELOG.md DESTINATION ${CMAKE_INSTALL_DOCDIR} COMPONENT documents)
install(DIRECTORY docs DESTINATION ${CMAKE_INSTALL_DOCDIR} COMPONENT documents)

# SPDX-License-Identifier: Apache-2.0
# Libraries that have no CMake package everywhere, as imported targets. Installed beside fovea-config.cmake, which needs
# them again where Fovea is used: so no path of the machine that built it is written down.

# fovea_system_library(TARGET NAME HEADER PACKAGE [folders]): FOVEA_X and FOVEA_X_INCLUDE hold what was found.
function(fovea_system_library target name header package)
  string(TOUPPER ${target} variable)
  find_library(FOVEA_${variable} NAMES ${name})
  find_path(FOVEA_${variable}_INCLUDE NAMES ${header} PATH_SUFFIXES ${ARGN})
  mark_as_advanced(FOVEA_${variable} FOVEA_${variable}_INCLUDE)
  if(NOT FOVEA_${variable} OR NOT FOVEA_${variable}_INCLUDE)
    list(GET name 0 name)
    set(reason "lib${name} is missing. On Debian or Ubuntu: apt-get install ${package}")
    if(CMAKE_FIND_PACKAGE_NAME)
      set(FOVEA_MISSING "${reason}" PARENT_SCOPE)
      return()
    endif()
    message(FATAL_ERROR "${reason}   (or let ./run do it)")
  endif()
  if(NOT TARGET fovea::${target})
    add_library(fovea::${target} UNKNOWN IMPORTED)
    set_target_properties(fovea::${target} PROPERTIES IMPORTED_LOCATION ${FOVEA_${variable}}
      INTERFACE_INCLUDE_DIRECTORIES ${FOVEA_${variable}_INCLUDE})
  endif()
endfunction()

fovea_system_library(openblas openblas cblas.h libopenblas-dev openblas openblas-pthread x86_64-linux-gnu)
fovea_system_library(boost_context boost_context boost/context/detail/fcontext.hpp libboost-context-dev)
if(FOVEA_HAS_HDF5)  # Debian's name of the one without MPI comes first
  fovea_system_library(hdf5_serial "hdf5_serial;hdf5" hdf5.h libhdf5-dev hdf5/serial)
endif()

# SPDX-License-Identifier: Apache-2.0
# Writes build_id.h, and only if it changed: commit, build type, compiler, options, CUDA.
execute_process(COMMAND git -C ${SOURCE} describe --always --dirty --abbrev=12
                OUTPUT_VARIABLE commit OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
if(NOT commit)
  set(commit "no-git")
endif()
set(text "#define FOVEA_VERSION \"${VERSION}\"\n#define FOVEA_BUILD_ID \"${commit} ${BUILD_TYPE} ${COMPILER}\"\n")
string(APPEND text "#define FOVEA_BUILD_OPTIONS \"${OPTIONS}\"\n#define FOVEA_BUILD_CUDA \"${CUDA}\"\n")
if(EXISTS ${OUTPUT})
  file(READ ${OUTPUT} before)
endif()
if(NOT "${before}" STREQUAL "${text}")
  file(WRITE ${OUTPUT} "${text}")
endif()

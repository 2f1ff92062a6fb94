#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# device_code.sh OUT ARCHITECTURES OBJECT…: from the reports that ptxas_report.sh has left beside the objects of *.cu files,
# writes the C++ source of fovea::device_code() and compiled_architectures() (kernels/device_code.h).
set -euo pipefail

out=$1 architectures=$2
shift 2
reports=()
for object; do
  [[ $object == *.cu.o ]] || continue
  [[ -s $object.ptxas ]] || { echo "$object.ptxas is missing: remove $object and build again" >&2 && exit 1; }
  reports+=("$object.ptxas")
done
((${#reports[@]} > 0)) || { echo "device_code.sh: no object of a *.cu file" >&2 && exit 1; }

{
  printf '// Made by cmake/device_code.sh from what ptxas said of each kernel.\n'
  printf '#include "kernels/device_code.h"\n\nnamespace fovea {\n\n'
  printf 'std::span<const KernelCode> device_code() {\n  static constexpr KernelCode kKernels[] = {\n'
  # Each kernel is announced; its stack frame and its registers follow, each on a line. Functions that a kernel calls have
  # a stack frame, too, but were not announced.
  awk '
    function number_before(words,   text) {  # "16 bytes smem" -> 16; 0 without it
      return match($0, "[0-9]+ " words) ? substr($0, RSTART, RLENGTH) + 0 : 0
    }
    function fail(why) {
      print FILENAME ":" FNR ": " why > "/dev/stderr"
      failed = 1
      exit 1
    }
    FNR == 1 {
      source = FILENAME
      sub(/.*\//, "", source)
      sub(/\.o\.ptxas$/, "", source)
    }
    /Compiling entry function/ {
      if (kernel != "") fail("no registers were told of " kernel)
      split($0, part, "\047")
      kernel = part[2]
      architecture = part[4]
      sub(/^sm_/, "", architecture)
    }
    /Function properties for/ { of = $NF }
    /bytes stack frame,/ && of == kernel {
      stack = number_before("bytes stack frame")
      stores = number_before("bytes spill stores")
      loads = number_before("bytes spill loads")
    }
    /: Used [0-9]+ registers/ {
      if (kernel == "") fail("registers of no kernel")
      constant = 0  # there are several banks
      for (rest = $0; match(rest, /[0-9]+ bytes cmem/); rest = substr(rest, RSTART + RLENGTH))
        constant += substr(rest, RSTART, RLENGTH) + 0
      called = number_before("bytes cumulative stack size")  # with that of the functions it calls
      if (called > stack) stack = called
      printf "      {\"%s\", \"%s\", \"%s\", %d, %d, %d, %d, %d, %d},\n", source, kernel, architecture,
        number_before("registers"), number_before("bytes smem"), stack, stores, loads, constant
      kernel = ""
      stack = stores = loads = 0
      ++count
    }
    END {
      if (failed) exit 1
      if (count == 0) fail("no kernel in any report")
    }' "${reports[@]}"
  printf '  };\n  return kKernels;\n}\n\nstd::string_view compiled_architectures() { return "%s"; }\n' "$architectures"
  printf '\n}  // namespace fovea\n'
} >"$out.new"
mv "$out.new" "$out"

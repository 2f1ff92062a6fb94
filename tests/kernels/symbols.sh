#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# symbols.sh NM avx2|avx512 OBJECT...: the kernels compiled for one instruction set define no weak function but those that
# carry the name of its queue. Of a weak function that several objects define the linker keeps any one, so an inline
# function of the standard library could reach an old machine with AVX-512 instructions in it (kernels/cpu/queue.h).
set -euo pipefail

nm=$1 isa=$2
shift 2
case $isa in
  avx2) queue=Avx2 ;;
  avx512) queue=Avx512 ;;
  *) echo "symbols.sh: unknown instruction set $isa" && exit 2 ;;
esac
bad=0 entries=0
for object; do
  [[ -f $object ]] || { echo "$object: is not there" && exit 1; }
  while read -r kind name; do
    case $kind in
      T) [[ $name == *"$queue&"* ]] && entries=$((entries + 1)) ;;&
      T | W | i | u)
        # The queue's own functions and the kernels on it differ by name from those of the other instruction sets.
        [[ $name == *"$queue"* ]] || { echo "$object: $kind $name" && bad=$((bad + 1)); } ;;
    esac
  done < <("$nm" -C --defined-only "$object" | cut -d ' ' -f 2-)
done
if ((entries == 0)); then
  echo "no kernel entry on $queue was found in ${#} objects: the test looks in the wrong place"
  exit 1
fi
if ((bad > 0)); then
  echo "$bad functions above do not name $queue: keep them in an anonymous namespace, include no <vector>, <map> or <string>"
  exit 1
fi
echo "$entries entries on $queue in ${#} objects, and no other function that the linker could pick elsewhere"

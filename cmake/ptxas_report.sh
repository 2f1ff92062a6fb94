#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# ptxas_report.sh COMMAND… -o OBJECT …
# Runs a compiler that was told -Xptxas=-v. What ptxas says of each kernel goes to OBJECT.ptxas; all else that comes on
# stderr, warnings of ptxas among it, passes. Stands before ccache, which repeats the stderr of what it remembers.
set -uo pipefail

object= previous=
for word; do
  [[ $previous == -o ]] && object=$word
  previous=$word
done
[[ $object == *.o ]] || exec "$@"

"$@" 2>"$object.stderr"
code=$?
report="^ptxas info +: ([0-9]+ bytes gmem|Compiling entry function|Function properties for|Used [0-9]+ registers|Compile time =)"
report+="|^ +[0-9]+ bytes stack frame,"
grep -vE "$report" "$object.stderr" >&2
grep -E "$report" "$object.stderr" >"$object.ptxas"
rm "$object.stderr"
exit "$code"

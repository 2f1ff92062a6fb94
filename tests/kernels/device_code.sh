#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# device_code.sh SOURCE_DIR: the two scripts that catch what ptxas tells of the kernels, with a stand-in for the compiler.
set -euo pipefail
source=$1 folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
fail() {
  echo "FAILED: $1"
  exit 1
}

cat >compiler <<'END'
#!/usr/bin/env bash
cat >&2 <<'REPORT'
ptxas info    : 0 bytes gmem
ptxas info    : Compiling entry function '_Z3addILi4EEvPf' for 'sm_80'
ptxas info    : Function properties for _Z3addILi4EEvPf
    0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads
ptxas info    : Used 28 registers, used 1 barriers, 64 bytes smem, 376 bytes cmem[0], 24 bytes cmem[2]
ptxas info    : Compile time = 18.978 ms
ptxas info    : (C7510) Potential Performance Loss
add.cu(3): warning #177-D: variable "i" was declared but never referenced
ptxas info    : 0 bytes gmem
ptxas info    : Compiling entry function '_Z3addILi4EEvPf' for 'sm_90a'
ptxas info    : Function properties for _Z3addILi4EEvPf
    16 bytes stack frame, 4 bytes spill stores, 12 bytes spill loads
ptxas info    : Function properties for _Z6calledf
    32 bytes stack frame, 8 bytes spill stores, 8 bytes spill loads
ptxas info    : Used 255 registers, used 0 barriers, 48 bytes cumulative stack size
REPORT
exit "${CODE:-0}"
END
chmod +x compiler

"$source/cmake/ptxas_report.sh" ./compiler -c add.cu -o add.cu.o 2>err || fail "the launcher fails"
diff err - <<'END' || fail "warnings do not pass, or the report does"
ptxas info    : (C7510) Potential Performance Loss
add.cu(3): warning #177-D: variable "i" was declared but never referenced
END
CODE=3 "$source/cmake/ptxas_report.sh" ./compiler -c bad.cu -o bad.cu.o 2>err && fail "an error of the compiler is lost"
[[ $(CODE=3 "$source/cmake/ptxas_report.sh" ./compiler -o bad.cu.o 2>err; echo $?) == 3 ]] || fail "its exit code is lost"
"$source/cmake/ptxas_report.sh" ./compiler --version 2>err
(($(wc -l <err) > 10)) || fail "without an object, all passes"
[[ $(echo *) == "add.cu.o.ptxas bad.cu.o.ptxas compiler err" ]] || fail "files are left: $(echo *)"

"$source/cmake/device_code.sh" table.cpp "80 90a" stream.cpp.o add.cu.o || fail "the table is not made"
for line in '{"add.cu", "_Z3addILi4EEvPf", "80", 28, 64, 0, 0, 0, 400},' \
  '{"add.cu", "_Z3addILi4EEvPf", "90a", 255, 0, 48, 4, 12, 0},' 'return "80 90a";'; do
  grep -qF "$line" table.cpp || fail "no $line in $(cat table.cpp)"
done
"$source/cmake/device_code.sh" other.cpp 80 add.cu.o fill.cu.o 2>err && fail "a report is missing, and it does not matter"
grep -q "fill.cu.o.ptxas is missing: remove fill.cu.o and build again" err || fail "says: $(cat err)"
"$source/cmake/device_code.sh" other.cpp 80 stream.cpp.o 2>err && fail "no kernel, and it does not matter"
echo "ptxas info    : 0 bytes gmem" >empty.cu.o.ptxas
"$source/cmake/device_code.sh" other.cpp 80 empty.cu.o 2>err && fail "an empty report does not matter"
[[ ! -e other.cpp ]] || fail "a table is left of a failed run"
echo "the reports of ptxas are caught"

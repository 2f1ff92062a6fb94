#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# What ./run promises, checked on a copy of it in a temporary folder: no network, no build, nothing outside that
# folder. PATH holds only stand-ins that write down how they were called, and the few real tools that ./run uses.
set -euo pipefail

source_root=$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/..
sandbox=$(mktemp -d)
trap 'rm -rf -- "$sandbox"' EXIT
checkout="$sandbox/a checkout"  # with a space: paths are quoted everywhere
fakes=$sandbox/fakes
calls=$sandbox/calls
export FOVEA_OS_RELEASE=$sandbox/os-release FOVEA_TOOLKIT=$sandbox/toolkit
unset CXX CUDAHOSTCXX CMAKE_BUILD_PARALLEL_LEVEL
passed=0 failed=0

mkdir -p "$checkout" "$fakes"
cp "$source_root/run" "$checkout/run"
for tool in bash cat chmod cp dirname env flock git grep ls mkdir nproc readlink rm sed sleep tail touch true; do
  ln -s "$(type -P "$tool")" "$fakes/$tool"
done

# fake NAME <<'BODY': a stand-in that first writes its name and arguments to $calls.
fake() {
  {
    printf '#!/bin/bash\nprintf "%%s\\n" "%s $*" >>"%s"\n' "$1" "$calls"
    cat
  } >"$fakes/$1"
  chmod +x "$fakes/$1"
}

# The machine: $sandbox/installed and $sandbox/known list packages, $sandbox/uid is who asks.
fake dpkg-query <<BODY
shift 3
for name; do grep -qxF -- "\$name" "$sandbox/installed" && echo "installed \$name"; done
exit 1
BODY
fake apt-cache <<BODY
for name; do grep -qxF -- "\$name" "$sandbox/known" && echo "Package: \$name"; done
exit 0
BODY
fake apt-get <<BODY
[[ -e "$sandbox/apt-fails" ]] && exit 100
for name; do [[ \$name == [a-z]* ]] && echo "\$name" >>"$sandbox/installed"; done
exit 0
BODY
fake id <<BODY
cat "$sandbox/uid"
BODY
fake ctest <<BODY
[[ ! -e "$sandbox/ctest-fails" ]]
BODY
# A virtual environment is a pip that makes what it is told, and a python that can import torch if it has been told so.
fake python3 <<BODY
[[ -e "$sandbox/python3-fails" ]] && { echo 'no ensurepip'; exit 1; }
[[ "\$1 \$2" == "-m venv" ]] || exit 0
mkdir -p "\$3/bin" "\$3/lib" && cp "$fakes/venv-pip" "\$3/bin/pip" && cp "$fakes/venv-python" "\$3/bin/python"
BODY
fake venv-pip <<BODY
here=\$(dirname "\$0")/..
[[ -e "$sandbox/pip-fails" && "\$*" == *"\$(<"$sandbox/pip-fails")"* ]] && { echo 'ERROR: no such package'; exit 1; }
case "\$*" in
  *onednn*) touch "\$here/lib/libdnnl.so.3" ;;
  *torch*) mkdir -p "\$here/lib/python3.11/site-packages/torch" ;;
esac
exit 0
BODY
fake venv-python <<BODY
case \$1 in
  -c) [[ -e "$checkout/build/peers/stand-ins" ]] ;;
  *) mkdir -p "\$3" ;;
esac
BODY
# Configuring makes build.ninja, building makes a program that says where it runs and with what.
fake cmake <<BODY
[[ -e "$sandbox/cmake-fails" ]] && { echo 'a compiler error'; exit 1; }
case \$1 in
  --preset) mkdir -p build/\$2 && touch build/\$2/build.ninja ;;
  --build) mkdir -p "\$2/bench" && cp "$sandbox/program" "\$2/fovea" && cp "$sandbox/program" "\$2/bench/fovea_bench" ;;
esac
BODY
cat >"$sandbox/program" <<BODY
#!/bin/bash
printf '%s\n' "fovea \$*" >>"$calls"
[[ \$1 == train ]] && mkdir -p "\${@: -1}" && echo '{}' >"\${@: -1}/summary.json"
[[ \$1 == fail ]] && exit 7
echo "in \$PWD: \$*"
BODY
chmod +x "$sandbox/program"

everything=(g++ cmake ninja-build ccache git libopenblas-dev libfmt-dev libcli11-dev
  libtomlplusplus-dev nlohmann-json3-dev libboost-context-dev zlib1g-dev libpng-dev libjpeg-dev libhdf5-dev
  doctest-dev libbenchmark-dev librandom123-dev python3 python3-markdown python3-protobuf python3-h5py gdb
  mate-backgrounds ffmpeg python3-venv
  clang-14 llvm-14 libclang-rt-14-dev)

# machine SYSTEM VERSION: a fresh checkout on a machine with everything installed, as root.
machine() {
  printf 'ID=%s\nVERSION_ID="%s"\n' "$1" "$2" >"$FOVEA_OS_RELEASE"
  printf '%s\n' "${everything[@]}" | tee "$sandbox/installed" >"$sandbox/known"
  printf '%s\n' clang-format-14 g++-12 >>"$sandbox/known"
  echo 0 >"$sandbox/uid"
  rm -rf -- "$checkout/build" "$checkout/runs" "$sandbox"/{apt,cmake,ctest,python3,pip}-fails "$fakes/sudo"
  printf '{}\n' >"$checkout/CMakePresets.json"
  touch -d '1 hour ago' "$checkout/CMakePresets.json"
}

remove_packages() {
  local name
  for name in "$@"; do
    grep -vxF -- "$name" "$sandbox/installed" >"$sandbox/rest" || true
    cp "$sandbox/rest" "$sandbox/installed"
  done
}

# run ARGS...: sets $status, $out, $err; $calls holds the calls of this run only.
run() {
  : >"$calls"
  status=0
  PATH=$fakes "$checkout/run" "$@" >"$sandbox/out" 2>"$sandbox/err" </dev/null || status=$?
  out=$(<"$sandbox/out") err=$(<"$sandbox/err")
}

# check WHAT CONDITION...: counts, and shows the last run if CONDITION fails.
check() {
  local what=$1
  shift
  if "$@"; then
    passed=$((passed + 1))
    return
  fi
  failed=$((failed + 1))
  printf 'FAILED: %s\n  %s\n  status %s\n  stdout: %s\n  stderr: %s\n  calls: %s\n' \
    "$what" "$*" "$status" "$out" "$err" "$(<"$calls")"
}
says() { [[ $1 == *"$2"* ]]; }
silent() { [[ $1 != *"$2"* ]]; }
is() { [[ $1 == "$2" ]]; }
called() { grep -qF -- "$1" "$calls"; }
not_called() { ! grep -qE -- "$1" "$calls"; }
requested() { is "$(sed -n 's/^apt-get .*--no-install-recommends //p' "$calls")" "$*"; }

# ------------------------------------------------------------------------------------------------ words

machine debian 12
run
check 'no command is help' is "$status" 0
for name in test demo fovea bench docs doctor gpu coverage format clean; do check "help names $name" says "$out" "  $name "; done
run help
check 'help goes to stdout' says "$out" './run COMMAND'
run test --help
check 'help of a command runs nothing' is "$status$(<"$calls")" 0
run demp
check 'unknown command is wrong usage' is "$status" 2
check 'unknown command names the nearest' says "$err" "nearest is 'demo'"
run fromat
check 'swapped letters are near' says "$err" "nearest is 'format'"
run format --chekc
check 'unknown option of format' is "$status" 2

# ---------------------------------------------------------------------------------------------- packages

run test
check 'all installed: test passes' is "$status" 0
check 'all installed: apt-get is not called' not_called '^(apt-get|apt-cache|sudo)'
check 'dpkg is asked once' is "$(grep -c '^dpkg-query' "$calls")" 1

remove_packages librandom123-dev libpng-dev
run test
check 'two missing: test passes' is "$status" 0
check 'exactly the missing ones are requested' requested libpng-dev librandom123-dev
check 'without questions' called ' -y '
run test
check 'second run: nothing to install' not_called '^apt-get'

remove_packages libopenblas-dev
echo libopenblas-serial-dev >>"$sandbox/installed"
run test
check 'another OpenBLAS will do' not_called '^apt-get'

remove_packages ninja-build
touch "$sandbox/apt-fails"
run test
check 'apt-get fails: exit 1' is "$status" 1
check 'apt-get fails: the package is named' says "$err" 'could not install: ninja-build'
check 'apt-get fails: new lists were tried' called ' update'
check 'apt-get fails: nothing is built' not_called '^cmake'
rm "$sandbox/apt-fails"

echo 1000 >"$sandbox/uid"
run test
check 'not root, no sudo: exit 1' is "$status" 1
check 'not root, no sudo: the exact command' says "$err" 'apt-get install -y --no-install-recommends ninja-build'
check 'not root, no sudo: apt-get is not called' not_called '^apt-get'
fake sudo <<<'exit 1'
run test
check 'sudo with a password: exit 1' is "$status" 1
check 'sudo with a password: the exact command' \
  says "$err" 'sudo apt-get install -y --no-install-recommends ninja-build'
check 'sudo never asks' not_called '^sudo [^-]'
fake sudo <<<'shift; exec "$@"'
run test
check 'sudo without a password: installs' requested ninja-build

machine ubuntu 22.04
remove_packages libtomlplusplus-dev g++
grep -vxF libtomlplusplus-dev <<<"$(<"$sandbox/known")" >"$sandbox/known.new"
cp "$sandbox/known.new" "$sandbox/known"
run test
check 'Ubuntu 22.04: g++ 12, and no package it does not have' requested g++-12
check 'Ubuntu 22.04: what it does not have is named' says "$err" 'package lists: libtomlplusplus-dev'

machine arch ''
remove_packages ninja-build
run test
check 'other system without ninja: exit 1' is "$status" 1
check 'other system: the packages' says "$err" 'nlohmann-json3-dev'
check 'other system: the CMake lines' says "$err" 'cmake --preset dev'
check 'other system: what is not found' says "$err" 'not found: ninja g++'
check 'other system: no apt-get' not_called '^(apt-get|dpkg-query)'
fake ninja </dev/null
fake g++ </dev/null
run test
check 'other system with the tools: goes on' is "$status" 0
rm "$fakes/ninja" "$fakes/g++"

# ----------------------------------------------------------------------------------------- build and test

machine debian 12
run test -R philox
check 'test builds dev' called 'cmake --build build/dev'
check 'test hands on the arguments' called 'ctest --test-dir build/dev --output-on-failure --no-tests=error -j 2 -R philox'
check 'test leaves the sanitizers alone' not_called asan
run test
check 'test leaves the long ones out' called 'ctest --test-dir build/dev --output-on-failure --no-tests=error -j 2 -LE long'
run test --all
check 'test --all: sanitizers too' called 'ctest --test-dir build/asan-ubsan'
check 'test --all: long ones too' not_called 'build/dev .*-LE long'
check 'test --all: threads too' called 'ctest --test-dir build/tsan'
check 'test --all: only the kernels are followed' called '--target followed'
check 'test --all: races too' called 'ctest --test-dir build/races --output-on-failure --no-tests=error -j 2 -L followed'
check '--all is not for ctest' not_called '--all'
check 'test --all: coverage too' called 'python3 tests/coverage.py'
check 'test --all: fuzzing too' called 'ctest --test-dir build/fuzz'
run test --all -R philox
check 'test --all of some tests: no coverage' not_called '^python3'
check 'test --all of some tests: no fuzzing' not_called 'build/fuzz'
touch "$sandbox/ctest-fails"
run test --all
check 'a failing test: exit 1' is "$status" 1
check 'a failing test stops' not_called asan
rm "$sandbox/ctest-fails"

run coverage
check 'coverage: done' is "$status" 0
check 'coverage: its own preset' called 'ctest --test-dir build/coverage'
touch "$sandbox/python3-fails"
run coverage
check 'coverage: too little is exit 1' is "$status" 1
check 'coverage: where to look' says "$err" 'build/coverage/coverage/index.html'
run coverage --fast
check 'coverage: unknown argument' is "$status" 2
machine ubuntu 22.04
remove_packages libclang-rt-14-dev
grep -vxF libclang-rt-14-dev <<<"$(<"$sandbox/known")" >"$sandbox/known.new"
cp "$sandbox/known.new" "$sandbox/known"
printf '%s\n' libclang-common-14-dev >>"$sandbox/known"
run coverage
check 'Ubuntu 22.04: the runtime has another package there' requested g++-12 libclang-common-14-dev
machine debian 12

mkdir -p "$sandbox/else where"
cd "$sandbox/else where"
run fovea ops --json 'two words'
check 'fovea: arguments and folder of the caller, stdout untouched' \
  is "$out" "in $sandbox/else where: ops --json two words"
check 'fovea: a quick build says nothing' is "$err" ''
run doctor --json
check 'doctor: arguments are handed on' is "$out" "in $sandbox/else where: doctor --json"
run fovea --help
check 'fovea --help is the program'\''s' is "$out" "in $sandbox/else where: --help"
check 'configured once' not_called '^cmake --preset'
touch "$checkout/CMakePresets.json" -d '1 hour'
run fovea ops
check 'configured again when the presets change' called 'cmake --preset release'
run fovea fail
check 'fovea: exit code handed on' is "$status" 7
touch "$sandbox/cmake-fails"
run fovea ops
check 'fovea: a failed build is exit 1' is "$status" 1
check 'fovea: a failed build shows its output' says "$err" 'a compiler error'
check 'fovea: the old program does not run' not_called '^fovea'
cd "$checkout"

# ------------------------------------------------------------------------------------------------- demo

machine debian 12
run demo
check 'demo: done' is "$status" 0
check 'demo: its folder is in the checkout' says "$out" "in $checkout: demo --out $checkout/runs/demo"
run demo --out elsewhere --seed 2
check 'demo: arguments are handed on' says "$out" 'demo --out elsewhere --seed 2'

# ------------------------------------------------------------------------------------------------- docs

machine debian 12
remove_packages python3-markdown
run docs
check 'docs: done' is "$status" 0
check 'docs: installs what it needs' requested python3-markdown
check 'docs: asks the program' called 'python3 docs/site/build.py build/release/fovea build/docs/html'
touch "$sandbox/python3-fails"
run docs
check 'docs: an error in the pages is exit 1' is "$status" 1
rm "$sandbox/python3-fails"
run docs --all
check 'docs: unknown argument is wrong usage' is "$status" 2

# -------------------------------------------------------------------------------------------------- gpu

machine debian 12
run gpu tests
check 'gpu without nvcc: exit 1' is "$status" 1
check 'gpu without nvcc: a pack needs none' says "$err" './run gpu pack DIR'
check 'gpu without nvcc: nothing is built' not_called '^(cmake|python3|apt-get)'
mkdir -p "$sandbox/toolkit"
fake nvcc </dev/null
mv "$fakes/nvcc" "$sandbox/toolkit/nvcc"
run gpu tests --out 'some where'
check 'gpu: nvcc in the place of the toolkit will do' is "$status" 0
check 'gpu: builds preset gpu' called 'cmake --build build/gpu'
check 'gpu: all programs of it' called '--target gpu'
check 'gpu: hands on stage and options' \
  called "python3 -B $checkout/tests/gpu/main.py --build $checkout/build/gpu --root $checkout tests --out some where"
check 'gpu: installs nothing that is there' not_called '^apt-get'
run gpu pack "$sandbox/a pack"
check 'gpu pack: done' is "$status" 0
check 'gpu pack: the folder' called "python3 -B $checkout/tests/gpu/pack.py $checkout/build/gpu $checkout $sandbox/a pack"
touch "$sandbox/python3-fails"
run gpu bench
check 'gpu: what has not passed is exit 1' is "$status" 1
touch "$sandbox/cmake-fails"
run gpu bench
check 'gpu: a failed build is exit 1' is "$status" 1
check 'gpu: a failed build shows its output' says "$err" 'a compiler error'
check 'gpu: a failed build runs nothing' not_called '^python3'
run gpu sanitise
check 'gpu: unknown stage is wrong usage' is "$status" 2
check 'gpu: unknown stage names the nearest' says "$err" "unknown stage 'sanitise'; nearest is 'sanitize'"
run gpu
check 'gpu without a stage is wrong usage' is "$status" 2
check 'gpu without a stage: the stages' says "$err" 'one of: tests sanitize train bench all pack exec'
run gpu pack
check 'gpu pack without a folder is wrong usage' is "$status" 2

# ------------------------------------------------------------------------------------------------ bench

machine debian 12
run bench --quick --json 'a file' conv
check 'bench: done' is "$status" 0
check 'bench: builds that target' called 'cmake --build build/release -j'
check 'bench: builds that target only' called '--target fovea_bench'
check 'bench: runs without peers, with its options' called 'fovea --quick --json a file conv --without-peers'
check 'bench: installs nothing' not_called '^(apt-get|venv-pip|python3 -m venv)'
run bench -- --help
check 'bench -- --help is that of the program' called 'fovea --help --without-peers'
run bench --help
check 'bench --help is the help' says "$out" './run COMMAND'
run bench --peers conv
check 'bench --peers: done' is "$status" 0
check 'bench --peers: in an environment of its own' called 'python3 -m venv build/peers/venv'
check 'bench --peers: oneDNN' called 'install -q --no-deps onednn-cpu-gomp'
check 'bench --peers: PyTorch without what it depends on' called 'install -q --no-deps torch'
check 'bench --peers: stand-ins for the libraries of CUDA' called 'venv-python bench/peers/cuda_stand_ins.py'
check 'bench --peers: the program looks for them' called 'fovea conv'
check 'bench --peers: CMake looks again' called 'cmake --preset release'
check 'bench --peers: says nothing that is off' silent "$err" warning
run bench --peers conv
check 'bench --peers: what is there is not installed again' not_called '^(venv-pip|python3 -m venv|cmake --preset)'
rm -rf -- "$checkout/build"
printf 'onednn' >"$sandbox/pip-fails"
run bench --peers
check 'bench --peers: one that fails leaves the others' is "$status" 0
check 'bench --peers: and is said in one line' says "$err" 'warning: no oneDNN: ERROR: no such package (all of it: '
check 'bench --peers: PyTorch all the same' called 'venv-python bench/peers/cuda_stand_ins.py'
rm -rf -- "$checkout/build"
printf ' torch' >"$sandbox/pip-fails"
echo python3-torch >>"$sandbox/known"
run bench --peers
check 'bench --peers: no PyTorch there, so the one of the system' requested python3-torch
check 'bench --peers: why' says "$err" 'warning: no PyTorch: ERROR: no such package'
rm -rf -- "$checkout/build"
touch "$sandbox/python3-fails"
run bench --peers
check 'bench --peers: without an environment there are none' says "$err" 'warning: no oneDNN and PyTorch: no ensurepip'
check 'bench --peers: but ours' called 'fovea'
machine debian 12
remove_packages python3-venv
echo python3-venv >>"$sandbox/known"
run bench --peers
check 'bench --peers: installs what makes environments' requested python3-venv

# ------------------------------------------------------------------------------------------ clean, lock

machine debian 12
mkdir -p build/dev runs/keep
touch build/dev/x
run clean
check 'clean: done' is "$status" 0
check 'clean removes build/' test ! -e build
check 'clean removes nothing else' is "$(ls -A)" $'CMakePresets.json\nrun\nruns'
run clean
check 'clean with nothing to do' is "$status" 0
mkdir "$sandbox/scratch disk"
touch "$sandbox/scratch disk/kept"
ln -s "$sandbox/scratch disk" build
run clean
check 'clean: a linked build/ loses the link only' test -e "$sandbox/scratch disk/kept" -a ! -L build

mkdir build
printf 'pid 4711 (./run test), since 10:00:00\n' >build/.lock
(flock 9 && sleep 1) 9>>build/.lock &
sleep 0.1
started=$EPOCHREALTIME
run fovea ops
waited=$(((${EPOCHREALTIME//[.,]/} - ${started//[.,]/}) / 1000))
check 'lock: says who has it' says "$err" 'waiting for another ./run: pid 4711 (./run test), since 10:00:00'
check 'lock: waits' test "$waited" -gt 700
check 'lock: then goes on' is "$status" 0
run fovea ops
check 'lock: free again' silent "$err" waiting
wait

printf '%s passed, %s failed\n' "$passed" "$failed"
((failed == 0))

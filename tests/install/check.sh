#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# What `cmake --install` promises for one kind of library: the package can be moved, its consumer names no library that
# Fovea uses inside, and nothing in it leads back to the folders it was built from.
#
# check.sh static|shared BUILD SOURCE COMPILER
set -euo pipefail
kind=$1 build=$2 source=$3 compiler=$4

sandbox=$(mktemp -d)
trap 'rm -rf -- "$sandbox"' EXIT
prefix="$sandbox/moved here"

fail() {
  printf 'FAILED: %s\n' "$*" >&2
  exit 1
}
# no_build_path WHAT FILE: the folders at the beginning of a path, not as a part of a longer one such as include/fovea.
no_build_path() {
  local folder
  for folder in "$build" "$source"; do
    folder=$(sed 's/[][\.*^$+?(){}|]/\\&/g' <<<"$folder")
    if grep -nE "(^|[^[:alnum:]_}./-])$folder(/|[^[:alnum:]_.-]|\$)" "$2" >&2; then
      fail "$1 names the folder it was built from"
    fi
  done
}

for component in "$kind" headers documents; do
  cmake --install "$build" --prefix "$sandbox/first" --component "$component" >"$sandbox/install.log"
done
mv "$sandbox/first" "$prefix"

for file in bin/fovea include/fovea/{kernels/ops/conv2d.h,tensor/tensor.h,autograd/tape.h,nn/module.h,models/retina/deep_retina.h} \
  lib/cmake/fovea/fovea-config{,-version}.cmake share/doc/fovea/{LICENSE,README.md,docs/INSTALL.md}; do
  [[ -s $prefix/$file ]] || fail "$file is not installed"
done
compgen -G "$prefix/include/*" | grep -qvx "$prefix/include/fovea" && fail 'headers outside of include/fovea'

for file in "$prefix"/lib/cmake/fovea/*.cmake; do no_build_path "$file" "$file"; done
library=$prefix/lib/libfovea.a
if [[ $kind == shared ]]; then library=$prefix/lib/libfovea.so; fi
nm -C "$library" >"$sandbox/symbols" 2>/dev/null || nm -DC "$library" >"$sandbox/symbols"
[[ -s $sandbox/symbols ]] || fail "$library has no symbols"
no_build_path "nm $library" "$sandbox/symbols"
ldd "$prefix/bin/fovea" >"$sandbox/libraries"
readelf -d "$prefix/bin/fovea" >>"$sandbox/libraries"
if [[ $kind == shared ]]; then
  ldd "$library" >>"$sandbox/libraries"
  readelf -d "$library" >>"$sandbox/libraries"
  nm -DC --defined-only "$library" | grep -v -e ' fovea::' -e ' for fovea::' -e ' to fovea::' >"$sandbox/others" || true
  if [[ -s $sandbox/others ]]; then fail "symbols outside of namespace fovea: $(head -n 3 "$sandbox/others")"; fi
fi
no_build_path 'a dynamic section' "$sandbox/libraries"
if grep -q 'not found' "$sandbox/libraries"; then fail "$(grep 'not found' "$sandbox/libraries")"; fi
"$prefix/bin/fovea" --version >"$sandbox/version" || fail 'the installed program does not run'
grep -q '^fovea 0\.1\.' "$sandbox/version" || fail "the installed program says $(<"$sandbox/version")"

FOVEA_OS_RELEASE=/nonexistent "$prefix/bin/fovea" doctor --json >"$sandbox/doctor.json" || fail 'the doctor is not content'
grep -q '"passed": true' "$sandbox/doctor.json" || fail 'the doctor says nothing'
grep -q '"system": "unknown"' "$sandbox/doctor.json" || fail 'the doctor looked into /etc all the same'

# As a user would: with the prefix, the compiler, and nothing else of this build.
configure() {
  cmake -S "$source/tests/install/$1" -B "$sandbox/$1" -DCMAKE_PREFIX_PATH="$prefix" -DCMAKE_CXX_COMPILER="$compiler" \
    -DCMAKE_FIND_USE_PACKAGE_REGISTRY=OFF >"$sandbox/configure.log" 2>&1 || fail "$1: $(tail -n 20 "$sandbox/configure.log")"
}
configure versions
configure consumer
cmake --build "$sandbox/consumer" --verbose >"$sandbox/build.log" 2>&1 || fail "consumer: $(tail -n 20 "$sandbox/build.log")"
grep -e '-c .*main\.cpp' "$sandbox/build.log" >"$sandbox/command" || fail 'the compile command was not seen'
if grep -qE -e '-Werror|-fsanitize|-Wconversion|-fprofile|-march|-mavx' "$sandbox/command"; then
  fail "options of our build leak: $(<"$sandbox/command")"
fi
grep -q -- "-isystem .*include/fovea" "$sandbox/command" || fail "include/fovea is not on the path: $(<"$sandbox/command")"
"$sandbox/consumer/consumer" || fail 'the consumer did not learn'
ldd "$sandbox/consumer/consumer" >"$sandbox/libraries"
case $kind in
  static) if grep -q libfovea "$sandbox/libraries"; then fail 'the static consumer needs libfovea.so'; fi ;;
  shared) grep -qF "libfovea.so.0.1 => $prefix/lib/" "$sandbox/libraries" || fail "$(<"$sandbox/libraries")" ;;
esac

# Every installed header compiles from there, with the warnings of a careful user.
(cd "$prefix/include/fovea" && find . -name '*.h' | sort | sed 's|^\./\(.*\)$|#include "\1"|') >"$sandbox/all.cpp"
[[ $(wc -l <"$sandbox/all.cpp") -gt 50 ]] || fail 'headers are missing'
"$compiler" -std=c++20 -fsyntax-only -Wall -Wextra -Werror -DFOVEA_HAS_CUDA=0 -I "$prefix/include/fovea" "$sandbox/all.cpp" ||
  fail 'an installed header does not compile alone'
printf 'install.%s: ok\n' "$kind"

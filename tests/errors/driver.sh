#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# driver.sh PROGRAM FAKE_FOLDER: what a program with CUDA says where the driver is missing, too old, or sees no GPU. The fake
# folder holds libcuda.so.1 (fake_driver.cpp), which the loader finds before the machine's own.
set -euo pipefail
program=$1 fake=$2 folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"

# says DRIVER TEXT: train and doctor tell of it in one line, with a driver that serves CUDA version DRIVER
says() {
  local code=0
  FOVEA_FAKE_DRIVER=$1 LD_LIBRARY_PATH=$fake "$program" train ln --device cuda --data "$folder" --out run 2>err >out || code=$?
  [[ $code == 1 && ! -s out && ! -e run && $(wc -l <err) == 1 ]] && grep -qE "^fovea train: device cuda: $2\$" err || {
    echo "train, driver $1: code $code, $(cat out err)"
    exit 1
  }
  FOVEA_FAKE_DRIVER=$1 LD_LIBRARY_PATH=$fake "$program" doctor >out || { echo "doctor fails" && exit 1; }
  grep -qE "^  missing cuda +$2\$" out || { echo "doctor, driver $1: $(grep cuda out)" && exit 1; }
}

runtime=$(FOVEA_FAKE_DRIVER=9000 LD_LIBRARY_PATH=$fake "$program" doctor |
  sed -nE 's/.*CUDA 9\.0, this build needs ([0-9]+\.[0-9]+): update the driver$/\1/p')
[[ -n $runtime ]] || { echo "an old driver is not told from a missing one" && exit 1; }
says 0 "no NVIDIA GPU or driver"
says 11080 "the NVIDIA driver serves CUDA 11.8, this build needs $runtime: update the driver"
says "${runtime%.*}0${runtime#*.}0" "no NVIDIA GPU is visible to this process \(driver for CUDA $runtime\)"
echo "a driver for CUDA $runtime is told from an old one, a missing one and one without a GPU"

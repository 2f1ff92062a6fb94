#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# lab_files.sh MODELS_TESTS FOVEA: we read what h5py writes, and h5py reads what we write. Exit code 77: skipped, h5py is
# not installed, or the program was built without HDF5.
set -euo pipefail
script=$(dirname "${BASH_SOURCE[0]}")/lab_files.py
python=/usr/bin/python3  # Debian's h5py is a module of that one

folder=$(mktemp -d)
trap 'rm -rf -- "$folder"' EXIT
"$python" -B "$script" write "$folder" || exit $?
if grep -q '"hdf5": ""' < <("$2" doctor --json); then
  echo 'skipped: built without HDF5'
  exit 77
fi
FOVEA_H5PY=$folder "$1" --no-skip '--test-case=h5py: *'
"$2" data retina --stimulus whitenoise --minutes 0.1 --seed 3 --out "$folder/ours.h5" >/dev/null
"$python" -B "$script" check "$folder/ours.h5"

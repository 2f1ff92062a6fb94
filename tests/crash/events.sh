#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# events.sh FOVEA TINY_RECORDING: the event file of a resumed run, read back by Google's protobuf (Debian: python3-protobuf).
# Exit code 77: skipped, it is not installed.
set -euo pipefail

python=/usr/bin/python3
if ! "$python" -c 'import google.protobuf' 2>/dev/null; then
  echo 'skipped: python3-protobuf is not installed'
  exit 77
fi
folder=$(mktemp -d)
trap 'rm -rf -- "$folder"' EXIT
"$2" "$folder/data"
train=("$1" train ln --data "$folder/data" --device cpu --out "$folder/run" --set model.history=4 --set train.batch=4
  --set train.log_every=1 --set train.eval_every=2)
"${train[@]}" --steps 3 >/dev/null
"${train[@]}" --steps 6 --resume >/dev/null
"$python" "$(dirname "${BASH_SOURCE[0]}")/events.py" "$folder/run"

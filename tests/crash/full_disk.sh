#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# full_disk.sh FOVEA TINY_RECORDING: a disk of four MiB fills up while a run is saving to it. Exit code 77: skipped, nobody may
# mount a disk in memory here.
set -euo pipefail

if [[ ${3:-} != inside ]]; then
  as_root=(unshare --mount)
  if (($(id -u) != 0)); then as_root=(unshare --map-root-user --mount); fi
  if ! "${as_root[@]}" mount -t tmpfs none /mnt 2>/dev/null; then
    echo 'skipped: a tmpfs cannot be mounted here'
    exit 77
  fi
  exec "${as_root[@]}" bash "${BASH_SOURCE[0]}" "$1" "$2" inside
fi

folder=$(mktemp -d)
mkdir "$folder/disk"
mount -t tmpfs -o size=4m none "$folder/disk"
trap 'umount "$folder/disk"; rm -rf -- "$folder"' EXIT
run=$folder/disk/run

fail() {
  echo "FAILED: $1"
  cat "$folder/err"
  exit 1
}

"$2" "$folder/data"
train=("$1" train ln --data "$folder/data" --device cpu --set model.history=4 --set train.batch=4
  --set train.log_every=1 --set train.checkpoint_every=1)
status=0

# Too little from the start: said before anything is trained, and nothing is left behind.
head -c 3500000 /dev/zero >"$folder/disk/ballast"
"${train[@]}" --steps 20000 --out "$run" >/dev/null 2>"$folder/err" || status=$?
((status == 1)) || fail "no space at the start: exit $status"
grep -q 'not enough space for the checkpoints: .* MiB are needed, 0.* MiB are free' "$folder/err" || fail 'the text'
[[ ! -e $run ]] || fail 'a folder was left'

# It fills up on the way: the last checkpoint stays and is whole.
rm "$folder/disk/ballast"
"${train[@]}" --steps 20000 --out "$run" >/dev/null 2>"$folder/err" &
training=$!
while ! compgen -G "$run/checkpoints/step-[1-9]*.safetensors" >/dev/null && kill -0 $training; do sleep 0.01; done
head -c 4000000 /dev/zero >"$folder/disk/ballast" 2>/dev/null || true
status=0
wait $training || status=$?
((status == 1)) || fail "full on the way: exit $status"
grep -q "^fovea train: $run/.*: .*No space left on device" "$folder/err" || fail 'the reason is not named'
if compgen -G "$run/checkpoints/.tmp-*" >/dev/null; then fail 'a temporary file was left'; fi
rm "$folder/disk/ballast"
last=$(readlink "$run/checkpoints/latest")
last=${last//[^0-9]/}

# With room again it goes on, and ends with the bits of a run that had room all the time.
"${train[@]}" --out "$run" --resume --steps $((last + 20)) >/dev/null 2>"$folder/err" || fail 'it does not go on'
"${train[@]}" --out "$folder/whole" --steps $((last + 20)) >/dev/null 2>"$folder/err"
cmp "$run/checkpoints/latest" "$folder/whole/checkpoints/latest"
cmp "$run/metrics.jsonl" "$folder/whole/metrics.jsonl"
echo "full at step $last; resumed with the same bits"

# What `fovea encode` would write is refused where it does not fit, and taken away again where the disk fills up meanwhile.
cp "$folder/data" "$folder/data.safetensors"
rm -rf -- "$run"
for left in 0 4096; do
  head -c $((4 * 1024 * 1024 - left)) /dev/zero >"$folder/disk/ballast"
  status=0
  "$1" encode "$folder/whole" "$folder/data.safetensors" --device cpu --out "$folder/disk/a.npz" >/dev/null 2>"$folder/err" || status=$?
  ((status == 1)) || fail "encode with $left bytes left: exit $status"
  reason='No space left on device'
  ((left > 0)) || reason='needs [0-9]* kB, but 0 kB are free there; --every, '
  grep -q "^fovea encode: $folder/disk/a.npz: $reason" "$folder/err" || fail 'encode does not name the reason'
  [[ $(ls -A "$folder/disk") == ballast ]] || fail 'encode left a file'
done

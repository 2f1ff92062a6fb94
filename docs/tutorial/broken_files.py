# SPDX-License-Identifier: Apache-2.0
"""broken_files.py RECORDING.h5 FOLDER: writes a short copy of the recording for each mistake of TUTORIAL-RETINA.md."""
import pathlib
import sys

import h5py
import numpy as np

FRAMES = {"train": 2000, "test": 1000}


def short(file):
    """The first seconds of the recording, as paths and arrays: without spike times, with rates and counts."""
    arrays = {}
    for part, frames in FRAMES.items():
        arrays[f"{part}/stimulus"] = file[f"{part}/stimulus"][:frames]
    time = file["train/time"][:FRAMES["train"] + 1]
    counts = np.array([np.histogram(spikes[()], time)[0] for spikes in file["spikes"].values()])
    arrays["train/response/binned"] = counts
    arrays["train/response/firing_rate_10ms"] = counts * 100.0
    for cell, repeats in file["test/repeats"].items():
        arrays[f"test/repeats/{cell}"] = repeats[:, :FRAMES["test"]]
    return arrays


def renamed(x):
    x["train/stimuli"] = x.pop("train/stimulus")


def no_test(x):
    for name in [name for name in x if name.startswith("test/")]:
        del x[name]


def axes(x):
    x["train/stimulus"] = np.moveaxis(x["train/stimulus"], 0, 2)


def rates_axes(x):
    x["train/response/firing_rate_10ms"] = x["train/response/firing_rate_10ms"].T


def nan(x):
    x["train/response/firing_rate_10ms"][2, 700] = np.nan


def size(x):
    for part in FRAMES:
        x[f"{part}/stimulus"] = np.pad(x[f"{part}/stimulus"], ((0, 0), (7, 7), (7, 7)))


def short_block(x):
    x["train/blocks"] = [1970, 30]


def one_repeat(x):
    for name in [name for name in x if name.startswith("test/repeats/")]:
        x[name] = x[name][:1]


def silent(x):
    for name in ("binned", "firing_rate_10ms"):
        x[f"train/response/{name}"][3] = 0
    x["test/repeats/cell04"][:] = 0


def no_counts(x):
    del x["train/response/binned"]


def good(x):
    """No mistake."""


def main():
    folder = pathlib.Path(sys.argv[2])
    folder.mkdir(exist_ok=True)
    with h5py.File(sys.argv[1]) as file:
        for mistake in (good, renamed, no_test, axes, rates_axes, nan, size, short_block, one_repeat, silent,
                        no_counts):
            arrays = short(file)
            mistake(arrays)
            with h5py.File(folder / f"{mistake.__name__}.h5", "w") as copy:
                for path, array in arrays.items():
                    copy[path] = array
    whole = (folder / "good.h5").read_bytes()
    (folder / "cut.h5").write_bytes(whole[:len(whole) // 2])


if __name__ == "__main__":
    main()

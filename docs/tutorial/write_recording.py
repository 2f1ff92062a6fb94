# SPDX-License-Identifier: Apache-2.0
import pathlib
import sys
import h5py
import numpy as np

lab, out = pathlib.Path(sys.argv[1]), sys.argv[2]
cells = sorted((lab / "spikes").glob("*.txt"))  # one file a cell: the times of its spikes, s
with h5py.File(out, "w") as f:
    for part in ("train", "test"):
        movie = np.load(lab / f"{part}.npy")  # uint8 [frames, 50, 50], a frame every 10 ms
        f.create_dataset(f"{part}/stimulus", data=movie, chunks=(100, 50, 50), compression="gzip")
    f["train/time"] = np.load(lab / "train_begin.npy")  # [frames]: when each frame began, s
    shown = np.load(lab / "test_begin.npy")  # [repeats, frames]: the same for each showing of the test movie
    for number, file in enumerate(cells, 1):
        spikes = np.loadtxt(file, ndmin=1)
        bins = [np.append(begin, begin[-1] + 0.01) for begin in shown]
        f[f"spikes/cell{number:02}"] = spikes
        f[f"test/repeats/cell{number:02}"] = np.array([np.histogram(spikes, edges)[0] for edges in bins])
    f.attrs["source"] = "salamander, retina 7"

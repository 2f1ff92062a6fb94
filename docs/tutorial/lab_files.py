# SPDX-License-Identifier: Apache-2.0
"""lab_files.py SIMULATED.h5 FOLDER: writes a simulated recording as files such as a lab has them: the two movies, the
times at which their frames began, and each cell's spike times. Plays the part of the lab in TUTORIAL-RETINA.md."""
import pathlib
import sys

import h5py
import numpy as np

BETWEEN = 10  # s, before each showing of the test movie


def main():
    folder = pathlib.Path(sys.argv[2])
    (folder / "spikes").mkdir(parents=True, exist_ok=True)
    with h5py.File(sys.argv[1]) as f:
        train, test = f["train/time"][()], f["test/time"][()]
        repeats = f["test/repeat_counts/cell01"].shape[0]
        first = train[-1] + BETWEEN + np.arange(repeats) * (test[-1] + BETWEEN)
        begin = first[:, None] + test[None, :]
        for part in ("train", "test"):
            np.save(folder / f"{part}.npy", f[f"{part}/stimulus"][()])
        np.save(folder / "train_begin.npy", train)
        np.save(folder / "test_begin.npy", begin)
        for cell in f["spikes"]:
            counts = f[f"test/repeat_counts/{cell}"][()]  # of a bin: one spike in its middle, or several close to it
            spikes = np.repeat(begin.ravel(), counts.ravel()) + 0.005
            np.savetxt(folder / "spikes" / f"{cell}.txt", np.append(f[f"spikes/{cell}"][()], spikes), fmt="%.6f")


if __name__ == "__main__":
    main()

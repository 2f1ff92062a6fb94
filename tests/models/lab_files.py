#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Recordings as the labs write them, by h5py, and what h5py makes of ours.

usage: lab_files.py write DIR       writes the files that tests/models/h5py.cpp reads
       lab_files.py check OURS.h5   looks at one of ours: names, shapes, types
Exit code 77: h5py is not installed.

Every number is a formula of its place, which the test has, too: pixel(t, y, x) = (7t + 3y + 5x) mod 256,
rate(c, t) = (c + 1)·(13t mod 17), count(c, t) = (t + 2c) mod 3 if 5t mod 4 == c mod 4 else 0.
"""

import pathlib
import sys

try:
    import h5py
    import numpy as np
except ImportError:
    print("skipped: h5py is not installed (apt-get install python3-h5py)")
    sys.exit(77)

CELLS, FRAMES, TEST, REPEATS, SIZE = 3, 240, 90, 4, 50


def movie(frames):
    t, y, x = np.ogrid[:frames, :SIZE, :SIZE]
    return ((7 * t + 3 * y + 5 * x) % 256).astype(np.uint8)


def rates(frames, cells=CELLS):
    c, t = np.ogrid[:cells, :frames]
    return ((c + 1) * ((13 * t) % 17)).astype(np.float64)


def counts(frames, cells=CELLS):
    c, t = np.ogrid[:cells, :frames]
    return np.where((5 * t) % 4 == c % 4, (t + 2 * c) % 3, 0).astype(np.int64)


def clock(frames, blocks):
    """Bins of 10 ms, with a pause of 2 s between blocks of equal length."""
    t = np.arange(frames)
    return 5.0 + 0.01 * t + 2.0 * (t // (frames // blocks))


def responses(file, part, frames, binned=True):
    for width in (5, 10, 20):
        file[f"{part}/response/firing_rate_{width}ms"] = rates(frames) * (10 / width)
    if binned:
        file[f"{part}/response/binned"] = counts(frames)


def repeats(file):
    for c in range(CELLS):
        trial = np.arange(REPEATS)[:, None]
        file[f"test/repeats/cell{c + 1:02d}"] = rates(TEST)[c] + (trial - (REPEATS - 1) / 2) * 0.25 + 2


def usual(path):
    with h5py.File(path, "w") as file:
        for part, frames in (("train", FRAMES), ("test", TEST)):
            file[f"{part}/stimulus"] = movie(frames)
            file[f"{part}/time"] = clock(frames, 3 if part == "train" else 1)
            responses(file, part, frames)
        repeats(file)
        for c in range(CELLS):
            file[f"train/stas/cell{c + 1:02d}"] = np.full((40, SIZE, SIZE), c + 0.5, np.float32)
        file.attrs["source"] = "salamander"
        file.attrs["author"] = np.bytes_(b"somebody")
        file.attrs["temperature"] = 21.5


def other_order(path):
    """Groups the other way round, a float movie in packed chunks, repeats as one array, big-endian rates."""
    with h5py.File(path, "w", libver="latest") as file:
        file.create_dataset("test/repeats/firing_rate_10ms", data=np.stack([rates(TEST)] * REPEATS) + 1)
        for part, frames in (("test", TEST), ("train", FRAMES)):
            rate = rates(frames) + (1 if part == "test" else 0)
            file.create_dataset(f"{part}/response/firing_rate_10ms", data=rate.astype(">f4"))
            file.create_dataset(f"{part}/stimulus", data=movie(frames).astype(np.float64), chunks=(37, 25, 10),
                                compression="gzip", shuffle=True)
        file.create_dataset("stas/cell01", data=np.zeros((40, SIZE, SIZE)))


def signed(path):
    """A movie of contrast, -1 … 1, in single precision."""
    with h5py.File(path, "w") as file:
        for part, frames in (("train", FRAMES), ("test", TEST)):
            file.create_dataset(f"{part}/stimulus", data=movie(frames).astype(np.float32) / 127.5 - 1, compression="gzip")
            responses(file, part, frames, binned=False)
        repeats(file)


def only_spikes(path):
    """Spike times in place of rates and counts; repeats of counts."""
    with h5py.File(path, "w") as file:
        for part, frames in (("train", FRAMES), ("test", TEST)):
            file[f"{part}/stimulus"] = movie(frames)
        file["train/time"] = clock(FRAMES, 3)
        for c in range(CELLS):
            times = [t + 0.001 + 0.002 * k for t, n in zip(clock(FRAMES, 3), counts(FRAMES)[c]) for k in range(n)]
            times += [0.5, 1000.0]  # outside of the movie
            file[f"spikes/cell{c + 1:02d}"] = np.sort(times)
            file[f"test/repeats/cell{c + 1:02d}"] = np.stack([counts(TEST)[c], counts(TEST)[(c + 1) % CELLS]])


def interneurons(path):
    with h5py.File(path, "w") as file:
        for name in ("boxes", "lines"):
            file[f"{name}/detrended_membrane_potential"] = rates(100) - 10
        file["boxes/stimuli"] = (movie(100)[:, :38, :38] % 2).astype(np.float64)
        file["lines/stimuli"] = np.zeros((100, 76))


def potentials(path):
    """The usual layout with another response."""
    with h5py.File(path, "w") as file:
        for part, frames in (("train", FRAMES), ("test", TEST)):
            file[f"{part}/stimulus"] = movie(frames)
            file[f"{part}/response/membrane_potential"] = rates(frames) - 50


def write(folder):
    for make in (usual, other_order, signed, only_spikes, interneurons, potentials):
        make(folder / f"{make.__name__}.h5")
    # What labs get wrong.
    with h5py.File(folder / "matlab.h5", "w") as file:
        for part, frames in (("train", FRAMES), ("test", TEST)):
            file[f"{part}/stimulus"] = np.ascontiguousarray(movie(frames).T)
            file[f"{part}/response/firing_rate_10ms"] = np.ascontiguousarray(rates(frames).T)
    with h5py.File(folder / "transposed_rates.h5", "w") as file:
        for part, frames in (("train", FRAMES), ("test", TEST)):
            file[f"{part}/stimulus"] = movie(frames)
            file[f"{part}/response/firing_rate_10ms"] = np.ascontiguousarray(rates(frames).T)
    with h5py.File(folder / "external.h5", "w") as file:
        file.create_dataset("train/stimulus", shape=(FRAMES, SIZE, SIZE), dtype=np.uint8,
                            external=[(str(folder / "usual.h5"), 0, h5py.h5f.UNLIMITED)])
        file["train/response/firing_rate_10ms"] = rates(FRAMES)
        file["test/stimulus"] = movie(TEST)
        file["test/response/firing_rate_10ms"] = rates(TEST)
    with h5py.File(folder / "huge.h5", "w") as file:
        long = 1 << 40
        file.create_dataset("train/stimulus", shape=(long, SIZE, SIZE), dtype=np.uint8, chunks=(1, SIZE, SIZE))
        file.create_dataset("train/response/firing_rate_10ms", shape=(1, long), dtype=np.float32, chunks=(1, 64))
        file["test/stimulus"] = movie(TEST)
    with h5py.File(folder / "packed.h5", "w") as file:
        file.create_dataset("train/stimulus", data=movie(FRAMES), compression="lzf")  # h5py's own filter
        file["train/response/firing_rate_10ms"] = rates(FRAMES)
        file["test/stimulus"] = movie(TEST)
    with h5py.File(folder / "text.h5", "w") as file:
        file["train/stimulus"] = "a movie"
        file["test/stimulus"] = movie(TEST)
    with h5py.File(folder / "empty_group.h5", "w") as file:
        file.create_group("train/response")
        file["test/stimulus"] = movie(TEST)


def check(path):
    with h5py.File(path, "r") as file:
        frames, test = len(file["train/stimulus"]), len(file["test/stimulus"])
        cells = len(file["train/response/firing_rate_10ms"])
        repeat_count = len(file["test/repeats/cell01"])
        names = [f"cell{c + 1:02d}" for c in range(cells)]
        expected = {
            "train/stimulus": (np.uint8, (frames, SIZE, SIZE)),
            "train/time": (np.float64, (frames,)),
            "train/response/firing_rate_10ms": (np.float32, (cells, frames)),
            "train/response/binned": (np.int32, (cells, frames)),
            "test/stimulus": (np.uint8, (test, SIZE, SIZE)),
            "test/time": (np.float64, (test,)),
            "test/response/firing_rate_10ms": (np.float32, (cells, test)),
            "test/true_rate": (np.float32, (cells, test)),
        }
        expected |= {f"test/repeats/{name}": (np.float32, (repeat_count, test)) for name in names}
        expected |= {f"test/repeat_counts/{name}": (np.int32, (repeat_count, test)) for name in names}
        for name, (dtype, shape) in expected.items():
            assert file[name].dtype == dtype and file[name].shape == shape, (name, file[name])
        assert sum(file["train/blocks"]) == frames
        assert sorted(file["spikes"]) == names
        binned = file["train/response/binned"][:]
        assert [len(file[f"spikes/{name}"]) for name in names] == list(binned.sum(axis=1))
        time = file["train/time"][:]
        assert int(np.sum(np.diff(time) > 0.5)) == len(file["train/blocks"]) - 1
        assert isinstance(file.attrs["source"], str), type(file.attrs["source"])
        mean = np.stack([file[f"test/repeats/{name}"][:].mean(axis=0) for name in names])
        assert np.allclose(mean, file["test/response/firing_rate_10ms"][:], atol=1e-3)
    print("h5py reads it")


if __name__ == "__main__":
    if sys.argv[1] == "write":
        write(pathlib.Path(sys.argv[2]))
    else:
        check(sys.argv[2])

#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes a run folder of a checkpoint of torch-deep-retina, for fovea eval, fovea encode and fovea train --init-from.

usage: convert_checkpoint.py CHECKPOINT.pt OUT [--data RECORDING] [--hyps FILE] [--type CLASS] [--norm MEAN SD]

Reads both formats of torch.save() without PyTorch, and runs nothing that is in the file. Needs Python 3.9 and nothing
else. What is converted, and where the result differs: README.md beside this file, "Published weights".
Exit code 1 and one line: the file cannot be read or converted; no folder is left behind.
"""

import argparse
import json
import os
import pathlib
import shutil
import struct
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import published_weights  # noqa: E402
import torch_file  # noqa: E402
from published_weights import ConvertError, Values  # noqa: E402


def checksum(tensors, notes):
    """That of apps/checkpoint.cpp: FNV-1a over notes and tensors, by name."""
    parts = [part for name in sorted(notes) for part in (name.encode() + b"\0", notes[name].encode() + b"\0")]
    for name in sorted(tensors):
        values = tensors[name]
        kind = f"{values.kind}[{', '.join(str(n) for n in values.shape)}]"
        parts += [name.encode() + b"\0", kind.encode() + b"\0", values.bytes()]
    state = 14695981039346656037
    for byte in b"".join(parts):
        state = ((state ^ byte) * 1099511628211) & 0xFFFFFFFFFFFFFFFF
    return f"{state:016x}"


def safetensors(tensors, notes):
    header, blobs, at = {"__metadata__": notes}, [], 0
    for name in sorted(tensors):
        blob = tensors[name].bytes()
        header[name] = {"dtype": tensors[name].kind.upper(), "shape": list(tensors[name].shape),
                        "data_offsets": [at, at + len(blob)]}
        at += len(blob)
        blobs.append(blob)
    text = json.dumps(header, separators=(",", ":"), sort_keys=True).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + b"".join(blobs)


def toml(settings):
    lines, table = [], None
    for name, value in sorted(settings.items()):
        if name.split(".")[0] != table:
            table = name.split(".")[0]
            lines.append(f"[{table}]")
        lines.append(f"{name.split('.', 1)[1]} = {json.dumps(value)}")
    return "\n".join(lines) + "\n"


def checkpoint(made, mean, sd, source):
    """The file of step 0: weights and normalisation, without what only a training has (moments, position)."""
    tensors = {f"model.{name}": values for name, values in made.tensors.items()}
    tensors["norm.mean"], tensors["norm.sd"] = Values((), [mean], "f64"), Values((), [sd], "f64")
    settings = "".join(f"{name} = {json.dumps(value)}\n" for name, value in sorted(made.settings.items()))
    notes = {"format": "fovea-run-2", "build": "convert_checkpoint.py", "device": "", "data": "", "settings": settings,
             "source": source}
    notes["checksum"] = checksum(tensors, notes)
    return safetensors(tensors, notes)


def write_run(out, settings, content):
    """As a whole or not at all: the folder gets its name when it is complete."""
    out.parent.mkdir(parents=True, exist_ok=True)
    temporary = out.parent / f".{out.name}.{os.getpid()}"
    try:
        (temporary / "checkpoints").mkdir(parents=True)
        (temporary / "config.toml").write_text(settings)
        (temporary / "checkpoints/step-0.safetensors").write_bytes(content)
        for link in ("latest", "best"):
            (temporary / "checkpoints" / link).symlink_to("step-0.safetensors")
        os.rename(temporary, out)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def arguments():
    parser = argparse.ArgumentParser(
        description="Makes a run folder of a checkpoint of torch-deep-retina: for fovea eval, fovea encode, and fovea "
                    "train --init-from. Reads it without PyTorch and runs nothing that is in it.",
        epilog="converted classes: " + ", ".join(published_weights.CLASSES) + "; what differs: models/retina/README.md")
    parser.add_argument("checkpoint", type=pathlib.Path, metavar="CHECKPOINT.pt")
    parser.add_argument("out", type=pathlib.Path, metavar="OUT", help="the run folder to make; must not exist")
    parser.add_argument("--data", type=pathlib.Path, metavar="RECORDING",
                        help="the recording it was trained on, which fovea eval then reads")
    parser.add_argument("--hyps", type=pathlib.Path, metavar="FILE",
                        help="hyperparams.json of its training, if the checkpoint lacks a setting")
    parser.add_argument("--type", metavar="CLASS", help="class of the model, if the checkpoint does not say")
    parser.add_argument("--norm", type=float, nargs=2, metavar=("MEAN", "SD"),
                        help="mean and SD of its training movie, if the checkpoint lacks norm_stats")
    return parser.parse_args()


def run(asked):
    if asked.out.exists() or asked.out.is_symlink():
        raise ConvertError(f"{asked.out}: exists; give the name of a new folder")
    if asked.data is not None and not asked.data.is_file():
        raise ConvertError(f"--data {asked.data}: there is no such file")
    hyps = None
    if asked.hyps is not None:
        try:
            hyps = json.loads(asked.hyps.read_text())
        except ValueError:
            raise ConvertError(f"--hyps {asked.hyps}: is no JSON") from None
    saved = torch_file.load(asked.checkpoint)
    try:
        made = published_weights.convert(saved, hyps, asked.type)
        mean, sd = published_weights.normalization(saved, asked.norm)
        if made.size != published_weights.SIZE:
            raise ConvertError(f"sees frames of {made.size} x {made.size}, the program's models see "
                               f"{published_weights.SIZE} x {published_weights.SIZE}")
    except ConvertError as error:
        raise ConvertError(f"{asked.checkpoint}: {error}") from None
    settings = {"model.name": "deep-retina", **made.settings}
    if made.recorded_cells:  # those of the recording it was trained on, all frames of which counted
        settings.update({"data.cells": made.recorded_cells, "data.skip": 0})
    if asked.data is not None:
        settings["data.path"] = str(asked.data.resolve())
    write_run(asked.out, toml(settings), checkpoint(made, mean, sd, asked.checkpoint.name))
    numbers = sum(len(values.numbers) for values in made.tensors.values())
    print(f"{asked.out}: {made.cells} cells, {numbers} numbers, normalised by mean {mean:g} and SD {sd:g}")


def main():
    asked = arguments()
    try:
        run(asked)
    except (ConvertError, torch_file.TorchFileError) as error:
        # Texts of the file may be in it.
        print("error: " + "".join(c if c.isprintable() else "?" for c in str(error))[:400], file=sys.stderr)
        return 1
    except OSError as error:
        print(f"error: {error.filename}: {error.strerror}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

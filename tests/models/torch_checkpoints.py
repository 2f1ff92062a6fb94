#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""models/retina/convert_checkpoint.py on checkpoints that PyTorch wrote (tests/golden/torch_checkpoints.py).

usage: torch_checkpoints.py FOVEA TINY_RECORDING      the two programs; prints what is wrong, exit code 1 if anything
What the converted models answer is in torch_checkpoints.cpp.
"""

import array
import copy
import io
import json
import math
import os
import pathlib
import pickle
import struct
import subprocess
import sys
import tempfile
import zipfile

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
GOLDEN = ROOT / "tests/golden"
SCRIPT = ROOT / "models/retina/convert_checkpoint.py"
sys.dont_write_bytecode = True
sys.path.insert(0, str(SCRIPT.parent))
import published_weights  # noqa: E402
import torch_file  # noqa: E402

FAILED = []


def check(good, what):
    if not good:
        FAILED.append(what)
        print(f"FAILED: {what}")


def safetensors(path):
    """name: (dtype, shape, bytes)"""
    content = path.read_bytes()
    (length,) = struct.unpack_from("<Q", content)
    header, data = json.loads(content[8:8 + length]), content[8 + length:]
    header.pop("__metadata__", None)
    return {name: (entry["dtype"], entry["shape"], data[slice(*entry["data_offsets"])])
            for name, entry in header.items()}


def file_of(case, form="legacy"):
    return GOLDEN / f"torch_checkpoints/{case}_{form}.pt"


def loaded(case):
    return torch_file.load(file_of(case))


def script(*arguments):
    run = subprocess.run([sys.executable, str(SCRIPT), *map(str, arguments)], capture_output=True, text=True)
    return run.returncode, run.stdout, run.stderr


def tensor(*shape, value=0.5):
    storage = torch_file._Storage("f", math.prod(shape))
    storage.values = array.array("f", [value] * storage.count)
    stride, step = [], 1
    for count in reversed(shape):
        stride.insert(0, step)
        step *= count
    return torch_file.Tensor(storage, 0, shape, stride)


# What is moved into another tensor, and so has other bits than in the file.
MOVED = {"bncnn": {"bn3.running_mean"}, "convgc": {"bn3.running_mean", "places"},
         "sscnn": {"readout.weight", "readout.bias"},
         "one_to_one": {f"conv{k}.piece1.{n}" for k in (1, 2) for n in ("weight", "bias")},
         "shared": {"filter_of_cell"}, "cnn": {"conv1.bias", "conv2.bias"}}
SETTINGS = {
    "bncnn": {"model.norm": "unit", "model.absolute_scale": False, "model.readout": "dense", "model.kernels": [3, 3]},
    "stacked": {"model.stacked": True, "model.stack_one_to_one": False, "model.stack_dropout": 0.1,
                "model.norm": "unit", "model.absolute_scale": True, "model.kernels": [5, 3], "model.noise": 0.05},
    "convgc": {"model.readout": "fixed", "model.readout_kernel": 3, "model.centres": [10, 4, 42, 37],
               "model.stacked": True, "model.norm": "channel", "model.history": 3, "model.channels": [2, 2]},
    "one_hot": {"model.readout": "one-hot", "model.readout_kernel": 3, "model.absolute_scale": True},
    "shared": {"model.filter_of_cell": [1, 0, 1], "model.conv_bias": False},
    "one_to_one": {"model.stack_one_to_one": True, "model.output": "exponential", "model.kernels": [5, 5]},
    "cnn": {"model.norm": "none", "model.conv_bias": True},
    "sscnn": {"model.norm": "scale-shift", "model.readout": "dense"},
}


def test_bits():
    golden = safetensors(GOLDEN / "torch_checkpoints.safetensors")
    for case, settings in SETTINGS.items():
        made = published_weights.convert(loaded(case))
        raw = file_of(case).read_bytes()
        want = {name.partition("/")[2]: value for name, value in golden.items() if name.startswith(case + "/")}
        names = set(want) - {"y", "norm"}
        check(set(made.tensors) - {"places"} == names, f"{case}: {sorted(set(made.tensors) ^ names)} on one side only")
        for name, values in made.tensors.items():
            if name in names:
                same = (values.kind.upper(), list(values.shape), values.bytes()) == want[name]
                check(same, f"{case}: {name} is not that of the golden file")
            if name not in MOVED.get(case, set()):
                check(values.bytes() in raw, f"{case}: the bits of {name} are not in the checkpoint")
        for name, value in settings.items():
            check(made.settings.get(name) == value, f"{case}: {name} is {made.settings.get(name)}, expected {value}")
    zipped, legacy = (published_weights.convert(torch_file.load(file_of("bncnn", form))) for form in ("zip", "legacy"))
    check({n: v.bytes() for n, v in zipped.tensors.items()} == {n: v.bytes() for n, v in legacy.tensors.items()},
          "the two formats give different bits")
    check(zipped.recorded_cells == [4, 0], "cells of the recording")
    places = published_weights.convert(loaded("convgc")).tensors["places"].numbers
    check([k for k, x in enumerate(places) if x] == [6 * 42, 42 * 42 + 38 * 42 + 33], "places of fixed cells")


def test_meaning():
    # The published formula on the published sizes reads every cell at index 10.
    check({published_weights.grabbed(c, [15, 11, 11], 50) for c in range(50)} == {10}, "published places")
    saved = loaded("bncnn")
    bias = saved["model_state_dict"]["sequential.13.bias"].values()
    means = saved["model_state_dict"]["sequential.14.running_mean"].values()
    moved = published_weights.convert(saved).tensors["bn3.running_mean"].numbers
    check(all(abs(got - (m - b)) < 1e-6 for got, m, b in zip(moved, means, bias)), "a bias goes into the running mean")
    check(str(saved["device"]) == "cuda:0" and saved["loss"] == 0.5,
          "settings of the training are read as plain values")
    old = file_of("shared").read_bytes().replace(b"cnumpy._core.multiarray", b"cnumpy.core.multiarray")
    check(published_weights.convert(load_bytes(old)).settings["model.filter_of_cell"] == [1, 0, 1], "arrays of NumPy 1")
    state = saved["model_state_dict"]
    saved["model_state_dict"] = {name.replace("sigma", "cuda_param"): value for name, value in state.items()}
    check(published_weights.convert(saved).settings["model.noise"] == 0.05, "the noise under its old name")
    every = {"model_state_dict": {}, "dataset": "15-11-21a", "cells": "all"}
    check(published_weights.recorded_cells(published_weights.Source(every, None), 4) == [6, 10, 12, 13], "all cells")


def load_bytes(content):
    with tempfile.NamedTemporaryFile(suffix=".pt") as file:
        file.write(content)
        file.flush()
        return torch_file.load(file.name)


def refused(what, text):
    """what() fails with this text."""
    try:
        what()
    except (torch_file.TorchFileError, published_weights.ConvertError) as error:
        check(text in str(error) and "\n" not in str(error), f"expected '{text}', got '{error}'")
    else:
        check(False, f"not refused: {text}")


def archive(pickled, **options):
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", **options) as out:
        out.writestr("a/data.pkl", pickled)
    return content.getvalue()


class Named:
    """Pickled as a call of a function by its name."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def test_bad_files():
    zipped, legacy = file_of("bncnn", "zip").read_bytes(), file_of("bncnn").read_bytes()
    refused(lambda: load_bytes(b"no checkpoint at all"), ": is no file of torch.save()")
    refused(lambda: load_bytes(b""), ": is no file of torch.save()")
    for content in (zipped, legacy):
        for share in (0.1, 0.3, 0.5, 0.8, 0.99):
            cut = content[:int(share * len(content))]
            try:
                load_bytes(cut)
                check(False, f"a file cut at {share} was read")
            except torch_file.TorchFileError as error:
                check("\n" not in str(error) and "/" in str(error), f"cut at {share}: {error}")
    refused(lambda: load_bytes(legacy[:200]), ": is cut short or damaged (")
    refused(lambda: load_bytes(legacy[:-4]), "a tensor has ")
    with tempfile.TemporaryDirectory() as folder:
        trap = pathlib.Path(folder) / "trap"
        bad = pickle.dumps({"model_state_dict": Named(os.system, f"touch {trap}")}, 2)
        refused(lambda: load_bytes(archive(bad)),
                "it names posix.system, which is none of the few things that are read")
        refused(lambda: load_bytes(legacy[:15] + pickle.dumps(Named(eval, "1"), 2)), "it names __builtin__.eval")
        check(not trap.exists(), "something in a file was run")
    inert = b"\x80\x02ctorchdeepretina.models\nBNCNN\n"
    for make in (b")R.", b")\x81."):
        refused(lambda: load_bytes(archive(inert + make)),
                "it holds an object of class torchdeepretina.models.BNCNN; save")
    refused(lambda: load_bytes(archive(b"\x80\x02X\x01\x00\x00\x00aQ.")),
            "it refers to memory in a way that is not known")
    refused(lambda: load_bytes(archive(pickle.dumps({}, 2), compression=zipfile.ZIP_DEFLATED)), "archive is compressed")
    refused(lambda: load_bytes(zipped.replace(b"little", b"bigbig")), "is cut short or damaged (BadZipFile)")
    empty = io.BytesIO()
    zipfile.ZipFile(empty, "w").writestr("a/b", "c")
    refused(lambda: load_bytes(empty.getvalue()), "none of PyTorch: it has no data.pkl")
    order = io.BytesIO()
    with zipfile.ZipFile(order, "w") as out:
        out.writestr("a/data.pkl", pickle.dumps({}, 2))
        out.writestr("a/byteorder", "big")
    refused(lambda: load_bytes(order.getvalue()), "its numbers are big-endian")
    refused(lambda: load_bytes(legacy.replace(b"little_endian", b"little_indian").replace(b"\x88", b"\x89", 1)
                               .replace(b"little_indian", b"little_endian")), "its numbers are big-endian")
    refused(lambda: load_bytes(legacy.replace(b"M\xe9\x03.", b"M\xe8\x03.", 1)), "its protocol is none of PyTorch's")

    storage = torch_file._Storage("f", 6)
    refused(lambda: torch_file.Tensor(storage, 1, (2, 3), (3, 1)),
            "a tensor of shape [2, 3] reaches beyond its 6 numbers")
    refused(lambda: torch_file.Tensor(storage, 0, (2, 3), (0, 0, 1)), "a tensor has no proper storage, shape or stride")
    refused(lambda: torch_file.Tensor(storage, -1, (2,), (1,)), "a tensor has no proper storage, shape or stride")
    storages = torch_file._Storages(100)
    refused(lambda: storages("f", "0", 1 << 60), "it ends before its tensors do: one has 4611686018427387904 bytes")
    refused(lambda: torch_file._NumpyType("O8").read(b""), "an array of NumPy type O8 cannot be read")
    refused(lambda: storages(None, "0", 1), "a tensor has no proper storage, shape or stride")
    refused(lambda: torch_file._NumpyArray().__setstate__((1, (3,), torch_file._NumpyType("i8"), False, b"12345678")),
            "a NumPy array of shape [3] has 1 numbers in another order")
    weights = torch_file.load(file_of("bncnn"))["model_state_dict"]["sequential.0.weight"].values().tobytes()
    at = legacy.find(weights)
    refused(lambda: load_bytes(legacy[:at - 8] + struct.pack("<q", 7) + legacy[at:]),
            "a tensor has 7 numbers, expected 54")
    refused(lambda: torch_file._encode("x", "zip"), "a text in the encoding zip is not expected")


def test_bad_models():
    def changed(case, change, **more):
        saved = loaded(case)
        saved["model_state_dict"] = dict(saved["model_state_dict"])
        change(saved, saved["model_state_dict"])
        return lambda: published_weights.convert(saved, **more)

    def put(name, value):
        return lambda saved, state: state.__setitem__(name, value)

    def say(**settings):
        return lambda saved, state: saved["model_hyps"].update(settings)

    refused(lambda: published_weights.convert([1]), "holds no model_state_dict")
    refused(changed("cnn", lambda saved, state: saved.pop("model_state_dict")), "holds no model_state_dict")
    refused(changed("cnn", put("recurrent.weight", tensor(2))),
            "'recurrent.weight' is no weight of a model that can be")
    refused(changed("cnn", lambda saved, state: (saved.pop("model_type"), saved["model_hyps"].pop("model_type"))),
            "does not say of which class it is; give --type, one of BNCNN, LinearStackedBNCNN, VaryModel, Retino")
    refused(changed("cnn", lambda saved, state: None, model_type="RNNCNN"),
            "is a RNNCNN, which the program has no model for; converted are BNCNN, LinearStackedBNCNN, VaryModel, ")
    refused(changed("cnn", say(activ_fxn="Tanh")), "its activation is Tanh, the program's is ReLU")
    refused(changed("cnn", say(inference_exp=True)), "takes the exponential of its output at inference (inference_exp)")
    refused(changed("cnn", say(paddings=[0, 2, 0])), "its convolutions are padded ([0, 2, 0]), the program's are not")
    refused(changed("one_hot", say(softplus=False)), "its one-hot readout is not of softplus maps")
    refused(changed("cnn", put("sequential.1.gamma", tensor(2))),
            "sequential.1 is a layer of an unknown kind, with gamma, sig")
    refused(changed("cnn", put("sequential.4.w", tensor(2))), "sequential.4 is a layer of an unknown kind")
    refused(changed("cnn", put("sequential.9.weight", tensor(2, 2))),
            "its layers are conv, conv, linear, linear; expected two")
    refused(changed("stacked", put("sequential.0.convs.1.scale", tensor(2))),
            "sequential.0.convs.1 is a norm between the convolu")
    refused(changed("stacked", put("sequential.0.convs.0.bias", tensor(2))),
            "sequential.0 has biases between the convolutions")
    refused(changed("stacked", put("sequential.0.convs.2.weight", tensor(2, 2, 5, 5))),
            "sequential.0 has kernels of 5 x 5, expected chains of 3 x 3")
    refused(changed("cnn", put("sequential.0.weight", tensor(2, 3, 3, 5))),
            "has kernels of 3 x 5, expected square ones")
    refused(changed("stacked", put("sequential.0.convs.2.weight", tensor(2, 4, 3, 3))),
            "sequential.0 has 4 channels between its convolutions, expected 2 as at its end")
    refused(changed("one_to_one", lambda saved, state: state.pop("sequential.0.seqs.1.0.weight")),
            "sequential.0 lacks a convolution of one of its 2 channels")
    refused(changed("cnn", put("sequential.3.weight", tensor(2, 5, 3, 3))),
            "its second convolution sees 5 channels, the first makes 2")
    refused(changed("cnn", put("sequential.0.bias", tensor(7))),
            "conv1.bias is [7], expected one number for each channel")
    refused(changed("cnn", put("sequential.7.weight", tensor(2, 11))),
            "its readout sees 11 units, which are not 2 square maps")

    def renamed(saved, state):
        for ours, theirs in (("weight", "scale"), ("bias", "shift")):
            state["sequential.2." + theirs] = state.pop("sequential.2." + ours)
    refused(changed("bncnn", renamed), "has norms with and without absolute values")

    def longer(saved, state):
        for name in ("weight", "bias", "running_mean", "running_var"):
            state["sequential.2." + name] = tensor(33)
    refused(changed("bncnn", longer), "bn1.weight is [33], expected [32] on frames of 6 x 6")

    def shorter(saved, state):
        for name in ("scale", "shift", "running_mean", "running_var"):
            state["sequential.14." + name] = tensor(1)
    refused(changed("stacked", shorter), "bn3.weight is [1], expected [2], one for each cell")
    refused(changed("one_hot", put("sequential.8.weight", tensor(2, 5, 3, 3))),
            "its readout sees 5 channels, the convolution makes 2")
    refused(changed("shared", say(collapsed=False)), "has 2 filters for 3 cells and no collapse_labels; give --hyps")
    refused(changed("shared", say(collapse_labels=[0, 1, 2])),
            "its collapse_labels do not tell which of 2 filters each of 3 cells")
    refused(changed("convgc", say(centers=None)), "does not hold the centers of its 2 receptive fields; give --hyps")
    refused(changed("convgc", say(centers=[[1, 2], 3])), "its weights or settings are not of the expected form (")
    refused(lambda: published_weights.grabbed(0, [30, 15, 7], 50),
            "a receptive field at 0 is read at -40 of a map of 1, beyond its edge")
    refused(lambda: published_weights.Values((2, 3), [1.0]), "1 numbers do not fit into the shape [2, 3]")
    refused(lambda: published_weights.normalization({}, None),
            "holds no norm_stats, the mean and SD of its training movie; give --norm")
    refused(lambda: published_weights.normalization({}, [1, 0]), "its norm_stats are a mean of 1.0 and an SD of 0.0")
    check(published_weights.normalization({"norm_stats": [3, 4]}, None) == (3.0, 4.0), "norm_stats as a list")


def test_program(fovea, tiny_recording, folder):
    """The run folder is one for the program, and answers as PyTorch does."""
    run, movie, out = folder / "run", folder / "movie.npy", folder / "rates.npz"
    code, text, errors = script(file_of("convgc"), run, "--data", SCRIPT)
    check(code == 0 and "2 cells" in text, f"conversion: {errors}")
    check(f'path = "{SCRIPT}"' in (run / "config.toml").read_text(), "the recording stands in the settings")
    check(sorted(p.name for p in folder.iterdir()) == ["run"], "nothing is left beside the folder")
    for link in ("latest", "best"):
        check(os.readlink(run / "checkpoints" / link) == "step-0.safetensors", f"the link {link}")

    header = "{'descr': '|u1', 'fortran_order': False, 'shape': (6, 50, 50), }"
    header += " " * (-(len(header) + 11) % 64) + "\n"
    movie.write_bytes(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode()
                      + bytes(37 * k % 251 for k in range(6 * 2500)))
    done = subprocess.run([fovea, "encode", run, movie, "--out", out, "--contrast", "keep", "--what", "rates",
                           "--device", "cpu"], capture_output=True, text=True)
    check(done.returncode == 0, f"encode: {done.stderr}")
    if done.returncode == 0:
        with zipfile.ZipFile(out) as content:
            raw = content.read("rates.npy")[-4 * 6:]
        want = struct.unpack("<6d", safetensors(GOLDEN / "torch_checkpoints.safetensors")["convgc/y"][2])
        check(all(abs(a - b) < 1e-5 for a, b in zip(struct.unpack("<6f", raw), want)), "encode answers as PyTorch does")

    data, trained = folder / "tiny.h5", folder / "trained"
    subprocess.run([tiny_recording, data], check=True, capture_output=True)
    scores = []
    for name, more in (("with data", ()), ("other norm", ("--norm", 60, 20))):
        check(script(file_of("convgc"), folder / name, "--data", data, *more)[0] == 0, "conversion with its recording")
        done = subprocess.run([fovea, "eval", folder / name, "--json", "--device", "cpu"], capture_output=True,
                              text=True)
        check(done.returncode == 0, f"eval: {done.stderr}")
        scores.append(done.stdout and json.loads(done.stdout)["rmse_hz"])
    check(scores[0] != scores[1], "eval normalises by what the checkpoint holds")
    start = folder / "with data"
    done = subprocess.run([fovea, "train", "deep-retina", "--config", start / "config.toml", "--init-from",
                           start / "checkpoints/step-0.safetensors", "--steps", "1", "--out", trained,
                           "--device", "cpu"], capture_output=True, text=True)
    check(done.returncode == 0, f"train --init-from: {done.stderr}")
    if done.returncode == 0:
        name = "model.conv1.piece0.weight"
        first, given = (safetensors(run / "checkpoints/step-0.safetensors")[name] for run in (trained, start))
        check(first == given, "training starts from the converted weights")


def test_script(folder):
    good = file_of("convgc")

    def fails(text, *arguments):
        code, _, errors = script(*arguments)
        check(code == 1 and errors.startswith("error: ") and errors.count("\n") == 1 and text in errors,
              f"{text}: {errors}")

    taken = folder / "taken"
    taken.mkdir()
    before = sorted(folder.iterdir())
    fails(f"{taken}: exists; give the name of a new folder", good, taken)
    fails("sees frames of 6 x 6, the program's models see 50 x 50", file_of("cnn"), folder / "new")
    fails("none.pt: No such file or directory", folder / "none.pt", folder / "new")
    fails("is no file of torch.save()", SCRIPT, folder / "new")
    fails("/none.h5: there is no such file", good, folder / "new", "--data", folder / "none.h5")
    fails("is no JSON", good, folder / "new", "--hyps", SCRIPT)
    fails("is a KineticsModel, which the program has no model for", good, folder / "new", "--type", "KineticsModel")
    fails("an SD of -1.0", good, folder / "new", "--norm", "1", "-1")
    strange = folder / "strange.pt"
    strange.write_bytes(archive(b"\x80\x04\x8c\x03a\n\x1b\x8c\x01b\x93."))
    fails("it names a??.b, which is none", strange, folder / "new")
    strange.unlink()
    check(sorted(folder.iterdir()) == before, "a refusal leaves nothing behind")
    code, text, _ = script("--help")
    check(code == 0 and all(name in text for name in published_weights.CLASSES), "--help names the classes")


def main():
    test_bits()
    test_meaning()
    test_bad_files()
    test_bad_models()
    with tempfile.TemporaryDirectory() as folder:
        test_program(sys.argv[1], sys.argv[2], pathlib.Path(folder))
    with tempfile.TemporaryDirectory() as folder:
        test_script(pathlib.Path(folder))
    print(f"{len(FAILED)} checks failed" if FAILED else "all checks passed")
    return 1 if FAILED else 0


if __name__ == "__main__":
    sys.exit(main())

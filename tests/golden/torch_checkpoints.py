#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes torch_checkpoints/*.pt and torch_checkpoints.safetensors: small checkpoints as torch-deep-retina saves them.

    python3 tests/golden/torch_checkpoints.py          (needs PyTorch and NumPy; made with 2.15 and 2.4)

The modules here are ours; their state has the names and the order of the published classes'. The .safetensors file
holds for each case what models/retina/published_weights.py makes of it (but the places of fixed cells, which are
large), mean and SD of the movie, and PyTorch's answer in double precision to the windows of a movie of numbers by a
formula: pixel p of frame t is 37·(t·size² + p) mod 251. tests/models/torch_checkpoints.{py,cpp} read them. Equal runs
have equal weights; legacy files name them by their addresses, and differ.
"""

import pathlib
import sys
import types

import numpy
import torch
from torch import nn

HERE = pathlib.Path(__file__).resolve().parent
FOLDER = HERE / "torch_checkpoints"
sys.dont_write_bytecode = True
sys.path.insert(0, str(HERE.parent.parent / "models/retina"))
import convert_checkpoint  # noqa: E402
import published_weights  # noqa: E402
import torch_file  # noqa: E402

HISTORY, CELLS, WINDOWS = 3, 2, 3


def parameter(*shape):
    return nn.Parameter(torch.randn(shape) * 0.5)


class Norm(nn.Module):
    """Batch norm whose scale is taken without its sign."""

    def __init__(self, units):
        super().__init__()
        self.running_mean, self.running_var = parameter(units), nn.Parameter(torch.rand(units) + 0.5)
        self.scale, self.shift = parameter(units), nn.Parameter(torch.rand(units))

    def forward(self, x):
        return nn.functional.batch_norm(x, self.running_mean, self.running_var, self.scale.abs(), self.shift, eps=1e-3)


class Noise(nn.Module):
    def __init__(self, sigma=0.05):
        super().__init__()
        self.sigma = nn.Parameter(torch.full((1,), sigma), requires_grad=False)

    def forward(self, x):
        return x


class Lambda(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.forward = function


class Chain(nn.Module):
    """A K x K kernel of 3 x 3 ones; with dropout between, as their numbers tell."""

    def __init__(self, seen, out, kernel, dropout):
        super().__init__()
        parts, count = [], (kernel - 1) // 2
        for k in range(count):
            parts.append(nn.Conv2d(seen if k == 0 else out, out, 3, bias=k + 1 == count))
            if dropout and k + 1 < count:
                parts.append(nn.Dropout(dropout))
        self.convs = nn.Sequential(*parts)

    def forward(self, x):
        return self.convs(x)


class ChannelChain(nn.Module):
    """The same, where channels do not mix after the first piece."""

    def __init__(self, seen, out, kernel):
        super().__init__()
        count = (kernel - 1) // 2
        self.first_conv = nn.Conv2d(seen, out, 3, bias=False)
        self.seqs = nn.ModuleList(nn.Sequential(*[nn.Conv2d(1, 1, 3, bias=k + 2 == count) for k in range(count - 1)])
                                  for _ in range(out))

    def forward(self, x):
        x = self.first_conv(x)
        return torch.cat([own(x[:, c:c + 1]) for c, own in enumerate(self.seqs)], 1)


class ScaleShift(nn.Module):
    def __init__(self, *shape):
        super().__init__()
        self.scale_param, self.shift_param = parameter(*shape), parameter(*shape)

    def forward(self, x):
        return x * self.scale_param + self.shift_param


class OneHot(nn.Module):
    def __init__(self, cells, side, labels=None):
        super().__init__()
        self.w = nn.Parameter(torch.rand(cells, side * side) ** 6)
        self.labels = list(range(cells)) if labels is None else labels

    def forward(self, x):
        above = self.w - self.w.min(1, keepdim=True)[0]
        return (above / above.sum(1, keepdim=True) * x.flatten(2)[:, self.labels]).sum(-1)


def flat():
    return Lambda(lambda x: x.flatten(1))


def maps(channels, side):
    return Lambda(lambda x: x.reshape(-1, channels, side, side))


def unit_norm(norm, channels, side):
    return [flat(), norm(channels * side * side), maps(channels, side)]


def plain_norm(units):
    made = nn.BatchNorm1d(units, eps=1e-3, momentum=0.01)
    made.running_mean.normal_(), made.running_var.uniform_(0.5, 1.5)
    return made


def model(*parts):
    made = nn.Module()
    lists = [part if isinstance(part, list) else [part] for part in parts]
    made.sequential = nn.Sequential(*[layer for part in lists for layer in part])
    with torch.no_grad():
        for weights in made.parameters():
            if weights.dim() == 4:
                weights *= 3.0  # or the answers to different windows would hardly differ
    return made


def noisy():
    return [Noise(), nn.ReLU()]


def cases():
    """name: (model, size, what its checkpoint says, formats)"""
    grab = [[13, 5], [49, 40]]  # read at centre - 7, but within 0 ... 38
    where = torch.tensor([[6, 0], [38, 33]])
    conv = nn.Conv2d
    return {
        "bncnn": (model(conv(HISTORY, 2, 3), unit_norm(plain_norm, 2, 4), noisy(), conv(2, 2, 3),
                        unit_norm(plain_norm, 2, 2), noisy(), flat(), nn.Linear(8, CELLS), plain_norm(CELLS),
                        nn.Softplus()), 6,
                  {"model_type": "BNCNN", "gc_bias": True, "bnorm_d": 1, "dataset": "x", "cells": [4, 0]},
                  ("zip", "legacy")),
        "stacked": (model(Chain(HISTORY, 2, 5, 0.1), unit_norm(Norm, 2, 4), noisy(), Chain(2, 2, 3, 0.1),
                          unit_norm(Norm, 2, 2), noisy(), flat(), nn.Linear(8, CELLS, bias=False), Norm(CELLS),
                          nn.Softplus()), 8,
                    {"model_type": "LinearStackedBNCNN", "drop_p": 0.1}, ("legacy",)),
        "convgc": (model(Chain(HISTORY, 2, 5, 0), Norm(2), noisy(), Chain(2, 2, 3, 0), Norm(2), noisy(),
                         conv(2, CELLS, 3), Lambda(lambda x: x[:, torch.arange(CELLS), where[:, 0], where[:, 1]]),
                         Norm(CELLS), nn.Softplus()), 50,
                   {"model_type": "VaryModel", "convgc": True, "centers": grab, "drop_p": 0}, ("legacy",)),
        "one_hot": (model(conv(HISTORY, 2, 5), Norm(2), noisy(), conv(2, 2, 3), Norm(2), noisy(), conv(2, CELLS, 3),
                          Norm(CELLS), nn.Softplus(), OneHot(CELLS, 4)), 12,
                    {"model_type": "RetinotopicModel", "stackconvs": False}, ("legacy",)),
        "shared": (model(conv(HISTORY, 2, 5, bias=False), Norm(2), noisy(), conv(2, 2, 3, bias=False), Norm(2), noisy(),
                         conv(2, 2, 3), Norm(2), nn.Softplus(), OneHot(3, 4, [1, 0, 1])), 12,
                   {"model_type": "RetinotopicModel", "collapsed": True, "collapse_labels": numpy.array([1, 0, 1])},
                   ("legacy",)),
        "one_to_one": (model(ChannelChain(HISTORY, 2, 5), Norm(2), noisy(), ChannelChain(2, 2, 5), Norm(2), noisy(),
                             flat(), nn.Linear(8, CELLS, bias=False), Norm(CELLS), Lambda(torch.exp)), 10,
                       {"model_type": "VaryModel", "one2one": True, "softplus": False}, ("legacy",)),
        "cnn": (model(conv(HISTORY, 2, 3, bias=False), noisy(), conv(2, 2, 3, bias=False), noisy(), flat(),
                      nn.Linear(8, CELLS), nn.Softplus()), 6, {"model_type": "CNN"}, ("legacy",)),
        "sscnn": (model(conv(HISTORY, 2, 3), ScaleShift(2, 4, 4), noisy(), conv(2, 2, 3), ScaleShift(2, 2, 2), noisy(),
                        flat(), nn.Linear(8, CELLS), ScaleShift(CELLS), nn.Softplus()), 6,
                  {"model_type": "SSCNN"}, ("legacy",)),
    }


def windows(size, mean, sd):
    pixels = (37 * torch.arange((WINDOWS + HISTORY) * size * size)) % 251
    frames = ((pixels.double() - mean) / sd).reshape(-1, size, size)
    return torch.stack([frames[b:b + HISTORY] for b in range(WINDOWS)])


def settings_of_training():
    """What such checkpoints hold besides; the class is pickled by its name alone."""
    module = types.ModuleType("torchdeepretina.models")
    module.BNCNN = type("BNCNN", (), {"__module__": module.__name__})
    sys.modules["torchdeepretina"], sys.modules[module.__name__] = types.ModuleType("torchdeepretina"), module
    return {"model_class": module.BNCNN, "device": torch.device("cuda:0"), "lr": 0.005, "loss": numpy.float64(0.5)}


def main():
    FOLDER.mkdir(exist_ok=True)
    torch.manual_seed(13)
    golden = {}
    for name, (network, size, hyps, formats) in cases().items():
        network.eval()
        mean, sd = 125.0 + len(name), 70.0 + size
        stats = {"mean": numpy.float32(mean), "std": numpy.float32(sd)}
        hyps = {**hyps, "img_shape": [HISTORY, size, size], "n_units": CELLS}
        saved = {"model_type": hyps["model_type"], "model_hyps": hyps, "model_state_dict": network.state_dict(),
                 "norm_stats": stats, "epoch": 2}
        if name == "bncnn":
            saved.update(settings_of_training())
        for form in formats:
            torch.save(saved, FOLDER / f"{name}_{form}.pt", _use_new_zipfile_serialization=form == "zip")
        made = published_weights.convert(torch_file.load(FOLDER / f"{name}_{formats[-1]}.pt"))
        golden.update({f"{name}/{key}": values for key, values in made.tensors.items() if key != "places"})
        with torch.no_grad():
            y = network.double().sequential(windows(size, mean, sd))
        print(name, y.numpy().round(3).tolist())
        golden[f"{name}/y"] = published_weights.Values(y.shape, y.flatten().tolist(), "f64")
        golden[f"{name}/norm"] = published_weights.Values((2,), [mean, sd], "f64")
    (HERE / "torch_checkpoints.safetensors").write_bytes(convert_checkpoint.safetensors(golden, {"made by": "PyTorch"}))


if __name__ == "__main__":
    main()

# SPDX-License-Identifier: Apache-2.0
"""What the layers of torch-deep-retina's models are in ours: weights under our names, and the settings of the model.

The authors' training saves a dict with model_state_dict, model_type, hyps or model_hyps, and norm_stats. Layers are
told by the names of their weights and by their order, since their numbers changed with the code's age. Weights keep
their bits; a bias before the readout's norm goes into its running mean, a scale and shift behind a dense readout into
its weights.
"""

import array
import math
import re
import sys

import torch_file

# Classes whose layers stand in the order that the program's model has. Others save layers of the same names in another
# order (a norm behind the ReLU), which their weights do not tell.
CLASSES = ("BNCNN", "LinearStackedBNCNN", "VaryModel", "RetinotopicModel", "CNN", "SSCNN")
SIZE = 50  # of the frames that the program's models read

# The cells of "all", from the authors' table of experiments.
CELLS = {"15-10-07": [0, 1, 2, 3, 4], "15-11-21a": [6, 10, 12, 13],
         "15-11-21b": [0, 1, 3, 5, 8, 9, 13, 14, 16, 17, 18, 20, 21, 22, 23, 24, 25],
         "16-01-07": [0, 2, 7, 10, 11, 12, 31], "16-01-08": [0, 3, 7, 9, 11],
         "16-05-31": [2, 3, 4, 14, 16, 18, 20, 25, 27]}


class ConvertError(Exception):
    """One line that says what cannot be converted."""


class Values:
    """A tensor to be written: kind "f32", "f64" or "i64", shape, flat numbers."""

    CODES = {"f32": "f", "f64": "d", "i64": "q"}

    def __init__(self, shape, numbers, kind="f32"):
        self.kind, self.shape, self.numbers = kind, tuple(shape), array.array(self.CODES[kind], numbers)
        if math.prod(self.shape) != len(self.numbers):
            raise ConvertError(f"{len(self.numbers)} numbers do not fit into the shape {list(self.shape)}")

    def bytes(self):
        numbers = self.numbers[:]
        if sys.byteorder == "big":
            numbers.byteswap()
        return numbers.tobytes()


class Source:
    """The checkpoint: layers in their order, and settings."""

    def __init__(self, saved, hyps):
        if not isinstance(saved, dict) or not isinstance(saved.get("model_state_dict"), dict):
            raise ConvertError("holds no model_state_dict: it is no checkpoint of torch-deep-retina, or one whose "
                               "weights were deleted when a later one was saved")
        self.saved = saved
        self._settings = [hyps, saved.get("hyps"), saved.get("model_hyps"), saved]
        self.layers = {}
        for name, value in saved["model_state_dict"].items():
            match = re.fullmatch(r"(?:module\.)?sequential\.(\d+)\.(.+)", str(name))
            if match is None or not isinstance(value, torch_file.Tensor):
                raise ConvertError(f"'{name}' is no weight of a model that can be converted ({', '.join(CLASSES)})")
            self.layers.setdefault(int(match[1]), {})[match[2]] = value

    def setting(self, name, default=None):
        for settings in self._settings:
            if isinstance(settings, dict) and name in settings:
                return torch_file.plain(settings[name])
        return default


def kind_of(layer):
    """What a layer is, by the names of its weights."""
    names = set(layer) - {"num_batches_tracked"}
    weight = layer.get("weight")
    if names in ({"running_mean", "running_var", "weight", "bias"}, {"running_mean", "running_var", "scale", "shift"}):
        return "norm"
    if names == {"scale_param", "shift_param"}:
        return "scale-shift"
    if names <= {"weight", "bias"} and weight is not None and len(weight.shape) in (2, 4):
        return "linear" if len(weight.shape) == 2 else "conv"
    if names == {"w"}:
        return "selection"
    if names in ({"sigma"}, {"cuda_param"}):  # the latter as of 2019
        return "noise"
    if any(name.startswith("convs.") for name in names):
        return "chain"
    if "first_conv.weight" in names:
        return "channel chain"
    return None


def floats(tensor):
    return Values(tensor.shape, tensor.values())


def conv(layer, where):
    """[(weight, bias or None)]: the one piece of a convolution, or those of a chain of convolutions."""
    kind, pieces = kind_of(layer), []
    if kind == "conv":
        pieces = [(floats(layer["weight"]), layer.get("bias"))]
    elif kind == "chain":
        numbers = sorted({int(name.split(".")[1]) for name in layer})
        for number in numbers:
            piece = {name.split(".", 2)[2]: value for name, value in layer.items() if int(name.split(".")[1]) == number}
            if kind_of(piece) != "conv":
                raise ConvertError(f"{where}.convs.{number} is a norm between the convolutions of a chain, which the "
                                   "program's chains do not have")
            pieces.append((floats(piece["weight"]), piece.get("bias")))
    else:
        pieces = [(floats(layer["first_conv.weight"]), layer.get("first_conv.bias"))]
        channels = pieces[0][0].shape[0]
        for number in range(sum(name.startswith("seqs.0.") and name.endswith(".weight") for name in layer)):
            own = [layer.get(f"seqs.{c}.{number}.weight") for c in range(channels)]
            biases = [layer.get(f"seqs.{c}.{number}.bias") for c in range(channels)]
            if None in own:
                raise ConvertError(f"{where} lacks a convolution of one of its {channels} channels")
            weight = Values((channels,) + own[0].shape[1:], [x for one in own for x in one.values()])
            pieces.append((weight, None if None in biases else Values((channels,), [b.values()[0] for b in biases])))
    chained = kind != "conv"
    for number, (weight, bias) in enumerate(pieces):
        out, seen, height, width = weight.shape
        if height != width or (chained and height != 3):
            raise ConvertError(f"{where} has kernels of {height} x {width}, expected "
                               f"{'chains of 3 x 3' if chained else 'square ones'}")
        if number > 0 and (out != pieces[0][0].shape[0] or seen != (1 if kind == "channel chain" else out)):
            raise ConvertError(f"{where} has {seen} channels between its convolutions, expected {out} as at its end")
        if bias is not None and number + 1 < len(pieces):
            raise ConvertError(f"{where} has biases between the convolutions of a chain, which the program's chains do "
                               "not have")
    return [(weight, bias if bias is None or isinstance(bias, Values) else floats(bias)) for weight, bias in pieces]


def norm(layer):
    """Fovea's tensors of a batch norm, on any order of units that is flat."""
    absolute = "scale" in layer
    names = {"weight": "scale" if absolute else "weight", "bias": "shift" if absolute else "bias",
             "running_mean": "running_mean", "running_var": "running_var"}
    return {ours: floats(layer[theirs]) for ours, theirs in names.items()}


def grabbed(centre, kernels, size):
    """Where on a map of the third convolution the authors' GrabUnits reads a cell, row or column: their formula gives
    negative numbers on frames of 50, and these count from the end."""
    half = (kernels[0] - 1) + (kernels[1] - 1) + (kernels[2] // 2 - 1) + 1
    place = min(max(0, centre - half), size - 2 * (half - 1))
    side = size - sum(kernels) + 3
    if not -side <= place < side:
        raise ConvertError(f"a receptive field at {centre} is read at {place} of a map of {side}, beyond its edge")
    return place % side


class Converted:
    """tensors and settings by their names; side of the frames; cells, and which they are in the recording, if known"""

    def __init__(self):
        self.tensors, self.settings, self.size, self.cells, self.recorded_cells = {}, {}, SIZE, 0, []


def convert(saved, hyps=None, model_type=None):
    """The weights under Fovea's names, and the settings of the model. throws ConvertError"""
    try:
        return converted(saved, hyps, model_type)
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:  # text where a number belongs, …
        raise ConvertError(f"its weights or settings are not of the expected form ({error})") from None


def converted(saved, hyps, model_type):
    source, made = Source(saved, hyps), Converted()
    model_type = model_type or source.setting("model_type")
    if model_type is None:
        raise ConvertError(f"does not say of which class it is; give --type, one of {', '.join(CLASSES)}")
    if model_type not in CLASSES:
        raise ConvertError(f"is a {model_type}, which the program has no model for; converted are {', '.join(CLASSES)}")
    if source.setting("activ_fxn", "ReLU") != "ReLU":
        raise ConvertError(f"its activation is {source.setting('activ_fxn')}, the program's is ReLU")
    if source.setting("inference_exp", False):
        raise ConvertError("takes the exponential of its output at inference (inference_exp), which the program does "
                           "not")
    if any(source.setting("paddings") or []):
        raise ConvertError(f"its convolutions are padded ({source.setting('paddings')}), the program's are not")

    layers = [(f"sequential.{at}", layer) for at, layer in sorted(source.layers.items())]
    for where, layer in layers:
        if kind_of(layer) is None:
            raise ConvertError(f"{where} is a layer of an unknown kind, with {', '.join(sorted(layer))}")
        if kind_of(layer) == "noise":
            made.settings["model.noise"] = round(next(iter(layer.values())).values()[0], 6)
    layers = [(where, layer) for where, layer in layers if kind_of(layer) != "noise"]
    kinds = [kind_of(layer) for _, layer in layers]
    convs, between = {"conv", "chain", "channel chain"}, kinds[1] if len(kinds) > 1 else None
    group = 2 if between in ("norm", "scale-shift") else 1
    heads = kinds[2 * group:]
    tail = [between] if group == 2 else []
    if (len(kinds) < 3 or kinds[0] not in convs or kinds[group] != kinds[0]
            or kinds[1:group] != kinds[group + 1:2 * group]
            or heads not in (["linear"] + tail, ["conv"] + tail, ["conv"] + tail + ["selection"])):
        raise ConvertError(f"its layers are {', '.join(kinds)}; expected two convolutions, alike, and a readout of one "
                           "kind of norm")
    put_convolutions(made, layers[0:2 * group:group], kinds[0])
    put_norms(made, [layer for where, layer in layers if kind_of(layer) == between] if tail else [], between)
    put_readout(made, source, dict(zip(heads, layers[2 * group:])), heads)
    made.settings["model.start"] = "torch"
    if "model.stacked" in made.settings and isinstance(source.setting("drop_p"), (int, float)):
        made.settings["model.stack_dropout"] = float(source.setting("drop_p"))
    check_shapes(made)
    made.recorded_cells = recorded_cells(source, made.cells)
    return made


def put_convolutions(made, layers, kind):
    parts = [conv(layer, where) for where, layer in layers]
    has_bias = any(pieces[-1][1] is not None for pieces in parts)
    kernels = [1 + sum(weight.shape[2] - 1 for weight, _ in pieces) for pieces in parts]
    for k, pieces in enumerate(parts):
        for number, (weight, bias) in enumerate(pieces):
            name = f"conv{k + 1}" + (f".piece{number}" if kind != "conv" else "")
            made.tensors[f"{name}.weight"] = weight
            if has_bias and number + 1 == len(pieces):
                out = weight.shape[0]
                made.tensors[f"{name}.bias"] = bias or Values((out,), [0.0] * out)
    channels = [pieces[0][0].shape[0] for pieces in parts]
    if parts[1][0][0].shape[1] != channels[0]:
        raise ConvertError(f"its second convolution sees {parts[1][0][0].shape[1]} channels, the first makes "
                           f"{channels[0]}")
    made.settings.update({"model.history": parts[0][0][0].shape[1], "model.channels": channels,
                          "model.kernels": kernels, "model.conv_bias": has_bias})
    if kind != "conv":
        made.settings.update({"model.stacked": True, "model.stack_one_to_one": kind == "channel chain"})


def put_norms(made, layers, kind):
    """Of the two convolutions, and of the readout (bn3; a scale and shift there goes into the readout's weights)."""
    made.settings["model.norm"] = "none"
    if kind == "scale-shift":
        made.settings["model.norm"] = kind
        for k, layer in enumerate(layers[:2]):
            made.tensors[f"bn{k + 1}.weight"] = floats(layer["scale_param"])
            made.tensors[f"bn{k + 1}.bias"] = floats(layer["shift_param"])
    elif kind == "norm":
        absolute = {"scale" in layer for layer in layers}
        if len(absolute) == 2:
            raise ConvertError("has norms with and without absolute values, the program's models have one kind")
        for k, layer in enumerate(layers):
            for name, values in norm(layer).items():
                made.tensors[f"bn{k + 1}.{name}"] = values
        channels = [made.tensors[f"bn{k + 1}.weight"].shape[0] == made.settings["model.channels"][k] for k in range(2)]
        made.settings["model.norm"] = "channel" if all(channels) else "unit"
        made.settings["model.absolute_scale"] = absolute.pop()


def put_readout(made, source, head, kinds):
    where, layer = head[kinds[0]]
    weight, bias = floats(layer["weight"]), layer.get("bias")
    made.cells = weight.shape[0]
    kernels, seen = made.settings["model.kernels"], made.settings["model.channels"][1]
    img_shape = source.setting("img_shape")
    made.size = img_shape[1] if img_shape else SIZE
    if kinds[0] == "linear":
        made.settings["model.readout"] = "dense"
        side = math.isqrt(max(weight.shape[1] // seen, 0))
        if seen * side * side != weight.shape[1]:
            raise ConvertError(f"its readout sees {weight.shape[1]} units, which are not {seen} square maps")
        made.size = side + sum(kernels) - 2
        if "scale-shift" in head:
            scale, shift = (head["scale-shift"][1][name].values() for name in ("scale_param", "shift_param"))
            across = weight.shape[1]
            weight = Values(weight.shape, [x * scale[k // across] for k, x in enumerate(weight.numbers)])
            old = bias.values() if bias is not None else [0.0] * made.cells
            bias = Values((made.cells,), [b * s + t for b, s, t in zip(old, scale, shift)])
        made.tensors["readout.weight"] = weight
        if made.settings["model.norm"] in ("none", "scale-shift"):
            if bias is None and made.settings["model.conv_bias"]:
                bias = Values((made.cells,), [0.0] * made.cells)
            if bias is not None:
                need_bias(made)
                made.tensors["readout.bias"] = bias if isinstance(bias, Values) else floats(bias)
        elif bias is not None:
            move_bias(made, bias)
    else:
        kernels = kernels + [weight.shape[2]]
        side = made.size - sum(kernels) + 3
        made.tensors["conv3.weight"] = weight
        made.settings["model.readout_kernel"] = weight.shape[2]
        if "selection" in head:
            put_selection(made, source, head["selection"][1]["w"], bias)
        else:
            put_places(made, source, kernels, side)
            if bias is not None:
                move_bias(made, bias)
    if not source.setting("softplus", True):
        if made.settings["model.readout"] == "one-hot":
            raise ConvertError("its one-hot readout is not of softplus maps, the program's is")
        made.settings["model.output"] = "exponential"


def need_bias(made):
    """The program has biases in the convolutions and in a readout without norm, or in none of them."""
    if made.settings["model.conv_bias"]:
        return
    made.settings["model.conv_bias"] = True
    for k, out in enumerate(made.settings["model.channels"]):
        last = [name for name in made.tensors if name.startswith(f"conv{k + 1}.")][-1].rpartition(".")[0]
        made.tensors[f"{last}.bias"] = Values((out,), [0.0] * out)


def move_bias(made, bias):
    """A bias before a batch norm is one with its running mean: the program's readouts have none there."""
    means = made.tensors["bn3.running_mean"]
    made.tensors["bn3.running_mean"] = Values(means.shape, [m - b for m, b in zip(means.numbers, bias.values())])


def put_selection(made, source, w, bias):
    made.settings["model.readout"] = "one-hot"
    filters, made.cells = made.cells, w.shape[0]
    made.tensors["conv3.bias"] = floats(bias) if bias is not None else Values((filters,), [0.0] * filters)
    made.tensors["selection.weight"] = floats(w)
    side = math.isqrt(w.shape[1])
    made.size = side + sum(made.settings["model.kernels"]) + made.settings["model.readout_kernel"] - 3
    labels = source.setting("collapse_labels") if source.setting("collapsed", False) else None
    if labels is None and filters != made.cells:
        raise ConvertError(f"has {filters} filters for {made.cells} cells and no collapse_labels; give --hyps")
    if labels is not None:
        labels = [int(label) for label in labels]
        if len(labels) != made.cells or set(labels) != set(range(filters)):
            raise ConvertError(f"its collapse_labels do not tell which of {filters} filters each of {made.cells} cells "
                               "has")
        made.settings["model.filter_of_cell"] = labels
        made.tensors["filter_of_cell"] = Values((made.cells,), labels, "i64")


def put_places(made, source, kernels, side):
    made.settings["model.readout"] = "fixed"
    centres = source.setting("centers")
    if not centres or len(centres) != made.cells:
        raise ConvertError(f"does not hold the centers of its {made.cells} receptive fields; give --hyps "
                           "hyperparams.json")
    places = [[grabbed(int(c), kernels, made.size) for c in centre] for centre in centres]
    ones = array.array("f", bytes(4 * made.cells * side * side))
    for cell, (row, column) in enumerate(places):
        ones[(cell * side + row) * side + column] = 1.0
    made.tensors["places"] = Values((made.cells, side, side), ones)
    # Centres in the program's sense, which it turns into the same places.
    made.settings["model.centres"] = [at + (sum(kernels) - 3) // 2 for place in places for at in place]


def check_shapes(made):
    """All that the other weights say, in the shapes of the norms and of the readout."""
    size, (k1, k2), (c1, c2) = made.size, made.settings["model.kernels"], made.settings["model.channels"]
    sides = [size - k1 + 1, size - k1 - k2 + 2]
    want = {"unit": [(c * s * s,) for c, s in zip((c1, c2), sides)], "channel": [(c1,), (c2,)],
            "scale-shift": [(c, s, s) for c, s in zip((c1, c2), sides)], "none": []}[made.settings["model.norm"]]
    filters = made.tensors.get("conv3.weight", made.tensors.get("readout.weight")).shape[0]
    for name, values in made.tensors.items():
        if re.match(r"bn[12]\.", name) and values.shape != want[int(name[2]) - 1]:
            raise ConvertError(f"{name} is {list(values.shape)}, expected {list(want[int(name[2]) - 1])} on frames of "
                               f"{size} x {size}")
        if name.startswith("bn3.") and values.shape != (filters,):
            raise ConvertError(f"{name} is {list(values.shape)}, expected [{filters}], one for each cell")
        if name.endswith("bias") and "conv" in name and values.shape != (made.tensors[name[:-4] + "weight"].shape[0],):
            raise ConvertError(f"{name} is {list(values.shape)}, expected one number for each channel")
    if "conv3.weight" in made.tensors and made.tensors["conv3.weight"].shape[1] != c2:
        raise ConvertError(f"its readout sees {made.tensors['conv3.weight'].shape[1]} channels, the convolution makes "
                           f"{c2}")


def normalization(source_saved, given):
    """Mean and SD of the training movie that the model's input is normalised by."""
    stats = given or torch_file.plain(source_saved.get("norm_stats"))
    if isinstance(stats, dict):
        stats = [stats.get("mean"), stats.get("std")]
    if not stats or len(stats) != 2 or None in stats:
        raise ConvertError("holds no norm_stats, the mean and SD of its training movie; give --norm MEAN SD")
    mean, sd = (float(torch_file.plain(number)) for number in stats)
    if not (math.isfinite(mean) and math.isfinite(sd) and sd > 0):
        raise ConvertError(f"its norm_stats are a mean of {mean} and an SD of {sd}")
    return mean, sd


def recorded_cells(source, count):
    """Which cells of the recording it predicts; empty if the checkpoint does not say."""
    cells = source.setting("cells")
    cells = CELLS.get(str(source.setting("dataset")), []) if cells == "all" else cells
    whole = isinstance(cells, list) and all(isinstance(cell, int) for cell in cells)
    return cells if whole and len(cells) == count else []

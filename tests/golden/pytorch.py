#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes the .safetensors files in this folder: what PyTorch, in double precision, says of our ops.

    /usr/bin/python3 tests/golden/pytorch.py          (Debian: apt install python3-torch; made with 1.13)

Inputs are rounded to float first, so that both sides start from equal numbers. A name is CASE/TENSOR: inputs and
weights in f32, `dy` the seed of the backward pass in f32, results and gradients (`d_…`) in f64, options as integers.
tests/nn/golden_*.cpp reads them.
"""
import json
import pathlib
import struct

import numpy
import torch
import torch.nn.functional as F

HERE = pathlib.Path(__file__).resolve().parent
torch.set_default_dtype(torch.float64)


def save(name, tensors):
    """The safetensors format, names in order, little-endian, without gaps."""
    kinds = {"float32": "F32", "float64": "F64", "int64": "I64"}
    header, blobs, at = {}, [], 0
    for key in sorted(tensors):
        array = numpy.ascontiguousarray(tensors[key])
        header[key] = {"dtype": kinds[str(array.dtype)], "shape": list(array.shape),
                       "data_offsets": [at, at + array.nbytes]}
        at += array.nbytes
        blobs.append(array.tobytes())
    text = json.dumps(header, separators=(",", ":"), sort_keys=True).encode()
    text += b" " * (-len(text) % 8)
    path = HERE / f"{name}.safetensors"
    path.write_bytes(struct.pack("<Q", len(text)) + text + b"".join(blobs))
    print(f"{path.name}: {len({key.split('/')[0] for key in tensors})} cases, {path.stat().st_size} bytes")


def normal(*shape, scale=1.0):
    """Standard normals that a float can hold; a leaf."""
    return (torch.randn(shape) * scale).float().double().requires_grad_()


def single(x):
    return x.detach().numpy().astype(numpy.float32)


class Cases:
    """Collects cases of `leaves → y`, with the gradients of Σ dy·y."""

    def __init__(self):
        self.tensors = {}

    def add(self, case, y, leaves, options=(), more=None):
        y = y if isinstance(y, dict) else {"y": y}
        total = 0
        for name, value in y.items():
            dy = normal(*value.shape).detach()
            total = total + (dy * value).sum()
            self.tensors[f"{case}/{name}"] = value.detach().numpy()
            self.tensors[f"{case}/d{name}"] = single(dy)
        total.backward()
        for name, leaf in leaves.items():
            self.tensors[f"{case}/{name}"] = single(leaf)
            self.tensors[f"{case}/d_{name}"] = leaf.grad.numpy()
        if len(options) > 0:
            self.tensors[f"{case}/options"] = numpy.array(options, dtype=numpy.int64)
        for name, value in (more or {}).items():
            self.tensors[f"{case}/{name}"] = value


def conv2d():
    """options: stride (2), padding top bottom left right, dilation (2), groups."""
    cases = Cases()
    table = {
        "plain": ((2, 3, 7, 6), (4, 3, 3, 3), (1, 1), (0, 0, 0, 0), (1, 1), 1),
        "padded": ((2, 3, 7, 6), (4, 3, 3, 5), (1, 1), (1, 1, 2, 2), (1, 1), 1),
        "stride": ((2, 3, 9, 8), (5, 3, 3, 3), (2, 2), (1, 1, 1, 1), (1, 1), 1),
        "stride_uneven": ((1, 2, 9, 11), (3, 2, 2, 3), (3, 2), (0, 0, 0, 0), (1, 1), 1),
        "same_first_layer": ((1, 3, 16, 16), (4, 3, 7, 7), (2, 2), (2, 3, 2, 3), (1, 1), 1),
        "same_even_kernel": ((2, 2, 5, 5), (3, 2, 2, 2), (1, 1), (0, 1, 0, 1), (1, 1), 1),
        "dilated": ((2, 2, 9, 9), (3, 2, 3, 3), (1, 1), (2, 2, 2, 2), (2, 2), 1),
        "dilated_stride": ((1, 2, 11, 9), (3, 2, 3, 2), (2, 1), (1, 0, 0, 1), (2, 3), 1),
        "grouped": ((2, 6, 6, 5), (4, 3, 3, 3), (1, 1), (1, 1, 1, 1), (1, 1), 2),
        "grouped_stride": ((2, 6, 7, 7), (9, 2, 3, 3), (2, 2), (0, 1, 0, 1), (1, 1), 3),
        "depthwise": ((2, 5, 8, 7), (5, 1, 7, 7), (1, 1), (3, 3, 3, 3), (1, 1), 5),
        "depthwise_twice": ((2, 3, 7, 7), (6, 1, 3, 3), (2, 2), (1, 1, 1, 1), (1, 1), 3),
        "pointwise": ((2, 5, 4, 3), (7, 5, 1, 1), (1, 1), (0, 0, 0, 0), (1, 1), 1),
        "pointwise_stride": ((2, 5, 5, 5), (4, 5, 1, 1), (2, 2), (0, 0, 0, 0), (1, 1), 1),
    }
    for case, (x_shape, w_shape, stride, pad, dilation, groups) in table.items():
        x, w, bias = normal(*x_shape), normal(*w_shape), normal(w_shape[0])
        top, bottom, left, right = pad
        y = F.conv2d(F.pad(x, (left, right, top, bottom)), w, bias, stride, 0, dilation, groups)
        cases.add(case, y, {"x": x, "w": w, "bias": bias}, (*stride, *pad, *dilation, groups))
    save("conv2d", cases.tensors)


def pool2d():
    """options: kernel (2), stride (2), padding top bottom left right, ceil mode, count padding."""
    cases = Cases()
    table = {
        "2x2": ((2, 3, 8, 6), (2, 2), (2, 2), 0, False),
        "3x3_overlapping": ((2, 3, 9, 7), (3, 3), (2, 2), 1, False),
        "3x3_ceil": ((2, 2, 8, 8), (3, 3), (2, 2), 0, True),
        "2x3_ceil_padded": ((1, 2, 7, 9), (2, 3), (2, 2), 1, True),
        "dense": ((1, 2, 5, 5), (3, 3), (1, 1), 1, False),
        "gaps": ((1, 2, 9, 9), (2, 2), (3, 4), 0, False),
    }
    for case, (shape, kernel, stride, pad, ceil) in table.items():
        numbers = (*kernel, *stride, pad, pad, pad, pad, int(ceil))
        x = normal(*shape)
        cases.add(f"max_{case}", F.max_pool2d(x, kernel, stride, pad, ceil_mode=ceil), {"x": x}, (*numbers, 0))
        for count in (True, False):
            x = normal(*shape)
            cases.add(f"average_{case}_{'all' if count else 'inside'}",
                      F.avg_pool2d(x, kernel, stride, pad, ceil, count), {"x": x}, (*numbers, int(count)))
    for case, (size, kernel, stride, before, after) in {"same_7_to_4": (7, 2, 2, 0, 1),
                                                        "same_8_to_4": (8, 3, 2, 0, 1)}.items():
        numbers = (kernel, kernel, stride, stride, before, after, before, after, 0, 0)
        pads = (before, after, before, after)
        x = normal(2, 3, size, size)
        cases.add(f"max_{case}", F.max_pool2d(F.pad(x, pads, value=float("-inf")), kernel, stride), {"x": x}, numbers)
        x = normal(2, 3, size, size)
        share = F.avg_pool2d(F.pad(torch.ones(1, 1, size, size), pads), kernel, stride)
        cases.add(f"average_{case}", F.avg_pool2d(F.pad(x, pads), kernel, stride) / share, {"x": x}, numbers)
    for out in ((1, 1), (3, 2), (5, 4), (7, 9)):
        x = normal(2, 3, 7, 6)
        cases.add(f"adaptive_{out[0]}x{out[1]}", F.adaptive_avg_pool2d(x, out), {"x": x}, out)
    save("pool2d", cases.tensors)


def resize():
    """options: height and width of the result. The name tells the method."""
    cases = Cases()
    for (height, width), out in {(4, 4): (7, 7), (7, 7): (4, 4), (5, 3): (8, 6), (1, 4): (3, 9), (6, 6): (1, 1),
                                 (3, 5): (3, 5), (9, 8): (4, 3)}.items():
        name = f"{height}x{width}_to_{out[0]}x{out[1]}"
        for method, options in {"corners": dict(mode="bilinear", align_corners=True),
                                "centres": dict(mode="bilinear", align_corners=False),
                                "nearest": dict(mode="nearest")}.items():
            x = normal(2, 3, height, width)
            cases.add(f"{method}_{name}", F.interpolate(x, out, **options), {"x": x}, out)
    save("resize", cases.tensors)


def norm():
    """options of group norm: groups. eps is 1e-5 but for *_tiny_eps, 1e-12."""
    cases = Cases()
    for case, shape in {"maps": (4, 3, 5, 4), "units": (6, 7), "sequence": (3, 2, 9)}.items():
        channels = shape[1]
        for mode in ("train", "running"):
            for absolute in (False, True):
                x, weight, bias = normal(*shape), normal(channels), normal(channels)
                mean, var = normal(channels).detach(), (normal(channels).detach().abs() + 0.5).float().double()
                before = {"running_mean": single(mean), "running_var": single(var)}
                scale = weight.abs() if absolute else weight
                y = F.batch_norm(x, mean, var, scale, bias, mode == "train", 0.01, 1e-3)
                after = {"after_mean": mean.numpy(), "after_var": var.numpy()} if mode == "train" else {}
                cases.add(f"batch_{mode}{'_absolute' if absolute else ''}_{case}", y,
                          {"x": x, "weight": weight, "bias": bias}, (), {**before, **after})
    # A pass over five batches with PyTorch's cumulative average.
    layer = torch.nn.BatchNorm2d(3, eps=1e-3, momentum=None)
    batches = normal(5, 4, 3, 3, 2).detach() * 2 + 1
    batches = batches.float().double()
    for batch in batches:
        layer(batch)
    cases.tensors.update({"calibration/batches": single(batches), "calibration/mean": layer.running_mean.numpy(),
                          "calibration/var": layer.running_var.numpy()})
    for case, (shape, groups) in {"one": ((3, 4, 5, 3), 1), "two": ((3, 4, 5, 3), 2), "each": ((2, 3, 7, 1), 3),
                                  "units": ((3, 8), 2)}.items():
        x, weight, bias = normal(*shape), normal(shape[1]), normal(shape[1])
        cases.add(f"group_{case}", F.group_norm(x, groups, weight, bias, 1e-5), {"x": x, "weight": weight, "bias": bias},
                  (groups,))
    x, weight, bias = normal(2, 5, 4, 4), normal(5), normal(5)
    cases.add("group_tiny_eps", F.group_norm(x, 1, weight, bias, 1e-12), {"x": x, "weight": weight, "bias": bias}, (1,))
    for case, shape in {"rows": (5, 9), "sequence": (2, 3, 17)}.items():
        x, weight, bias = normal(*shape), normal(shape[-1]), normal(shape[-1])
        cases.add(f"last_{case}", F.layer_norm(x, shape[-1:], weight, bias, 1e-5), {"x": x, "weight": weight, "bias": bias})
    x, weight, bias = normal(2, 6, 3, 4), normal(6), normal(6)
    y = F.layer_norm(x.permute(0, 2, 3, 1), (6,), weight, bias, 1e-5).permute(0, 3, 1, 2)
    cases.add("channels", y, {"x": x, "weight": weight, "bias": bias})
    save("norm", cases.tensors)


def recurrent():
    """options: hidden size, layers, directions. x is [T, B, I]; lengths where given."""
    cases = Cases()
    table = {"single": (4, 5, 1, False, None), "deep": (3, 4, 2, False, None), "both": (4, 3, 1, True, None),
             "lengths": (3, 4, 1, False, (5, 2, 4)), "deep_both_lengths": (3, 4, 2, True, (1, 5, 3)),
             "reverse_lengths": (2, 3, 1, True, (2, 5, 5))}
    steps, batch = 5, 3
    for kind in (torch.nn.LSTM, torch.nn.GRU):
        for case, (inputs, hidden, layers, both, lengths) in table.items():
            layer = kind(inputs, hidden, layers, bidirectional=both)
            with torch.no_grad():
                for weight in layer.parameters():
                    weight.copy_(weight.float().double())
            directions = 2 if both else 1
            leaves = {"x": normal(steps, batch, inputs), "h0": normal(layers * directions, batch, hidden)}
            state = leaves["h0"]
            if kind is torch.nn.LSTM:
                leaves["c0"] = normal(layers * directions, batch, hidden)
                state = (leaves["h0"], leaves["c0"])
            x = leaves["x"]
            if lengths:
                x = torch.nn.utils.rnn.pack_padded_sequence(x, torch.tensor(lengths), enforce_sorted=False)
            y, last = layer(x, state)
            if lengths:
                y, _ = torch.nn.utils.rnn.pad_packed_sequence(y, total_length=steps)
            results = {"y": y}
            results.update({"h": last[0], "c": last[1]} if kind is torch.nn.LSTM else {"h": last})
            leaves.update(dict(layer.named_parameters()))
            more = {"lengths": numpy.array(lengths, dtype=numpy.int64)} if lengths else {}
            cases.add(f"{kind.__name__.lower()}_{case}", results, leaves, (hidden, layers, directions), more)
    save("recurrent", cases.tensors)


def training():
    """20 steps of SGD with momentum; weights before, after 5 and after 20 steps; the loss of each step."""
    tensors = {}

    class LstmClassifier(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.lstm = torch.nn.LSTM(5, 12)
            self.readout = torch.nn.Linear(12, 3)

        def forward(self, x):
            return self.readout(self.lstm(x)[0][-1])

    # Smooth functions only: where a sum comes to lie within rounding of a kink (ReLU) or of another maximum, single
    # and double precision part, and momentum carries the difference on. With ReLU and max pooling that happened.
    nn, steps = torch.nn, 20
    models = {
        "mlp": (nn.Sequential(nn.Linear(10, 16), nn.Tanh(), nn.Linear(16, 12), nn.Softplus(), nn.Linear(12, 4)),
                (8, 10), 4, 8),
        "cnn": (nn.Sequential(nn.Conv2d(2, 4, 3, padding=1), nn.BatchNorm2d(4, eps=1e-3, momentum=0.01), nn.ELU(),
                              nn.AvgPool2d(2), nn.Conv2d(4, 6, 3), nn.BatchNorm2d(6, eps=1e-3, momentum=0.01), nn.ELU(),
                              nn.Flatten(), nn.Linear(24, 3)),
                (8, 2, 8, 8), 3, 8),
        "lstm": (LstmClassifier(), (6, 8, 5), 3, 8),
    }
    for name, (model, shape, classes, batch) in models.items():
        def keep(when):
            for key, value in model.state_dict().items():
                if not key.endswith("num_batches_tracked"):
                    kind = numpy.float32 if when == "before" else numpy.float64
                    tensors[f"{name}/{when}.{key}"] = value.numpy().astype(kind)

        with torch.no_grad():
            for weight in model.parameters():
                weight.copy_(weight.float().double())
        x = normal(steps, *shape).detach()
        labels = torch.randint(classes, (steps, batch))
        tensors[f"{name}/x"], tensors[f"{name}/labels"] = single(x), labels.numpy()
        keep("before")
        optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
        losses = []
        for step in range(steps):
            optimizer.zero_grad()
            loss = F.cross_entropy(model(x[step]), labels[step])
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
            if step + 1 in (5, 20):
                keep(f"after{step + 1}")
        tensors[f"{name}/losses"] = numpy.array(losses)
    save("training", tensors)


def main():
    for seed, make in enumerate((conv2d, pool2d, resize, norm, recurrent, training)):
        torch.manual_seed(seed)
        make()


if __name__ == "__main__":
    main()

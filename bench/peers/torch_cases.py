# SPDX-License-Identifier: Apache-2.0
"""The cases of bench/cases as PyTorch's users write them.

A case is a function of the tensors of one set of operands, by name, and of attributes. It returns a Work: a function of
tensors and what it is called with. What is faster in one order of memory or with one switch than with another is tried in
all of them (`ways`).
"""
import contextlib

import torch
import torch.nn.functional as F

aten = torch.ops.aten


class Work:
    """fn(*args()) gives the outputs, or nothing if it works in place; in_place are operands that it changes."""

    def __init__(self, fn, args, outputs=(), in_place=(), grad=False, prepare=None):
        self.fn, self.args, self.outputs, self.in_place = fn, args, outputs, in_place
        self.grad, self.prepare, self.results = grad, prepare, ()

    def run(self):
        with torch.enable_grad() if self.grad else torch.no_grad():
            results = self.fn(*self.args)
        self.results = results if isinstance(results, tuple) else (results,)

    def delivered(self, tensors):
        given = dict(zip(self.outputs, self.results))
        given.update((name, tensors[name]) for name in self.in_place)
        return given


def ints(values):
    return [int(value) for value in values]


def conv2d(t, a, which):
    stride, padding = ints(a["stride"]), ints(a["padding"])
    if which == "forward":
        return Work(lambda x, w: F.conv2d(x, w, None, stride, padding), (t["x"], t["w"]), ("y",))

    def backward(dy, x, w):
        mask = [which == "grad_input", which == "grad_weight", False]
        dx, dw, _ = aten.convolution_backward(dy, x, w, None, stride, padding, [1, 1], False, [0, 0], 1, mask)
        return dx if dx is not None else dw

    if which == "grad_input":  # x is not read; only its shape is
        return Work(backward, (t["dy"], torch.empty_like(t["dx"]), t["w"]), ("dx",))
    return Work(backward, (t["dy"], t["x"], torch.empty_like(t["dw"])), ("dw",))


def conv2d_windows(t, a, which, last):
    """Rolling windows over a movie: gathered as a data loader does, within the time or before it."""
    depth = int(a["depth"][0])
    order = torch.channels_last if last else torch.contiguous_format

    def gather(frames):
        return frames.unfold(0, depth, 1).permute(0, 3, 1, 2).contiguous(memory_format=order)

    if not a["gathered"][0]:
        return Work(lambda frames, w: F.conv2d(gather(frames), w), (t["frames"], t["w"]), ("y",))

    def prepare(work):
        work.args = (gather(t["frames"]), t["w"])

    return Work(F.conv2d, (), ("y",), prepare=prepare)


def max_pool2d(t, a, which):
    kernel, stride = ints(a["kernel"]), ints(a["stride"])
    if which == "forward":
        return Work(lambda x: F.max_pool2d(x, kernel, stride), (t["x"],), ("y",))

    def backward(dy, x, indices):
        return aten.max_pool2d_with_indices_backward(dy, x, kernel, stride, [0, 0], [1, 1], False, indices)

    def prepare(work):
        work.args = (t["dy"], t["x"], F.max_pool2d(t["x"], kernel, stride, return_indices=True)[1])

    return Work(backward, (), ("dx",), prepare=prepare)


def batch_norm(t, a, which):
    eps, momentum = a["eps"][0], a["momentum"][0]
    if which == "forward":
        def forward(x, gamma, beta, mean, var):
            return torch.native_batch_norm(x, gamma, beta, mean, var, True, momentum, eps)

        names = ("x", "gamma", "beta", "running_mean", "running_var")
        return Work(forward, tuple(t[name] for name in names), ("y", "mean", "inv_sd"), in_place=names[3:])

    def backward(dy, x, gamma, mean, inv_sd):
        return aten.native_batch_norm_backward(dy, x, gamma, None, None, mean, inv_sd, True, eps, [True] * 3)

    def prepare(work):
        _, mean, inv_sd = torch.native_batch_norm(t["x"], t["gamma"], None, None, None, True, momentum, eps)
        work.args = (t["dy"], t["x"], t["gamma"], mean, inv_sd)

    return Work(backward, (), ("dx", "dgamma", "dbeta"), prepare=prepare)


def lstm(t, a, which):
    x, w_input, w_hidden = t["x"], t["w_input"], t["w_hidden"]
    layer = torch.nn.LSTM(x.shape[2], w_hidden.shape[1], device=x.device)
    weights = [layer.weight_ih_l0, layer.weight_hh_l0, layer.bias_ih_l0, layer.bias_hh_l0]

    def take_weights():
        with torch.no_grad():
            for weight, operand in zip(weights, (w_input, w_hidden, t["bias_input"], t["bias_hidden"])):
                weight.copy_(operand)

    if which == "forward":
        def forward(x):
            y, (h, c) = layer(x)
            return y, h[0], c[0]

        return Work(forward, (x,), ("y", "h_last", "c_last"), prepare=lambda work: take_weights())
    x.requires_grad_(True)
    state = {}

    def prepare(work):
        take_weights()
        with torch.enable_grad():
            state["y"] = layer(x)[0]

    def backward(dy):
        return torch.autograd.grad(state["y"], [x, *weights[:3]], dy, retain_graph=True)

    return Work(backward, (t["dy"],), ("dx", "dw_input", "dw_hidden", "dbias"), grad=True, prepare=prepare)


def matmul(t, a, which):
    flip_a, flip_b = (bool(flag) for flag in a["transposed"])
    return Work(lambda a, b, c: torch.matmul(a.t() if flip_a else a, b.t() if flip_b else b, out=c),
                (t["a"], t["b"], t["c"]), ("c",))


def cross_entropy(t, a, which):
    logits = t["logits"].requires_grad_(True)

    def step(labels, dloss):
        loss = F.cross_entropy(logits, labels)
        return loss.reshape(1), torch.autograd.grad(loss, logits, dloss[0])[0]

    return Work(step, (t["labels"], t["dloss"]), ("loss", "dlogits"), grad=True)


def poisson_head(t, a, which):
    drive = t["drive"].requires_grad_(True)

    def step(counts):
        rate = F.softplus(drive)
        loss = F.poisson_nll_loss(rate, counts, log_input=False, eps=a["eps"][0])
        return rate, loss.reshape(1), torch.autograd.grad(loss, drive)[0]

    return Work(step, (t["counts"],), ("rate", "loss", "ddrive"), grad=True)


def adam(t, a, which, **kind):
    first, parts = 0, []
    for count in ints(a["counts"]):
        parts.append(slice(first, first + count))
        first = (first + count + 63) // 64 * 64
    values = [t["value"][part].requires_grad_(True) for part in parts]
    for value, part in zip(values, parts):
        value.grad = t["grad"][part]
    optimizer = torch.optim.Adam(values, lr=a["lr"][0], **kind)

    def prepare(work):
        for value, part in zip(values, parts):
            step = torch.tensor(a["steps"][0], dtype=torch.float32)
            optimizer.state[value] = {"step": step.to(value.device) if kind.get("fused") else step,
                                      "exp_avg": t["moment1"][part], "exp_avg_sq": t["moment2"][part]}

    return Work(lambda: optimizer.step(), (), in_place=("value", "moment1", "moment2"), prepare=prepare)


def dropout(t, a, which):
    return Work(lambda x: F.dropout(x, a["p"][0], training=True), (t["x"],), ("y",))


def normal(t, a, which):
    return Work(lambda y: y.normal_(), (t["y"],), ("y",))


def unit_norm(t, a, which):
    """Statistics of each unit, noise, ReLU."""
    mean, var = torch.zeros_like(t["gamma"]), torch.ones_like(t["gamma"])

    def forward(x, gamma, beta):
        y = F.batch_norm(x, mean, var, gamma, beta, training=True)
        return F.relu(y + a["noise"][0] * torch.randn_like(y))

    return Work(forward, (t["x"], t["gamma"], t["beta"]), ("y",))


def head(t, a, which):
    mean, var = torch.zeros_like(t["gamma"]), torch.ones_like(t["gamma"])

    def forward(x, w, gamma, beta, counts):
        rate = F.softplus(F.batch_norm(F.linear(x, w), mean, var, gamma, beta, training=True))
        return rate, F.poisson_nll_loss(rate, counts, log_input=False, eps=a["eps"][0]).reshape(1)

    return Work(forward, tuple(t[name] for name in ("x", "w", "gamma", "beta", "counts")), ("rate", "loss"))


def rgc_step(t, a, which):
    def forward(x, c, h, *kernels):
        keep_c, gate_c, keep_h, gate_h = (1 - torch.sigmoid(F.conv2d(old, w, b, padding=1)) for old, w, b in
                                          zip((c, h, h, c), kernels[:4], kernels[4:]))
        return F.elu(keep_c * c + gate_c * x), F.elu(keep_h * h + gate_h * x)

    links = ("c_to_c_decay", "h_to_c_gate", "h_to_h_decay", "c_to_h_gate")
    biases = ("c_decay_bias", "c_gate_bias", "h_decay_bias", "h_gate_bias")
    return Work(forward, tuple(t[name] for name in ("x", "c", "h", *links, *biases)), ("c_new", "h_new"))


class Noise(torch.nn.Module):
    def __init__(self, sd):
        super().__init__()
        self.sd = sd

    def forward(self, x):
        return x + self.sd * torch.randn_like(x)


def deep_retina_model(noise):
    nn = torch.nn
    return nn.Sequential(nn.Conv2d(40, 8, 15), nn.Flatten(), nn.BatchNorm1d(10368), Noise(noise), nn.ReLU(),
                         nn.Unflatten(1, (8, 36, 36)), nn.Conv2d(8, 8, 11), nn.Flatten(), nn.BatchNorm1d(5408),
                         Noise(noise), nn.ReLU(), nn.Linear(5408, 5, bias=False), nn.BatchNorm1d(5), nn.Softplus())


def training_step(model, t, a, memory_format=torch.contiguous_format, **kind):
    """Forward, loss, backward and Adam; the operands after x and target are the parameters, in the model's order."""
    model = model.to(device=t["x"].device, memory_format=memory_format)
    parameters = list(model.parameters())
    operands = [t[name] for name in t if name not in ("x", "target", "loss")]
    decayed = [p for p in parameters if p.dim() > 1]
    state = {}

    def prepare(work):
        with torch.no_grad():
            for parameter, operand in zip(parameters, operands, strict=True):
                parameter.copy_(operand)
        groups = [{"params": decayed, "weight_decay": a["weight_decay"][0]},
                  {"params": [p for p in parameters if p.dim() < 2]}]
        state["optimizer"] = torch.optim.Adam(groups, lr=a["lr"][0], **kind)

    def step(x, target):
        state["optimizer"].zero_grad(set_to_none=True)
        loss = F.poisson_nll_loss(model(x), target, log_input=False, eps=a["eps"][0])
        loss.backward()
        state["optimizer"].step()
        return loss.detach().reshape(1)

    return Work(step, (t["x"], t["target"]), ("loss",), grad=True, prepare=prepare)


def deep_retina(t, a, which, memory_format=torch.contiguous_format):
    return training_step(deep_retina_model(a["noise"][0]), t, a, memory_format, fused=True)


def ln(t, a, which):
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(100000, 5), torch.nn.Softplus())
    return training_step(model, t, a, fused=True)


def softmax(t, a, which):
    return Work(lambda x: F.softmax(x, -1), (t["x"],), ("y",))


def relu(t, a, which):
    return Work(F.relu, (t["x"],), ("y",))


def add(t, a, which):
    return Work(lambda a, b, y: torch.add(a, b, out=y), (t["a"], t["b"], t["y"]), ("y",))


def column_sum(t, a, which):
    return Work(lambda x: x.sum((0, 2, 3)), (t["x"],), ("y",))


def group_norm(t, a, which):
    groups, eps = int(a["groups"][0]), a["eps"][0]
    return Work(lambda x, gamma, beta: F.group_norm(x, groups, gamma, beta, eps), (t["x"], t["gamma"], t["beta"]), ("y",))


def average_pool2d(t, a, which):
    return Work(lambda x: F.avg_pool2d(x, 2), (t["x"],), ("y",))


def resize(t, a, which):
    return Work(lambda x: F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False), (t["x"],), ("y",))


def layer_norm_channels(t, a, which):
    def forward(x, gamma, beta):
        return F.layer_norm(x.permute(0, 2, 3, 1), gamma.shape, gamma, beta, a["eps"][0]).permute(0, 3, 1, 2)

    return Work(forward, (t["x"], t["gamma"], t["beta"]), ("y",))


def softplus(t, a, which):
    return Work(F.softplus, (t["x"],), ("y",))


def gru(t, a, which):
    x, w_hidden = t["x"], t["w_hidden"]
    layer = torch.nn.GRU(x.shape[2], w_hidden.shape[1], device=x.device)

    def prepare(work):
        with torch.no_grad():
            for weight, name in zip((layer.weight_ih_l0, layer.weight_hh_l0, layer.bias_ih_l0, layer.bias_hh_l0),
                                    ("w_input", "w_hidden", "bias_input", "bias_hidden")):
                weight.copy_(t[name])

    def forward(x):
        y, h = layer(x)
        return y, h[0]

    return Work(forward, (x,), ("y", "h_last"), prepare=prepare)


CASES = {case.__name__: case for case in (conv2d, conv2d_windows, max_pool2d, batch_norm, lstm, matmul, cross_entropy,
                                          poisson_head, adam, dropout, normal, unit_norm, head, rgc_step,
                                          deep_retina, ln, softmax, relu, add, column_sum, group_norm,
                                          average_pool2d, resize, layer_norm_channels, softplus, gru)}


class Way:
    """One way of having a case done: an order of [N, C, H, W] tensors, arguments of the case, a context around it."""

    def __init__(self, layout="", engine="", memory_format=torch.contiguous_format, context=contextlib.nullcontext,
                 arguments=None):
        self.layout, self.engine, self.memory_format = layout, engine, memory_format
        self.context, self.arguments = context, arguments or {}


def ways(case, device):
    if case == "conv2d_windows":
        return [Way("nchw", arguments={"last": False}),
                Way("channels_last", memory_format=torch.channels_last, arguments={"last": True})]
    if case in ("conv2d", "max_pool2d", "batch_norm", "rgc_step", "deep_retina", "average_pool2d",
                "resize", "layer_norm_channels"):
        last = {"memory_format": torch.channels_last}
        return [Way("nchw"), Way("channels_last", **last, arguments=last if case == "deep_retina" else {})]
    if case == "lstm" and device == "cpu":
        return [Way(engine="onednn" if on else "aten",
                    context=lambda on=on: torch.backends.mkldnn.flags(enabled=on)) for on in (True, False)]
    if case == "adam":
        return [Way(engine="fused", arguments={"fused": True}), Way(engine="foreach", arguments={"foreach": True}),
                Way(engine="single", arguments={"foreach": False})]
    return [Way()]

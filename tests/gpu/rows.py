# SPDX-License-Identifier: Apache-2.0
"""The op rows in the order in which they matter, for stages that may not reach them all."""
import re


# What a training of the models spends its time in comes first.
IMPORTANT = ["conv2d", "matmul", "batch_norm", "lstm", "gru", "conv_", "reciprocal_gated", "intersection_rnn",
             "time_decay", "adam", "sgd", "optimizer", "rmsprop", "bias_activation", "pool", "max_pool", "average_pool",
             "softmax", "cross_entropy", "group_norm", "layer_norm", "reduce", "sum", "mean", "clip", "gradient_norm",
             "loss", "poisson", "noise", "dropout"]


def rank(row):
    places = [i for i, word in enumerate(IMPORTANT) if row.startswith(word)]
    return min(places) if places else len(IMPORTANT)


def op_rows(build, pattern=""):
    """Names of the rows, most important first; only those that the regular expression finds."""
    code, out, err = build.run("fovea_ops", "--list-test-cases", "--no-version")
    if code != 0:
        raise RuntimeError(f"fovea_ops --list-test-cases: exit code {code}: {(err or out).strip()[-300:]}")
    rows = [line for line in out.splitlines() if re.fullmatch(r"\w+", line)]
    if not rows:
        raise RuntimeError("fovea_ops --list-test-cases names no row")
    return sorted((row for row in rows if re.search(pattern, row)), key=rank)

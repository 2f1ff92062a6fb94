# SPDX-License-Identifier: Apache-2.0
"""What fovea_bench and fovea_ladder wrote: read, checked, and in the words that the pages use."""
import json
import math
import re
from pathlib import Path

CASE_KEYS = {"name": str, "device": str, "op": str, "shape": str, "cold": bool, "status": str}
CASE_NUMBERS = ["ours_ms", "peer_ms", "ratio_median", "ratio_p10", "ratio_p90", "floor_ms", "share_of_floor", "error_ratio"]
RUNG_KEYS = {"name": str, "change": str, "threads": int, "ms": (int, float), "gflop_s": (int, float)}
RUNG_NUMBERS = ["predicted_gain", "gain_median", "gain_p10", "gain_p90", "share_of_peak", "error"]
# The charts and tables: what an op belongs to. What is not named here belongs to the rest.
FAMILIES = {"Training": ["training step"], "Convolution": ["conv2d"], "Matrix multiplication": ["matmul"],
            "Recurrent": ["lstm", "gru", "reciprocal_gated_step"],
            "Normalisation": ["batch_norm", "layer_norm", "layer_norm_channels", "group_norm"],
            "Pooling": ["max_pool2d", "average_pool2d", "resize"],
            "Pointwise and sums": ["softmax", "softplus", "relu", "add", "channel_sum"]}
REST = "Losses, optimizers, random numbers"


class BadFile(Exception):
    """One line for the user."""


def read_json(path):
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BadFile(f"{path}: cannot be read: {getattr(error, 'strerror', None) or 'is no text'}") from None
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise BadFile(f"{path}:{error.lineno}: is no JSON: {error.msg}") from None


def number(value):
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def check(path, where, entry, keys, numbers):
    if not isinstance(entry, dict):
        raise BadFile(f"{path}: {where} is no object")
    for key, kind in keys.items():
        if not isinstance(entry.get(key), kind) or (kind is not bool and isinstance(entry[key], bool)):
            raise BadFile(f"{path}: {where} has no proper '{key}'")
    for key in numbers:
        if entry.get(key) is not None and not number(entry[key]):
            raise BadFile(f"{path}: {where}: '{key}' is neither a number nor null")


def read(path, what):
    """The file as a dict, `what` being the list in it: "cases" or "families"."""
    report = read_json(path)
    if not isinstance(report, dict) or not isinstance(report.get(what), list):
        raise BadFile(f"{path}: holds no list '{what}', so it is not what was asked for")
    for key in ("machine", "versions"):
        if not isinstance(report.get(key), dict):
            raise BadFile(f"{path}: has no proper '{key}'")
    if not isinstance(report.get("commit"), str):
        raise BadFile(f"{path}: has no proper 'commit'")
    return report


def read_results(path):
    """throws BadFile. Each case has `threads` and `peer`, if only None."""
    report = read(path, "cases")
    for i, case in enumerate(report["cases"]):
        check(path, f"case {i}", case, CASE_KEYS, CASE_NUMBERS)
        if case.get("peer") is not None:
            for key in CASE_NUMBERS[:5]:
                if not number(case.get(key)) or case[key] <= 0:
                    raise BadFile(f"{path}: case {i}, {case['name']}: has a peer but no positive '{key}'")
        case.setdefault("threads", None)
        case.setdefault("peer", None)
    return report


def read_ladder(path):
    """throws BadFile"""
    report = read(path, "families")
    for family in report["families"]:
        check(path, "a family", family, {"name": str, "shape": str, "rungs": list}, [])
        for i, rung in enumerate(family["rungs"]):
            check(path, f"rung {i} of {family['name']}", rung, RUNG_KEYS, RUNG_NUMBERS)
    return report


def told(report):
    """The cases that say something of speed: tiny ones check the instrument."""
    return [c for c in report["cases"] if not c["name"].startswith("tiny.")]


def date_of(report, path):
    """The day of a result: what it says itself, or what its file is called."""
    named = re.match(r"\d{4}-\d\d-\d\d", Path(path).name)
    return str(report["date"])[:10] if report.get("date") else named[0] if named else "unknown day"


def family_of(case):
    return next((name for name, ops in FAMILIES.items() if case["op"] in ops), REST)


def families(cases):
    """(name, its cases) of those that have any, in the order of the pages."""
    for name in [*FAMILIES, REST]:
        found = [c for c in cases if family_of(c) == name]
        if found:
            yield name, found


def place(case):
    """What all peers of one measurement share."""
    return case["name"], case["device"], case["threads"], case["cold"]


def by_place(cases):
    """{place: its cases}, in the order of the file."""
    places = {}
    for case in cases:
        places.setdefault(place(case), []).append(case)
    return places


def best(cases):
    """Of the lines of one place that of the fastest peer; without any peer the first."""
    paired = [c for c in cases if c["peer"] is not None]
    return max(paired, key=lambda c: c["ratio_median"]) if paired else cases[0]


def milliseconds(ms):
    return "–" if ms is None else f"{ms * 1e3:.1f} µs" if ms < 0.1 else f"{ms:.3f} ms" if ms < 10 else f"{ms:.1f} ms"


def share(value):
    return "–" if value is None else f"{100 * value:.0f} %"


def peer_name(case):
    """"onednn 3.7, blocked" """
    return case["peer"] + (f", {case['layout']}" if case.get("layout") else "")


def machine_line(report):
    machine = report["machine"]
    parts = [machine.get("processor"), machine.get("device"), machine.get("gpu")]
    if machine.get("fp32_gflop_s"):
        parts.append(f"ceilings of the run {machine['fp32_gflop_s']:.0f} GFLOP/s and {machine.get('copy_gb_s') or 0:.1f} GB/s")
    return "; ".join(p for p in parts if p)


def versions_line(report):
    return ", ".join(f"{name} {version}" for name, version in report["versions"].items() if version)

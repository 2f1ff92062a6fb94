#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What changed between two results of fovea_bench.

usage: compare.py [--fail-above R] [--changed] BEFORE.json AFTER.json

A line of one file is compared with that of the other that has the same name, device, threads, data (cold or warm) and
peer. `ours` is our time after / before, with the range that 10 to 90 % of the samples of both runs allow; two runs have
two moments, so it says as much of the machine as of the code. `ratio` is the same of ours/peer: the peer ran in turns
with us both times, so a slower machine cancels. It is what counts, and `ours` only where there is no peer.

A change is marked faster or slower if the two 10-90 % ranges do not overlap. Exit code 0; with --fail-above R 1 if a
median grew to more than R times what it was and its change is marked; 2 if a file is wrong.
"""
import argparse
import os
import sys

import result_file as rf


def peer_of(case):
    """A newer version of a peer is another opponent: "onednn 3.7" and "onednn 3.8" are not compared."""
    return case["peer"] or "no peer"


def key(case):
    return (*rf.place(case), peer_of(case))


def label(case):
    threads = "" if case["threads"] is None else f" {case['threads']}t"
    return f"{case['name']}{threads} {'cold' if case['cold'] else 'warm'}"


def quantile(values, share):
    values = sorted(values)
    place = share * (len(values) - 1)
    below = int(place)
    above = min(below + 1, len(values) - 1)
    return values[below] + (values[above] - values[below]) * (place - below)


class Change:
    """after / before of a median, and the least and the most that the 10-90 % ranges of both allow."""

    def __init__(self, before, after):
        self.median, self.least, self.most = after[1] / before[1], after[0] / before[2], after[2] / before[0]

    @property
    def mark(self):
        return "slower" if self.least > 1 else "faster" if self.most < 1 else ""

    def __str__(self):
        return f"{self.median:.3f} [{self.least:.3f}..{self.most:.3f}]"


def ours(case):
    """10 %, median and 90 % of our time; None if it was not measured."""
    samples = [s for s in case.get("ours_samples_ms") or [] if rf.number(s) and s > 0]
    if samples:
        return [quantile(samples, q) for q in (0.1, 0.5, 0.9)]
    return [case["ours_ms"]] * 3 if case["ours_ms"] else None


def ratio(case):
    return [case["ratio_p10"], case["ratio_median"], case["ratio_p90"]] if case["peer"] else None


def change(before, after, of):
    a, b = of(before), of(after)
    return Change(a, b) if a and b else None


def unique(path, report):
    cases = {}
    for case in report["cases"]:
        if key(case) in cases:
            raise rf.BadFile(f"{path}: holds {label(case)} against {peer_of(case)} twice")
        cases[key(case)] = case
    return cases


def compare(before_path, after_path, fail_above, only_changed, out):
    before, after = rf.read_results(before_path), rf.read_results(after_path)
    old, new = unique(before_path, before), unique(after_path, after)
    both = [k for k in old if k in new and "done" == old[k]["status"] == new[k]["status"]]
    if not both:
        raise rf.BadFile(f"{before_path} and {after_path} have no measured case in common")
    print(f"before {before['commit']}\nafter  {after['commit']}", file=out)
    for name in ("processor", "device", "gpu"):
        a, b = before["machine"].get(name), after["machine"].get(name)
        if a != b:
            print(f"note: another {name}: {a} and {b}: only ratios mean anything, if at all", file=out)
    width = max(len(label(old[k])) for k in both)
    print(f"{'case':<{width}}  {'ours':>22}  {'ratio':>22}  {'':6}  peer", file=out)
    failed = 0
    for k in both:
        times, ratios = change(old[k], new[k], ours), change(old[k], new[k], ratio)
        decisive = ratios or times
        if decisive is None:
            continue
        worse = fail_above is not None and decisive.mark == "slower" and decisive.median > fail_above
        failed += worse
        noise = " (noisy)" if old[k].get("noisy") or new[k].get("noisy") else ""
        if decisive.mark or not only_changed:
            print(f"{label(old[k]):<{width}}  {str(times or '-'):>22}  {str(ratios or '-'):>22}  "
                  f"{decisive.mark:6}  {peer_of(old[k])}{noise}{'  FAILS' if worse else ''}", file=out)
    marks = [(change(old[k], new[k], ratio) or change(old[k], new[k], ours)) for k in both]
    count = lambda mark: sum(m is not None and m.mark == mark for m in marks)
    print(f"{len(both)} compared: {count('faster')} faster, {count('slower')} slower, the others within their spread; "
          f"{len(old) - len(both)} only before, {len(new) - len(both)} only after", file=out)
    return failed


def main(arguments, out=sys.stdout, err=sys.stderr):
    parser = argparse.ArgumentParser(prog="compare.py", description="What changed between two results of fovea_bench.")
    parser.add_argument("before")
    parser.add_argument("after")
    parser.add_argument("--fail-above", type=float, metavar="R",
                        help="exit code 1 if a case is slower by more than this factor, such as 1.05")
    parser.add_argument("--changed", action="store_true", help="leave out cases whose change is within their spread")
    options = parser.parse_args(arguments)
    if options.fail_above is not None and not options.fail_above > 0:
        print(f"compare.py: --fail-above {options.fail_above:g}: must be above 0", file=err)
        return 2
    try:
        return 1 if compare(options.before, options.after, options.fail_above, options.changed, out) else 0
    except rf.BadFile as error:
        print(f"compare.py: {error}", file=err)
        return 2


if __name__ == "__main__":
    try:
        code = main(sys.argv[1:])
        sys.stdout.flush()
    except BrokenPipeError:  # whoever reads has seen enough, as head does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 0
    sys.exit(code)

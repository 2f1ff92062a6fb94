#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes the figures of docs/PERFORMANCE.md.

usage: performance_page.py [--check] [--page PAGE] RESULTS.json LADDER.json

RESULTS is what `fovea_bench --json` wrote, LADDER what `fovea_ladder --json` wrote. The parts of the page between
`<!-- begin NAME -->` and `<!-- end NAME -->` are made anew: `machine`, `summary`, `cases`, `ladder`. With --check nothing
is written, and the exit code is 1 if a part differs from what it would be.
"""
import argparse
import re
import sys
from pathlib import Path

import result_file as rf
import targets

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "PERFORMANCE.md"


def table(head, rows):
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return "\n".join(lines + ["| " + " | ".join(str(cell).replace("|", "\\|") for cell in row) + " |" for row in rows])


def relative(path):
    path = Path(path).resolve()
    return path.relative_to(ROOT).as_posix() if path.is_relative_to(ROOT) else path.name


def measured_by(what, path, report):
    command = report.get("command")
    text = (f"- {what}: `{relative(path)}`, measured on {rf.date_of(report, path)} at `{report['commit']}`"
            + (f" by `{command}`" if command else "") + f". {rf.machine_line(report)}.")
    versions = rf.versions_line(report)
    return text + (f" Versions: {versions}." if versions else "")


def machine_part(inputs):
    return "\n".join([measured_by("Cases", inputs.results_path, inputs.results),
                      measured_by("Ladder", inputs.ladder_path, inputs.ladder)])


def ratio(case):
    text = f"{case['ratio_median']:.3f} [{case['ratio_p10']:.3f}–{case['ratio_p90']:.3f}]"
    return text + (" (noisy)" if case.get("noisy") else "")


def judged(inputs):
    """(best line of a place, target or None) of each place that was measured."""
    for lines in rf.by_place(rf.told(inputs.results)).values():
        line = rf.best(lines)
        if line["status"] == "done":
            yield line, targets.target(inputs.targets, line) if line["peer"] else None


def summary_part(inputs):
    rows = []
    found = list(judged(inputs))
    for threads in sorted({c["threads"] for c, _ in found}, key=lambda t: t or 0):
        mine = [(c, t) for c, t in found if c["threads"] == threads]
        paired = [(c, t) for c, t in mine if c["peer"]]
        asked = [(c, t) for c, t in paired if t]
        met = sum(c["ratio_median"] <= t[0] for c, t in asked)
        beyond = sum(targets.beyond_floor(c, t[0]) is not None for c, t in asked)
        rows.append(["–" if threads is None else threads, len(mine), len(paired),
                     sum(c["ratio_median"] < 1 for c, _ in paired), f"{met} of {len(asked)}", beyond,
                     sum(c["ratio_median"] <= t[1] for c, t in asked),
                     sum((c["share_of_floor"] or 0) >= 0.5 for c, _ in mine)])
    head = ["threads", "measured", "with a peer", "faster than it", "goals met", "goals beyond the floor", "moonshots met", "at half of the floor or better"]
    not_done = [lines[0] for lines in rf.by_place(rf.told(inputs.results)).values() if rf.best(lines)["status"] != "done"]
    text = table(head, rows)
    if not_done:
        text += "\n\nNot measured: " + "; ".join(
            f"{c['name']} ({c['status']}{': ' + c['reason'] if c.get('reason') else ''})" for c in not_done) + "."
    return text


def case_row(case, target):
    goal, moonshot, met = "–", "–", "–"
    if target:
        floor = targets.beyond_floor(case, target[0])
        goal = f"{target[0]:g}" + (" (peer near the floor)" if targets.near_floor(case) else
                                   f" (floor at {floor:.2f})" if floor else "")
        moonshot = f"{target[1]:g}"
        met = "**met**" if case["ratio_median"] <= target[0] else "no"
    error = f"{case['error_ratio']:.2f}" if case.get("error_ratio") is not None else "–"
    return [f"`{case['name']}`", "–" if case["threads"] is None else case["threads"], ratio(case) if case["peer"] else "–",
            goal, met, moonshot, rf.share(case["share_of_floor"]), rf.milliseconds(case["ours_ms"]),
            rf.milliseconds(case.get("peer_ms")), rf.milliseconds(case["floor_ms"]),
            rf.peer_name(case) if case["peer"] else "failed" if case.get("peer_error") else "none", error,
            "cold" if case["cold"] else "warm"]


def cases_part(inputs):
    head = ["case", "threads", "ours/peer [10–90 %]", "goal", "", "moonshot", "share of floor", "ours", "best peer",
            "floor", "which peer", "error ours/peer", "data"]
    found = list(judged(inputs))
    parts = []
    for family, cases in rf.families([c for c, _ in found]):
        rows = [case_row(c, t) for c, t in found if any(c is x for x in cases)]
        parts.append(f"### {family}\n\n{table(head, rows)}")
    return "\n\n".join(parts)


def ladder_part(inputs):
    parts = []
    for family in inputs.ladder["families"]:
        rows = []
        for i, rung in enumerate(family["rungs"]):
            predicted = f"{rung['predicted_gain']:.2f}" if rung.get("predicted_gain") else "–"
            gain = "–"
            if rung.get("gain_median") is not None:
                gain = f"{rung['gain_median']:.2f} [{rung['gain_p10']:.2f}–{rung['gain_p90']:.2f}]"
            error = f"{rung['error']:.1e}" if rung.get("error") is not None else "–"
            rows.append([i + 1, f"`{rung['name']}`", rung["change"], rung["threads"], rf.milliseconds(rung["ms"]),
                         f"{rung['gflop_s']:.1f}", rf.share(rung.get("share_of_peak")), predicted, gain, error])
        first, last = family["rungs"][0], [r for r in family["rungs"] if r["threads"] == 1][-1]
        head = ["", "rung", "what it changes", "threads", "time", "GFLOP/s", "of the peak", "predicted gain",
                "measured gain [10–90 %]", "error"]
        parts.append(f"### {family['name']}: {family['shape']}\n\n{table(head, rows)}\n\n"
                     f"From the first rung to the last on one core: {first['ms'] / last['ms']:.0f} times.")
    return "\n\n".join(parts)


PARTS = {"machine": machine_part, "summary": summary_part, "cases": cases_part, "ladder": ladder_part}


class Inputs:
    def __init__(self, results, ladder):
        self.results_path, self.ladder_path = results, ladder
        self.results, self.ladder = rf.read_results(results), rf.read_ladder(ladder)
        self.targets = targets.read()


def filled(text, inputs, page):
    """The page with its parts made from the inputs. throws BadFile if it has not each of them once"""
    for name, make in PARTS.items():
        pattern = re.compile(f"(<!-- begin {name} -->\n).*?(<!-- end {name} -->)", re.S)
        if len(pattern.findall(text)) != 1:
            raise rf.BadFile(f"{page}: needs one <!-- begin {name} --> and an <!-- end {name} --> after it")
        made = make(inputs)
        text = pattern.sub(lambda m: f"{m[1]}{made}\n{m[2]}", text)
    return text


def main(arguments):
    parser = argparse.ArgumentParser(prog="performance_page.py", description="Writes the figures of docs/PERFORMANCE.md.")
    parser.add_argument("results")
    parser.add_argument("ladder")
    parser.add_argument("--page", default=PAGE, help="default: docs/PERFORMANCE.md")
    parser.add_argument("--check", action="store_true", help="write nothing; exit code 1 if a part would change")
    options = parser.parse_args(arguments)
    try:
        try:
            text = Path(options.page).read_text(encoding="utf-8")
        except OSError as error:
            raise rf.BadFile(f"{options.page}: cannot be read: {error.strerror}") from None
        made = filled(text, Inputs(options.results, options.ladder), options.page)
    except rf.BadFile as error:
        print(f"performance_page.py: {error}", file=sys.stderr)
        return 2
    if made == text:
        return 0
    if options.check:
        print(f"performance_page.py: {options.page} is not what {options.results} and {options.ladder} give; "
              "run it without --check", file=sys.stderr)
        return 1
    Path(options.page).write_text(made, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

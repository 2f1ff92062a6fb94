#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""One HTML page of a result of fovea_bench: a chart for each family of operations.

usage: chart_page.py RESULTS.json PAGE.html

A chart has a row for each case and a panel for each number of threads. Its axis is our time over a peer's,
logarithmic, with a line at 1: to the left of it we are faster. The page needs no other file and no network.
"""
import html
import math
import sys
from pathlib import Path

import result_file as rf
import targets

LABELS, PANEL, GAP, ROW, TOP, BOTTOM = 236, 410, 46, 26, 26, 30  # pixels
STYLE = """
:root{color-scheme:light dark;--paper:#fff;--ink:#1c2024;--soft:#667079;--line:#dde2e6;--stripe:#f5f7f8;--one:#1c2024;
--floor:#b26a00;--target:#0a7d3c;--p0:#1f62b4;--p1:#b0306a;--p2:#6a4bb0;--p3:#00757d;--p4:#7a5a00;--p5:#555}
@media(prefers-color-scheme:dark){:root{--paper:#14181b;--ink:#e6eaed;--soft:#97a2ab;--line:#30373d;--stripe:#1b2024;
--one:#e6eaed;--floor:#f0a940;--target:#4fce86;--p0:#6fb0ff;--p1:#ff85b6;--p2:#b9a0ff;--p3:#4fd3dc;--p4:#e3c162;--p5:#bbb}}
body{margin:0 auto;max-width:1180px;padding:24px 20px 60px;background:var(--paper);color:var(--ink);
font:15px/1.5 system-ui,sans-serif}
h1{font-size:24px;margin:0 0 6px}h2{font-size:18px;margin:34px 0 4px}p{margin:6px 0}.soft{color:var(--soft)}
figure{margin:0;overflow-x:auto}svg{display:block;font:12px system-ui,sans-serif}svg text{fill:var(--ink)}
svg .soft{fill:var(--soft)}.stripe{fill:var(--stripe)}.grid{stroke:var(--line)}.one{stroke:var(--one);stroke-width:1.4}
.floor{stroke:var(--floor);stroke-width:2.4}.target{fill:var(--target)}.key{display:inline-block;margin-right:18px}
.key svg{display:inline-block;vertical-align:-3px;margin-right:5px}
""" + "".join(f".p{i}{{stroke:var(--p{i});fill:var(--p{i})}}.p{i}.hollow{{fill:var(--paper);stroke-width:1.6}}"
              for i in range(6))


def escaped(text):
    return html.escape(str(text), quote=True)


def number(value):
    return f"{value:.3g}"


class Scale:
    """A logarithmic axis over whole decades, or halves of one, that holds all values and 1."""

    def __init__(self, values):
        low, high = min([1.0, *values]), max([1.0, *values])
        steps = [m * 10.0 ** e for e in range(-7, 8) for m in (1, 2, 5)]
        self.low = max((s for s in steps if s <= low * 0.9), default=low)
        self.high = min((s for s in steps if s >= high * 1.1), default=high)
        self.ticks = [s for s in steps if self.low <= s <= self.high]
        if len(self.ticks) > 8:
            self.ticks = [t for t in self.ticks if math.isclose(math.log10(t), round(math.log10(t)), abs_tol=1e-9)]

    def x(self, value):
        return PANEL * math.log(min(max(value, self.low), self.high) / self.low) / math.log(self.high / self.low)


def hover(case, target):
    lines = [f"{case['name']}, {'cold' if case['cold'] else 'warm'}" +
             (f", {case['threads']} threads" if case["threads"] else ""), case["shape"],
             f"ours {rf.milliseconds(case['ours_ms'])}, {rf.peer_name(case)} {rf.milliseconds(case['peer_ms'])}",
             f"ratio {number(case['ratio_median'])}, 10-90 % {number(case['ratio_p10'])} to {number(case['ratio_p90'])}"]
    if case["floor_ms"] and case["share_of_floor"]:
        lines.append(f"floor {rf.milliseconds(case['floor_ms'])}: ours reaches {rf.share(case['share_of_floor'])} of it, "
                     f"the peer {rf.share(case['floor_ms'] / case['peer_ms'])}")
    if target:
        lines.append(f"goal {number(target[0])}, {'met' if case['ratio_median'] <= target[0] else 'not met'}; "
                     f"moonshot {number(target[1])}")
    if case.get("noisy"):
        lines.append("noisy: the machine was busy")
    return escaped("\n".join(lines))


def marks(cases, colours, rows, scale, x0, y):
    """Of all peers of one case in one panel."""
    best = rf.best(cases)
    if not best["peer"]:
        text = "no peer" if best["status"] == "done" else best["status"]
        if best.get("share_of_floor"):
            text += f"; {rf.share(best['share_of_floor'])} of the floor"
        return [f'<text class="soft" x="{x0 + 8}" y="{y + 4}">{escaped(text)}</text>']
    target, drawn = targets.target(rows, best), []
    at = lambda value: f"{x0 + scale.x(value):.1f}"
    if target:
        t = x0 + scale.x(target[0])
        drawn.append(f'<path class="target" d="M{t - 4.5:.1f} {y - 11}h9l-4.5 7z"/>')
    paired = [c for c in cases if c["peer"]]
    for case in sorted(paired, key=lambda c: c is best):
        colour = f"p{colours[case['peer']] % 6}"
        title = f"<title>{hover(case, target if case is best else None)}</title>"
        dy = y if case is best else y + 5
        if case is best and case["share_of_floor"]:
            f = at(case["share_of_floor"] * case["ratio_median"])
            drawn.append(f'<line class="floor" x1="{f}" x2="{f}" y1="{y - 7}" y2="{y + 7}"/>')
        drawn.append(f'<g>{title}<line class="{colour}" stroke-width="2" x1="{at(case["ratio_p10"])}" '
                     f'x2="{at(case["ratio_p90"])}" y1="{dy}" y2="{dy}"/><circle class="{colour}'
                     f'{"" if case is best else " hollow"}" cx="{at(case["ratio_median"])}" cy="{dy}" '
                     f'r="{5 if case is best else 3.5}"/></g>')
    return drawn


def chart(cases, colours, rows):
    """The SVG of a family."""
    places = rf.by_place(cases)
    labels = list(dict.fromkeys((name, cold) for name, _, _, cold in places))
    both = {name for name, cold in labels if (name, not cold) in labels}
    panels = sorted({threads for _, _, threads, _ in places}, key=lambda t: t or 0)
    paired = [c for c in cases if c["peer"]]
    values = [c[k] for c in paired for k in ("ratio_p10", "ratio_p90")]
    values += [c["share_of_floor"] * c["ratio_median"] for c in paired if c["share_of_floor"]]
    values += [t[0] for t in (targets.target(rows, c) for c in paired) if t]
    scale = Scale(values)
    height, width = TOP + ROW * len(labels) + BOTTOM, LABELS + (PANEL + GAP) * len(panels)
    out = [f'<svg role="img" width="{width}" height="{height}" viewBox="0 0 {width} {height}">']
    for i, (name, cold) in enumerate(labels):
        if i % 2 == 0:
            out.append(f'<rect class="stripe" x="0" width="{width - GAP}" y="{TOP + i * ROW}" height="{ROW}"/>')
        text = name + ((", cold" if cold else ", warm") if name in both else "")
        out.append(f'<text x="6" y="{TOP + i * ROW + ROW / 2 + 4}">{escaped(text)}</text>')
    bottom = TOP + ROW * len(labels)
    for p, threads in enumerate(panels):
        x0 = LABELS + p * (PANEL + GAP)
        heading = "our time / the peer's" + ("" if threads is None else f", {threads} thread{'s' if threads != 1 else ''}")
        out.append(f'<text class="soft" x="{x0}" y="14">{escaped(heading)}</text>')
        for tick in scale.ticks:
            x = x0 + scale.x(tick)
            out.append(f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="{TOP}" y2="{bottom}"/>'
                       f'<text class="soft" text-anchor="middle" x="{x:.1f}" y="{bottom + 16}">{tick:g}</text>')
        out.append(f'<line class="one" x1="{x0 + scale.x(1):.1f}" x2="{x0 + scale.x(1):.1f}" y1="{TOP}" y2="{bottom}"/>')
        for i, (name, cold) in enumerate(labels):
            found = [c for c in cases if (c["name"], c["cold"], c["threads"]) == (name, cold, threads)]
            if found:
                out += marks(found, colours, rows, scale, x0, TOP + i * ROW + ROW // 2)
    return "\n".join([*out, "</svg>"])


def key(drawing, text):
    return f'<span class="key"><svg width="20" height="16">{drawing}</svg>{escaped(text)}</span>'


def page(report, path, rows):
    cases = rf.told(report)
    peers = list(dict.fromkeys(c["peer"] for c in cases if c["peer"]))
    colours = {peer: i for i, peer in enumerate(peers)}
    legend = [key(f'<circle class="p{i % 6}" cx="10" cy="8" r="5"/>', peer) for i, peer in enumerate(peers)]
    legend += [key('<line class="p5" stroke-width="2" x1="1" x2="19" y1="8" y2="8"/>', "10 to 90 % of the rounds"),
               key('<circle class="p5 hollow" cx="10" cy="8" r="3.5"/>', "a slower peer"),
               key('<line class="floor" x1="10" x2="10" y1="1" y2="15"/>', "the floor: what the machine allows"),
               key('<path class="target" d="M5 4h9l-4.5 7z"/>', "goal")]
    body = [f"<h1>Fovea beside other libraries</h1><p>{escaped(rf.machine_line(report))}; {escaped(rf.versions_line(report))}; "
            f"commit {escaped(report['commit'])}; {escaped(rf.date_of(report, path))}.</p>",
            '<p class="soft">Left of the line at 1 we are faster. A point is the median over rounds in which both sides ran '
            "in turns. Floors count the operations of the plain method; a better algorithm may pass them. Hold the pointer "
            f"over a point for its figures.</p><p>{''.join(legend)}</p>"]
    for family, found in rf.families(cases):
        body.append(f"<h2>{escaped(family)}</h2><figure>{chart(found, colours, rows)}</figure>")
    return ('<!DOCTYPE html><html lang="en"><head><meta charset="utf-8">'
            '<meta name="viewport" content="width=device-width,initial-scale=1"><title>Fovea: benchmark</title>'
            f"<style>{STYLE}</style></head><body>{''.join(body)}</body></html>\n")


def main(arguments):
    if len(arguments) != 2:
        print("usage: chart_page.py RESULTS.json PAGE.html", file=sys.stderr)
        return 2
    try:
        text = page(rf.read_results(arguments[0]), arguments[0], targets.read())
    except rf.BadFile as error:
        print(f"chart_page.py: {error}", file=sys.stderr)
        return 2
    try:
        Path(arguments[1]).write_text(text, encoding="utf-8")
    except OSError as error:
        print(f"chart_page.py: {arguments[1]}: cannot be written: {error.strerror}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""No kernel uses local memory, spills among it, but those that a list gives a reason for.

usage: fovea ops --device-code --json | local_memory.py LIST
       local_memory.py --self-test

A line of the list is `SOURCE: KERNEL | ARCHITECTURES | REASON`, with the kernel's name as `fovea ops --device-code` shows
it; * stands for any architecture. Local memory lies off the chip; a few bytes outside of the loops cost nothing, an array that is
indexed by a variable costs a lot. An entry that no kernel needs any more fails, too; one for architectures that this build
has no code for is not judged.
"""

import json
import pathlib
import sys


def entries_of(text):
    entries = []
    for line in text.splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        kernel, architectures, reason = (part.strip() for part in line.split("|"))
        if not reason:
            sys.exit(f"no reason: {line}")
        entries += [(kernel, architecture) for architecture in architectures.split()]
    return entries


def complaints(kernels, entries):
    if not kernels:
        return ["the build tells of no kernel"]
    found, used = [], set()
    for k in kernels:
        if not (k["local_bytes"] or k["spill_store_bytes"] or k["spill_load_bytes"]):
            continue
        name = f"{k['source']}: {k['kernel']}"
        fitting = {e for e in entries if e[0] == name and e[1] in ("*", k["architecture"])}
        used |= fitting
        if not fitting:
            found.append(f"{name} | {k['architecture']} |: {k['local_bytes']} bytes of local memory, "
                         f"{k['spill_store_bytes']} spilled, {k['spill_load_bytes']} loaded again; mend it or list it")
    built = {k["architecture"] for k in kernels} | {"*"}
    return found + [f"{kernel} | {architecture} |: listed, and has no local memory: remove the entry"
                    for kernel, architecture in entries if architecture in built and (kernel, architecture) not in used]


def self_test():
    def kernel(name, architecture, local, spilled=0):
        return {"source": "a.cu", "kernel": name, "architecture": architecture, "local_bytes": local,
                "spill_store_bytes": spilled, "spill_load_bytes": spilled}

    good, bad = kernel("f<1>", "90a", 0), kernel("g", "90a", 16)
    assert complaints([], [])
    assert not complaints([good], [])
    assert "a.cu: g | 90a |: 16 bytes" in complaints([good, bad], [])[0]
    assert len(complaints([kernel("g", "90a", 0, 4)], [])) == 1
    assert not complaints([good, bad], entries_of("# why\na.cu: g | 75 90a | outside of the loops\n"))
    assert not complaints([good, bad], [("a.cu: g", "*")])
    assert len(complaints([bad], [("a.cu: g", "80")])) == 1  # of another architecture
    assert "remove" in complaints([good], [("a.cu: f<1>", "*")])[0]
    assert "remove" in complaints([good], [("a.cu: f<1>", "90a")])[0]
    assert not complaints([good], [("a.cu: f<1>", "75")])  # not in this build
    return 0


if sys.argv[1] == "--self-test":
    sys.exit(self_test())
kernels = json.load(sys.stdin)["kernels"]
wrong = complaints(kernels, entries_of(pathlib.Path(sys.argv[1]).read_text()))
print("\n".join(wrong + [f"{len(kernels)} kernels looked at, {len(wrong)} complaints"]))
sys.exit(1 if wrong else 0)

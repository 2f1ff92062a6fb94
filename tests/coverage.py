#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What the tests reach, from the counters of a build with preset `coverage`, and whether that is enough.

usage: coverage.py SOURCE BUILD PROFILES PROGRAM...

Prints a table by room and one line for each gap that matters; writes BUILD/coverage/index.html, with each line and
branch. Exit code 0 if enough is reached, 1 if not, 2 for wrong usage.

Enough is: at least 90 % of the lines of each room, and both sides of each branch in the files of BRANCHES below.
A branch counts by its place in the source: a template has been there if one of its instances has. What cannot be
reached belongs out of the code; where that is not possible, a comment `// coverage: REASON` on the line takes it out
of the count, and the report lists it with its reason.
"""

import fnmatch
import json
import pathlib
import re
import shutil
import subprocess
import sys

ROOMS = ["kernels", "tensor", "autograd", "nn", "models", "apps"]
LEAST_LINES = 90.0  # per cent, in each room

# Where both sides of each branch must have been taken: what reads files of others, what must not lose work, what
# draws random numbers, and what computes gradients.
BRANCHES = {
    "loaders": ["tensor/safetensors.cpp", "tensor/npy.cpp", "tensor/npz*.cpp", "tensor/zip.cpp", "tensor/inflate.cpp",
                "tensor/file*.cpp", "nn/data/*", "apps/config_toml.cpp"],
    "checkpoints": ["apps/checkpoint*", "apps/run_state*", "apps/run_folder*", "apps/atomic_file*", "apps/metrics_log*",
                    "apps/append_file*"],
    "random numbers": ["kernels/philox.h", "nn/data/shuffle.*", "nn/init.*"],
    "tape": ["autograd/tape.*"],
}
MARK = re.compile(r"//.*\bcoverage:\s*(.*)")


def tool(name):
    """llvm-profdata or llvm-cov: version 14 as the compiler, or what goes by the plain name."""
    for candidate in (name + "-14", name):
        if shutil.which(candidate):
            return candidate
    sys.exit(f"error: {name}-14 is missing\nhint: apt-get install llvm-14")


def count_at(segments, line, column):
    """How often the code at a place ran: the count of the last segment that starts at or before it."""
    count = 0
    for seg_line, seg_column, seg_count, has_count, *_ in segments:
        if (seg_line, seg_column) > (line, column):
            break
        if has_count:
            count = seg_count
    return count


class File:
    """One source file's counts. `lines` is covered and all; `branches` maps a place to its two counts."""

    def __init__(self, path, data, text):
        self.path = path
        self.source = text.splitlines()
        lines = data["summary"]["lines"]
        self.covered, self.lines = lines["covered"], lines["count"]
        self.branches = {}
        for line, column, _, _, taken, passed, *_ in data["branches"]:
            if taken == passed == 0 and count_at(data["segments"], line, column) > 0:
                continue  # a constant, such as while (true): the compiler counts neither side
            before = self.branches.get((line, column), (0, 0))
            self.branches[line, column] = (before[0] + taken, before[1] + passed)
        self.gated = next((group for group, patterns in BRANCHES.items()
                           if any(fnmatch.fnmatch(path, pattern) for pattern in patterns)), None)

    def reason(self, line):
        found = MARK.search(self.source[line - 1])
        return found and found.group(1).strip()

    def gaps(self):
        """Pairs of place and what is missing there, without those that a reason excuses."""
        for (line, column), (taken, passed) in sorted(self.branches.items()):
            if taken and passed or self.reason(line):
                continue
            never = "never reached" if not taken and not passed else "never true" if not taken else "never false"
            yield line, column, never

    def excused(self):
        """Lines whose reason takes a branch out of the count, and those whose reason is not needed or not given."""
        missing = {line for (line, _), (taken, passed) in self.branches.items() if not (taken and passed)}
        for number, text in enumerate(self.source, 1):
            found = MARK.search(text)
            if found and self.gated:
                yield number, found.group(1).strip(), number in missing


def percent(part, whole):
    return 100.0 * part / whole if whole else 100.0


def load(source, data):
    files = []
    for entry in data["data"][0]["files"]:
        path = pathlib.Path(entry["filename"]).resolve()
        if not path.is_relative_to(source):
            continue
        relative = path.relative_to(source).as_posix()
        if relative.split("/")[0] in ROOMS:
            files.append(File(relative, entry, path.read_text()))
    return sorted(files, key=lambda file: file.path)


def report(files):
    """Prints the table and the gaps; returns whether it is enough."""
    failures = []
    print(f"{'':44}{'lines':>14}{'':8}{'branches':>12}")
    for room in ROOMS:
        inside = [file for file in files if file.path.startswith(room + "/")]
        covered, lines = sum(file.covered for file in inside), sum(file.lines for file in inside)
        print(f"{room:44}{covered:7}/{lines:<6}{percent(covered, lines):6.1f} %")
        if percent(covered, lines) < LEAST_LINES:
            failures.append(f"{room}: {percent(covered, lines):.1f} % of the lines are reached, expected "
                            f"{LEAST_LINES:.0f} %")
        low = [file for file in inside if percent(file.covered, file.lines) < LEAST_LINES and not file.gated]
        for file in low:
            print(f"  {file.path:42}{file.covered:7}/{file.lines:<6}{percent(file.covered, file.lines):6.1f} %")
    print()
    for group in BRANCHES:
        for file in (file for file in files if file.gated == group):
            gaps = list(file.gaps())
            sides = 2 * len(file.branches)
            reached = sum((taken > 0) + (passed > 0) for taken, passed in file.branches.values())
            print(f"{group + ': ' + file.path:44}{file.covered:7}/{file.lines:<6}"
                  f"{percent(file.covered, file.lines):6.1f} %  {reached:4}/{sides:<4}{percent(reached, sides):6.1f} %")
            for line, column, never in gaps:
                text = file.source[line - 1].strip()
                failures.append(f"{file.path}:{line}:{column}: {never}: {text}")
    print()
    for file in files:
        for line, reason, needed in file.excused():
            if not reason:
                failures.append(f"{file.path}:{line}: an exclusion without a reason")
            elif not needed:
                failures.append(f"{file.path}:{line}: excluded for no need, both sides are reached ({reason})")
            else:
                print(f"excluded: {file.path}:{line}: {reason}")
    for failure in failures:
        print(f"not reached: {failure}")
    print("coverage: enough" if not failures else f"coverage: {len(failures)} gaps")
    return not failures


def main(arguments):
    if len(arguments) < 4:
        print(__doc__.split("\n\n")[1], file=sys.stderr)
        return 2
    source, build = pathlib.Path(arguments[0]).resolve(), pathlib.Path(arguments[1]).resolve()
    profiles = sorted(pathlib.Path(arguments[2]).glob("*.profraw"))
    if not profiles:
        print(f"error: no counters in {arguments[2]}\nhint: run the tests of preset coverage first", file=sys.stderr)
        return 1
    merged = build / "coverage.profdata"
    subprocess.run([tool("llvm-profdata"), "merge", "-o", merged, *profiles], check=True)
    objects = [arguments[3], *(word for program in arguments[4:] for word in ("-object", program))]
    common = [*objects, f"-instr-profile={merged}", "-ignore-filename-regex=.*/(tests|build)/.*|^/usr/.*"]
    exported = subprocess.run([tool("llvm-cov"), "export", "-format=text", *common],
                              check=True, stdout=subprocess.PIPE).stdout
    html = build / "coverage"
    shutil.rmtree(html, ignore_errors=True)
    subprocess.run([tool("llvm-cov"), "show", "-format=html", "-show-branches=count", "-show-instantiations=false",
                    "-show-expansions=false", f"-output-dir={html}", *common], check=True)
    enough = report(load(source, json.loads(exported)))
    print(f"each line: {html / 'index.html'}")
    return 0 if enough else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

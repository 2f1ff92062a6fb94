#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Every error text that a user can reach stands whole in a test.

usage: throw_sites.py SOURCE [--list]

Finds each `throw X(…)`, `reject(…)`, `bad(…)`, `fail(…)`, `refuse(…)`, `damaged(…)` and `need(…)` in the rooms, takes
the texts in it, and looks for each of them, with something in the place of every {}, among the string literals of the
tests and in tests/golden. Prints each one that is not found as FILE:LINE: text; exit code 1 if there is one.
`--list` prints all sites. A text that no test can bring about carries `// untested: REASON` on one of its lines.
"""

import pathlib
import re
import sys

ROOMS = ["kernels/arena.cpp", "tensor", "autograd", "nn", "models", "apps"]
SITE = re.compile(r"\b(?:throw\s+[\w:]+|(?:\w+\.|\w+->)?(?:reject|bad|fail|refuse|damaged|need)(?:<[\w:]+>)?)\s*\(")
LITERAL = re.compile(r'R"(\w*)\((.*?)\)\1"|"((?:[^"\\\n]|\\.)*)"', re.S)
ESCAPES = {"n": "\n", "t": "\t", '"': '"', "\\": "\\", "'": "'", "0": "\0"}


def unescaped(text):
    text = re.sub(r"\\x([0-9a-fA-F]{1,2})", lambda m: chr(int(m[1], 16)), text)
    return re.sub(r"\\(.)", lambda m: ESCAPES.get(m[1], m[1]), text)


def literals(code):
    """(offset, text) of each literal; those with nothing but space between them are one."""
    found, end = [], None
    for match in LITERAL.finditer(code):
        text = match[2] if match[2] is not None else unescaped(match[3])
        if end is not None and not code[end:match.start()].strip():
            found[-1] = (found[-1][0], found[-1][1] + text)
        else:
            found.append((match.start(), text))
        end = match.end()
    return found


def without_comments(code):
    """Comments become spaces, so that offsets stay; literals are left alone."""
    return re.sub(r'"(?:[^"\\\n]|\\.)*"|//[^\n]*', lambda m: m[0] if m[0][0] == '"' else " " * len(m[0]), code)


def closing(code, start):
    """The offset after the parenthesis that closes the one before `start`."""
    depth, at = 1, start
    while depth and at < len(code):
        literal = LITERAL.match(code, at)
        if literal:
            at = literal.end()
            continue
        depth += {"(": 1, ")": -1}.get(code[at], 0)
        at += 1
    return at


def sites(path):
    """(line, text) of each text of each site in a file."""
    raw = path.read_text()
    code = without_comments(raw)
    lines = raw.splitlines()
    seen = set()
    for match in SITE.finditer(code):
        end = closing(code, match.end())
        for offset, text in literals(code[match.end():end]):
            place = match.end() + offset
            if place in seen or len(re.sub(r"\{[^}]*\}", "", text).split()) < 2:
                continue  # a name or a separator
            seen.add(place)
            first, last = code.count("\n", 0, match.start()), code.count("\n", 0, end)
            if any("// untested:" in line for line in lines[first:last + 1]):
                continue
            yield code.count("\n", 0, place) + 1, text


def pattern(text):
    parts = re.split(r"\{\{|\}\}|\{[^}]*\}", text)
    fields = re.findall(r"\{\{|\}\}|\{[^}]*\}", text)
    out = re.escape(parts[0])
    for field, part in zip(fields, parts[1:]):
        out += {"{{": r"\{", "}}": r"\}"}.get(field, ".*?") + re.escape(part)
    return re.compile(out, re.S)


def main():
    root = pathlib.Path(sys.argv[1])
    tested = [text for path in sorted((root / "tests").rglob("*.cpp")) for _, text in literals(path.read_text())]
    tested += [line for path in sorted((root / "tests/golden").glob("*.txt")) for line in path.read_text().splitlines()]
    everything = "\n\0".join(tested)
    missing = count = 0
    for room in ROOMS:
        base = root / room
        for path in [base] if base.is_file() else sorted([*base.rglob("*.h"), *base.rglob("*.cpp")]):
            for line, text in sites(path):
                count += 1
                found = re.search(pattern(text).pattern.replace(".*?", r"[^\0]*?"), everything, re.S)
                if not found or "--list" in sys.argv:
                    missing += not found
                    print(f"{path.relative_to(root)}:{line}: {text}{'' if found else '   (in no test)'}")
    print(f"{count} texts, {missing} in no test")
    return 1 if missing else 0


sys.exit(main())

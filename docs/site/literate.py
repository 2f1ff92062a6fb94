# SPDX-License-Identifier: Apache-2.0
"""A lesson is a C++ program whose comments at the start of a line are Markdown.

In it, a fenced block named `output` is what the program prints, one named `gdb` a session with the debugger, and code
between `#ifdef FOVEA_ANSWERS` and `#else` or `#endif` is the answer to an exercise, which the page folds away.
"""
import re
from dataclasses import dataclass


@dataclass
class Part:
    kind: str  # "prose", "code" or "answer"
    text: str
    line: int  # of its first line in the file, from 1


def parts(text):
    """The parts of a lesson in order, the licence line left out."""
    found = []
    in_answer = in_choice = False
    for number, line in enumerate(text.splitlines(), 1):
        if line.startswith("// SPDX"):
            continue
        if line == "#ifdef FOVEA_ANSWERS":
            in_answer = in_choice = True
            continue
        if in_choice and line in ("#else", "#endif"):
            in_answer, in_choice = False, line == "#else"
            continue
        if in_answer:
            kind = "answer"
        else:
            kind = "prose" if line == "//" or line.startswith("// ") else "code"
        if kind == "prose":
            line = line[3:]
        elif not line.strip() and found and found[-1].kind == "prose":
            found.append(Part("code", "", number + 1))
            continue
        if not found or found[-1].kind != kind:
            found.append(Part(kind, "", number))
        found[-1].text += line + "\n"
    for part in found:
        part.line += len(part.text) - len(part.text.lstrip("\n"))
    return [Part(p.kind, p.text.strip("\n") + "\n", p.line) for p in found if p.text.strip()]


def prose(text):
    return "\n".join(p.text for p in parts(text) if p.kind == "prose")


def fenced(markdown, name):
    """Contents of the fenced blocks called `name`."""
    return re.findall(rf"^```{name}\n(.*?)^```$", markdown, re.M | re.S)


@dataclass
class Step:
    """One command of a gdb session and the lines that it must print, where … stands for anything."""
    command: str
    expected: list


def gdb_sessions(markdown):
    """[[Step, …], …]. A line that starts with `$ ` starts gdb anew, one with `(gdb) ` is a command; others are output.
    A block without `$ ` goes on where the one before it stopped."""
    sessions = []
    for line in "\n".join(fenced(markdown, "gdb")).splitlines():
        if line.startswith("$ "):
            sessions.append([])
        elif line.startswith("(gdb) "):
            sessions[-1].append(Step(line[6:], []))
        elif line.strip():
            sessions[-1][-1].expected.append(line)
    return sessions


def matches(expected, line):
    pattern = ".*".join(re.escape(piece) for piece in re.split(r"…|\.\.\.", expected.strip()))
    return re.search(pattern + "$", line.rstrip()) is not None


def numbered_prose(text):
    """The prose alone, each line where it stands in the file."""
    lines = [""] * text.count("\n")
    for part in parts(text):
        if part.kind == "prose":
            for offset, line in enumerate(part.text.splitlines()):
                lines[part.line - 1 + offset] = line
    return "\n".join(lines)

# SPDX-License-Identifier: Apache-2.0
"""Runs a lesson.

check_lesson.py SOURCE PROGRAM ANSWERS   it prints what its page says; exercises are refused, with their answers solved
check_lesson.py SOURCE PROGRAM --gdb     its debugger sessions show the lines that the page shows

Exit codes: 0 right, 1 wrong, 77 skipped (no gdb, or it may not trace).
"""
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import literate


def run(*command):
    return subprocess.run(command, capture_output=True, encoding="utf-8", timeout=100)


def check_program(markdown, program, answers):
    wrong = []
    result = run(program)
    expected = literate.fenced(markdown, "output")
    if len(expected) != 1:
        wrong.append(f"has {len(expected)} blocks named output, expected 1")
    elif result.returncode != 0 or result.stdout != expected[0]:
        wrong.append(f"exit code {result.returncode}, printed:\n{result.stdout}but its page says:\n{expected[0]}")
    checked = 0
    for number in re.findall(r"^\*\*(\d+)\.", markdown, re.M):
        before, after = (run(p, "--exercise", number).returncode for p in (program, answers))
        if (before, after) not in ((1, 0), (2, 2)):
            wrong.append(f"exercise {number}: exit code {before} without the answer (expected 1, or 2 if it has no "
                         f"check), {after} with it (expected 0, or 2)")
        checked += before == 1
    if checked == 0:
        wrong.append("no exercise can be checked")
    return wrong


def check_gdb(markdown, program):
    gdb = shutil.which("gdb")
    if gdb is None:
        print("skipped: gdb is not installed (apt-get install gdb)")
        sys.exit(77)
    environment = dict(os.environ, DEBUGINFOD_URLS="", LC_ALL="C.UTF-8", COLUMNS="200")
    wrong = []
    sessions = literate.gdb_sessions(markdown)
    if not sessions:
        wrong.append("has no block named gdb")
    for session in sessions:
        command = [gdb, "-q", "-nx", "--batch", "-ex", "set width 0", "-ex", "set confirm off"]
        for number, step in enumerate(session):
            command += ["-ex", f"echo \\n@@{number}\\n", "-ex", step.command]
        result = subprocess.run(command + [program], capture_output=True, encoding="utf-8", timeout=100,
                                env=environment, stdin=subprocess.DEVNULL)
        said = result.stdout + result.stderr
        if re.search(r"ptrace: |Could not trace|Cannot create process", said):
            print("skipped: gdb may not trace a process here\n" + said)
            sys.exit(77)
        printed = re.split(r"^@@\d+\n", result.stdout, flags=re.M)[1:]
        for number, step in enumerate(session):
            lines = iter(printed[number].splitlines() if number < len(printed) else [])
            for expected in step.expected:
                if not any(literate.matches(expected, line) for line in lines):
                    wrong.append(f"(gdb) {step.command}\n  the page shows: {expected}\n  gdb printed:\n{said}")
                    return wrong
    return wrong


def main():
    source, program, third = sys.argv[1:]
    markdown = literate.prose(Path(source).read_text(encoding="utf-8"))
    wrong = check_gdb(markdown, program) if third == "--gdb" else check_program(markdown, program, third)
    for line in wrong:
        print(f"{source}: {line}")
    sys.exit(1 if wrong else 0)


main()

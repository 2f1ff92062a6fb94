# SPDX-License-Identifier: Apache-2.0
"""check_commands.py PROGRAM: every `./run X` and `fovea Y --option` that a page mentions is known to ./run help or to
the program's --help, and every cmake preset and target that a page builds exists. Exit code 1 if not."""
import json
import re
import subprocess
import sys

import check_links
import repository


def output(*command):
    return subprocess.run(command, capture_output=True, encoding="utf-8", cwd=repository.ROOT).stdout


class Programs:
    def __init__(self, program):
        self.program = program
        self.help = {}
        self.run_commands = set(re.findall(r"^  (\w+)", output(repository.ROOT / "run", "help"), re.M))

    def options(self, subcommand):
        """Long options of `fovea SUBCOMMAND`; None if there is no such subcommand."""
        if subcommand not in self.help:
            done = subprocess.run([self.program, subcommand, "--help"], capture_output=True, encoding="utf-8")
            self.help[subcommand] = set(re.findall(r"--[\w-]+", done.stdout)) if done.returncode == 0 else None
        return self.help[subcommand]

    def wrong(self, command):
        """What is wrong with one mentioned command line."""
        words = command.split()
        if words[0] == "./run":
            if len(words) < 2:
                return
            if not words[1].isupper() and words[1] not in self.run_commands:
                yield f"./run has no command '{words[1]}'"
            if words[1] != "fovea":
                return
            words = words[1:]
        if len(words) < 2 or not re.match(r"[a-z][a-z-]*$", words[1]):
            return
        known = self.options(words[1])
        if known is None:
            yield f"fovea has no subcommand '{words[1]}'"
            return
        for option in re.findall(r"(?<!\S)--[a-z][\w-]*", " ".join(words[2:])):
            if option not in known:
                yield f"fovea {words[1]} has no option {option}"


def commands(text):
    """(line, command line) of `./run …` and `fovea …` in code: fenced blocks and `spans`, not in running text."""
    fenced, name = False, ""
    for number, line in enumerate(text.splitlines(), 1):
        fence = re.match(r"\s*```(\w*)", line)
        if fence:
            fenced, name = not fenced, fence[1]
            continue
        if fenced:
            pieces = re.split(r"&&|\||;", line.split(" #")[0]) if name in ("", "sh", "text", "console") else []
        else:
            pieces = re.findall(r"`([^`]+)`", line)
        for piece in pieces:
            match = re.match(r"\s*(?:\$ )?((?:\./run|(?:\./)?(?:[\w/]+/)?fovea)(?:\s+.*)?)$", piece)
            if match and not re.match(r"(?:\./)?(?:[\w/]+/)?fovea(?:\s+(?:demo|train|…).*)?\s*←", match[1]):
                yield number, re.sub(r"^(?:\./)?(?:[\w/]+/)?fovea", "fovea", match[1]).strip()


def wrong_presets(text):
    presets = json.loads(repository.read("CMakePresets.json"))
    names = {p["name"] for p in presets["configurePresets"] if not p.get("hidden")}
    for number, line in enumerate(text.splitlines(), 1):
        for name in re.findall(r"cmake --preset[= ]([\w-]+)", line):
            if name not in names:
                yield number, f"there is no CMake preset '{name}'"


def main():
    programs, wrong, count = Programs(sys.argv[1]), [], 0
    for page, text in check_links.pages(repository.files()).items():
        if page == "CHANGELOG.md":
            continue
        for number, command in commands(text):
            count += 1
            wrong += [f"{page}:{number}: `{command}`: {why}" for why in programs.wrong(command)]
        wrong += [f"{page}:{number}: {why}" for number, why in wrong_presets(text)]
    print("\n".join(wrong) if wrong else f"{count} commands in pages, all of them known")
    sys.exit(1 if wrong or count == 0 else 0)


if __name__ == "__main__":
    main()
